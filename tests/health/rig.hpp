#pragma once
// A tracker under a hand-driven clock.

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "swerve/health/tracker.hpp"

namespace swerve::health::test {

using namespace std::chrono_literals;

/// interval 1 s, fast 200 ms, timeout 800 ms, rise 5, fall 3, window 5 of 10: the defaults.
struct Rig {
    explicit Rig(TrackerPolicy policy = {}) : tracker(policy, 7) {}

    void handle(const TrackerEvent& event) { tracker.handle(now, event, actions); }
    void begin(Duration splay = 0s) { handle(Begin{splay}); }
    void tick() { tracker.tick(now, actions); }
    /// Jumps to the next deadline.
    void jump() {
        now = *tracker.next_deadline();
        tick();
    }
    /// Jumps until an attempt is in flight, unless one is.
    void until_attempt() {
        while (attempt() == answered) jump();
    }
    /// One whole attempt that takes `took`.
    void attempt_gives(ProbeResult result, std::string reason = "reason", Duration took = 1ms) {
        until_attempt();
        const TimePoint started = now;
        now += took;
        answered = attempt();
        handle(ProbeFinished{answered, {result, std::move(reason), started, now}});
    }
    void pass(unsigned times = 1) {
        for (unsigned i = 0; i < times; ++i) attempt_gives(ProbeResult::pass, "HTTP 200");
    }
    void fail(unsigned times = 1) {
        for (unsigned i = 0; i < times; ++i) attempt_gives(ProbeResult::fail, "HTTP 503");
    }
    void unknown() { attempt_gives(ProbeResult::unknown, "no password"); }
    void event(ProbeResult result, std::string reason = "exited") {
        handle(SourceEvent{{result, std::move(reason), now, now}});
    }

    /// The attempt that was started last; 0 if none.
    [[nodiscard]] std::uint64_t attempt() const {
        const auto* start = last<StartProbe>();
        return start == nullptr ? 0 : start->attempt;
    }
    template <class Action>
    [[nodiscard]] const Action* last() const {
        for (auto action = actions.rbegin(); action != actions.rend(); ++action) {
            if (const auto* found = std::get_if<Action>(&*action)) return found;
        }
        return nullptr;
    }
    template <class Action>
    [[nodiscard]] std::size_t count() const {
        std::size_t found = 0;
        for (const auto& action : actions) found += std::holds_alternative<Action>(action) ? 1 : 0;
        return found;
    }
    [[nodiscard]] CheckState state() const { return tracker.state(); }

    Tracker tracker;
    TimePoint now{100s};
    TrackerActions actions;
    std::uint64_t answered = 0;
};

/// A rig whose check already passes, with a clean window.
inline Rig passing(TrackerPolicy policy = {}) {
    Rig rig(policy);
    rig.begin();
    rig.pass(policy.rise);
    return rig;
}

}  // namespace swerve::health::test
