#include "swerve/bfd/session.hpp"

#include <doctest/doctest.h>

#include <array>
#include <utility>

#include "tests/bfd/bench.hpp"
#include "tests/bfd/link.hpp"

using namespace swerve;
using namespace swerve::bfd;
using namespace swerve::bfd::test;

TEST_CASE("bfd session: every state and every received state lead where RFC 5880 §6.8.6 says") {
    struct Row {
        State from, heard, to;
        Diagnostic diagnostic;
    };
    using enum State;
    constexpr auto none = Diagnostic::none;
    constexpr auto signaled = Diagnostic::neighbor_signaled_down;
    constexpr auto ours = Diagnostic::administratively_down;
    // Retyped from the RFC's text and its figure in §6.2.
    const Row rows[] = {
        {down, admin_down, down, none},
        {down, down, init, none},
        {down, init, up, none},
        {down, up, down, none},
        {init, admin_down, down, signaled},
        {init, down, init, none},
        {init, init, up, none},
        {init, up, up, none},
        {up, admin_down, down, signaled},
        {up, down, down, signaled},
        {up, init, up, none},
        {up, up, up, none},
        {admin_down, admin_down, admin_down, ours},
        {admin_down, down, admin_down, ours},
        {admin_down, init, admin_down, ours},
        {admin_down, up, admin_down, ours},
    };
    for (const Row& row : rows) {
        Bench bench;
        bench.reach(row.from);
        bench.receive(bench.said(row.heard));
        CAPTURE(to_string(row.from));
        CAPTURE(to_string(row.heard));
        CHECK(bench.session.state() == row.to);
        CHECK(bench.session.diagnostic() == row.diagnostic);
        CHECK(bench.all<StateChanged>().size() == (row.from == row.to ? 0 : 1));
    }
}

TEST_CASE("bfd session: two that begin come up by way of Init, slowly, and then go faster") {
    Link link(fast, fast);
    link.come_up();
    CHECK(link.a().transitions.back().what.cause == Cause::came_up);
    link.run(1s);
    link.a().sent.clear();
    link.run(10s);
    // RFC 5880 §6.8.7: between three quarters of the interval and the whole of it.
    CHECK(link.a().sent.size() >= 200);
    CHECK(link.a().sent.size() <= 267);
    for (std::size_t i = 1; i < link.a().sent.size(); ++i) {
        const Duration gap = link.a().sent[i].first - link.a().sent[i - 1].first;
        CHECK(gap <= 50ms);
        CHECK(gap >= 37ms);
    }
    CHECK(link.a().session.detection_time() == 150ms);
}

TEST_CASE("bfd session: as long as it is not Up it sends once a second, at most a quarter sooner") {
    Link link(fast, fast);
    link.lost = [](std::size_t) { return true; };
    link.run(20s);
    CHECK(link.a().sent.size() >= 20);
    CHECK(link.a().sent.size() <= 28);
    for (const auto& [at, packet] : link.a().sent) {
        CHECK(packet.desired_min_tx_us == 1'000'000);
        CHECK(packet.state == State::down);
        CHECK(packet.your_discriminator == 0);
    }
}

TEST_CASE("bfd session: a multiplier of 1 sends at nine tenths of the interval at the latest") {
    Link link({100ms, 100ms, 1}, {100ms, 100ms, 1});
    link.come_up();
    link.run(1s);
    link.a().sent.clear();
    link.run(20s);
    for (std::size_t i = 1; i < link.a().sent.size(); ++i) {
        const Duration gap = link.a().sent[i].first - link.a().sent[i - 1].first;
        CHECK(gap <= 90ms);
        CHECK(gap >= 75ms);
    }
    CHECK(link.a().state() == State::up);
}

TEST_CASE("bfd session: the slower side sets the pace of each direction") {
    Link link({50ms, 200ms, 3}, {100ms, 400ms, 5});
    link.come_up();
    link.run(3s);
    CHECK(link.a().session.transmit_interval() == 400ms);
    CHECK(link.b().session.transmit_interval() == 200ms);
    // RFC 5880 §6.8.4: their multiplier and the slower of both.
    CHECK(link.a().session.detection_time() == 5 * 200ms);
    CHECK(link.b().session.detection_time() == 3 * 400ms);
}

