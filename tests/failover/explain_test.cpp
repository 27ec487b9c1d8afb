#include "swerve/failover/explain.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "tests/failover/rig.hpp"

namespace swerve::failover {

using namespace test;

namespace {

const std::string caveat = "a bare connect proves little";

NeighborFacts holder(const char* name) { return {name, true, true, true, "established"}; }
NeighborFacts idle(const char* name) {
    return {name, false, true, false, "connect: Connection refused"};
}

Explanation of(const Rig& rig, std::string_view text,
               const std::vector<NeighborFacts>& neighbors = {}) {
    return explain(rig.site.view(), prefix(text), neighbors, {caveat}, rig.now);
}

std::vector<std::string> stages(const Explanation& explanation) {
    std::vector<std::string> names;
    for (const ExplainStep& step : explanation.steps) names.push_back(step.stage);
    return names;
}

const ExplainStep& first(const Explanation& explanation, std::string_view stage) {
    const auto step = std::ranges::find(explanation.steps, stage, &ExplainStep::stage);
    REQUIRE(step != explanation.steps.end());
    return *step;
}

using Mark = ExplainStep::Mark;

}  // namespace

TEST_CASE("explain: an announced prefix, step by step") {
    Rig rig(portal());
    rig.handle(Begin{});
    rig.pass();
    const Explanation told = of(rig, "198.51.100.0/24", {holder("a"), holder("b"), idle("c")});
    CHECK(told.announced);
    CHECK(told.wanted);
    CHECK(told.summary ==
          "198.51.100.0/24 is ANNOUNCED to 2 of 2 established neighbors: check web passes");
    CHECK(stages(told) ==
          std::vector<std::string>{"owned", "service", "override", "checks", "checks", "sessions"});
    CHECK(told.steps[0].text == "inside 198.51.100.0/23");
    CHECK(told.steps[1].text == "of service portal, healthy when web");
    CHECK(told.steps[2].text == "none");
    CHECK(told.steps[3].text == "verdict up: check web passes");
    CHECK(told.steps[4].text ==
          "web: pass (HTTP 200, 1 of 1); 1/1 passes; last result pass: HTTP 200; note: a bare "
          "connect proves little");
    CHECK(told.steps[5].text == "2 of 2 established neighbors hold it");
    CHECK(std::ranges::none_of(told.steps,
                               [](const auto& step) { return step.mark == Mark::blocked; }));
}

TEST_CASE("explain: a failing check is named with its streak") {
    SitePolicy policy = portal();
    policy.checks[0].tracker = {};
    Rig rig(std::move(policy));
    rig.handle(Begin{});
    for (int i = 0; i < 3; ++i) rig.fail();
    const Explanation told = of(rig, "198.51.100.0/24", {{"a", true, true, false, "established"}});
    CHECK_FALSE(told.announced);
    CHECK_FALSE(told.wanted);
    CHECK(told.summary == "198.51.100.0/24 is WITHDRAWN: check web fails (HTTP 503, 3 of 3)");
    CHECK(told.steps[3].mark == Mark::blocked);
    CHECK(told.steps[4].mark == Mark::blocked);
    CHECK(told.steps[4].text.starts_with(
        "web: fail (HTTP 503, 3 of 3); 3/3 failures; 3 failures among the last 10 (limit 5); last "
        "result fail: HTTP 503"));
    CHECK(told.steps[5].text == "no neighbor holds it");
    CHECK(of(rig, "198.51.100.0/24", {holder("a")}).summary ==
          "198.51.100.0/24 is BEING WITHDRAWN: check web fails (HTTP 503, 3 of 3)");
}

TEST_CASE("explain: only the checks that decide are blocking") {
    SitePolicy policy = portal();
    policy.checks.push_back({"db", nervous()});
    policy.services[0].healthy_when = combine(Expression::Op::all, {uses(0), uses(1)});
    Rig rig(std::move(policy));
    rig.handle(Begin{});
    rig.pass(0);
    rig.fail(1);
    const Explanation told = of(rig, "198.51.100.0/24");
    CHECK(told.summary == "198.51.100.0/24 is WITHDRAWN: check db fails (HTTP 503, 1 of 1)");
    CHECK(told.steps[4].mark == Mark::info);
    CHECK(told.steps[5].mark == Mark::blocked);
}

TEST_CASE("explain: overrides are told with who and why, the outranked ones as well") {
    Rig rig(portal());
    rig.handle(Begin{});
    rig.pass();
    rig.set(prefix("198.51.100.0/24"), OverrideKind::announce);
    rig.set(ServiceId{0}, OverrideKind::drain, rig.now + 1h);
    const Explanation told = of(rig, "198.51.100.0/24");
    CHECK(told.summary == "198.51.100.0/24 is WITHDRAWN: drained by root: maintenance");
    CHECK(told.steps[2].text == "announced by root: maintenance, until cleared (outranked)");
    CHECK(told.steps[2].mark == Mark::info);
    CHECK(told.steps[3].text == "drained by root: maintenance, for another 1h00m");
    CHECK(told.steps[3].mark == Mark::blocked);
    CHECK(told.steps[4].text == "verdict up: check web passes (outranked)");

    rig.clear(ServiceId{0});
    rig.set(prefix("198.51.100.0/24"), OverrideKind::withdraw);
    CHECK(first(of(rig, "198.51.100.0/24"), "override").mark == Mark::blocked);
    CHECK(of(rig, "198.51.101.0/24").wanted);
}

TEST_CASE("explain: a hold after crashes says how long it lasts, and what it holds back") {
    Rig rig(portal(), {.hold_until = TimePoint{100s} + 90s});
    rig.handle(Begin{});
    const Explanation undecided = of(rig, "198.51.100.0/24");
    CHECK(first(undecided, "hold").mark == Mark::info);
    CHECK(first(undecided, "checks").mark == Mark::blocked);
    rig.pass();
    const Explanation told = of(rig, "198.51.100.0/24");
    CHECK(told.summary ==
          "198.51.100.0/24 is WITHDRAWN: announcements wait, because the daemon ended unexpectedly "
          "several times in a row");
    CHECK(first(told, "hold").mark == Mark::blocked);
    CHECK(first(told, "hold").text ==
          "the daemon ended unexpectedly several times in a row: no verdict announces for another "
          "1m29s");
    CHECK(first(told, "checks").text == "verdict up: check web passes");

    rig.set(prefix("198.51.100.0/24"), OverrideKind::announce);
    CHECK(of(rig, "198.51.100.0/24").wanted);
    CHECK(first(of(rig, "198.51.100.0/24"), "hold").mark == Mark::info);
    rig.clear(prefix("198.51.100.0/24"));
    rig.now = TimePoint{190s};
    rig.tick();
    CHECK(of(rig, "198.51.100.0/24").wanted);
    CHECK(std::ranges::count(stages(of(rig, "198.51.100.0/24")), "hold") == 0);
}

TEST_CASE("explain: a wanted prefix that nobody holds says why") {
    Rig rig(portal());
    rig.handle(Begin{});
    rig.pass();
    CHECK(of(rig, "198.51.100.0/24").summary ==
          "198.51.100.0/24 is WANTED but not announced: there is no neighbor");
    CHECK(of(rig, "198.51.100.0/24", {idle("a")}).summary ==
          "198.51.100.0/24 is WANTED but not announced: no neighbor that carries it is established "
          "(a: connect: Connection refused)");
    const Explanation other =
        of(rig, "198.51.100.0/24", {{"a", true, false, false, "established"}});
    CHECK(other.steps.back().mark == Mark::blocked);
    CHECK(other.steps.back().text ==
          "0 of 0 established neighbors hold it: no neighbor carries this service and family");
    CHECK(of(rig, "198.51.100.0/24", {{"a", true, true, false, "established"}}).steps.back().text ==
          "0 of 1 established neighbors hold it: it is about to be sent");
}

TEST_CASE("explain: outside owned nothing else is asked") {
    Rig rig(portal());
    rig.handle(Begin{});
    const Explanation told = of(rig, "192.0.2.0/24");
    CHECK(told.summary == "192.0.2.0/24 is NOT OURS: it is outside everything in owned");
    REQUIRE(told.steps.size() == 1);
    CHECK(told.steps[0].mark == Mark::blocked);
    CHECK(told.steps[0].text ==
          "outside everything in owned (198.51.100.0/23, 203.0.113.0/24, 2001:db8::/32); it can "
          "never be announced");
}

TEST_CASE("explain: a prefix of no service points at the one that covers it") {
    Rig rig(portal());
    rig.handle(Begin{});
    const Explanation told = of(rig, "198.51.100.128/25");
    CHECK(told.summary ==
          "198.51.100.128/25 is WITHDRAWN: no service has it and no operator announced it");
    CHECK(told.steps[1].mark == Mark::blocked);
    CHECK(told.steps[1].text == "of no service; 198.51.100.0/24 of service portal covers it");
    rig.set(prefix("198.51.100.128/25"), OverrideKind::announce);
    const Explanation manual = of(rig, "198.51.100.128/25", {holder("a")});
    CHECK(manual.wanted);
    CHECK(manual.summary ==
          "198.51.100.128/25 is ANNOUNCED to 1 of 1 established neighbors: announced by root: "
          "maintenance");
    CHECK(manual.steps[1].text ==
          "of no service: a manual route; 198.51.100.0/24 of service portal covers it");
}

TEST_CASE("explain: a daemon that stops says so") {
    Rig rig(portal());
    rig.handle(Begin{});
    rig.pass();
    rig.handle(StopAnnouncing{"SIGTERM"});
    const Explanation told = of(rig, "198.51.100.0/24");
    CHECK(told.summary == "198.51.100.0/24 is WITHDRAWN: the daemon is stopping: SIGTERM");
    CHECK(first(told, "override").text == "the daemon is stopping: SIGTERM");
}

}  // namespace swerve::failover
