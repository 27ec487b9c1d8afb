// What checks of each effect do to a whole site, what is an alarm, and checks that depend on
// others.

#include <doctest/doctest.h>

#include "swerve/failover/explain.hpp"
#include "tests/failover/rig.hpp"

namespace swerve::failover {

using namespace test;

namespace {

/// web withdraws, db degrades, vault is a gate, disk an alarm.
SitePolicy four() {
    SitePolicy policy = portal();
    policy.checks = {{"web", nervous()},
                     {"db", nervous(), Scope::local, Effect::degrade},
                     {"vault", nervous(), Scope::shared, Effect::gate},
                     {"disk", nervous(), Scope::local, Effect::alarm}};
    policy.services[0].healthy_when =
        combine(Expression::Op::all, {uses(0), uses(1), uses(2), uses(3)});
    return policy;
}

std::vector<std::optional<CheckId>> same(const SitePolicy& policy) {
    std::vector<std::optional<CheckId>> ids;
    for (CheckId id = 0; id < policy.checks.size(); ++id) ids.emplace_back(id);
    return ids;
}

struct Four : Rig {
    explicit Four(const SitePolicy& policy = four()) : Rig(policy) {
        handle(Begin{});
        for (const CheckId check : {2U, 1U, 3U, 0U}) pass(check);
        REQUIRE(network.announced().size() == 3);
    }
    [[nodiscard]] SiteView::Service service() const { return site.view().services[0]; }
};

/// app is asked only while db passes, and cache only while app does.
SitePolicy chain() {
    SitePolicy policy = portal();
    policy.checks = {{"cache", nervous(), Scope::local, Effect::withdraw, CheckId{1}},
                     {"app", nervous(), Scope::local, Effect::withdraw, CheckId{2}},
                     {"db", nervous()}};
    policy.services[0].healthy_when = combine(Expression::Op::all, {uses(0), uses(1), uses(2)});
    return policy;
}

}  // namespace

TEST_CASE("effects: to start, the gate must pass; what degrades must not") {
    Rig rig(four());
    rig.handle(Begin{});
    rig.pass(0);
    CHECK(rig.network.announced().empty());
    CHECK(rig.network.degraded().empty());
    CHECK(rig.site.view().services[0].verdict == Verdict::unknown);
    CHECK(rig.site.view().services[0].verdict_reason ==
          "gate: check vault is undecided (no result yet)");
    rig.fail(2);
    CHECK(rig.site.view().services[0].verdict == Verdict::down);
    CHECK(rig.site.view().services[0].verdict_reason ==
          "gate: check vault fails (HTTP 503, 1 of 1)");
    CHECK(rig.all<CheckAlarm>().empty());  // it does its office
    rig.pass(2);
    CHECK(rig.network.degraded().size() == 3);
    CHECK(rig.site.view().services[0].intent == Intent::degrade);
    CHECK(rig.all<FailoverBegan>().empty());
    rig.pass(1);
    CHECK(rig.network.announced().size() == 3);
    CHECK(rig.site.view().services[0].intent == Intent::announce);
}

TEST_CASE("effects: a degrade check that fails degrades and comes back, and withdraws nothing") {
    Four rig;
    rig.fail(1);
    CHECK(rig.network.degraded().size() == 3);
    CHECK(rig.all<Withdraw>().empty());
    CHECK(rig.all<FailoverBegan>().empty());
    CHECK(rig.all<VerdictChanged>()[0].to == Verdict::degraded);
    CHECK(rig.all<IntentChanged>()[0].to == Intent::degrade);
    CHECK(rig.all<IntentChanged>()[0].reason == "check db fails (HTTP 503, 1 of 1)");
    CHECK(rig.service().shown == Shown::degraded);
    rig.pass(1);
    CHECK(rig.network.announced().size() == 3);
    rig.fail(1);
    rig.fail(0);
    CHECK(rig.network.degraded().empty());
    CHECK(rig.all<FailoverBegan>()[0].reason == "check web fails (HTTP 503, 1 of 1)");
}

TEST_CASE("effects: a gate that fails while it is announced is an alarm, until it passes") {
    Four rig;
    rig.fail(2);
    CHECK(rig.all<Withdraw>().empty());
    CHECK(rig.all<VerdictChanged>().empty());
    REQUIRE(rig.all<CheckAlarm>().size() == 1);
    CHECK(rig.all<CheckAlarm>()[0].check == 2);
    CHECK(rig.all<CheckAlarm>()[0].raised);
    CHECK(rig.all<CheckAlarm>()[0].reason ==
          "gate: check vault fails (HTTP 503, 1 of 1); service portal stays announced, and could "
          "not start again");
    CHECK(rig.site.view().checks[2].alarm == rig.all<CheckAlarm>()[0].reason);
    rig.fail(2);
    CHECK(rig.all<CheckAlarm>().empty());
    rig.fail(0);
    CHECK(rig.all<CheckAlarm>().empty());
    rig.pass(0);
    CHECK(rig.network.announced().empty());  // now it is a gate
    CHECK(rig.service().verdict_reason == "gate: check vault fails (HTTP 503, 1 of 1)");
    rig.pass(2);
    CHECK(rig.network.announced().size() == 3);
    REQUIRE(rig.all<CheckAlarm>().size() == 1);
    CHECK_FALSE(rig.all<CheckAlarm>()[0].raised);
    CHECK(rig.site.view().checks[2].alarm.empty());
}

TEST_CASE("effects: a gate that a service could start without is no alarm, until it could not") {
    SitePolicy policy = four();
    policy.checks[1].effect = Effect::gate;
    policy.services[0].healthy_when =
        combine(Expression::Op::all, {uses(0), combine(Expression::Op::any, {uses(1), uses(2)})});
    Rig rig(policy);
    rig.handle(Begin{});
    rig.fail(2);
    rig.pass(1);
    rig.pass(0);
    CHECK(rig.network.announced().size() == 3);
    CHECK(rig.site.view().checks[2].alarm.empty());
    rig.fail(1);
    CHECK(rig.all<CheckAlarm>().size() == 2);  // each of them would be enough
    rig.pass(1);
    REQUIRE(rig.all<CheckAlarm>().size() == 2);
    CHECK_FALSE(rig.all<CheckAlarm>()[0].raised);
    CHECK_FALSE(rig.all<CheckAlarm>()[1].raised);
}

TEST_CASE("effects: a gate under `not` is an alarm when it passes, and in degraded_when never") {
    SitePolicy policy = four();
    policy.services[0].healthy_when =
        combine(Expression::Op::all, {uses(0), combine(Expression::Op::negation, {uses(2)})});
    Rig rig(policy);
    rig.handle(Begin{});
    rig.fail(2);
    rig.pass(0);
    CHECK(rig.network.announced().size() == 3);
    CHECK(rig.all<CheckAlarm>().empty());
    rig.pass(2);
    REQUIRE(rig.all<CheckAlarm>().size() == 1);
    CHECK(
        rig.all<CheckAlarm>()[0].reason.starts_with("gate: check vault passes (HTTP 200, 1 of 1)"));
    rig.fail(2);
    CHECK_FALSE(rig.all<CheckAlarm>()[0].raised);

    policy.services[0].healthy_when = uses(0);
    policy.services[0].degraded_when = uses(2);
    Rig condition(policy);
    condition.handle(Begin{});
    condition.pass(0);
    condition.pass(2);
    condition.fail(2);
    CHECK(condition.network.announced().size() == 3);
    CHECK(condition.all<CheckAlarm>().empty());
}

TEST_CASE("effects: what is asked and never decided is an alarm, once it has had its time") {
    SitePolicy before = four();
    before.checks.resize(1);
    before.services[0].healthy_when = uses(0);
    SitePolicy after = four();
    for (CheckPolicy& check : after.checks) check.tracker.hold_unknown = 10s;
    Rig rig(before);
    rig.attempts.resize(4);
    rig.handle(Begin{});
    rig.pass(0);
    rig.handle(Reconfigure{after, {CheckId{0}, {}, {}, {}}});
    rig.network.clear();
    rig.site.for_each_announced([&](const Advertise& each) { rig.network.apply({each}); });
    const TimePoint asked = rig.now;
    std::vector<std::pair<TimePoint, CheckId>> alarms;
    while (rig.now < asked + 29s) {
        if (rig.attempts[0] != 0) {
            rig.pass(0);
        } else {
            rig.jump();
        }
        for (const CheckAlarm& each : rig.all<CheckAlarm>()) {
            CHECK(each.raised);
            alarms.emplace_back(rig.now, each.check);
        }
    }
    // The gate and the alarm; what withdraws or degrades shows what it does.
    CHECK(alarms == std::vector<std::pair<TimePoint, CheckId>>{{asked + 10s, 2}, {asked + 10s, 3}});
    CHECK(rig.site.view().checks[3].alarm.starts_with("check disk is undecided ("));
    rig.attempts[3] = 0;  // it was given up, perhaps
    rig.pass(3);
    REQUIRE(rig.all<CheckAlarm>().size() == 1);
    CHECK_FALSE(rig.all<CheckAlarm>()[0].raised);
}

TEST_CASE("effects: the alarm of a check that a reload drops or makes another one is taken back") {
    Four rig;
    rig.fail(2);
    rig.fail(3);
    SitePolicy policy = four();
    policy.checks.erase(policy.checks.begin() + 2);  // vault; disk has its number now
    policy.services[0].healthy_when = combine(Expression::Op::all, {uses(0), uses(1), uses(2)});
    rig.handle(Reconfigure{policy, {CheckId{0}, CheckId{1}, {}}});
    REQUIRE(rig.all<CheckAlarm>().size() == 2);
    for (const CheckAlarm& each : rig.all<CheckAlarm>()) {
        CHECK_FALSE(each.raised);
        CHECK(each.dropped == (each.check == 2 ? "vault" : "disk"));
    }
    CHECK(rig.site.view().checks[2].alarm.empty());
}

TEST_CASE("effects: an alarm check is an alarm, whatever becomes of services") {
    Four rig;
    rig.fail(0);
    rig.fail(3);
    CHECK(rig.all<VerdictChanged>().empty());
    REQUIRE(rig.all<CheckAlarm>().size() == 1);
    CHECK(rig.all<CheckAlarm>()[0].reason == "check disk fails (HTTP 503, 1 of 1)");
    rig.pass(3);
    CHECK_FALSE(rig.all<CheckAlarm>()[0].raised);
    rig.finish(3, ProbeResult::unknown, "no statvfs");
    CHECK(rig.all<EvidenceLost>()[0].then == health::OnUnknown::fail);
    std::size_t alarms = 0;
    while (rig.site.view().checks[3].state == CheckState::pass) {
        rig.jump();
        alarms += rig.all<CheckAlarm>().size();
    }
    CHECK(alarms == 1);
}

TEST_CASE("effects: a state that stands without evidence is an alarm") {
    SitePolicy policy = portal();
    policy.checks[0].tracker.on_unknown = health::OnUnknown::hold;
    policy.checks[0].tracker.hold_unknown = 10s;
    Rig rig(policy);
    rig.handle(Begin{});
    rig.pass();
    rig.finish(0, ProbeResult::unknown, "no password");
    const TimePoint until = rig.all<EvidenceLost>()[0].until;
    CHECK(rig.all<EvidenceLost>()[0].then == health::OnUnknown::hold);
    std::vector<CheckAlarm> alarms;
    while (rig.now < until) {
        CHECK(alarms.empty());
        rig.jump();
        for (const CheckAlarm& each : rig.all<CheckAlarm>()) alarms.push_back(each);
    }
    CHECK(rig.now == until);
    REQUIRE(alarms.size() == 1);
    CHECK(alarms[0].reason ==
          "check web has no evidence (no password), and its last state stands: pass");
    CHECK(rig.site.view().checks[0].without_evidence);
    CHECK(rig.network.announced().size() == 3);
    rig.pass();
    CHECK_FALSE(rig.all<CheckAlarm>()[0].raised);
}

TEST_CASE("effects: degraded_when degrades a healthy service") {
    SitePolicy policy = portal();
    policy.checks.push_back({"slow", nervous()});
    policy.services[0].degraded_when = uses(1);
    Rig rig(policy);
    rig.handle(Begin{});
    rig.pass(0);
    CHECK(rig.network.degraded().size() == 3);
    CHECK(rig.site.view().services[0].intent_reason == "check slow is undecided (no result yet)");
    rig.pass(1);
    CHECK(rig.network.degraded().size() == 3);
    CHECK(rig.site.view().services[0].intent_reason == "check slow passes");
    CHECK(rig.site.view().services[0].degraded_when == uses(1));
    rig.fail(1);
    CHECK(rig.network.announced().size() == 3);
}

TEST_CASE("effects: a reload that changes them judges anew, and moves nothing that stays") {
    Four rig;
    rig.fail(1);
    rig.fail(2);
    REQUIRE(rig.network.degraded().size() == 3);
    SitePolicy policy = four();
    policy.checks[1].effect = Effect::alarm;
    rig.handle(Reconfigure{policy, same(policy)});
    CHECK(rig.service().shown == Shown::announced);
    CHECK(rig.service().verdict == Verdict::up);
    REQUIRE(rig.all<CheckAlarm>().size() == 1);
    CHECK(rig.all<CheckAlarm>()[0].check == 1);
    rig.handle(Reconfigure{policy, same(policy)});
    CHECK(rig.actions.size() == 1);  // the routes alone are asked for again
    policy.checks[2].effect = Effect::withdraw;
    rig.handle(Reconfigure{policy, same(policy)});
    CHECK(rig.service().shown == Shown::nothing);
    REQUIRE(rig.all<CheckAlarm>().size() == 1);
    CHECK_FALSE(rig.all<CheckAlarm>()[0].raised);
}

TEST_CASE("effects: a degrade check that a reload adds degrades nothing before it is decided") {
    SitePolicy before = four();
    before.checks.erase(before.checks.begin() + 1, before.checks.end());
    before.services[0].healthy_when = uses(0);
    Rig rig(before);
    rig.attempts.resize(4);
    rig.handle(Begin{});
    rig.pass(0);
    rig.handle(Reconfigure{four(), {CheckId{0}, {}, {}, {}}});
    CHECK(rig.site.view().services[0].shown == Shown::announced);
    rig.network.clear();
    rig.site.for_each_announced([&](const Advertise& each) { rig.network.apply({each}); });
    rig.fail(1);
    CHECK(rig.network.degraded().size() == 3);
}

TEST_CASE("only_if: a check is asked once what it depends on passes, each in the same turn") {
    Rig rig(chain());
    rig.handle(Begin{});
    REQUIRE(rig.all<StartProbe>().size() == 0);  // db is spread behind the others
    CHECK(rig.site.view().checks[1].reason == "not asked: check db is undecided");
    CHECK(rig.site.view().checks[1].only_if == "db");
    CHECK(rig.site.view().checks[0].reason == "not asked: check app is undecided");
    rig.pass(2);
    REQUIRE(rig.all<StartProbe>().size() == 1);
    CHECK(rig.all<StartProbe>()[0].check == 1);
    rig.pass(1);
    REQUIRE(rig.all<StartProbe>().size() == 1);
    CHECK(rig.all<StartProbe>()[0].check == 0);
    rig.pass(0);
    CHECK(rig.network.announced().size() == 3);

    rig.fail(2);
    CHECK(rig.network.announced().empty());
    CHECK(rig.all<FailoverBegan>()[0].reason == "check db fails (HTTP 503, 1 of 1)");
    const auto changed = rig.all<CheckChanged>();
    REQUIRE(changed.size() == 3);
    CHECK(changed[1].check == 1);
    CHECK(changed[1].to == CheckState::unknown);
    CHECK(changed[1].reason == "not asked: check db fails");
    CHECK(changed[2].check == 0);
    CHECK(changed[2].reason == "not asked: check app is undecided");
    CHECK(rig.all<CheckAlarm>().empty());
    rig.attempts.assign(3, 0);  // what was in flight is not listened to
    const TimePoint failed = rig.now;
    while (rig.now < failed + 30s) {
        rig.fail(2);
        CHECK(rig.attempts[0] + rig.attempts[1] == 0);
    }
    rig.pass(2);
    rig.pass(1);
    rig.pass(0);
    CHECK(rig.network.announced().size() == 3);
}

TEST_CASE("only_if: what was earned before a restart is earned when it is asked at last") {
    SitePolicy policy = chain();
    for (CheckPolicy& check : policy.checks) check.tracker.rise = 3;
    Restored restored;
    for (const CheckPolicy& check : policy.checks) {
        restored.earned.push_back({check.name, check.fingerprint, CheckState::pass});
    }
    Rig rig(policy, restored);
    rig.handle(Begin{});
    for (const CheckId check : {2U, 1U, 0U}) rig.pass(check);
    CHECK(rig.network.announced().size() == 3);
}

TEST_CASE("only_if: a reload takes it up and drops it") {
    SitePolicy plain = chain();
    for (CheckPolicy& check : plain.checks) check.only_if.reset();
    plain.services[0].healthy_when = uses(0);
    SitePolicy linked = chain();
    linked.services[0].healthy_when = uses(0);
    Rig rig(plain);
    rig.handle(Begin{});
    rig.pass(0);
    rig.pass(1);
    rig.fail(2);
    REQUIRE(rig.network.announced().size() == 3);
    rig.handle(Reconfigure{linked, same(linked)});
    CHECK(rig.site.view().checks[1].reason == "not asked: check db fails");
    CHECK(rig.site.view().checks[0].state == CheckState::unknown);
    // No time decides what is not asked.
    CHECK(rig.site.view().services[0].shown == Shown::nothing);
    rig.handle(Reconfigure{plain, same(plain)});
    CHECK(rig.all<StartProbe>().size() == 2);
}

TEST_CASE("only_if: after a reload a verdict stands while something may be decided, no longer") {
    SitePolicy before = portal();
    Rig rig(before);
    rig.attempts.resize(3);
    rig.handle(Begin{});
    rig.pass(0);
    SitePolicy after = chain();
    after.services[0].healthy_when = uses(0);
    for (CheckPolicy& check : after.checks) check.tracker.rise = 3;
    rig.handle(Reconfigure{after, {{}, {}, {}}});
    rig.network.clear();
    rig.site.for_each_announced([&](const Advertise& each) { rig.network.apply({each}); });
    CHECK(rig.network.announced().size() == 3);
    const std::string reason = rig.site.view().services[0].verdict_reason;
    CHECK(
        reason.starts_with("check cache is undecided (not asked: check app is undecided); up "
                           "stands over a reload for another "));
    rig.attempts.assign(3, 0);
    rig.fail(2);
    CHECK(rig.network.announced().empty());
    CHECK(rig.all<FailoverBegan>().size() == 1);
    CHECK(rig.site.view().services[0].verdict_reason ==
          "check cache is undecided (not asked: check app is undecided)");
}

TEST_CASE("only_if: after a reload what another check may still carry stands") {
    SitePolicy before = portal();
    Rig rig(before);
    rig.attempts.resize(3);
    rig.handle(Begin{});
    rig.pass(0);
    SitePolicy after = portal();
    after.checks = {{"web", nervous()},
                    {"app", nervous(), Scope::local, Effect::withdraw, CheckId{2}},
                    {"db", nervous()}};
    after.services[0].healthy_when = combine(Expression::Op::any, {uses(0), uses(1)});
    rig.handle(Reconfigure{after, {{}, {}, {}}});
    rig.network.clear();
    rig.site.for_each_announced([&](const Advertise& each) { rig.network.apply({each}); });
    rig.attempts.assign(3, 0);
    rig.fail(2);
    CHECK(rig.network.announced().size() == 3);
    rig.fail(0);
    CHECK(rig.network.announced().empty());
}

TEST_CASE("only_if: what was earned is worth nothing long after the restart") {
    for (const bool late : {false, true}) {
        SitePolicy policy = portal();
        policy.checks = {{"app", nervous(), Scope::local, Effect::withdraw, CheckId{1}},
                         {"db", nervous()}};
        policy.checks[0].tracker.rise = 3;
        Restored restored;
        restored.earned.push_back({"app", policy.checks[0].fingerprint, CheckState::pass});
        Rig rig(policy, restored);
        rig.handle(Begin{});
        const TimePoint end = rig.now + continuation + (late ? 1s : -5s);
        while (rig.now < end) rig.fail(1);
        rig.pass(1);
        rig.pass(0);
        CHECK(rig.network.announced().size() == (late ? 0U : 3U));
    }
}

TEST_CASE("effects: explain says what a check may do, and what it waits for") {
    Four rig;
    rig.fail(2);
    rig.fail(1);
    const Explanation told = explain(rig.site.view(), prefix("198.51.100.0/24"),
                                     {{"a", true, true, true, "established"}}, {}, rig.now);
    CHECK(told.summary ==
          "198.51.100.0/24 is ANNOUNCED DEGRADED to 1 of 1 established neighbors: check db fails "
          "(HTTP 503, 1 of 1)");
    CHECK(told.wanted);
    std::map<std::string, ExplainStep::Mark> marks;
    for (const ExplainStep& step : told.steps) marks[step.text.substr(0, 4)] = step.mark;
    CHECK(marks["db: "] == ExplainStep::Mark::ok);
    CHECK(marks["vaul"] == ExplainStep::Mark::info);
    const auto text = [&](std::string_view head) {
        for (const ExplainStep& step : told.steps) {
            if (step.text.starts_with(head)) return step.text;
        }
        return std::string{};
    };
    CHECK(text("vault").find("; a gate: it is needed to start, and an alarm later") !=
          std::string::npos);
    CHECK(text("db").find("; it can degrade only") != std::string::npos);
    CHECK(text("disk").find("; an alarm only") != std::string::npos);
    CHECK(text("of service") == "of service portal, healthy when all(web, db, vault, disk)");
}

}  // namespace swerve::failover
