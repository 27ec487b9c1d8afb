// Announcements that wait for the sake of upstreams that damp.

#include <cmath>

#include "tests/failover/stages_rig.hpp"

namespace swerve::failover {

using namespace test;

namespace {

constexpr Duration return_time = 30s;

SitePolicy damped(DampingPolicy damping = {.profile = DampingProfile::cisco}) {
    SitePolicy policy = portal();
    policy.services[0].damping = damping;
    return policy;
}

}  // namespace

TEST_CASE(
    "damping: an announcement waits until it and one more withdraw have room, a withdraw never") {
    Up rig(damped());
    rig.fail();
    CHECK(rig.shown() == Shown::nothing);
    rig.until(rig.now + 1s, ProbeResult::fail);
    rig.pass();
    CHECK(rig.shown() == Shown::announced);  // 1000, and a little less by now
    CHECK(rig.told.empty());
    rig.fail();
    CHECK(rig.shown() == Shown::nothing);
    rig.pass();
    CHECK(rig.shown() == Shown::nothing);
    REQUIRE(rig.all<DampingChanged>().size() == 1);
    const DampingChanged told = rig.all<DampingChanged>()[0];
    CHECK(told.wait->cause == Damping::Cause::penalty);
    CHECK(told.reason.starts_with("announcements wait 14m5"));
    CHECK(
        told.reason.find("upstreams that damp like cisco would suppress the routes (penalty 199") !=
        std::string::npos);
    CHECK(rig.all<IntentChanged>().empty());
    CHECK(rig.service().verdict == Verdict::up);
    CHECK(rig.service().intent == Intent::withdraw);
    CHECK(rig.service().intent_reason.starts_with("announcements wait 14m5"));
    CHECK(rig.service().damped == told.wait);
    rig.until(told.wait->until - 1ms);
    CHECK(rig.told.empty());
    CHECK(rig.shown() == Shown::nothing);
    rig.until(told.wait->until);
    CHECK(rig.shown() == Shown::announced);
    REQUIRE(rig.told.size() == 1);
    CHECK_FALSE(rig.told[0].wait);
    CHECK(rig.service().damping.penalty(rig.now) < 1000);
}

TEST_CASE("damping: a verdict that falls while its announcement waits is told, and begins anew") {
    Up rig(damped());
    rig.flap();
    rig.flap();
    rig.flap();
    REQUIRE(rig.service().damped);
    const TimePoint until = rig.service().damped->until;
    rig.fail();
    CHECK_FALSE(rig.service().damped);
    REQUIRE(rig.all<DampingChanged>().size() == 1);
    CHECK_FALSE(rig.all<DampingChanged>()[0].wait);
    rig.pass();
    CHECK(rig.service().damped->until == until);  // what was never shown costs nothing
}

TEST_CASE("damping: operators do not wait") {
    Up rig(damped());
    rig.flap();
    rig.flap();
    REQUIRE(rig.service().damped);
    rig.set(prefix("198.51.100.0/24"), OverrideKind::announce);
    CHECK(rig.network.announced().size() == 1);
    const double before = rig.service().damping.penalty(rig.now);
    rig.clear(prefix("198.51.100.0/24"));
    CHECK(rig.network.announced().empty());
    CHECK(rig.service().damping.penalty(rig.now) == before);  // a word is not counted
    rig.set(ServiceId{0}, OverrideKind::drain);
    CHECK_FALSE(rig.service().damped);
    rig.undrain();
    CHECK(rig.service().damped);
    CHECK(rig.shown() == Shown::nothing);
}

TEST_CASE("damping: a drain that has come to its withdraw counts as one") {
    SitePolicy policy = damped();
    policy.services[0].drain_degraded_for = 20s;
    policy.services[0].graceful_shutdown_for = 10s;
    Up rig(policy);
    rig.drain();
    rig.until(rig.now + 30s);
    CHECK(rig.shown() == Shown::nothing);
    CHECK(rig.service().damping.penalty(rig.now) > 1900);  // 500, 500 and 1000
    rig.undrain();
    CHECK(rig.shown() == Shown::nothing);
    REQUIRE(rig.service().damped);
    rig.until(rig.service().damped->until);
    CHECK(rig.shown() == Shown::announced);
}

TEST_CASE("damping: better attributes wait as well, and are degraded meanwhile") {
    SitePolicy policy = damped();
    policy.services[0].return_degraded_for = return_time;
    Up rig(policy);
    CHECK(rig.shown() == Shown::degraded);
    rig.until(rig.now + return_time);
    CHECK(rig.shown() == Shown::announced);  // nothing was counted but itself
    rig.until(rig.now + 3h);
    rig.fail();
    rig.until(rig.now + 1s, ProbeResult::fail);
    rig.pass();
    CHECK(rig.shown() == Shown::degraded);
    rig.until(rig.now + return_time);
    CHECK(rig.shown() == Shown::degraded);
    REQUIRE(rig.told.size() == 1);
    CHECK(rig.told[0].reason.starts_with("full routes wait 14m"));
    CHECK(rig.service().intent == Intent::degrade);
    const Explanation told = explain(rig.site.view(), prefix("198.51.100.0/24"),
                                     {{"a", true, true, true, "established"}}, {}, rig.now);
    CHECK(told.summary.find("is ANNOUNCED DEGRADED to 1 of 1 established neighbors: full routes "
                            "wait 14m") != std::string::npos);
    rig.until(rig.service().damped->until);
    CHECK(rig.shown() == Shown::announced);
    CHECK(rig.service().damping.penalty(rig.now) < 1000);
}

TEST_CASE("damping: hold_down and changes_per_hour hold back without any profile") {
    Up rig(damped({.hold_down = 30s}));
    rig.fail();
    const TimePoint withdrawn = rig.now;
    rig.pass();
    CHECK(rig.service().damped->cause == Damping::Cause::hold_down);
    CHECK(rig.service().intent_reason.find("hold_down is 30s") != std::string::npos);
    rig.until(withdrawn + 30s - 1ms);
    CHECK(rig.shown() == Shown::nothing);
    rig.until(withdrawn + 30s);
    CHECK(rig.shown() == Shown::announced);

    Up often(damped({.changes_per_hour = 3}));
    const TimePoint first = often.now;
    often.flap();
    often.flap();
    CHECK(often.shown() == Shown::announced);
    often.flap();
    CHECK(often.shown() == Shown::nothing);
    CHECK(often.service().damped->cause == Damping::Cause::changes_per_hour);
    CHECK(often.service().intent_reason.find(
              "withdrawn 3 times within an hour, and changes_per_hour allows no more") !=
          std::string::npos);
    often.until(first + 59min);
    CHECK(often.shown() == Shown::nothing);
    often.until(often.service().damped->until);
    CHECK(often.shown() == Shown::announced);
}

namespace {

/// What a router that damps makes of the routes, worked out in steps of its own.
class Upstream {
public:
    Upstream(Duration half_life, double announce, double suppress)
        : half_life_(half_life), announce_(announce), suppress_(suppress) {}

