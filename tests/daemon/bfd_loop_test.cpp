#include "daemon/bfd_loop.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <future>

#include "tests/support/bfd_network.hpp"
#include "tests/support/bfd_two.hpp"

using namespace swerve;
using namespace std::chrono_literals;
using bfd::Cause;
using bfd::Discard;
using bfd::SessionConfig;
using bfd::State;
using daemon::BfdSnapshot;
using daemon::BfdView;
using swerve::testing::BfdSite;
using swerve::testing::count;
using swerve::testing::in_own_network;
using swerve::testing::multihop;
using swerve::testing::PlainSocket;
using swerve::testing::session;
using swerve::testing::some_packet;
using swerve::testing::total;
using swerve::testing::Two;

TEST_CASE("bfd loop: two on one host come up, with one hop and with several at once") {
    in_own_network([] {
        BfdSite a{1};
        BfdSite b{2};
        a.start();
        b.start();
        a.want({session("127.0.0.2", "127.0.0.3"), multihop("127.0.0.2", "127.0.0.3")});
        b.want({session("127.0.0.3", "127.0.0.2"), multihop("127.0.0.3", "127.0.0.2")});
        for (BfdSite* site : {&a, &b}) {
            CHECK(site->shows([](const BfdSnapshot& now) {
                return now.sessions.size() == 2 &&
                       std::ranges::all_of(now.sessions, [](const BfdView& each) {
                           return each.session.state == State::up;
                       });
            }));
            const BfdSnapshot now = site->look();
            for (const BfdView& each : now.sessions) {
                CHECK(each.source_port >= 49152);
                CHECK(each.trouble.empty());
                CHECK(each.session.counters.received > 0);
            }
            CHECK(now.sessions.at(0).source_port != now.sessions.at(1).source_port);
            CHECK(total(now.discarded) == 0);
            CHECK(site->shows([](const BfdSnapshot& later) {
                return std::ranges::any_of(later.lateness.buckets,
                                           [](std::uint64_t bucket) { return bucket > 0; });
            }));
            CHECK_FALSE(now.realtime);
            CHECK(site->alarms().empty());
        }
    });
}

TEST_CASE("bfd loop: packets carry TTL 255 and CS6, from one port above 49151") {
    in_own_network([] {
        const PlainSocket neighbor{"127.0.0.3", bfd::single_hop_port};
        BfdSite a{1};
        a.start();
        a.want({session("127.0.0.2", "127.0.0.3")});
        std::uint16_t port = 0;
        for (int i = 0; i < 3; ++i) {
            const auto packet = neighbor.receive();
            REQUIRE(packet.has_value());
            CHECK(packet->ttl == 255);
            CHECK(packet->tos == 0xc0);
            CHECK(packet->source_port >= 49152);
            if (i > 0) CHECK(packet->source_port == port);
            port = packet->source_port;
            CHECK(bfd::decode(packet->octets).has_value());
        }
        CHECK(a.look().sessions.at(0).source_port == port);
    });
}

TEST_CASE("bfd loop: a port that is taken is told once, and the session heals by itself") {
    in_own_network([] {
        auto other = std::make_unique<PlainSocket>("127.0.0.2", bfd::single_hop_port);
        BfdSite a{1};
        BfdSite b{2};
        a.start();
        b.start();
        SessionConfig another = session("127.0.0.2", "127.0.0.4");
        another.owner = 3;
        a.want({session("127.0.0.2", "127.0.0.3"), another});
        b.want({session("127.0.0.3", "127.0.0.2")});
        CHECK(a.is_alarmed("cannot bind 127.0.0.2:3784: Address already in use"));
        const BfdSnapshot now = a.look();
        for (const BfdView& each : now.sessions) {
            CHECK(each.source_port == 0);
            CHECK(each.trouble.find("does another BFD speaker run here?") != std::string::npos);
        }
        // Both have had something to say, and nothing to say it with.
        REQUIRE(
            a.shows([](const BfdSnapshot& later) { return total(later.lateness.buckets) >= 2; }));
        CHECK(a.look().sessions.at(0).packets_sent == 0);
        other.reset();
        a.hears(State::up);
        b.hears(State::up);
        CHECK(a.look().sessions.at(0).trouble.empty());
        CHECK(a.look().sessions.at(0).packets_sent > 0);
        CHECK(a.alarms().size() == 1);
    });
}

