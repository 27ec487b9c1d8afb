#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/bgp/peer_bench.hpp"
#include "tests/support/pair.hpp"

using namespace swerve;
using namespace swerve::bgp;
using namespace swerve::test;

TEST_CASE("peer: KEEPALIVE goes ahead of routes and behind the rest of a message") {
    Bench bench;
    bench.establish();
    bench.drain(Side::dialled);
    advertise(bench.peer, large_block(4000));
    std::vector<ByteView> views;
    bench.peer.produce(bench.now, Side::dialled, 1 << 20, views);
    bench.peer.consumed(bench.now, Side::dialled, 100);  // of the first UPDATE
    bench.advance(3s);                                   // a KEEPALIVE is due
    const Bytes rest = bench.drain(Side::dialled);
    // The rest ends where the UPDATE's length says; the KEEPALIVE follows at once.
    std::size_t at = 0;
    const Bytes keepalive = encode_keepalive();
    while (at < rest.size() && !std::equal(keepalive.begin(), keepalive.end(),
                                           rest.begin() + static_cast<std::ptrdiff_t>(at))) {
        ++at;
    }
    CHECK(at > 0);
    CHECK(at < max_message_size);
    const std::string types = types_in(ByteView{rest}.subspan(at));
    CHECK(types.starts_with("KUU"));
    CHECK(std::ranges::count(types, 'K') == 1);
    CHECK_FALSE(bench.peer.wants_write(Side::dialled));
    CHECK(bench.peer.counters().sent[2] == bench.peer.rib_out().updates_sent());
}

TEST_CASE("peer: output taken in any portions is the same stream") {
    const auto stream_in = [](std::size_t portion) {
        Bench bench;
        bench.establish();
        advertise(bench.peer, large_block(3000));
        Bytes stream;
        std::size_t turns = 0;
        while (bench.peer.wants_write(Side::dialled)) {
            std::vector<ByteView> views;
            bench.peer.produce(bench.now, Side::dialled, 5000, views);
            Bytes all_octets;
            for (const ByteView view : views) {
                all_octets.insert(all_octets.end(), view.begin(), view.end());
            }
            all_octets.resize(std::min(all_octets.size(), portion));
            bench.peer.consumed(bench.now, Side::dialled, all_octets.size());
            stream.insert(stream.end(), all_octets.begin(), all_octets.end());
            REQUIRE(++turns < 100000);
        }
        return stream;
    };
    const auto prefixes_of = [](const Bytes& stream) {
        Framer framer;
        framer.feed(stream);
        std::size_t count = 0;
        while (const auto frame = framer.next().value_or(std::nullopt)) {
            if (frame->type != MessageType::update) continue;
            const auto update = decode_update(frame->body, {{true, false}, {Family::ipv4}});
            REQUIRE(update);
            for (const Reach& reach : update->reach) count += reach.prefixes.size();
        }
        CHECK(framer.buffered() == 0);
        return count;
    };
    for (const std::size_t portion : {1, 7, 19, 100, 4095, 4096, 4097, 1 << 20}) {
        CAPTURE(portion);
        CHECK(prefixes_of(stream_in(portion)) == 3000);
    }
}

TEST_CASE("peer: a neighbor that never reads is dropped after twice the hold time") {
    Bench bench;
    bench.establish();
    const TimePoint began = bench.now;
    const auto pass_until = [&](TimePoint until) {
        while (bench.now < until) {
            bench.receive(Side::dialled, encode_keepalive());
            std::vector<ByteView> views;
            bench.peer.produce(bench.now, Side::dialled, 1 << 16, views);  // nothing is taken
            bench.advance(std::min<Duration>(1s, until - bench.now));
        }
    };
    pass_until(began + 18s - tick_size);
    CHECK(bench.peer.state() == State::established);
    pass_until(began + 18s);
    CHECK(bench.peer.state() == State::idle);
    CHECK(bench.closed().reset);
    CHECK(last<SessionDown>(bench.actions).reason == "send hold timer expired");
}

