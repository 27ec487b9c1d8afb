// Ends of our own making: stopped for a while, or gone without a word.

#include <doctest/doctest.h>

#include <array>
#include <vector>

#include "tests/bgp/peer_bench.hpp"
#include "tests/support/pair.hpp"

using namespace swerve;
using namespace swerve::bgp;
using namespace swerve::test;

namespace {

const Notification too_many = cease(subcode::max_prefixes);

/// Leads the dialled connection there.
void bring_to(Bench& bench, State state) {
    bench.handle(Start{});
    if (state == State::connect) return;
    if (state == State::active) return bench.handle(TcpFailed{Side::dialled, "refused"});
    bench.connect(Side::dialled);
    if (state == State::open_sent) return;
    bench.receive(Side::dialled, neighbor_open());
    if (state == State::open_confirm) return;
    bench.receive(Side::dialled, encode_keepalive());
}

constexpr std::array started_states{State::connect, State::active, State::open_sent,
                                    State::open_confirm, State::established};

}  // namespace

TEST_CASE(
    "peer: RFC 4486 §4: halted, it says why, waits out its time and admits nobody meanwhile") {
    for (const State state : started_states) {
        CAPTURE(to_string(state));
        Bench bench;
        bring_to(bench, state);
        REQUIRE(bench.peer.state() == state);
        bench.drain(Side::dialled);
        const std::size_t dials = all<Dial>(bench.actions).size();
        bench.handle(Halt{too_many, 30s});
        CHECK(bench.peer.state() == State::idle);
        if (state >= State::open_sent) CHECK(bench.closed().last_words == encode(too_many));
        CHECK(all<SessionDown>(bench.actions).size() == (state == State::established ? 1 : 0));
        CHECK(bench.peer.next_retry() == bench.now + 30s);
        CHECK(bench.peer.next_deadline() == bench.now + 30s);
        CHECK(bench.peer.refuses_connection() == cease(subcode::connection_rejected));
        bench.connect(Side::accepted);
        CHECK(bench.closed().last_words == encode(cease(subcode::connection_rejected)));
        bench.advance(30s - tick_size);
        CHECK(bench.peer.state() == State::idle);
        CHECK(bench.peer.refuses_connection());
        bench.advance(tick_size);
        CHECK(bench.peer.state() == State::connect);
        CHECK(all<Dial>(bench.actions).size() == dials + 1);
        CHECK_FALSE(bench.peer.refuses_connection());
        bench.establish();
    }
}

TEST_CASE("peer: a halt is no failure, and a later one counts from its own time") {
    Bench bench;
    bench.establish();
    bench.handle(Halt{too_many, 30s});
    bench.advance(10s);
    bench.handle(Halt{too_many, 60s});
    CHECK(bench.peer.next_deadline() == bench.now + 60s);
    bench.advance(60s);
    bench.connect(Side::dialled);
    bench.receive(Side::dialled, encode_keepalive());
    CHECK(bench.until_dial() <= 1s);  // the first failure
}

TEST_CASE("peer: an operator's reset ends a halt, and a stopped peer is not halted") {
    Bench bench;
    bench.handle(Halt{too_many, 30s});
    CHECK_FALSE(bench.peer.next_deadline());
    bench.establish();
    bench.handle(Halt{too_many, 1h});
    bench.handle(Stop{cease(subcode::administrative_shutdown)});
    CHECK_FALSE(bench.peer.next_deadline());
    bench.handle(Start{});
    CHECK(bench.peer.state() == State::connect);
    CHECK_FALSE(bench.peer.refuses_connection());
    bench.handle(Halt{too_many, 1h});
    bench.handle(Start{});  // started it is already
    CHECK(bench.peer.state() == State::idle);
    CHECK(bench.peer.refuses_connection());
    bench.peer.reconfigure(local_config());
    CHECK(bench.peer.next_deadline() == bench.now + 1h);
}

TEST_CASE("peer: a passive peer listens again when its halt is over") {
    PeerConfig config = local_config();
    config.passive = true;
    Bench bench{config};
    bench.handle(Start{});
    bench.establish(Side::accepted);
    bench.handle(Halt{cease(subcode::bfd_down), 5s});
    CHECK(bench.sent() == cease(subcode::bfd_down));  // RFC 9384 §4
    CHECK(bench.peer.refuses_connection());
    bench.advance(5s);
    CHECK(bench.peer.state() == State::active);
    bench.establish(Side::accepted);
}

TEST_CASE("peer: RFC 4724 §4.1: it vanishes without a NOTIFICATION and stays Idle") {
    for (const State state : started_states) {
        CAPTURE(to_string(state));
        Bench bench;
        bring_to(bench, state);
        bench.drain(Side::dialled);
        bench.handle(Vanish{});
        CHECK(bench.peer.state() == State::idle);
        CHECK(all<NotificationExchanged>(bench.actions).empty());
        CHECK(all<CloseTcp>(bench.actions).size() == (state >= State::open_sent ? 1 : 0));
        if (state >= State::open_sent) {
            CHECK(bench.closed().last_words.empty());
            CHECK_FALSE(bench.closed().reset);
        }
        if (state == State::established) {
            CHECK_FALSE(last<SessionDown>(bench.actions).sent);
        }
        CHECK_FALSE(bench.peer.next_deadline());
        CHECK(bench.peer.refuses_connection() == cease(subcode::connection_rejected));
        bench.advance(1h);
        CHECK(bench.peer.state() == State::idle);
    }
}

TEST_CASE("peer: a message that stands half on the wire is finished before it vanishes") {
    Bench bench;
    bench.establish();
    advertise(bench.peer, block({"198.51.100.0/24"}));
    std::vector<ByteView> views;
    bench.peer.produce(bench.now, Side::dialled, 4096, views);
    const Bytes open(views[0].begin(), views[0].end());
    bench.peer.consumed(bench.now, Side::dialled, 10);
    bench.handle(Vanish{});
    CHECK(bench.closed().last_words == Bytes(open.begin() + 10, open.end()));
}

TEST_CASE("peer: two that halt each other in turn come back each time") {
    PeerConfig left{.open = policy(64500, "192.0.2.1", 64496), .seed = 1};
    PeerConfig right{.open = policy(64496, "192.0.2.2", 64500), .seed = 2};
    Pair pair(left, right);
    pair.start();
    for (int i = 0; i < 20; ++i) {
        REQUIRE(pair.run_until([&] { return pair.both_established(); }, 10min));
        pair.handle(i % 2 == 0 ? Pair::End::left : Pair::End::right, Halt{too_many, 20s});
        const TimePoint halted = pair.now();
        pair.run_for(20s - tick_size);
        CHECK(pair.now() == halted + 20s - tick_size);
        CHECK_FALSE(pair.both_established());
    }
}