TEST_CASE("bfd loop: what came too far, or from elsewhere, is counted and changes nothing") {
    in_own_network([] {
        BfdSite a{1};
        a.start();
        a.want({session("127.0.0.2", "127.0.0.3")});
        (void)a.look();  // its sockets are there
        const PlainSocket far{"127.0.0.3", 0, 254};
        CHECK(far.send(some_packet(), "127.0.0.2", bfd::single_hop_port));
        CHECK(a.shows([](const BfdSnapshot& now) {
            return count(now.sessions.at(0).session.counters.discarded, Discard::ttl_too_low) == 1;
        }));
        const PlainSocket stranger{"127.0.0.4"};
        CHECK(stranger.send(some_packet(), "127.0.0.2", bfd::single_hop_port));
        CHECK(a.shows([](const BfdSnapshot& now) {
            return count(now.discarded, Discard::unknown_discriminator) == 1;
        }));
        CHECK(a.look().sessions.at(0).session.counters.received == 0);
        const PlainSocket near{"127.0.0.3"};
        CHECK(near.send(some_packet(), "127.0.0.2", bfd::single_hop_port));
        a.hears(State::init);
    });
}

TEST_CASE("bfd loop: a flood of 100,000 datagrams ends no session, and is counted") {
    in_own_network([] {
        Two two;
        const PlainSocket forger{"127.0.0.3"};
        const PlainSocket stranger{"127.0.0.4"};
        const Bytes garbage(24, 0xa5);
        for (int i = 0; i < 50'000; ++i) {
            (void)forger.send(garbage, "127.0.0.2", bfd::single_hop_port);
            (void)stranger.send(some_packet(), "127.0.0.2", bfd::single_hop_port);
        }
        const auto received = two.a.look().sessions.at(0).session.counters.received;
        CHECK(two.a.shows([&](const BfdSnapshot& now) {
            return now.sessions.at(0).session.counters.received >= received + 5;
        }));
        const BfdSnapshot after = two.a.look();
        CHECK(total(after.discarded) > 1000);
        CHECK(total(after.sessions.at(0).session.counters.discarded) > 1000);
        CHECK(after.sessions.at(0).session.state == State::up);
        CHECK_FALSE(two.a.went_down());
        CHECK_FALSE(two.b.went_down());
    });
}

TEST_CASE("bfd loop: packets that waited while it did not run have not come late") {
    in_own_network([] {
        // A believes B dead after 0.5 s of silence, B believes in A for 10 s.
        SessionConfig of_b = session("127.0.0.3", "127.0.0.2");
        of_b.timing.multiplier = 5;
        Two two{session("127.0.0.2", "127.0.0.3"), of_b};
        std::promise<void> stands;
        std::promise<void> goes_on;
        const auto until = goes_on.get_future();
        boost::asio::post(two.a.io, [&] {
            stands.set_value();
            until.wait();
        });
        stands.get_future().wait();
        // In front of what B sends is more than a turn reads.
        const PlainSocket stranger{"127.0.0.4"};
        for (int i = 0; i < 3000; ++i) {
            (void)stranger.send(some_packet(), "127.0.0.2", bfd::single_hop_port);
        }
        const auto sent = two.b.look().sessions.at(0).packets_sent;
        CHECK(two.b.shows(
            [&](const BfdSnapshot& now) { return now.sessions.at(0).packets_sent >= sent + 15; }));
        goes_on.set_value();
        CHECK(two.a.shows([](const BfdSnapshot& now) { return total(now.discarded) >= 3000; }));
        CHECK(two.a.look().sessions.at(0).session.state == State::up);
        CHECK_FALSE(two.a.went_down());
        CHECK_FALSE(two.b.went_down());
    });
}