    void see(TimePoint now, Shown shown) {
        if (shown == shown_) return;
        penalty_ *= std::exp2(-std::chrono::duration<double>(now - at_) /
                              std::chrono::duration<double>(half_life_));
        at_ = now;
        if (shown == Shown::nothing) {
            penalty_ += 1000;
        } else if (shown_ != Shown::nothing) {
            penalty_ += 500;
        } else if (std::exchange(known_, true)) {
            penalty_ += announce_;
        }
        const bool better = shown > shown_;
        shown_ = shown;
        // Room for one more withdraw, whenever something became better of its own accord.
        if (better) CHECK(penalty_ + 1000 <= suppress_ + 1e-6);
        highest = std::max(highest, penalty_);
    }
    double highest = 0;

private:
    Duration half_life_;
    double announce_;
    double suppress_;
    double penalty_ = 0;
    TimePoint at_{};
    Shown shown_ = Shown::nothing;
    bool known_ = false;
};

}  // namespace

TEST_CASE("damping: however a service flaps, no upstream that damps suppresses it") {
    struct Case {
        DampingProfile profile;
        double announce;
        double suppress;
    };
    for (const Case& each :
         {Case{DampingProfile::cisco, 0, 2000}, Case{DampingProfile::junos, 1000, 3000},
          Case{DampingProfile::rfc7196, 0, 6000}}) {
        for (const bool degrees : {false, true}) {
            CAPTURE(to_string(each.profile));
            CAPTURE(degrees);
            SitePolicy policy = damped({.profile = each.profile});
            policy.checks.push_back({"db", nervous(), Scope::local, Effect::degrade});
            policy.services[0].healthy_when = combine(Expression::Op::all, {uses(0), uses(1)});
            Rig rig(policy);
            Upstream upstream(15min, each.announce, each.suppress);
            Random random(7);
            std::size_t waits = 0;
            rig.handle(Begin{});
            for (int step = 0; step < 20'000; ++step) {
                const auto check = static_cast<CheckId>(random.below(2));
                if (rig.attempts.at(check) != 0) {
                    const bool good = random.below(3) != 0 || (check == 1 && !degrees);
                    rig.finish(check, good ? ProbeResult::pass : ProbeResult::fail, "drawn");
                } else {
                    rig.jump();
                }
                waits += rig.site.view().services[0].damped ? 1U : 0U;
                upstream.see(rig.now, rig.site.view().services[0].shown);
            }
            CHECK(waits > 1000);
            CHECK(upstream.highest > 900);
            // Worse attributes never wait: one such change may come behind what had to wait.
            CHECK(upstream.highest <= each.suppress + (degrees ? 500 : 0));
        }
    }
}

TEST_CASE("damping: explain tells of it between the checks and the sessions") {
    Up rig(damped());
    rig.flap();
    rig.flap();
    const Explanation told = explain(rig.site.view(), prefix("198.51.100.0/24"),
                                     {{"a", true, true, false, "established"}}, {}, rig.now);
    REQUIRE(told.steps.size() == 7);
    CHECK(told.steps[3].text == "verdict up: check web passes");
    CHECK(told.steps[5].stage == "damping");
    CHECK(told.steps[5].mark == ExplainStep::Mark::blocked);
    CHECK(told.steps[5].text.starts_with("announcements wait 14m5"));
    CHECK(told.summary.starts_with("198.51.100.0/24 is WITHDRAWN: announcements wait 14m5"));
    CHECK_FALSE(told.wanted);
}

TEST_CASE("damping: a reload with another policy is judged anew, and keeps what it cost") {
    Up rig(damped());
    rig.flap();
    rig.flap();
    REQUIRE(rig.shown() == Shown::nothing);
    rig.reload(damped());
    CHECK(rig.shown() == Shown::nothing);
    rig.reload(damped({.profile = DampingProfile::rfc7196}));
    CHECK(rig.shown() == Shown::announced);
    rig.reload(damped());
    CHECK(rig.shown() == Shown::announced);  // what stands is not taken back
    CHECK(rig.service().damping.penalty(rig.now) > 1900);
    rig.flap();
    CHECK(rig.shown() == Shown::nothing);
    rig.reload(damped({}));
    CHECK(rig.shown() == Shown::announced);
}

TEST_CASE("damping: it survives a restart, and a process that dies takes its routes with it") {
    Up rig(damped());
    rig.flap();
    SavedState saved{.boot_id = "boot", .saved_at = rig.now, .ended_clean = true};
    rig.site.save(rig.now, WallTime{}, saved);
    REQUIRE(saved.damping.size() == 1);
    CHECK(saved.damping[0].shown == Shown::announced);
    const auto start = [&] {
        const TimePoint now = rig.now + 1s;
        Rig next(damped(), restore({.state = saved, .last_alive = rig.now, .damage = {}},
                                   {"boot", now, WallTime{}}));
        next.now = now;
        next.handle(Begin{});
        next.pass();
        return next.network.announced().size();
    };
    CHECK(start() == 3);
    saved.ended_clean = false;
    CHECK(start() == 0);
}

namespace {

constexpr Duration restart_time = 20s;

/// A site that ended for a planned restart, as the next process finds it after `silence`.
template <class Site>
struct Restart : Rig {
    Restart(const SitePolicy& policy, const Site& ended, Duration silence,
            std::optional<Duration> keeps = restart_time)
        : Rig(policy, found(ended, silence, keeps)) {
        now = ended.now + silence;
        handle(Begin{});
    }
    [[nodiscard]] SiteView::Service service() const { return site.view().services[0]; }

private:
    static Restored found(const Site& ended, Duration silence, std::optional<Duration> keeps) {
        SavedState saved{.boot_id = "boot", .saved_at = ended.now, .planned_restart = true};
        ended.site.save(ended.now, WallTime{}, saved);
        Restored out = restore({.state = saved, .last_alive = ended.now, .damage = {}},
                               {"boot", ended.now + silence, WallTime{}});
        out.restart_time = keeps;
        return out;
    }
};

}  // namespace

TEST_CASE(
    "damping: a planned restart costs nothing while neighbors keep the routes, or a withdraw") {
    Up rig(damped());
    rig.flap();
    {
        Restart next(damped(), rig, restart_time - 1s);
        next.pass();
        CHECK(next.network.announced().size() == 3);
        CHECK(next.service().damping.penalty(next.now) < 1000);
    }
    for (const auto keeps : {std::optional<Duration>{restart_time}, std::optional<Duration>{}}) {
        Restart next(damped(), rig, restart_time, keeps);
        next.pass();
        CHECK(next.network.announced().empty());
        REQUIRE(next.service().damped);
        CHECK(next.service().damping.penalty(next.now) > 1900);
    }
    // Neighbors give it up at the end of the restart.
    Restart late(damped(), rig, 1s);
    while (late.now < rig.now + 1s + restart_time) late.finish(0, ProbeResult::unknown);
    late.pass();
    CHECK(late.network.announced().empty());
    CHECK(late.service().damped);
}

TEST_CASE("damping: a planned restart of what waits goes on to wait") {
    Up rig(damped());
    rig.flap();
    rig.flap();
    REQUIRE(rig.service().damped);
    Restart next(damped(), rig, 1s);
    next.pass();
    CHECK(next.network.announced().empty());
    CHECK(next.service().damped == rig.service().damped);
}

TEST_CASE("damping: what fails over a planned restart is withdrawn, and that is counted") {
    Up rig(damped());
    Restart next(damped(), rig, 1s);
    next.fail();
    CHECK(next.service().damping.penalty(next.now) == 1000);
    next.pass();
    CHECK(next.network.announced().size() == 3);
}

TEST_CASE("damping: what was degraded at a planned restart is so until it may be better") {
    SitePolicy policy = damped();
    policy.checks.push_back({"db", nervous(), Scope::local, Effect::degrade});
    policy.services[0].healthy_when = combine(Expression::Op::all, {uses(0), uses(1)});
    Rig rig(policy);
    rig.handle(Begin{});
    rig.pass(0);
    rig.pass(1);
    rig.fail(1);
    rig.pass(1);
    REQUIRE(rig.network.degraded().size() == 3);  // 500 and 500 are too much
    Restart next(policy, rig, 1s);
    next.pass(1);
    next.pass(0);
    CHECK(next.network.degraded().size() == 3);
    CHECK(next.service().damped);
    while (next.service().damped) {
        const CheckId due = next.attempts[0] != 0 ? 0 : 1;
        if (next.attempts[due] != 0) {
            next.pass(due);
        } else {
            next.jump();
        }
    }
    CHECK(next.network.announced().size() == 3);
}

TEST_CASE("stages: a return that a planned restart interrupts begins anew") {
    SitePolicy policy = damped();
    policy.services[0].return_degraded_for = return_time;
    Up rig(policy);
    rig.until(rig.now + 20s);
    REQUIRE(rig.shown() == Shown::degraded);
    Restart next(policy, rig, 1s);
    next.pass();
    const TimePoint back = next.now;
    CHECK(next.network.degraded().size() == 3);
    CHECK(next.service().degraded_until == back + return_time);
    while (next.network.announced().empty()) {
        if (next.attempts[0] != 0) {
            next.pass();
        } else {
            next.jump();
        }
    }
    CHECK(next.now == back + return_time);

    rig.until(rig.now + return_time);
    REQUIRE(rig.shown() == Shown::announced);
    Restart whole(policy, rig, 1s);
    whole.pass();
    CHECK(whole.network.announced().size() == 3);
}

TEST_CASE("gate: a planned restart withdraws nothing for a gate that fails") {
    SitePolicy policy = damped();
    policy.checks.push_back({"vault", nervous(), Scope::shared, Effect::gate});
    policy.services[0].healthy_when = combine(Expression::Op::all, {uses(0), uses(1)});
    Rig rig(policy);
    rig.handle(Begin{});
    rig.pass(0);
    rig.pass(1);
    rig.fail(1);
    REQUIRE(rig.network.announced().size() == 3);
    Restart next(policy, rig, 1s);
    next.fail(1);
    next.pass(0);
    CHECK(next.network.announced().size() == 3);
    CHECK_FALSE(next.site.view().checks[1].alarm.empty());
    Restart late(policy, rig, restart_time);
    late.fail(1);
    late.pass(0);
    CHECK(late.network.announced().empty());
}

TEST_CASE("reload: a service under another name keeps what its prefixes have cost, and its drain") {
    SitePolicy renamed = damped();
    renamed.services[0].name = "gateway";
    Up rig(damped());
    rig.flap();
    const double penalty = rig.service().damping.penalty(rig.now);
    rig.reload(renamed);
    CHECK(rig.shown() == Shown::announced);
    CHECK(rig.service().damping.penalty(rig.now) == penalty);
    CHECK_FALSE(rig.service().damped);
    rig.flap();
    CHECK(rig.shown() == Shown::nothing);
    CHECK(rig.service().damped);
    const auto wait = rig.service().damped;
    rig.reload(damped());
    CHECK(rig.shown() == Shown::nothing);
    CHECK(rig.service().damped == wait);
    rig.until(wait->until);
    REQUIRE(rig.shown() == Shown::announced);

    rig.drain();
    rig.reload(renamed);
    CHECK(rig.shown() == Shown::nothing);
    CHECK(rig.service().drain);
    const auto told = rig.all<OverrideChanged>();
    REQUIRE(told.size() == 2);
    CHECK(told[0].subject == "gateway");
    CHECK(told[0].value->kind == OverrideKind::drain);
    CHECK(told[0].why == "it has prefixes of service portal, which was drained and is no more");
    CHECK(told[1].subject == "portal");
    CHECK_FALSE(told[1].value);

    // Other prefixes are another service.
    SitePolicy other = renamed;
    other.services[0].name = "other";
    other.services[0].prefixes = {block({"203.0.113.0/24"})};
    rig.reload(other);
    CHECK_FALSE(rig.service().drain);
    CHECK(rig.service().damping.penalty(rig.now) == 0);
}

TEST_CASE("damping: the end of the daemon withdraws whatever waits, and is counted") {
    Up rig(damped());
    rig.handle(StopAnnouncing{"SIGTERM"});
    CHECK(rig.shown() == Shown::nothing);
    CHECK(rig.service().damping.penalty(rig.now) == 1000);
    CHECK_FALSE(rig.service().damped);
}

}  // namespace swerve::failover