TEST_CASE("peer: ROUTE-REFRESH sends the family once more, an unknown family nothing") {
    Bench bench;
    bench.establish();
    advertise(bench.peer, block({"198.51.100.0/24", "203.0.113.0/24"}));
    CHECK(types_in(bench.drain(Side::dialled)).starts_with("OKU"));
    bench.receive(Side::dialled, raw(MessageType::route_refresh, {0, 25, 0, 65}));
    bench.receive(Side::dialled, encode_route_refresh(Family::ipv6));  // not negotiated
    CHECK_FALSE(bench.peer.wants_write(Side::dialled));
    bench.receive(Side::dialled, encode_route_refresh(Family::ipv4));
    CHECK(types_in(bench.drain(Side::dialled)) == "RU");  // BoRR before them
    CHECK(types_in(bench.drain(Side::dialled)) == "R");   // EoRR behind
    CHECK(bench.peer.state() == State::established);
}

TEST_CASE("peer: the next hop is the configured one, else the session's own address") {
    const auto next_hop = [](const PeerConfig& config) {
        Bench bench(config);
        bench.establish();
        advertise(bench.peer, block({"198.51.100.0/24"}));
        const auto withheld = [&] {
            bool out = false;
            bench.peer.rib_out().for_each([&](const Prefix&, const RouteRef& route, const auto&) {
                out = bench.peer.rib_out().withholds(route, Family::ipv4);
            });
            return out;
        };
        const Bytes sent = bench.drain(Side::dialled);
        Framer framer;
        framer.feed(sent);
        while (const auto frame = framer.next().value_or(std::nullopt)) {
            if (frame->type != MessageType::update) continue;
            const auto update = decode_update(frame->body, {{true, false}, {Family::ipv4}});
            REQUIRE(update);
            if (!update->reach.empty()) return update->reach[0].next_hop.to_string();
        }
        CHECK(withheld());
        return std::string{"none"};
    };
    PeerConfig config = local_config();
    CHECK(next_hop(config) == "192.0.2.1");
    config.next_hop_ipv4 = *Address::parse("192.0.2.77");
    CHECK(next_hop(config) == "192.0.2.77");
    // RFC 4271 §5.1.3: not the neighbor's own address, configured or because it is here.
    config.remote_address = *Address::parse("192.0.2.77");
    CHECK(next_hop(config) == "none");
    config.next_hop_ipv4.reset();
    CHECK(next_hop(config) == "192.0.2.1");
    config.remote_address = *Address::parse("192.0.2.1");
    CHECK(next_hop(config) == "none");
    // Nor one that leads nowhere.
    config.remote_address.reset();
    config.next_hop_ipv4 = *Address::parse("127.0.0.2");
    CHECK(next_hop(config) == "none");
}

TEST_CASE("peer: routes reach the other side through a narrow and bumpy link") {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        CAPTURE(seed);
        LinkConditions conditions;
        conditions.largest_segment = 300;
        conditions.window = 1000;
        conditions.delay_spread = 1ms;
        PeerConfig left{.open = policy(64500, "192.0.2.1", 64496), .seed = seed};
        PeerConfig right{.open = policy(64496, "192.0.2.2", 64500), .seed = seed + 1000};
        Pair pair(left, right, seed, conditions);
        advertise(pair.left().peer, large_block(2000));
        pair.start();
        const auto received = [&] {
            std::size_t count = 0;
            for (const UpdateReceived& one : all<UpdateReceived>(pair.right().log)) {
                for (const Reach& reach : one.update.reach) count += reach.prefixes.size();
            }
            return count;
        };
        REQUIRE(pair.run_until([&] { return pair.both_established(); }, 10s));
        pair.run_for(30s);
        CHECK(received() == 2000);
        CHECK(pair.both_established());
    }
}

TEST_CASE("peer: a side that stalls loses the session and gets it back") {
    PeerConfig left{.open = policy(64500, "192.0.2.1", 64496), .seed = 1};
    PeerConfig right{.open = policy(64496, "192.0.2.2", 64500), .seed = 2};
    LinkConditions conditions;
    conditions.window = 5000;
    Pair pair(left, right, 5, conditions);
    advertise(pair.left().peer, large_block(20000));
    pair.start();
    REQUIRE(pair.run_until([&] { return pair.both_established(); }, 10s));
    pair.set_reads(Pair::End::right, false);
    REQUIRE(pair.run_until([&] { return !all<SessionDown>(pair.left().log).empty(); }, 60s));
    CHECK(last<SessionDown>(pair.left().log).reason == "peer sent Hold Timer Expired");
    pair.set_reads(Pair::End::right, true);
    CHECK(pair.run_until([&] { return pair.both_established(); }, 2min));
}