TEST_CASE("bfd session: silence ends it within the detection time, and not before") {
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
        Link link(fast, fast, {}, {}, seed);
        link.come_up();
        link.run(2s);
        const TimePoint last = link.a().sent.back().first;
        link.lost = [](std::size_t from) { return from == 0; };
        link.a().transitions.clear();
        link.b().transitions.clear();
        link.run(1s);
        REQUIRE_FALSE(link.b().transitions.empty());
        const Transition& down = link.b().transitions.front();
        CHECK(down.what.to == State::down);
        CHECK(down.what.cause == Cause::detection_time_expired);
        CHECK(down.what.diagnostic == Diagnostic::detection_time_expired);
        CHECK(down.at - last == 150ms + link.delay);
        // The other side, which still hears, is told.
        CHECK(link.a().transitions.front().what.cause == Cause::neighbor_signaled_down);
    }
}

TEST_CASE("bfd session: one packet fewer than the multiplier may be lost at any time") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        Link link(fast, fast, {}, {}, seed);
        link.come_up();
        link.run(2s);
        Random random(seed);
        std::array<int, 2> row{};
        // Never three of a direction in a row; two at most, often.
        link.lost = [&](std::size_t from) {
            row[from] = row[from] < 2 && random.below(2) == 0 ? row[from] + 1 : 0;
            return row[from] > 0;
        };
        const std::size_t before = link.a().transitions.size() + link.b().transitions.size();
        link.run(60s);
        CHECK(link.a().transitions.size() + link.b().transitions.size() == before);
    }
}

TEST_CASE("bfd session: after a detection time of silence the neighbor is forgotten by number") {
    Link link(fast, fast);
    link.come_up();
    link.run(1s);
    link.lost = [](std::size_t) { return true; };
    link.run(160ms);
    CHECK(link.a().state() == State::down);
    // The one that says Down still names it.
    CHECK(link.a().sent.back().second.state == State::down);
    CHECK(link.a().sent.back().second.your_discriminator == 0x0b0b0b0b);
    CHECK_FALSE(link.a().session.neighbor());
    link.a().sent.clear();
    link.run(1s);
    REQUIRE_FALSE(link.a().sent.empty());
    CHECK(link.a().sent.front().second.your_discriminator == 0);
    link.lost = [](std::size_t) { return false; };
    link.come_up();
}

