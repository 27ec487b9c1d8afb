// What a reload and an operator's word do to a peer that is at work.

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/bgp/peer_bench.hpp"

using namespace swerve;
using namespace swerve::bgp;
using namespace swerve::test;

namespace {

PeerConfig passive_config() {
    PeerConfig config = local_config();
    config.passive = true;
    return config;
}
PeerConfig with_retry(Duration connect_retry) {
    PeerConfig config = local_config();
    config.connect_retry = connect_retry;
    return config;
}
std::size_t dials(const Bench& bench) { return all<Dial>(bench.actions).size(); }

/// Follows the deadlines for an hour; what it does then is all that it ever does by itself.
void wait_an_hour(Bench& bench) {
    const TimePoint until = bench.now + 1h;
    for (auto next = bench.peer.next_deadline(); next && *next <= until;
         next = bench.peer.next_deadline()) {
        bench.advance_to(std::max(*next, bench.now));
    }
    bench.now = until;
}

/// The next hops in UPDATEs, one per message.
std::string next_hops_in(ByteView octets) {
    Framer framer;
    framer.feed(octets);
    std::string out;
    while (const auto frame = framer.next().value_or(std::nullopt)) {
        if (frame->type != MessageType::update) continue;
        const auto update = decode_update(frame->body, {{true, false}, {Family::ipv4}});
        REQUIRE(update);
        for (const Reach& reach : update->reach) out += reach.next_hop.to_string() + " ";
    }
    return out;
}

}  // namespace

TEST_CASE("peer: reconfigure with what it has does nothing in any state") {
    for (int state = 0; state <= 6; ++state) {
        CAPTURE(state);
        Bench bench;
        if (state >= 1) bench.handle(Start{});
        if (state == 2) bench.handle(TcpFailed{Side::dialled, "connection refused"});
        if (state >= 3) bench.connect(Side::dialled);
        if (state >= 4) bench.receive(Side::dialled, neighbor_open());
        if (state >= 5) bench.receive(Side::dialled, encode_keepalive());
        if (state >= 6) bench.receive(Side::dialled, neighbor_open());  // an error
        const auto deadline = bench.peer.next_deadline();
        const State before = bench.peer.state();
        const std::size_t actions = bench.actions.size();
        bench.peer.reconfigure(local_config());
        CHECK(bench.peer.next_deadline() == deadline);
        CHECK(bench.peer.state() == before);
        bench.advance(Duration{0});
        CHECK(bench.actions.size() == actions);
    }
}

TEST_CASE("peer: another retry time counts from the next attempt on") {
    Bench bench;
    bench.handle(Start{});
    bench.handle(TcpFailed{Side::dialled, "connection refused"});
    const auto due = bench.peer.next_retry();
    bench.peer.reconfigure(with_retry(60s));
    CHECK(bench.peer.config().connect_retry == 60s);
    CHECK(bench.peer.next_retry() == due);
    CHECK(bench.until_dial() <= 5s);
    bench.handle(TcpFailed{Side::dialled, "connection refused"});
    CHECK(bench.until_dial() >= 45s);
}

TEST_CASE("peer: passive from now on lets the dial under way end, and dials no more") {
    Bench bench;
    bench.handle(Start{});
    bench.peer.reconfigure(passive_config());
    CHECK_FALSE(bench.peer.next_retry());
    SUBCASE("answered") {
        bench.connect(Side::dialled);
        bench.receive(Side::dialled, neighbor_open() + encode_keepalive());
        CHECK(last<SessionUp>(bench.actions).side == Side::dialled);
        bench.receive(Side::dialled, encode(cease(subcode::administrative_reset)));
    }
    SUBCASE("the TCP connection breaks before the OPEN") {
        bench.connect(Side::dialled);
        bench.handle(TcpFailed{Side::dialled, "connection reset by peer"});
    }
    SUBCASE("refused") {
        bench.handle(TcpFailed{Side::dialled, "connection refused"});
        CHECK(bench.peer.state() == State::idle);
    }
    SUBCASE("not answered") {}
    CHECK_FALSE(bench.peer.refuses_connection());
    wait_an_hour(bench);
    CHECK(dials(bench) == 1);
    CHECK(bench.peer.state() == State::active);
    CHECK_FALSE(bench.peer.next_deadline());
    bench.connect(Side::accepted);
    bench.receive(Side::accepted, neighbor_open() + encode_keepalive());
    CHECK(bench.peer.state() == State::established);
}

