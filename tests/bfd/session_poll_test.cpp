// Polls and what else is sent at once (RFC 5880 §6.5).

#include <doctest/doctest.h>

#include <array>
#include <utility>

#include "tests/bfd/bench.hpp"
#include "tests/bfd/link.hpp"

using namespace swerve;
using namespace swerve::bfd;
using namespace swerve::bfd::test;

TEST_CASE("bfd session: intervals change by a poll, the longer one counts until it is answered") {
    Link link(fast, fast);
    link.come_up();
    link.run(1s);
    const std::size_t transitions = link.a().transitions.size() + link.b().transitions.size();
    bool deaf = true;
    link.lost = [&](std::size_t from) { return deaf && from == 1; };
    link.handle(0, Retime{{400ms, 20ms, 3}});
    // RFC 5880 §6.8.3: slower only once the neighbor knows, and so for what it must keep to.
    CHECK(link.a().session.transmit_interval() == 50ms);
    CHECK(link.a().session.detection_time() == 150ms);
    CHECK(link.a().sent.back().second.poll);
    CHECK(link.a().sent.back().second.desired_min_tx_us == 400'000);
    CHECK(link.a().sent.back().second.required_min_rx_us == 20'000);
    link.run(100ms);
    CHECK(link.a().session.transmit_interval() == 50ms);
    CHECK(link.a().sent.back().second.poll);
    deaf = false;
    link.run(1s);
    CHECK(link.a().session.transmit_interval() == 400ms);
    CHECK(link.a().session.detection_time() == 150ms);  // the neighbor still sends at 50 ms
    CHECK_FALSE(link.a().sent.back().second.poll);
    CHECK(link.b().session.detection_time() == 1200ms);
    link.run(10s);
    CHECK(link.a().transitions.size() + link.b().transitions.size() == transitions);
    // Back again: faster is allowed at once.
    link.handle(0, Retime{fast});
    CHECK(link.a().session.transmit_interval() == 50ms);
    link.run(10s);
    CHECK(link.b().session.detection_time() == 150ms);
    CHECK(link.a().transitions.size() + link.b().transitions.size() == transitions);
}

TEST_CASE("bfd session: the answer to one poll is not taken for that to the next") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        Link link(fast, fast, {}, {}, seed);
        link.come_up();
        link.run(1s);
        const std::size_t transitions = link.b().transitions.size();
        std::size_t second_polls = 0;
        link.lost = [&](std::size_t from) {
            const Packet& packet = link.ends[from].sent.back().second;
            return from == 0 && packet.desired_min_tx_us == 800'000 && ++second_polls <= 2;
        };
        link.handle(0, Retime{{400ms, 50ms, 3}});
        link.handle(0, Retime{{800ms, 50ms, 3}});
        link.run(100ms);
        // The neighbor knows of 400 ms only, and gives up after three times as long.
        CHECK(link.a().session.transmit_interval() == 400ms);
        CHECK(link.b().session.detection_time() == 1200ms);
        link.run(10s);
        CHECK(second_polls > 2);
        CHECK(link.b().transitions.size() == transitions);
        CHECK(link.a().session.transmit_interval() == 800ms);
        CHECK(link.b().session.detection_time() == 2400ms);
        CHECK_FALSE(link.a().sent.back().second.poll);
    }
}

