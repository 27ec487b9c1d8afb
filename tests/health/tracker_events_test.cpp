// Storms of events, checks that are not asked, lost evidence that is held, and what was.

#include <doctest/doctest.h>

#include "swerve/health/tracker.hpp"
#include "tests/health/rig.hpp"

namespace swerve::health {

using namespace test;

namespace {

/// One event every millisecond for `span`; every attempt is answered with `result` after `took`.
void storm(Rig& rig, Duration span, ProbeResult result, Duration took) {
    const TimePoint end = rig.now + span;
    std::optional<TimePoint> answer_at;
    for (; rig.now < end; rig.now += 1ms) {
        rig.tick();
        if (rig.attempt() == rig.answered) rig.event(ProbeResult::fail);
        if (rig.attempt() != rig.answered && !answer_at) answer_at = rig.now + took;
        rig.event(ProbeResult::fail);
        if (!answer_at || *answer_at > rig.now) continue;
        rig.answered = rig.attempt();
        answer_at.reset();
        rig.handle(ProbeFinished{rig.answered, {result, "looked", rig.now, rig.now}});
    }
}

TrackerPolicy holding(Duration hold = 30s) {
    return {.on_unknown = OnUnknown::hold, .hold_unknown = hold};
}

}  // namespace

TEST_CASE("tracker: a storm of events lets attempts end, and asks for a bounded number of them") {
    for (const Duration took : {0ms, 3ms, 30ms}) {
        CAPTURE(took.count());
        Rig rig = passing();
        const std::size_t before = rig.count<StartProbe>();
        const std::uint64_t passes = rig.tracker.results()[0];
        storm(rig, 1s, ProbeResult::pass, took);
        const std::size_t attempts = rig.count<StartProbe>() - before;
        CHECK(attempts <= 1s / std::max<Duration>(took, event_spacing) + 1);
        CHECK(attempts >= 1s / std::max<Duration>(took, event_spacing) / 2);
        CHECK(rig.tracker.results()[0] - passes + 1 >= attempts);
        CHECK(rig.state() == CheckState::pass);
    }
}

TEST_CASE("tracker: in a storm the first failure decides, and the evidence is of the first event") {
    Rig rig = passing();
    rig.now += 50ms;
    const TimePoint first = rig.now;
    rig.event(ProbeResult::fail);
    for (int i = 0; i < 20; ++i) {
        rig.now += 1ms;
        rig.event(ProbeResult::fail);
    }
    const std::uint64_t attempt = rig.attempt();
    rig.handle(ProbeFinished{attempt, {ProbeResult::fail, "gone", rig.now, rig.now}});
    CHECK(rig.state() == CheckState::fail);
    CHECK(rig.last<CheckChanged>()->first_evidence == first);
    CHECK(rig.attempt() == attempt + 1);  // it may have been too early for the later events
    rig.handle(ProbeFinished{rig.attempt(), {ProbeResult::fail, "gone", rig.now, rig.now}});
    CHECK(rig.attempt() == attempt + 1);
}

TEST_CASE("tracker: what happened behind an attempt's back is seen by the one that follows") {
    Rig rig = passing();
    rig.now += 50ms;
    const TimePoint began = rig.now;
    rig.event(ProbeResult::fail);
    const std::uint64_t attempt = rig.attempt();
    rig.now += 1ms;
    rig.event(ProbeResult::fail);
    const TimePoint second = rig.now;
    rig.handle(ProbeFinished{attempt, {ProbeResult::pass, "still there", rig.now, rig.now}});
    CHECK(rig.tracker.next_deadline() == began + event_spacing);
    rig.jump();
    CHECK(rig.attempt() == attempt + 1);
    rig.handle(ProbeFinished{attempt + 1, {ProbeResult::fail, "gone", rig.now, rig.now}});
    CHECK(rig.state() == CheckState::fail);
    CHECK(rig.last<CheckChanged>()->first_evidence == second);
}

TEST_CASE("tracker: an event right behind an attempt that an event asked for waits a moment") {
    Rig rig = passing();
    rig.now += 50ms;
    rig.event(ProbeResult::fail);
    rig.attempt_gives(ProbeResult::pass, "", 1ms);
    const std::uint64_t attempt = rig.attempt();
    rig.event(ProbeResult::fail);
    CHECK(rig.attempt() == attempt);
    rig.now += 9ms - 1ns;
    rig.tick();
    CHECK(rig.attempt() == attempt);
    rig.now += 1ns;
    rig.tick();
    CHECK(rig.attempt() == attempt + 1);
    rig.fail();
    CHECK(rig.state() == CheckState::fail);  // the event's own, so one decides
}

TEST_CASE("tracker: a suspended check is unknown at once, asks nothing and hears nothing") {
    for (const OnEvent on_event : {OnEvent::confirm, OnEvent::trust}) {
        Rig rig = passing({.on_event = on_event});
        rig.until_attempt();
        const std::uint64_t late = rig.attempt();
        rig.handle(Suspend{"not asked: check db fails"});
        CHECK(rig.state() == CheckState::unknown);
        CHECK(rig.last<CheckChanged>()->to == CheckState::unknown);
        CHECK(rig.last<CheckChanged>()->first_evidence == rig.now);
        CHECK(rig.tracker.reason() == "not asked: check db fails");
        CHECK_FALSE(rig.tracker.next_deadline());
        const std::size_t actions = rig.actions.size();
        rig.event(ProbeResult::fail);
        rig.event(ProbeResult::unknown);
        rig.handle(ProbeFinished{late, {ProbeResult::fail, "late", rig.now, rig.now}});
        rig.tracker.reconfigure(rig.now, {.rise = 2, .on_event = on_event});
        rig.now += 1h;
        rig.tick();
        CHECK(rig.actions.size() == actions);
        CHECK(rig.state() == CheckState::unknown);
        CHECK(rig.tracker.reason() == "not asked: check db fails");

        rig.begin();
        CHECK(rig.attempt() == late + 1);
        rig.handle(ProbeFinished{late, {ProbeResult::fail, "late", rig.now, rig.now}});
        rig.pass();
        CHECK(rig.state() == CheckState::unknown);  // what passed before does not count
        rig.pass();
        CHECK(rig.state() == CheckState::pass);
    }
}

TEST_CASE("tracker: a suspended check has the first evidence of the check that failed") {
    Rig rig = passing({});
    CHECK(rig.tracker.first_evidence() == rig.last<CheckChanged>()->first_evidence);
    const TimePoint first = rig.now - 400ms;
    rig.handle(Suspend{"not asked: check db fails", first});
    CHECK(rig.last<CheckChanged>()->first_evidence == first);
    CHECK(rig.tracker.first_evidence() == first);  // for those that depend on it
}

TEST_CASE("tracker: a check that was never asked says why, and its evidence is not lost") {
    Rig rig;
    rig.handle(Suspend{"not asked: check db is undecided"});
    CHECK(rig.actions.empty());
    CHECK(rig.tracker.reason() == "not asked: check db is undecided");
    Rig lost = passing(holding());
    lost.unknown();
    lost.handle(Suspend{"not asked: check db fails"});
    CHECK_FALSE(lost.tracker.held_until());
    CHECK_FALSE(lost.tracker.without_evidence());
}

TEST_CASE("tracker: with on_unknown hold the state stands without evidence until there is some") {
    for (const ProbeResult after : {ProbeResult::pass, ProbeResult::fail}) {
        Rig rig = passing(holding(10s));
        rig.unknown();
        const TimePoint until = rig.now + 10s;
        REQUIRE(rig.count<EvidenceLost>() == 1);
        CHECK(rig.last<EvidenceLost>()->until == until);
        CHECK(rig.last<EvidenceLost>()->then == OnUnknown::hold);
        while (*rig.tracker.next_deadline() < until) rig.unknown();
        CHECK_FALSE(rig.tracker.without_evidence());
        while (rig.now < until + 1h) rig.unknown();
        CHECK(rig.state() == CheckState::pass);
        CHECK(rig.tracker.without_evidence());
        CHECK(rig.tracker.lost_reason() == "no password");
        CHECK(rig.count<EvidenceLost>() == 1);
        rig.attempt_gives(after);
        CHECK_FALSE(rig.tracker.without_evidence());
        rig.unknown();
        CHECK(rig.count<EvidenceLost>() == 2);
        CHECK(rig.tracker.held_until() == rig.now + 10s);
    }
}

TEST_CASE("tracker: with on_unknown fail its own hold counts, and the reason names it") {
    Rig rig = passing({.hold_unknown = 5s});
    rig.unknown();
    const TimePoint lost = rig.now;
    CHECK(rig.last<EvidenceLost>()->then == OnUnknown::fail);
    while (rig.state() == CheckState::pass) rig.jump();
    CHECK(rig.now == lost + 5s);
    CHECK(rig.tracker.reason() == "no evidence for 5 s: no password");
}

TEST_CASE("tracker: another hold counts from when the evidence was lost") {
    Rig rig = passing(holding());
    rig.unknown();
    const TimePoint lost = rig.now;
    rig.now = lost + 31s;
    rig.tick();
    REQUIRE(rig.tracker.without_evidence());
    rig.tracker.reconfigure(rig.now, {.hold_unknown = 40s});
    CHECK(rig.tracker.held_until() == lost + 40s);
    rig.tracker.reconfigure(rig.now, {.hold_unknown = 20s});
    rig.tick();
    CHECK(rig.state() == CheckState::unknown);
    CHECK(rig.last<CheckChanged>()->first_evidence == lost);
}

TEST_CASE("tracker: the last sixty results are kept, with how they came about") {
    Rig rig;
    rig.begin();
    rig.attempt_gives(ProbeResult::unknown, "no password", 3ms);
    rig.attempt_gives(ProbeResult::pass, "HTTP 200", 5ms);
    rig.attempt_gives(ProbeResult::pass, "HTTP 200", 7ms);
    rig.event(ProbeResult::fail);
    rig.attempt_gives(ProbeResult::fail, "HTTP 503", 1ms);
    const auto& history = rig.tracker.history();
    REQUIRE(history.size() == 4);
    CHECK(history[0].result == ProbeResult::unknown);
    CHECK(history[0].took == 3ms);
    CHECK_FALSE(history[0].by_event);
    CHECK(history[1].reason == history[2].reason);  // one text for both
    CHECK(*history[2].reason == "HTTP 200");
    CHECK(history[3].by_event);
    CHECK(history[3].finished == rig.now);
    rig.pass(59);
    REQUIRE(history.size() == kept_results);
    CHECK(history.front().by_event);
    rig.pass();
    CHECK(history.size() == kept_results);
    CHECK_FALSE(history.front().by_event);
}

}  // namespace swerve::health
