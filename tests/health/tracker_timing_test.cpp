// When a tracker probes, and how long a hang can go unseen.

#include <doctest/doctest.h>

#include <algorithm>

#include "swerve/health/tracker.hpp"
#include "tests/health/rig.hpp"

namespace swerve::health {

using namespace test;

namespace {

/// A service that answers after `latency` until it hangs, and a runner that reports a timeout
/// exactly when it is due. An attempt in flight when the hang begins hangs as well.
struct HangingService {
    HangingService(TrackerPolicy with, std::uint64_t seed, Duration answer)
        : policy(with), latency(answer), tracker(with, seed) {
        take(Begin{});
    }

    void take(const TrackerEvent& event) {
        TrackerActions actions;
        tracker.handle(now, event, actions);
        take(actions);
    }
    void take(const TrackerActions& actions) {
        for (const TrackerAction& action : actions) {
            if (const auto* start = std::get_if<StartProbe>(&action)) {
                attempt = start->attempt;
                started = now;
            } else if (const auto* changed = std::get_if<CheckChanged>(&action)) {
                flipped = *changed;
            }
        }
    }
    [[nodiscard]] bool hangs() const { return hang && started + latency >= *hang; }
    [[nodiscard]] TimePoint answer_at() const {
        return started + (hangs() ? policy.timeout : latency);
    }
    /// The next thing that happens; at equal times the answer comes first if `answer_first`.
    void step(bool answer_first) {
        const TimePoint deadline = *tracker.next_deadline();
        if (attempt != 0 && (answer_at() < deadline || (answer_first && answer_at() == deadline))) {
            now = answer_at();
            const bool failed = hangs();
            const std::uint64_t id = std::exchange(attempt, 0);
            take(ProbeFinished{id,
                               {failed ? ProbeResult::fail : ProbeResult::pass, "", started, now}});
            return;
        }
        now = deadline;
        TrackerActions actions;
        tracker.tick(now, actions);
        take(actions);
    }
    /// Hangs at `at` and returns when the check flipped.
    TimePoint hang_at(TimePoint at) {
        hang = at;
        flipped.reset();
        while (!flipped) step(true);
        CHECK(flipped->to == CheckState::fail);
        return now;
    }