TEST_CASE("bfd session: what a neighbor that fell silent wanted does not keep us silent") {
    for (const std::uint32_t wanted : {0U, 3'600'000'000U}) {
        Bench bench;
        bench.reach(State::up);
        Packet slow = bench.said(State::up);
        slow.required_min_rx_us = wanted;
        bench.receive(slow);
        bench.now += 2s;
        bench.actions.clear();
        bench.session.tick(bench.now, bench.actions);
        CHECK(bench.session.state() == State::down);
        CHECK(bench.session.next_deadline() > bench.now);
        CHECK(bench.session.next_deadline() <= bench.now + 1s);
    }
}

TEST_CASE("bfd session: one side that begins anew is heard, and both come up again") {
    Link link(fast, fast);
    link.come_up();
    link.run(1s);
    link.b().session = Session{link.now, 0x0c0c0c0c, fast, std::nullopt, 99};
    // It does not know us and is Down; what we still send it is for another number.
    link.run(5s);
    CHECK(link.a().state() == State::up);
    CHECK(link.b().state() == State::up);
    CHECK(link.a().session.neighbor()->my_discriminator == 0x0c0c0c0c);
}

TEST_CASE("bfd session: the neighbor's demand mode and its wish for silence are respected") {
    Bench bench;
    bench.reach(State::up);
    Packet demand = bench.said(State::up);
    demand.final = true;  // our poll for the faster interval is over
    demand.demand = true;
    bench.receive(demand);
    CHECK_FALSE(bench.session.transmit_interval());
    // RFC 5880 §6.6: a poll of ours still goes out.
    bench.handle(Retime{{100ms, 100ms, 3}});
    bench.session.tick(bench.now, bench.actions);
    REQUIRE(bench.sent().size() == 1);
    CHECK(bench.sent()[0].poll);
    bench.receive(bench.said(State::up));
    CHECK(bench.session.transmit_interval());
    Packet silence = bench.said(State::up);
    silence.required_min_rx_us = 0;
    bench.receive(silence);
    CHECK_FALSE(bench.session.transmit_interval());
    bench.now += 400ms;
    bench.receive(bench.said(State::up));
    CHECK(bench.session.transmit_interval());
    CHECK(bench.session.next_deadline() <= bench.now);
}

TEST_CASE("bfd session: the neighbor's AdminDown ends it with its own cause") {
    Link link(fast, fast);
    link.come_up();
    link.run(1s);
    link.handle(0, Administer{false});
    CHECK(link.a().transitions.back().what.cause == Cause::admin_down);
    link.run(100ms);
    CHECK(link.b().transitions.back().what.cause == Cause::neighbor_admin_down);
    CHECK(link.b().state() == State::down);
    link.a().sent.clear();
    link.run(60s);
    // RFC 5880 §6.8.16: told for a detection time at least, then silent.
    CHECK(link.a().sent.size() >= 3);
    CHECK(link.a().sent.size() <= 5);
    CHECK(link.a().sent.back().second.state == State::admin_down);
    CHECK(link.a().sent.back().second.diagnostic == Diagnostic::administratively_down);
    CHECK_FALSE(link.a().session.next_deadline());
    link.handle(0, Administer{true});
    link.come_up();
}

TEST_CASE("bfd session: AdminDown does not hang on one datagram or two") {
    for (const int lost : {0, 1, 2}) {
        Link link(fast, fast);
        link.come_up();
        link.run(1s);
        int left = lost;
        link.lost = [&](std::size_t from) { return from == 0 && left-- > 0; };
        const TimePoint begin = link.now;
        link.a().sent.clear();
        link.handle(0, Administer{false});
        CHECK_FALSE(link.a().session.has_said_farewell());
        link.run(40ms);
        CHECK(link.a().session.has_said_farewell());
        CHECK(link.a().sent.size() == 3);
        link.run(10ms);
        CHECK(link.b().transitions.back().what.cause == Cause::neighbor_admin_down);
        CHECK(link.b().transitions.back().at == begin + lost * 20ms + link.delay);
        // Slowly from then on.
        link.run(700ms);
        CHECK(link.a().sent.size() == 3);
        link.handle(0, Administer{true});
        CHECK_FALSE(link.a().session.has_said_farewell());
        link.come_up();
    }
}

TEST_CASE("bfd session: what we do on our own is said at once, whatever was forged before") {
    for (const bool is_hang : {false, true}) {
        Bench bench;
        bench.reach(State::up);
        Packet poll = bench.said(State::up);
        poll.poll = true;
        for (int i = 0; i < 10; ++i) bench.receive(poll);
        CHECK(bench.actions.empty());
        bench.handle(is_hang ? Event{HoldDown{}} : Event{Administer{false}});
        REQUIRE(bench.sent().size() == 1);
        CHECK(bench.sent()[0].state == (is_hang ? State::down : State::admin_down));
    }
}

TEST_CASE("bfd session: held down it says Path Down and stays down") {
    Link link(fast, fast);
    link.come_up();
    link.run(1s);
    link.handle(0, HoldDown{});
    CHECK(link.a().transitions.back().what.cause == Cause::path_down);
    CHECK(link.a().sent.back().second.diagnostic == Diagnostic::path_down);
    link.run(2ms);
    CHECK(link.b().state() == State::down);
    CHECK(link.b().session.neighbor()->diagnostic == Diagnostic::path_down);
    link.run(30s);
    CHECK(link.a().state() == State::down);
    CHECK(link.a().sent.back().second.diagnostic == Diagnostic::path_down);
}

TEST_CASE("bfd session: a pause shorter than the neighbor's patience is none, for it reads first") {
    Link link(fast, fast);
    link.come_up();
    link.run(1s);
    const std::size_t before = link.a().transitions.size();
    link.ends[0].frozen = true;
    link.run(100ms);
    link.thaw(0);
    link.run(1s);
    CHECK(link.a().transitions.size() == before);
    // A longer one is seen over there; here it is the neighbor's word, not our own clock.
    link.ends[0].frozen = true;
    link.run(5s);
    link.thaw(0);
    REQUIRE(link.a().transitions.size() > before);
    CHECK(link.a().transitions[before].what.cause == Cause::neighbor_signaled_down);
    link.come_up();
}

TEST_CASE(
    "bfd session: with SHA-1 both come up, numbers are used once and forged ones not at all") {
    const Authentication key{AuthType::meticulous_keyed_sha1, 1, "a key"};
    Link link(fast, fast, key, key);
    link.come_up();
    link.run(10s);
    CHECK(link.a().discarded.empty());
    CHECK(link.b().discarded.empty());
    // Recorded and played again.
    Session& session = link.a().session;
    Packet down{
        .state = State::down, .my_discriminator = 0x0b0b0b0b, .your_discriminator = 0x0a0a0a0a};
    const Bytes stale = encode(down, &key, 0);
    Actions actions;
    session.handle(link.now, PacketReceived{*decode(stale)}, actions);
    REQUIRE(actions.size() == 1);
    CHECK(std::get<Discarded>(actions[0]).why == Discard::sequence_out_of_window);
    CHECK(session.state() == State::up);
    const Authentication other_key{AuthType::meticulous_keyed_sha1, 1, "another"};
    for (const auto& [octets, why] :
         {std::pair{encode(down), Discard::authentication_missing},
          std::pair{encode(down, &other_key), Discard::authentication_failed}}) {
        actions.clear();
        session.handle(link.now, PacketReceived{*decode(octets)}, actions);
        REQUIRE(actions.size() == 1);
        CHECK(std::get<Discarded>(actions[0]).why == why);
    }
    CHECK(session.state() == State::up);
    // One that begins anew does so with a number of its own choice.
    link.b().session = Session{link.now, 0x0c0c0c0c, fast, key, 99};
    link.run(5s);
    link.come_up();
}

TEST_CASE("bfd session: sides that do not agree about authentication never come up") {
    const Authentication key{AuthType::simple_password, 1, "one"};
    const Authentication other{AuthType::simple_password, 1, "two"};
    for (auto& [a, b] : {std::pair{std::optional{key}, std::optional<Authentication>{}},
                         std::pair{std::optional{key}, std::optional{other}}}) {
        Link link(fast, fast, a, b);
        link.run(20s);
        CHECK(link.a().state() == State::down);
        CHECK(link.b().state() == State::down);
        CHECK_FALSE(link.a().discarded.empty());
        CHECK_FALSE(link.b().discarded.empty());
    }
    Link link(fast, fast, key, key);
    link.come_up();
}

TEST_CASE("bfd session: a packet for another session changes nothing") {
    Bench bench;
    bench.reach(State::up);
    bench.receive(bench.said(State::down, 0x0f0f0f0f));
    CHECK(bench.all<Discarded>().at(0).why == Discard::unknown_discriminator);
    CHECK(bench.session.state() == State::up);
}

TEST_CASE("bfd session: any intervals, from 0 to 71 minutes, overflow nothing and stall nothing") {
    Bench bench;
    bench.reach(State::up);
    for (const std::uint32_t tx : {0U, 1U, 0xffff'ffffU}) {
        for (const std::uint32_t rx : {1U, 0xffff'ffffU}) {
            Packet packet = bench.said(State::up);
            packet.desired_min_tx_us = tx;
            packet.required_min_rx_us = rx;
            packet.detect_multiplier = 255;
            bench.receive(packet);
            CHECK(bench.session.state() == State::up);
            CHECK(*bench.session.transmit_interval() >= 300ms);
            CHECK(*bench.session.detection_time() >= 255 * 300ms);
            CHECK(bench.session.next_deadline());
        }
    }
}