TEST_CASE("bfd session: on a long path no late answer to one poll ends the next one") {
    // Whenever the second comes: while the first is asked, or while its last answers are under way.
    for (const Duration delay : {20ms, 45ms, 100ms, 150ms}) {
        for (const Duration between : {0ms, 10ms, 30ms, 41ms, 91ms, 201ms, 301ms, 320ms}) {
            for (std::uint64_t seed = 1; seed <= 20; ++seed) {
                Link link(fast, fast, {}, {}, seed);
                link.delay = delay;
                link.come_up();
                // Even where the way up is hardly over: that ends with a poll as well.
                link.run(seed % 4 == 0 ? 0ms : 4s + Duration{seed * 3'000'000});
                const std::size_t before =
                    link.a().transitions.size() + link.b().transitions.size();
                // The first packet of the second is lost.
                bool is_first = true;
                link.lost = [&](std::size_t from) {
                    const Packet& packet = link.ends[from].sent.back().second;
                    const bool asks = from == 0 && packet.state == State::up &&
                                      packet.desired_min_tx_us == 1'000'000;
                    return asks && std::exchange(is_first, false);
                };
                link.handle(0, Retime{{60ms, 50ms, 3}});
                link.run(between);
                link.handle(0, Retime{{1000ms, 50ms, 3}});
                link.run(5s);
                CAPTURE(delay.count());
                CAPTURE(between.count());
                CAPTURE(seed);
                CHECK(link.a().transitions.size() + link.b().transitions.size() == before);
                CHECK(link.a().session.transmit_interval() == 1000ms);
                CHECK(link.b().session.detection_time() == 3000ms);
            }
        }
    }
}

TEST_CASE("bfd session: a shorter interval counts at once, also while it is Down") {
    Link link({60s, 60s, 3}, fast);
    link.lost = [](std::size_t) { return true; };
    link.run(5s);
    CHECK(link.a().sent.size() == 1);
    link.handle(0, Retime{fast});
    link.run(1s);
    CHECK(link.a().sent.size() >= 2);
    CHECK(link.a().sent.size() <= 3);
    // A longer one puts nothing off.
    const auto due = link.a().session.next_deadline();
    link.handle(0, Retime{{60s, 60s, 3}});
    CHECK(link.a().session.next_deadline() == due);
    // Nor does either wake one that is off.
    link.handle(0, Administer{false});
    link.run(5min);
    link.handle(0, Retime{fast});
    CHECK_FALSE(link.a().session.next_deadline());
}

TEST_CASE("bfd session: another multiplier is told without a poll, the same timing not at all") {
    Bench bench;
    bench.reach(State::up);
    bench.receive([&] {
        Packet final = bench.said(State::up);
        final.final = true;
        return final;
    }());
    bench.handle(Retime{usual});
    CHECK(bench.actions.empty());
    bench.handle(Retime{{300ms, 300ms, 5}});
    CHECK(bench.actions.empty());
    bench.now += 1s;
    bench.actions.clear();
    bench.session.tick(bench.now - 650ms, bench.actions);
    REQUIRE(bench.sent().size() == 1);
    CHECK(bench.sent()[0].detect_multiplier == 5);
    CHECK_FALSE(bench.sent()[0].poll);
}

TEST_CASE("bfd session: a poll is answered at once, and a storm of them fifty times a second") {
    Bench bench;
    bench.reach(State::up);
    bench.now += 10s;
    const auto due = bench.session.next_deadline();
    Packet poll = bench.said(State::up);
    poll.poll = true;
    bench.receive(poll);
    REQUIRE(bench.sent().size() == 1);
    CHECK(bench.sent()[0].final);
    CHECK_FALSE(bench.sent()[0].poll);
    CHECK(bench.session.next_deadline() == due);  // the transmit timer is not touched
    std::size_t answers = 0;
    for (int i = 0; i < 1000; ++i) {
        bench.now += 1ms;
        bench.receive(poll);
        answers += bench.sent().size();
    }
    CHECK(answers <= 54);
    CHECK(answers >= 49);
}

TEST_CASE("bfd session: a forger who makes it go up and down gets no packet for each of his") {
    Bench bench;
    bench.reach(State::up);
    std::size_t sent = 0;
    for (int i = 0; i < 1000; ++i) {
        bench.now += 100us;
        bench.receive(bench.said(i % 2 == 0 ? State::down : State::init));
        sent += bench.sent().size();
    }
    CHECK(sent <= 10);
}