TEST_CASE("peer: passive while waiting for the next dial makes it a wait for the neighbor") {
    for (const bool backoff : {false, true}) {
        CAPTURE(backoff);
        Bench bench;
        bench.handle(Start{});
        if (backoff) {
            bench.connect(Side::dialled);
            bench.receive(Side::dialled, encode_keepalive());  // an error
            CHECK(bench.peer.state() == State::idle);
        } else {
            bench.handle(TcpFailed{Side::dialled, "connection refused"});
            CHECK(bench.peer.state() == State::active);
        }
        bench.peer.reconfigure(passive_config());
        CHECK_FALSE(bench.peer.next_retry());
        wait_an_hour(bench);
        CHECK(dials(bench) == 1);
        CHECK(bench.peer.state() == State::active);
        CHECK_FALSE(bench.peer.next_deadline());
    }
}

TEST_CASE("peer: no longer passive, it dials at the next retry") {
    Bench bench{passive_config()};
    bench.handle(Start{});
    SUBCASE("at once") {
        bench.peer.reconfigure(local_config());
        const auto due = bench.peer.next_retry();
        REQUIRE(due);
        CHECK(*due == bench.now + 5s);
        bench.advance_to(*due);
    }
    SUBCASE("with another retry time") {
        bench.peer.reconfigure(with_retry(60s));
        CHECK(bench.peer.next_retry() == bench.now + 60s);
        bench.peer.reconfigure(local_config());  // a hold that runs stays as it is
        CHECK(bench.peer.next_retry() == bench.now + 60s);
        bench.advance(60s);
    }
    SUBCASE("after waiting for long") {
        bench.now += 10h;  // nothing was due, so nothing came in
        bench.peer.reconfigure(local_config());
        REQUIRE(bench.peer.next_deadline());
        CHECK(*bench.peer.next_deadline() <= bench.now + 5s);
        bench.advance(5s);
    }
    SUBCASE("while a caller says nothing") {
        bench.connect(Side::accepted);
        bench.peer.reconfigure(local_config());
        REQUIRE(bench.peer.next_retry());
        CHECK(*bench.peer.next_retry() <= bench.now + 5s);
        bench.advance(5s);
        CHECK(dials(bench) == 1);
        bench.receive(Side::accepted, neighbor_open() + encode_keepalive());
        CHECK(all<CancelDial>(bench.actions).size() == 1);
        CHECK(bench.peer.state() == State::established);
        return;
    }
    SUBCASE("in backoff: not before it ends") {
        bench.connect(Side::accepted);
        bench.receive(Side::accepted, encode_keepalive());  // an error
        const auto due = bench.peer.next_deadline();
        REQUIRE(due);
        bench.peer.reconfigure(local_config());
        CHECK(bench.peer.next_retry() == due);
        bench.advance_to(*due);
    }
    CHECK(dials(bench) == 1);
    CHECK(bench.peer.state() == State::connect);
    CHECK(last<StateChanged>(bench.actions).to == State::connect);
    bench.handle(TcpFailed{Side::dialled, "connection refused"});
    CHECK(bench.until_dial() <= 5s);
    bench.establish();
}

TEST_CASE("peer: no longer passive, a session lives on and is dialled when it ends") {
    Bench bench{passive_config()};
    bench.handle(Start{});
    bench.establish(Side::accepted);
    bench.peer.reconfigure(local_config());
    CHECK_FALSE(bench.peer.next_retry());
    bench.live(Side::accepted, 1min);
    CHECK(bench.peer.state() == State::established);
    CHECK(all<SessionDown>(bench.actions).empty());
    bench.receive(Side::accepted, encode(cease(subcode::administrative_reset)));
    CHECK(bench.until_dial() <= 1s);
}

TEST_CASE("peer: a stopped peer takes a new configuration and stays stopped") {
    Bench bench{passive_config()};
    bench.peer.reconfigure(local_config());
    CHECK_FALSE(bench.peer.next_deadline());
    bench.handle(Start{});
    CHECK(dials(bench) == 1);
    bench.handle(Stop{cease(subcode::administrative_shutdown)});
    bench.peer.reconfigure(passive_config());
    bench.peer.reconfigure(local_config());
    CHECK_FALSE(bench.peer.next_deadline());
    CHECK(bench.peer.state() == State::idle);
}