TEST_CASE("bfd loop: a pause in the middle of a turn makes no packet late") {
    in_own_network([] {
        // It believes the neighbor dead after 0.5 s of silence; the neighbor never gives it up.
        const PlainSocket neighbor{"127.0.0.3", bfd::single_hop_port};
        BfdSite a{1};
        a.on_alarm = [] { std::this_thread::sleep_for(1s); };
        a.start();
        SessionConfig of_a = session("127.0.0.2", "127.0.0.3");
        of_a.timing.multiplier = 3;
        a.want({of_a});
        const auto first = neighbor.receive();
        REQUIRE(first.has_value());
        const std::uint32_t mine = bfd::decode(first->octets)->packet.my_discriminator;
        const auto say = [&](State state) {
            CHECK(neighbor.send(bfd::encode({.state = state,
                                             .final = true,  // whatever it asks
                                             .detect_multiplier = 5,
                                             .my_discriminator = 7,
                                             .your_discriminator = mine,
                                             .desired_min_tx_us = 100'000,
                                             .required_min_rx_us = 100'000}),
                                "127.0.0.2", bfd::single_hop_port));
        };
        say(State::down);
        a.hears(State::init);
        {
            const std::jthread talks{[&](const std::stop_token& stop) {
                while (!stop.stop_requested()) {
                    say(State::up);
                    std::this_thread::sleep_for(20ms);
                }
            }};
            a.hears(State::up);
            CHECK(a.shows([](const BfdSnapshot& now) {
                const auto& own = now.sessions.at(0).session;
                return own.detection_time == 500ms && own.neighbor_detection_time == 300ms;
            }));
            // The alarm comes between the first reading of the clock and the first datagram.
            boost::asio::post(a.io, [] { std::this_thread::sleep_for(400ms); });
            CHECK(a.is_alarmed("BFD: this process stood still for 0."));
            const auto received = a.look().sessions.at(0).session.counters.received;
            CHECK(a.shows([&](const BfdSnapshot& now) {
                return now.sessions.at(0).session.counters.received >= received + 50;
            }));
        }
        CHECK_FALSE(a.went_down());
    });
}

TEST_CASE("bfd loop: that it stood still for longer than a neighbor waits is told") {
    in_own_network([] {
        SessionConfig of_a = session("127.0.0.2", "127.0.0.3");
        of_a.timing.multiplier = 5;
        Two two{of_a};
        std::promise<void> goes_on;
        const auto until = goes_on.get_future();
        boost::asio::post(two.a.io, [&] { until.wait(); });
        const auto down = two.b.hears(State::down);
        REQUIRE(down.has_value());
        CHECK(down->cause == Cause::detection_time_expired);
        goes_on.set_value();
        CHECK(two.a.is_alarmed("BFD: this process stood still for 0."));
        const auto here = two.a.hears(State::down);
        REQUIRE(here.has_value());
        CHECK(here->cause == Cause::neighbor_signaled_down);
    });
}

TEST_CASE("bfd loop: whoever stops says AdminDown, and runs out of work") {
    in_own_network([] {
        Two two;
        two.a.end();  // returns
        const auto down = two.b.hears(State::down);
        REQUIRE(down.has_value());
        CHECK(down->cause == Cause::neighbor_admin_down);
    });
}

TEST_CASE("bfd loop: whoever hangs tells its neighbors to leave, with Path Down") {
    in_own_network([] {
        Two two;
        two.a.loop.hold_down();
        const auto down = two.b.hears(State::down);
        REQUIRE(down.has_value());
        CHECK(down->cause == Cause::neighbor_signaled_down);
        CHECK(down->neighbor_diagnostic == bfd::Diagnostic::path_down);
    });
}

TEST_CASE("bfd loop: Path Down is on its way before the watchdog goes on to end the process") {
    in_own_network([] {
        const PlainSocket neighbor{"127.0.0.3", bfd::single_hop_port};
        BfdSite a{1};
        a.start();
        a.want({session("127.0.0.2", "127.0.0.3")});
        const auto first = neighbor.receive();
        REQUIRE(first.has_value());
        const std::uint32_t mine = bfd::decode(first->octets)->packet.my_discriminator;
        for (const State state : {State::down, State::up}) {
            CHECK(neighbor.send(bfd::encode({.state = state,
                                             .my_discriminator = 7,
                                             .your_discriminator = mine,
                                             .desired_min_tx_us = 1'000'000,
                                             .required_min_rx_us = 1'000'000}),
                                "127.0.0.2", bfd::single_hop_port));
            a.hears(state == State::down ? State::init : State::up);
        }
        // Whoever asked for more answers than it gives at once does not delay this one, nor that it
        // is in the middle of something.
        for (int i = 0; i < 10; ++i) {
            CHECK(neighbor.send(bfd::encode({.state = State::up,
                                             .poll = true,
                                             .my_discriminator = 7,
                                             .your_discriminator = mine,
                                             .desired_min_tx_us = 1'000'000,
                                             .required_min_rx_us = 1'000'000}),
                                "127.0.0.2", bfd::single_hop_port));
        }
        CHECK(a.shows([](const BfdSnapshot& now) {
            return now.sessions.at(0).session.counters.received >= 12;
        }));
        boost::asio::post(a.io, [] { std::this_thread::sleep_for(5ms); });
        a.loop.hold_down();
        std::optional<bfd::Packet> last;
        while (const auto packet = neighbor.receive_at_once()) {
            last = bfd::decode(packet->octets)->packet;
        }
        REQUIRE(last.has_value());
        CHECK(last->state == State::down);
        CHECK(last->diagnostic == bfd::Diagnostic::path_down);
    });
}

TEST_CASE("bfd loop: each report comes, in its order, also of changes in one turn") {
    in_own_network([] {
        const PlainSocket neighbor{"127.0.0.3"};
        BfdSite a{1};
        a.start();
        a.want({session("127.0.0.2", "127.0.0.3")});
        const std::uint32_t mine = a.look().sessions.at(0).session.discriminator;
        boost::asio::post(a.io, [&] {
            // Read together: the loop stands here until all are sent.
            for (const State state : {State::down, State::up, State::down, State::down}) {
                CHECK(neighbor.send(bfd::encode({.state = state,
                                                 .my_discriminator = 7,
                                                 .your_discriminator = mine,
                                                 .desired_min_tx_us = 1'000'000,
                                                 .required_min_rx_us = 1'000'000}),
                                    "127.0.0.2", bfd::single_hop_port));
            }
        });
        std::vector<State> heard;
        while (heard.size() < 4) {
            const auto report = a.hears([](const bfd::Report&) { return true; });
            REQUIRE(report.has_value());
            heard.push_back(report->state);
        }
        CHECK(heard == std::vector{State::down, State::init, State::up, State::down});
        a.hears(State::init);
    });
}

TEST_CASE("bfd loop: nobody waits for a loop that does not run") {
    in_own_network([] {
        BfdSite a{1};
        a.loop.hold_down();  // returns
        a.start();
        a.want({session("127.0.0.2", "127.0.0.3")});
        CHECK(a.shows([](const BfdSnapshot& now) { return now.sessions.size() == 1; }));
    });
}

TEST_CASE("bfd loop: other timing is negotiated without a flap, from the same port") {
    in_own_network([] {
        Two two;
        const std::uint16_t port = two.a.look().sessions.at(0).source_port;
        SessionConfig other = session("127.0.0.2", "127.0.0.3");
        other.timing = {.min_tx = 200ms, .min_rx = 250ms, .multiplier = 50};
        other.owner = 9;
        two.a.want({other});
        two.a.hears(State::up, 9);
        CHECK(two.b.shows([](const BfdSnapshot& now) {
            const auto& neighbor = now.sessions.at(0).session.neighbor;
            return neighbor && neighbor->desired_min_tx_us == 200'000 &&
                   neighbor->required_min_rx_us == 250'000 && neighbor->detect_multiplier == 50 &&
                   !neighbor->poll;
        }));
        CHECK(two.a.look().sessions.at(0).source_port == port);
        CHECK_FALSE(two.a.went_down());
        CHECK_FALSE(two.b.went_down());
    });
}