    TrackerPolicy policy;
    Duration latency;
    Tracker tracker;
    TimePoint now{10s};
    TimePoint started{};
    std::uint64_t attempt = 0;
    std::optional<TimePoint> hang{};
    std::optional<CheckChanged> flipped{};
};

TrackerPolicy random_policy(Random& random) {
    const auto between = [&](std::int64_t low, std::int64_t high) {
        return Duration{low + static_cast<std::int64_t>(
                                  random.below(static_cast<std::uint64_t>(high - low + 1)))};
    };
    TrackerPolicy policy;
    policy.interval = between(10'000'000, 3'000'000'000);
    policy.fast_interval = between(5'000'000, policy.interval.count());
    policy.timeout = between(5'000'000, 2 * policy.interval.count());
    policy.rise = 1 + static_cast<unsigned>(random.below(5));
    policy.fall = 1 + static_cast<unsigned>(random.below(6));
    policy.window_of = 1 + static_cast<unsigned>(random.below(12));
    policy.window_failures = 1 + static_cast<unsigned>(random.below(policy.window_of));
    return policy;
}

}  // namespace

TEST_CASE("tracker: the first attempt starts after the splay") {
    Rig rig;
    rig.begin(40ms);
    CHECK(rig.count<StartProbe>() == 0);
    CHECK(rig.tracker.next_deadline() == rig.now + 40ms);
    rig.jump();
    CHECK(rig.count<StartProbe>() == 1);
    CHECK(rig.last<StartProbe>()->timeout == 800ms);
}

TEST_CASE("tracker: attempts go start to start, and jitter takes at most a tenth off") {
    Rig rig;
    rig.begin();
    Duration shortest = 10s;
    Duration longest = 0s;
    for (int i = 0; i < 500; ++i) {
        const TimePoint started = rig.now;
        rig.attempt_gives(ProbeResult::pass, "", 300ms);
        rig.until_attempt();
        shortest = std::min(shortest, rig.now - started);
        longest = std::max(longest, rig.now - started);
    }
    CHECK(shortest >= 900ms);
    CHECK(shortest < 910ms);
    CHECK(longest <= 1000ms);
    CHECK(longest > 990ms);
}

TEST_CASE(
    "tracker: after a first failure attempts come at exactly fast_interval until the window is "
    "clean") {
    Rig rig = passing();
    rig.until_attempt();
    TimePoint started = rig.now;
    rig.fail();
    for (int i = 0; i < 9; ++i) {
        rig.until_attempt();
        CHECK(rig.now - started == 200ms);
        started = rig.now;
        rig.pass();
    }
    CHECK(rig.tracker.window_failures() == 1);
    rig.until_attempt();
    CHECK(rig.now - started == 200ms);
    started = rig.now;
    rig.pass();
    CHECK(rig.tracker.window_failures() == 0);
    rig.until_attempt();
    CHECK(rig.now - started >= 900ms);
}

TEST_CASE("tracker: once the check has flipped attempts come at the interval again") {
    Rig rig = passing();
    rig.fail(3);
    REQUIRE(rig.state() == CheckState::fail);
    rig.until_attempt();
    TimePoint started = rig.now;
    rig.fail();
    rig.until_attempt();
    CHECK(rig.now - started >= 900ms);
    started = rig.now;
    rig.pass();
    rig.until_attempt();
    CHECK(rig.now - started >= 900ms);
}

TEST_CASE(
    "tracker: an attempt that ran beyond the next slot is followed at once, never overlapped") {
    Rig rig = passing();
    rig.attempt_gives(ProbeResult::fail, "timeout", 800ms);
    const TimePoint finished = rig.now;
    rig.until_attempt();
    CHECK(rig.now == finished);

    rig.attempt_gives(ProbeResult::fail, "reset", 199ms);
    const TimePoint early = rig.now;
    rig.until_attempt();
    CHECK(rig.now == early + 1ms);
}

TEST_CASE("tracker: an attempt without an answer is given up 250 ms after its timeout") {
    Rig rig = passing();
    rig.until_attempt();
    const TimePoint started = rig.now;
    const std::uint64_t old = rig.attempt();
    rig.now = started + 1050ms - 1ns;
    rig.tick();
    CHECK(rig.count<EvidenceLost>() == 0);
    CHECK(rig.attempt() == old);
    rig.now = started + 1050ms;
    rig.tick();
    REQUIRE(rig.count<EvidenceLost>() == 1);
    CHECK(rig.last<EvidenceLost>()->reason == "the probe loop gave no answer within 1.05 s");
    CHECK(rig.attempt() == old + 1);  // its slot had passed
    CHECK(rig.tracker.results()[2] == 1);
    rig.handle(ProbeFinished{old, {ProbeResult::fail, "late", started, rig.now}});
    CHECK(rig.tracker.consecutive_failures() == 0);
}

TEST_CASE("tracker: a dead probe loop lets the verdict stand for 30 s and no longer") {
    Rig rig = passing();
    rig.until_attempt();
    const TimePoint started = rig.now;
    while (rig.state() == CheckState::pass) rig.jump();
    CHECK(rig.now == started + 1050ms + 30s);
    CHECK(rig.count<EvidenceLost>() == 1);
    CHECK(rig.count<CheckChanged>() == 2);
}

TEST_CASE("tracker: events that never cease leave an attempt its time, and it is given up") {
    Rig rig = passing();
    rig.now += 100ms;
    rig.event(ProbeResult::fail);
    const TimePoint asked = rig.now;
    const std::uint64_t attempt = rig.attempt();
    while (rig.now + 100ms < asked + 1050ms) {
        rig.now += 100ms;
        rig.tick();
        rig.event(ProbeResult::fail);
    }
    CHECK(rig.attempt() == attempt);
    rig.now = asked + 1050ms;
    rig.tick();
    REQUIRE(rig.count<EvidenceLost>() == 1);
    CHECK(rig.last<EvidenceLost>()->reason == "the probe loop gave no answer within 1.05 s");
    CHECK(rig.state() == CheckState::pass);
    CHECK(rig.attempt() == attempt + 1);  // for the events meanwhile
}

TEST_CASE("tracker: with fall 1 a hanging service is a failure and no loss of evidence") {
    Rig rig = passing({.interval = 100ms, .fast_interval = 100ms, .timeout = 80ms, .fall = 1});
    rig.until_attempt();
    rig.now += 80ms + 20ms;  // the runner's timeout, reported late
    rig.tick();
    rig.handle(ProbeFinished{rig.attempt(), {ProbeResult::fail, "timeout", rig.now, rig.now}});
    CHECK(rig.state() == CheckState::fail);
    CHECK(rig.count<EvidenceLost>() == 0);
}

TEST_CASE("tracker: the detection bound is the formula of the design") {
    CHECK(detection_bound({}) == 1s + 800ms + 2 * 800ms);
    CHECK(detection_bound(
              {.interval = 100ms, .fast_interval = 100ms, .timeout = 80ms, .fall = 2}) == 280ms);
    CHECK(detection_bound({.interval = 1s, .fast_interval = 1s, .timeout = 1ms, .fall = 1}) ==
          1001ms);
}

TEST_CASE("tracker: no hang goes unseen for longer than the bound, whatever policy and phase") {
    for (std::uint64_t seed = 1; seed <= 3000; ++seed) {
        CAPTURE(seed);
        Random random(seed);
        const TrackerPolicy policy = random_policy(random);
        const Duration most = std::min(policy.timeout, policy.interval) / 2;
        HangingService service(policy, seed,
                               Duration{static_cast<std::int64_t>(
                                   random.below(static_cast<std::uint64_t>(most.count())))});
        while (service.tracker.state() != CheckState::pass) service.step(random.below(2) == 0);
        const TimePoint settled = service.now;
        const Duration phase{static_cast<std::int64_t>(
            random.below(static_cast<std::uint64_t>(3 * policy.interval.count())))};
        const TimePoint hang = settled + phase;
        while (*service.tracker.next_deadline() < hang && service.now < hang) {
            if (service.attempt != 0 && service.answer_at() >= hang) break;
            service.step(random.below(2) == 0);
        }
        const TimePoint seen = service.hang_at(hang);
        REQUIRE(seen - hang <= detection_bound(policy));
        REQUIRE(service.flipped->first_evidence > hang);
    }
}

TEST_CASE("tracker: a hang right behind an answer takes the whole bound but for one jitter") {
    for (std::uint64_t seed = 1; seed <= 500; ++seed) {
        CAPTURE(seed);
        Random random(seed);
        TrackerPolicy policy = random_policy(random);
        policy.timeout = std::min(policy.timeout, policy.interval);
        policy.window_of = 10;
        policy.window_failures = 10;
        HangingService service(policy, seed, 1us);
        do {
            service.step(true);
        } while (service.tracker.state() != CheckState::pass || service.attempt != 0);
        const TimePoint hang = service.now + 1ns;
        const Duration took = service.hang_at(hang) - hang;
        REQUIRE(took <= detection_bound(policy));
        REQUIRE(took >= detection_bound(policy) - policy.interval / 10 - 2us);
    }
}

}  // namespace swerve::health