TEST_CASE("peer: another next hop is sent on the session that is up") {
    Bench bench;
    advertise(bench.peer, block({"198.51.100.0/24"}));
    bench.establish();
    CHECK(next_hops_in(bench.drain(Side::dialled)) == "192.0.2.1 ");
    PeerConfig config = local_config();
    config.next_hop_ipv4 = *Address::parse("192.0.2.77");
    bench.peer.reconfigure(config);
    CHECK(bench.peer.wants_write(Side::dialled));
    CHECK(next_hops_in(bench.drain(Side::dialled)) == "192.0.2.77 ");
    bench.peer.reconfigure(config);
    CHECK_FALSE(bench.peer.wants_write(Side::dialled));
    // Absent again: the session's own address.
    bench.peer.reconfigure(local_config());
    CHECK(next_hops_in(bench.drain(Side::dialled)) == "192.0.2.1 ");
    CHECK(bench.peer.counters().established == 1);
    CHECK(all<SessionDown>(bench.actions).empty());
    // Without a session it waits for the next one.
    bench.handle(TcpFailed{Side::dialled, "connection reset by peer"});
    bench.peer.reconfigure(config);
    bench.until_dial();
    bench.establish();
    CHECK(next_hops_in(bench.drain(Side::dialled)) == "192.0.2.77 ");
}

TEST_CASE("peer: a neighbor is asked for its routes, each family once, if it can be") {
    for (const bool able : {false, true}) {
        CAPTURE(able);
        PeerConfig config = local_config();
        config.open.families.insert(Family::ipv6);
        OpenPolicy neighbor = neighbor_policy();
        neighbor.families.insert(Family::ipv6);
        Open open = make_open(neighbor);
        open.capabilities.route_refresh = able;
        Bench bench{config};
        bench.handle(AskForRoutes{});  // nobody to ask
        bench.handle(Start{});
        bench.connect(Side::dialled);
        bench.handle(AskForRoutes{});  // not yet
        bench.receive(Side::dialled, encode(open) + encode_keepalive());
        CHECK(types_in(bench.drain(Side::dialled)) == "OKUU");
        bench.handle(AskForRoutes{});
        bench.handle(AskForRoutes{});  // what waits already is not said twice
        CHECK(bench.peer.wants_write(Side::dialled) == able);
        const Bytes asked = bench.drain(Side::dialled);
        const Bytes both = encode_route_refresh(Family::ipv4) + encode_route_refresh(Family::ipv6);
        CHECK(asked == (able ? both : Bytes{}));
        const auto type = static_cast<std::size_t>(MessageType::route_refresh);
        CHECK(bench.peer.counters().sent[type] == (able ? 2 : 0));
        bench.handle(AskForRoutes{});
        CHECK(bench.peer.wants_write(Side::dialled) == able);
        CHECK(bench.peer.state() == State::established);
    }
}

TEST_CASE("peer: a family that was not agreed on is not asked for") {
    Bench bench;
    bench.establish();
    bench.drain(Side::dialled);
    bench.handle(AskForRoutes{});
    CHECK(bench.drain(Side::dialled) == encode_route_refresh(Family::ipv4));
}

TEST_CASE("peer: reset by an operator says so and dials at once, whatever went before") {
    Bench bench;
    bench.handle(Start{});
    for (int i = 0; i < 7; ++i) {  // errors that lead to a long backoff
        bench.connect(Side::dialled);
        bench.receive(Side::dialled, encode_keepalive());
        if (i < 6) bench.until_dial();
    }
    REQUIRE(*bench.peer.next_retry() > bench.now + 40s);
    const auto reset = [&] {
        bench.handle(Stop{cease(subcode::administrative_reset)});
        CHECK(bench.peer.refuses_connection() == cease(subcode::connection_rejected));
        const std::size_t before = dials(bench);
        bench.handle(Start{});
        CHECK(dials(bench) == before + 1);
        CHECK(bench.peer.state() == State::connect);
        CHECK_FALSE(bench.peer.refuses_connection());
    };
    reset();
    bench.establish();
    reset();
    CHECK(bench.closed().last_words == encode(cease(subcode::administrative_reset)));
    CHECK(last<SessionDown>(bench.actions).sent == cease(subcode::administrative_reset));
    bench.connect(Side::dialled);
    reset();  // in OpenSent
    reset();  // while dialling
    // The errors of before are forgotten.
    bench.connect(Side::dialled);
    bench.receive(Side::dialled, encode_keepalive());
    CHECK(bench.until_dial() <= 1s);
}

TEST_CASE("peer: a passive peer that is reset waits for the neighbor at once") {
    Bench bench{passive_config()};
    bench.handle(Start{});
    bench.establish(Side::accepted);
    bench.handle(Stop{cease(subcode::administrative_reset)});
    bench.connect(Side::accepted);
    CHECK(bench.sent() == cease(subcode::connection_rejected));
    bench.handle(Start{});
    CHECK(bench.peer.state() == State::active);
    bench.establish(Side::accepted);
    CHECK(dials(bench) == 0);
}
