#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/bgp/peer_bench.hpp"
#include "tests/support/pair.hpp"

using namespace swerve;
using namespace swerve::bgp;
using namespace swerve::test;

TEST_CASE("peer: of two connections in open_confirm the dominant speaker's survives") {
    struct Case {
        std::string_view id;
        std::uint32_t local_as;
        Side kept;
    };
    // The neighbor is 192.0.2.254 in AS 64496. Identifiers compare as unsigned numbers.
    const std::vector<Case> cases{
        {"192.0.2.1", 64500, Side::accepted},      {"192.0.2.255", 64500, Side::dialled},
        {"10.255.255.255", 64500, Side::accepted}, {"200.0.0.1", 64500, Side::dialled},
        {"192.0.2.254", 64500, Side::dialled},     {"192.0.2.254", 64400, Side::accepted},
    };
    for (const Case& one : cases) {
        for (const Side first : {Side::dialled, Side::accepted}) {
            CAPTURE(one.id);
            CAPTURE(one.local_as);
            CAPTURE(to_string(first));
            Bench bench({.open = policy(one.local_as, one.id, 64496), .seed = 1});
            bench.handle(Start{});
            bench.connect(Side::dialled);
            bench.connect(Side::accepted);
            const Side second = first == Side::dialled ? Side::accepted : Side::dialled;
            bench.receive(first, neighbor_open());
            CHECK(all<CloseTcp>(bench.actions).empty());
            // The KEEPALIVE comes in the same segment; it must not overtake the decision.
            bench.receive(second, neighbor_open() + encode_keepalive());
            REQUIRE(all<CloseTcp>(bench.actions).size() == 1);
            CHECK(bench.closed().side != one.kept);
            CHECK(bench.sent() == cease(subcode::connection_collision));
            bench.receive(one.kept, encode_keepalive());
            CHECK(bench.peer.state() == State::established);
            CHECK(all<SessionUp>(bench.actions).size() == 1);
            CHECK(last<SessionUp>(bench.actions).side == one.kept);
            CHECK_FALSE(bench.peer.next_retry());
        }
    }
}

TEST_CASE("peer: an Established connection wins a collision, whoever dominates") {
    for (const std::string_view id : {"192.0.2.1", "192.0.2.255"}) {
        for (const Side first : {Side::dialled, Side::accepted}) {
            CAPTURE(id);
            CAPTURE(to_string(first));
            const Side second = first == Side::dialled ? Side::accepted : Side::dialled;
            Bench bench(local_config(id));
            bench.handle(Start{});
            bench.connect(Side::dialled);
            bench.connect(Side::accepted);
            bench.receive(first, neighbor_open() + encode_keepalive());
            CHECK(bench.peer.state() == State::established);
            CHECK(bench.closed().side == second);
            CHECK(bench.closed().last_words == encode(cease(subcode::connection_collision)));
            CHECK(bench.peer.refuses_connection() == cease(subcode::connection_collision));
            bench.receive(second, neighbor_open() + encode_keepalive());
            bench.receive(first, encode_keepalive());
            CHECK(all<SessionDown>(bench.actions).empty());
        }
    }
}

TEST_CASE("peer: a connection that cannot be admitted is answered and disturbs nothing") {
    Bench bench;
    bench.connect(Side::accepted);  // not started
    CHECK(bench.closed().last_words == encode(cease(subcode::connection_rejected)));
    bench.establish();
    bench.connect(Side::accepted);
    CHECK(bench.closed().side == Side::accepted);
    CHECK(bench.closed().last_words == encode(cease(subcode::connection_collision)));
    CHECK(bench.peer.state() == State::established);
    CHECK(all<SessionDown>(bench.actions).empty());

    Bench second;
    second.handle(Start{});
    second.connect(Side::accepted);
    CHECK(second.peer.refuses_connection() == cease(subcode::connection_collision));
}

TEST_CASE("peer: two peers that start at once settle on one connection") {
    for (std::uint64_t seed = 0; seed < 300; ++seed) {
        CAPTURE(seed);
        Random random(seed);
        LinkConditions conditions;
        conditions.delay = Duration{static_cast<Duration::rep>(random.below(50'000'000))};
        conditions.delay_spread = Duration{static_cast<Duration::rep>(random.below(50'000'000))};
        conditions.largest_segment = 1 + random.below(100);
        PeerConfig left{.open = policy(64500, "192.0.2.1", 64496), .seed = seed};
        PeerConfig right{.open = policy(64496, "192.0.2.2", 64500), .seed = seed + 1000};
        if (random.below(2) == 0) std::swap(left.open.router_id, right.open.router_id);
        Pair pair(left, right, seed, conditions);
        pair.handle(Pair::End::left, Start{});
        pair.run_for(Duration{static_cast<Duration::rep>(random.below(100'000'000))});
        pair.handle(Pair::End::right, Start{});
        REQUIRE(pair.run_until([&] { return pair.both_established(); }, 60s));
        // And it lasts: nothing of the collision is left to break it.
        const auto downs = all<SessionDown>(pair.left().log).size();
        pair.run_for(10min);
        CHECK(pair.both_established());
        CHECK(all<SessionDown>(pair.left().log).size() == downs);
        for (Pair::Site* site : {&pair.left(), &pair.right()}) {
            CHECK(all<SessionUp>(site->log).size() == all<SessionDown>(site->log).size() + 1);
            CHECK((site->tcp[0] == 0) != (site->tcp[1] == 0));
        }
    }
}

TEST_CASE("peer: connections that break at any moment are built anew") {
    for (std::uint64_t seed = 0; seed < 60; ++seed) {
        CAPTURE(seed);
        Random random(seed);
        LinkConditions conditions;
        conditions.largest_segment = 30;
        conditions.delay_spread = 3ms;
        PeerConfig left{.open = policy(64500, "192.0.2.1", 64496), .seed = seed};
        PeerConfig right{.open = policy(64496, "192.0.2.2", 64500), .seed = seed + 1000};
        right.passive = random.below(2) == 0;
        Pair pair(left, right, seed, conditions);
        pair.start();
        for (int i = 0; i < 10; ++i) {
            pair.run_for(Duration{static_cast<Duration::rep>(random.below(200'000'000))});
            pair.reset_connections();
        }
        CHECK(pair.run_until([&] { return pair.both_established(); }, 3min));
    }
}
