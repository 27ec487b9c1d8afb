#pragma once
// Two sessions and the link between them, in virtual time.

#include <doctest/doctest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <optional>
#include <vector>

#include "swerve/bfd/session.hpp"

namespace swerve::bfd::test {

using namespace std::chrono_literals;

struct Transition {
    TimePoint at;
    StateChanged what;
};

/// One end: its session, and what it did.
struct End {
    Session session;
    std::vector<Transition> transitions{};
    std::vector<std::pair<TimePoint, Packet>> sent{};
    std::vector<Discard> discarded{};
    bool frozen = false;  ///< neither reads nor sends, as a stopped process
    std::deque<Bytes> waiting{};

    [[nodiscard]] State state() const { return session.state(); }
};

class Link {
public:
    Link(Timing a, Timing b, std::optional<Authentication> key_a = {},
         std::optional<Authentication> key_b = {}, std::uint64_t seed = 1)
        : ends{End{Session{TimePoint{}, 0x0a0a0a0a, a, std::move(key_a), seed}},
               End{Session{TimePoint{}, 0x0b0b0b0b, b, std::move(key_b), seed + 1}}} {}

    End& a() { return ends[0]; }
    End& b() { return ends[1]; }

    /// Whether a packet from this end is lost; may be changed at any time.
    std::function<bool(std::size_t from)> lost = [](std::size_t) { return false; };
    Duration delay = 1ms;
    TimePoint now{};
    std::vector<End> ends;

    void handle(std::size_t which, const Event& event) {
        Actions actions;
        ends[which].session.handle(now, event, actions);
        take(which, actions);
    }

    /// Lives for `length`.
    void run(Duration length) {
        const TimePoint until = now + length;
        for (;;) {
            const auto next = next_moment();
            if (!next || *next > until) break;
            now = std::max(now, *next);
            deliver();
            for (std::size_t which = 0; which < 2; ++which) tick(which);
        }
        now = until;
    }
    /// Until both are Up; fails after `limit`.
    void come_up(Duration limit = 10s) {
        const TimePoint until = now + limit;
        while (now < until && !(a().state() == State::up && b().state() == State::up)) run(10ms);
        REQUIRE(a().state() == State::up);
        REQUIRE(b().state() == State::up);
    }
    void thaw(std::size_t which) {
        ends[which].frozen = false;
        // A driver reads before it looks at its timers.
        while (!ends[which].waiting.empty()) {
            const Bytes octets = ends[which].waiting.front();
            ends[which].waiting.pop_front();
            receive(which, octets);
        }
    }

private:
    struct InFlight {
        TimePoint arrives;
        std::size_t to;
        Bytes octets;
    };

    [[nodiscard]] std::optional<TimePoint> next_moment() const {
        std::optional<TimePoint> out;
        for (const InFlight& each : air_) out = earlier(out, each.arrives);
        for (const End& end : ends) {
            if (!end.frozen) out = earlier(out, end.session.next_deadline());
        }
        return out;
    }
    void deliver() {
        while (!air_.empty() && air_.front().arrives <= now) {
            const InFlight each = std::move(air_.front());
            air_.pop_front();
            if (ends[each.to].frozen) {
                ends[each.to].waiting.push_back(each.octets);
            } else {
                receive(each.to, each.octets);
            }
        }
    }
    void receive(std::size_t which, const Bytes& octets) {
        const auto decoded = decode(octets);
        REQUIRE(decoded);
        handle(which, PacketReceived{*decoded});
    }
    void tick(std::size_t which) {
        End& end = ends[which];
        const auto due = end.session.next_deadline();
        if (end.frozen || !due || *due > now) return;
        Actions actions;
        end.session.tick(now, actions);
        take(which, actions);
    }
    void take(std::size_t which, const Actions& actions) {
        for (const Action& action : actions) {
            if (const auto* send = std::get_if<Send>(&action)) {
                ends[which].sent.emplace_back(now, decode(send->octets)->packet);
                if (!lost(which)) air_.push_back({now + delay, 1 - which, send->octets});
            } else if (const auto* changed = std::get_if<StateChanged>(&action)) {
                ends[which].transitions.push_back({now, *changed});
            } else {
                ends[which].discarded.push_back(std::get<Discarded>(action).why);
            }
        }
    }

    std::deque<InFlight> air_;
};

}  // namespace swerve::bfd::test
