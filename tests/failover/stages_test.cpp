// What changes by and by: a drain and a return in stages.

#include "tests/failover/stages_rig.hpp"

namespace swerve::failover {

using namespace test;

namespace {

constexpr Duration degrade_for = 20s;
constexpr Duration leave_for = 10s;
constexpr Duration return_for = 30s;

SitePolicy staged() {
    SitePolicy policy = portal();
    policy.services[0].drain_degraded_for = degrade_for;
    policy.services[0].graceful_shutdown_for = leave_for;
    return policy;
}

SitePolicy returning() {
    SitePolicy policy = portal();
    policy.services[0].return_degraded_for = return_for;
    return policy;
}

}  // namespace

TEST_CASE("stages: a drain degrades, asks traffic to leave, and withdraws") {
    Up rig(staged());
    rig.drain();
    const TimePoint began = rig.now;
    CHECK(rig.shown() == Shown::degraded);
    CHECK(rig.service().intent == Intent::drain);
    CHECK(rig.service().degraded_until == began + degrade_for);
    CHECK(rig.service().leaving_until == began + degrade_for + leave_for);
    rig.until(began + degrade_for - 1ms);
    CHECK(rig.shown() == Shown::degraded);
    rig.until(began + degrade_for);
    CHECK(rig.shown() == Shown::draining);
    CHECK_FALSE(rig.service().degraded_until);
    rig.until(began + degrade_for + leave_for - 1ms);
    CHECK(rig.shown() == Shown::draining);
    rig.until(began + degrade_for + leave_for);
    CHECK(rig.shown() == Shown::nothing);
    CHECK_FALSE(rig.service().leaving_until);
}

TEST_CASE("stages: a drain may degrade and then withdraw, without GRACEFUL_SHUTDOWN") {
    SitePolicy policy = staged();
    policy.services[0].graceful_shutdown_for = {};
    Up rig(policy);
    rig.drain();
    CHECK(rig.shown() == Shown::degraded);
    rig.until(rig.now + degrade_for);
    CHECK(rig.shown() == Shown::nothing);
}

TEST_CASE("stages: undrain is back at once from every stage, whatever upstreams would damp") {
    for (const Duration after : {Duration{}, Duration{degrade_for + 1s}}) {
        SitePolicy policy = staged();
        policy.services[0].damping = {.profile = DampingProfile::cisco};
        Up rig(policy);
        for (int round = 0; round < 10; ++round) {
            rig.drain();
            rig.until(rig.now + after);
            CHECK(rig.shown() == (after == Duration{} ? Shown::degraded : Shown::draining));
            rig.undrain();
            CHECK(rig.shown() == Shown::announced);
        }
        CHECK(rig.told.empty());
        // But what its attributes have cost is counted.
        CHECK(rig.service().damping.penalty(rig.now) > 2000);
    }
}

TEST_CASE("stages: a verdict that falls ends a drain's stages at once; a degraded one does not") {
    SitePolicy policy = staged();
    policy.checks.push_back({"db", nervous(), Scope::local, Effect::degrade});
    policy.services[0].healthy_when = combine(Expression::Op::all, {uses(0), uses(1)});
    Rig rig(policy);
    rig.handle(Begin{});
    rig.pass(0);
    rig.pass(1);
    rig.set(ServiceId{0}, OverrideKind::drain);
    rig.fail(1);
    CHECK(rig.network.degraded().size() == 3);
    rig.pass(1);
    CHECK(rig.network.degraded().size() == 3);
    rig.fail(0);
    CHECK(rig.network.degraded().empty());
    CHECK(rig.all<FailoverBegan>().size() == 1);
    rig.pass(0);
    CHECK(rig.network.degraded().empty());
    CHECK_FALSE(rig.site.view().services[0].leaving_until);
    CHECK_FALSE(rig.site.view().services[0].degraded_until);
}

TEST_CASE("stages: what an operator announced leaves by the same stages") {
    Rig rig{staged()};
    rig.handle(Begin{});
    rig.fail();
    rig.set(prefix("198.51.100.0/24"), OverrideKind::announce);
    rig.set(ServiceId{0}, OverrideKind::drain);
    CHECK(rig.network.degraded() == std::set{prefix("198.51.100.0/24")});
    rig.now += degrade_for;
    rig.tick();
    CHECK(rig.network.draining() == std::set{prefix("198.51.100.0/24")});
    rig.now += leave_for;
    rig.tick();
    CHECK(rig.network.draining().empty());
}

TEST_CASE("stages: a reload gives a drain's stages their new lengths from its beginning") {
    Up rig(staged());
    rig.drain();
    const TimePoint began = rig.now;
    rig.until(began + 5s);
    SitePolicy policy = staged();
    policy.services[0].drain_degraded_for = 6s;
    policy.services[0].graceful_shutdown_for = 40s;
    rig.reload(policy);
    CHECK(rig.shown() == Shown::degraded);
    CHECK(rig.service().degraded_until == began + 6s);
    CHECK(rig.service().leaving_until == began + 46s);
    policy.services[0].drain_degraded_for = 4s;
    rig.reload(policy);
    CHECK(rig.shown() == Shown::draining);
    policy.services[0].drain_degraded_for = 0s;
    policy.services[0].graceful_shutdown_for = 5s;
    rig.reload(policy);
    CHECK(rig.shown() == Shown::nothing);
}

TEST_CASE("stages: what comes up is degraded for its time, and then announced in full") {
    Up rig(returning());
    for (int round = 0; round < 3; ++round) {  // the start, a return, the end of a drain
        CHECK(rig.shown() == Shown::degraded);
        const TimePoint back = rig.now;
        CHECK(rig.service().intent == Intent::degrade);
        CHECK(rig.service().degraded_until == back + return_for);
        CHECK(rig.service().intent_reason ==
              "degraded for another 30s, because it has come back only now");
        rig.until(back + return_for - 1ms);
        CHECK(rig.shown() == Shown::degraded);
        rig.until(back + return_for);
        CHECK(rig.shown() == Shown::announced);
        CHECK(rig.service().intent == Intent::announce);
        CHECK_FALSE(rig.service().degraded_until);
        if (round == 0) {
            rig.flap();
        } else {
            rig.drain();
            rig.undrain();
        }
    }
}

TEST_CASE(
    "stages: a return that ends early begins anew, and one that is announced by hand has none") {
    Up rig(returning());
    rig.until(rig.now + 20s);
    rig.flap();
    const TimePoint back = rig.now;
    rig.until(back + return_for - 1ms);
    CHECK(rig.shown() == Shown::degraded);
    rig.set(prefix("198.51.100.0/24"), OverrideKind::announce);
    CHECK(rig.announces("198.51.100.0/24"));
}

TEST_CASE("stages: a return goes on over a reload that lengthens, shortens or drops it") {
    Up rig(returning());
    const TimePoint back = rig.now;
    SitePolicy policy = returning();
    policy.services[0].return_degraded_for = 60s;
    rig.until(back + 10s);
    rig.reload(policy);
    CHECK(rig.service().degraded_until == back + 60s);
    rig.reload(portal());
    CHECK(rig.shown() == Shown::announced);
    rig.reload(policy);
    CHECK(rig.shown() == Shown::announced);
}

}  // namespace swerve::failover
