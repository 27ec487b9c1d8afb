// What the outcomes say together: every threshold from both sides.

#include "swerve/health/tracker.hpp"

#include <doctest/doctest.h>

#include "tests/health/rig.hpp"

namespace swerve::health {

using namespace test;

TEST_CASE("tracker: rise passes in a row make an undecided check pass") {
    Rig rig;
    rig.begin();
    rig.pass(4);
    CHECK(rig.state() == CheckState::unknown);
    CHECK(rig.tracker.reason() == "HTTP 200, 4 of 5 passes");
    rig.pass();
    CHECK(rig.state() == CheckState::pass);
    CHECK(rig.tracker.reason() == "HTTP 200, 5 of 5");
    CHECK(rig.count<CheckChanged>() == 1);
    CHECK(rig.tracker.results()[0] == 5);
}

TEST_CASE("tracker: fall failures in a row make an undecided check fail") {
    Rig rig;
    rig.begin();
    rig.fail(2);
    CHECK(rig.state() == CheckState::unknown);
    rig.fail();
    CHECK(rig.state() == CheckState::fail);
    CHECK(rig.tracker.reason() == "HTTP 503, 3 of 3");
}

TEST_CASE("tracker: fall failures in a row flip, one fewer does not, a pass between starts anew") {
    Rig rig = passing();
    rig.fail(2);
    rig.pass();
    rig.fail(2);
    CHECK(rig.state() == CheckState::pass);
    rig.fail();
    CHECK(rig.state() == CheckState::fail);
    CHECK(rig.count<CheckChanged>() == 2);
}

TEST_CASE("tracker: the first evidence is the finish of the streak's first outcome") {
    Rig rig = passing();
    rig.fail();
    const TimePoint first = rig.now;
    rig.unknown();
    rig.fail(2);
    REQUIRE(rig.state() == CheckState::fail);
    CHECK(rig.last<CheckChanged>()->first_evidence == first);
    rig.pass();
    const TimePoint first_pass = rig.now;
    rig.pass(7);
    REQUIRE(rig.state() == CheckState::pass);
    CHECK(rig.last<CheckChanged>()->first_evidence == first_pass);
}

TEST_CASE("tracker: window failures flip a check that never fails fall times in a row") {
    Rig rig = passing();
    rig.fail();
    const TimePoint first = rig.now;
    for (int i = 0; i < 3; ++i) {
        rig.pass();
        rig.fail();
    }
    CHECK(rig.tracker.window_failures() == 4);
    CHECK(rig.state() == CheckState::pass);
    rig.pass();
    rig.fail();
    CHECK(rig.state() == CheckState::fail);
    CHECK(rig.tracker.reason() == "HTTP 503, 5 of the last 10");
    CHECK(rig.last<CheckChanged>()->first_evidence == first);
}

TEST_CASE("tracker: a failure that left the window no longer counts") {
    Rig rig = passing();
    rig.fail();
    for (int i = 0; i < 3; ++i) {
        rig.pass();
        rig.fail();
    }
    rig.pass(3);
    CHECK(rig.tracker.window_failures() == 4);
    rig.pass();
    CHECK(rig.tracker.window_failures() == 3);
    rig.fail();
    CHECK(rig.state() == CheckState::pass);
}

TEST_CASE("tracker: rise passes do not suffice while the window holds too many failures") {
    Rig rig = passing();
    rig.fail(10);
    REQUIRE(rig.tracker.window_failures() == 10);
    rig.pass(5);
    CHECK(rig.tracker.window_failures() == 5);
    CHECK(rig.state() == CheckState::fail);
    CHECK(
        rig.tracker.reason().ends_with(" again, but 5 of the last 10 failed: needs fewer than 5"));
    rig.pass();
    CHECK(rig.tracker.window_failures() == 4);
    CHECK(rig.state() == CheckState::pass);
}

TEST_CASE("tracker: the evidence of a window is what failed since the last recovery") {
    Rig rig = passing({.rise = 1, .fall = 10});
    for (int i = 0; i < 4; ++i) {
        rig.fail();
        rig.pass();
    }
    rig.fail();
    REQUIRE(rig.state() == CheckState::fail);  // five of the last ten
    rig.pass(2);
    REQUIRE(rig.state() == CheckState::pass);  // four
    rig.fail();
    REQUIRE(rig.state() == CheckState::fail);  // five again, one of them new
    CHECK(rig.last<CheckChanged>()->first_evidence == rig.now);
}

TEST_CASE("tracker: an unknown result breaks a rise streak") {
    Rig rig;
    rig.begin();
    rig.pass(4);
    rig.unknown();
    CHECK(rig.tracker.reason() == "no password");
    rig.pass(4);
    CHECK(rig.state() == CheckState::unknown);
    rig.pass();
    CHECK(rig.state() == CheckState::pass);
}

TEST_CASE(
    "tracker: an unknown result neither breaks nor extends a fall streak nor enters the window") {
    Rig rig = passing();
    rig.fail(2);
    rig.unknown();
    CHECK(rig.state() == CheckState::pass);
    CHECK(rig.tracker.consecutive_failures() == 2);
    CHECK(rig.tracker.window_failures() == 2);
    rig.fail();
    CHECK(rig.state() == CheckState::fail);
}

TEST_CASE("tracker: after a pass, unknown results hold the verdict for 30 s and tell it once") {
    Rig rig = passing();
    rig.unknown();
    const TimePoint lost = rig.now;
    REQUIRE(rig.count<EvidenceLost>() == 1);
    CHECK(rig.last<EvidenceLost>()->until == lost + 30s);
    CHECK(rig.last<EvidenceLost>()->reason == "no password");
    CHECK(rig.tracker.held_until() == lost + 30s);
    while (rig.now < lost + 28s) rig.unknown();
    CHECK(rig.count<EvidenceLost>() == 1);
    rig.now = lost + 30s - 1ns;
    rig.tick();
    CHECK(rig.state() == CheckState::pass);
    rig.now = lost + 30s;
    rig.tick();
    CHECK(rig.state() == CheckState::unknown);
    CHECK(rig.tracker.reason() == "no evidence for 30 s: no password");
    CHECK(rig.last<CheckChanged>()->first_evidence == lost);
    CHECK_FALSE(rig.tracker.held_until());
}

TEST_CASE("tracker: any pass or fail ends the hold, and a later loss is held anew") {
    for (const ProbeResult result : {ProbeResult::pass, ProbeResult::fail}) {
        Rig rig = passing();
        rig.unknown();
        rig.attempt_gives(result);
        CHECK_FALSE(rig.tracker.held_until());
        CHECK(rig.state() == CheckState::pass);
        rig.unknown();
        CHECK(rig.count<EvidenceLost>() == 2);
        CHECK(rig.tracker.held_until() == rig.now + 30s);
    }
}

TEST_CASE("tracker: a failed check is undecided after 30 s of unknown results, without an alarm") {
    Rig rig = passing();
    rig.fail(3);
    rig.unknown();
    const TimePoint lost = rig.now;
    while (rig.now < lost + 28s) rig.unknown();
    rig.now = lost + 30s - 1ns;
    rig.tick();
    CHECK(rig.state() == CheckState::fail);
    CHECK(rig.tracker.reason() == "HTTP 503, 3 of 3");
    rig.now = lost + 30s;
    rig.tick();
    CHECK(rig.state() == CheckState::unknown);
    CHECK(rig.count<EvidenceLost>() == 0);
}

TEST_CASE("tracker: an undecided check stays undecided on unknown results, however many") {
    Rig rig;
    rig.begin();
    while (rig.now < TimePoint{200s}) rig.unknown();
    CHECK(rig.state() == CheckState::unknown);
    CHECK(rig.count<EvidenceLost>() == 0);
}

TEST_CASE("tracker: confirm starts an attempt at once and its failure flips whatever fall says") {
    Rig rig = passing();
    rig.until_attempt();
    const std::uint64_t superseded = rig.attempt();
    rig.now += 5ms;
    rig.event(ProbeResult::fail);
    CHECK(rig.state() == CheckState::pass);
    const TimePoint seen = rig.now;
    CHECK(rig.attempt() == superseded + 1);

    rig.handle(ProbeFinished{superseded, {ProbeResult::pass, "", rig.now, rig.now}});
    CHECK(rig.tracker.consecutive_passes() == 5);  // no longer listened to

    rig.fail();
    CHECK(rig.state() == CheckState::fail);
    CHECK(rig.tracker.reason() == "HTTP 503, seen by an event");
    CHECK(rig.last<CheckChanged>()->first_evidence == seen);
}

TEST_CASE("tracker: an attempt that an event triggered and that passes changes nothing") {
    Rig rig = passing();
    rig.event(ProbeResult::fail);
    rig.pass();
    CHECK(rig.state() == CheckState::pass);
    rig.fail();  // an ordinary one again
    CHECK(rig.state() == CheckState::pass);
}

TEST_CASE("tracker: confirm with a fall streak begun dates the evidence to the streak") {
    Rig rig = passing();
    rig.fail();
    const TimePoint first = rig.now;
    rig.now += 20ms;
    rig.event(ProbeResult::unknown);
    rig.fail();
    REQUIRE(rig.state() == CheckState::fail);
    CHECK(rig.last<CheckChanged>()->first_evidence == first);
}

TEST_CASE("tracker: two events in a row date the evidence to the first") {
    Rig rig = passing();
    rig.event(ProbeResult::fail);
    const TimePoint first = rig.now;
    rig.now += 2ms;
    rig.event(ProbeResult::fail);
    rig.fail();
    CHECK(rig.last<CheckChanged>()->first_evidence == first);
}

TEST_CASE("tracker: trust flips on the event's own failure, without an attempt") {
    Rig rig = passing({.on_event = OnEvent::trust});
    const std::size_t attempts = rig.count<StartProbe>();
    rig.event(ProbeResult::fail, "exited with status 1");
    CHECK(rig.state() == CheckState::fail);
    CHECK(rig.tracker.reason() == "exited with status 1, seen by an event");
    CHECK(rig.last<CheckChanged>()->first_evidence == rig.now);
    CHECK(rig.count<StartProbe>() == attempts);
    CHECK(rig.tracker.next_deadline().has_value());  // probing goes on
}

TEST_CASE("tracker: trust gives up the attempt in flight, for it may have seen what was before") {
    Rig rig = passing({.rise = 1, .on_event = OnEvent::trust});
    rig.until_attempt();
    const std::uint64_t old = rig.attempt();
    rig.event(ProbeResult::fail);
    rig.handle(ProbeFinished{old, {ProbeResult::pass, "", rig.now, rig.now}});
    CHECK(rig.state() == CheckState::fail);
    rig.answered = old;
    rig.pass();
    CHECK(rig.state() == CheckState::pass);
}

TEST_CASE("tracker: trust takes a live successor for freshness only") {
    Rig rig = passing({.on_event = OnEvent::trust});
    rig.fail(2);
    rig.event(ProbeResult::pass, "successor 4711");
    CHECK(rig.tracker.consecutive_failures() == 2);
    CHECK(rig.tracker.last_outcome()->reason == "successor 4711");
    rig.fail();
    CHECK(rig.state() == CheckState::fail);
    for (int i = 0; i < 20; ++i) rig.event(ProbeResult::pass);
    CHECK(rig.state() == CheckState::fail);
}

TEST_CASE("tracker: trust ends a hold when it finds a live successor") {
    Rig rig = passing({.on_event = OnEvent::trust});
    rig.unknown();
    REQUIRE(rig.tracker.held_until());
    rig.event(ProbeResult::pass);
    CHECK_FALSE(rig.tracker.held_until());
}

TEST_CASE("tracker: trust with nothing found starts a decisive attempt") {
    Rig rig = passing({.on_event = OnEvent::trust});
    const std::size_t attempts = rig.count<StartProbe>();
    rig.event(ProbeResult::unknown);
    CHECK(rig.count<StartProbe>() == attempts + 1);
    rig.fail();
    CHECK(rig.state() == CheckState::fail);
}

TEST_CASE("tracker: an event flips an undecided check as well, and one before begin is heard") {
    Rig rig({.on_event = OnEvent::trust});
    rig.event(ProbeResult::fail);
    CHECK(rig.state() == CheckState::fail);
    Rig confirming;
    confirming.event(ProbeResult::fail);
    confirming.begin();
    CHECK(confirming.count<StartProbe>() == 1);
    confirming.fail();
    CHECK(confirming.state() == CheckState::fail);
}

TEST_CASE("tracker: an outcome is taken once, and only of the current attempt") {
    Rig rig;
    rig.begin();
    const Outcome fine{ProbeResult::pass, "", rig.now, rig.now};
    rig.handle(ProbeFinished{99, fine});
    CHECK(rig.tracker.consecutive_passes() == 0);
    rig.handle(ProbeFinished{rig.attempt(), fine});
    rig.handle(ProbeFinished{rig.attempt(), fine});
    CHECK(rig.tracker.consecutive_passes() == 1);
}

}  // namespace swerve::health
