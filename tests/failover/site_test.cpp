#include "swerve/failover/site.hpp"

#include <doctest/doctest.h>

#include "tests/failover/rig.hpp"

namespace swerve::failover {

using namespace test;

TEST_CASE("site: nothing is announced before the verdict is up") {
    Rig rig(portal());
    rig.handle(Begin{});
    CHECK(rig.network.announced().empty());
    CHECK(rig.all<StartProbe>().size() == 1);
    rig.finish(0, ProbeResult::unknown, "no password");
    CHECK(rig.network.announced().empty());
    rig.pass();
    CHECK(rig.network.announced().size() == 3);
    REQUIRE(rig.all<Advertise>().size() == 2);  // one range per family
    CHECK(rig.all<Advertise>()[0].service == ServiceId{0});
    CHECK(rig.all<Advertise>()[0].range == bgp::IdRange{0, 2});
    CHECK(rig.all<FailoverBegan>().empty());
}

TEST_CASE("site: a service that is always healthy is announced at begin") {
    SitePolicy policy = portal();
    policy.checks.clear();
    policy.services[0].healthy_when = always();
    Rig rig(std::move(policy));
    rig.handle(Begin{});
    CHECK(rig.network.announced().size() == 3);
    CHECK(rig.site.view().services[0].verdict == Verdict::up);
    CHECK(rig.site.view().services[0].intent_reason == "it depends on no check");
    CHECK_FALSE(rig.site.next_deadline());
}

TEST_CASE("site: lost evidence withdraws after its hold, and announces nothing through not") {
    using Op = health::Expression::Op;
    for (const bool negated : {false, true}) {
        SitePolicy policy = portal();
        if (negated) {
            const health::Expression check = policy.services[0].healthy_when;
            policy.services[0].healthy_when = {Op::negation, 0, 0, {check}};
        }
        Rig rig(std::move(policy));
        rig.handle(Begin{});
        rig.pass();
        CHECK(rig.network.announced().empty() == negated);
        const TimePoint lost = rig.now;
        while (rig.now < lost + std::chrono::seconds{29}) {
            rig.finish(0, ProbeResult::unknown, "no password");
        }
        CHECK(rig.network.announced().empty() == negated);
        while (rig.now < lost + std::chrono::seconds{33}) {
            rig.finish(0, ProbeResult::unknown, "no password");
        }
        CHECK(rig.network.announced().empty());
        CHECK(rig.site.view().services[0].verdict == Verdict::down);
    }
}

TEST_CASE("site: one turn leads from the outcome to the withdraw, in the order of the decision") {
    Rig rig(portal());
    rig.handle(Begin{});
    rig.pass();
    const TimePoint up = rig.now;
    rig.fail();
    REQUIRE(rig.actions.size() == 6);
    CHECK(std::get<CheckChanged>(rig.actions[0]).to == CheckState::fail);
    CHECK(std::get<VerdictChanged>(rig.actions[1]).to == Verdict::down);
    CHECK(std::get<IntentChanged>(rig.actions[2]).to == Intent::withdraw);
    const auto& began = std::get<FailoverBegan>(rig.actions[3]);
    CHECK(began.subject == "portal");
    CHECK(began.reason == "check web fails (HTTP 503, 1 of 1)");
    CHECK(began.first_evidence == rig.now);
    CHECK(began.verdict == rig.now);
    CHECK(std::get<Withdraw>(rig.actions[4]).range == bgp::IdRange{0, 2});
    CHECK(std::get<Withdraw>(rig.actions[5]).range == bgp::IdRange{0, 1});
    CHECK(rig.network.announced().empty());
    const SiteView view = rig.site.view();
    CHECK(view.services[0].verdict_since == rig.now);
    CHECK(view.services[0].intent_since > up);
    CHECK(view.checks[0].results == std::array<std::uint64_t, 3>{1, 1, 0});
}

TEST_CASE("site: the first evidence of a failover is the first failure of the check that decided") {
    SitePolicy policy = portal();
    policy.checks[0].tracker = {.rise = 1, .fall = 3};
    Rig rig(std::move(policy));
    rig.handle(Begin{});
    rig.pass();
    rig.fail();
    const TimePoint first = rig.now;
    rig.fail();
    CHECK(rig.network.announced().size() == 3);
    rig.fail();
    REQUIRE(rig.all<FailoverBegan>().size() == 1);
    CHECK(rig.all<FailoverBegan>()[0].first_evidence == first);
    CHECK(rig.all<FailoverBegan>()[0].verdict == rig.now);
    CHECK(rig.all<FailoverBegan>()[0].reason == "check web fails (HTTP 503, 3 of 3)");
}

TEST_CASE("site: an event that is trusted withdraws in the same turn") {
    SitePolicy policy = portal();
    policy.checks[0].tracker = {.rise = 1, .fall = 3, .on_event = health::OnEvent::trust};
    Rig rig(std::move(policy));
    rig.handle(Begin{});
    rig.pass();
    rig.event(0, ProbeResult::fail);
    CHECK(rig.network.announced().empty());
    CHECK(rig.all<FailoverBegan>()[0].reason == "check web fails (exited, seen by an event)");
}

TEST_CASE("site: a check touches the services that use it and no others") {
    SitePolicy policy = portal();
    policy.checks.push_back({"db", nervous()});
    policy.services.push_back(
        {"other", {block({"203.0.113.0/25"})}, combine(Expression::Op::any, {uses(1), uses(0)})});
    Rig rig(std::move(policy));
    rig.handle(Begin{});
    rig.pass(0);
    CHECK(rig.network.announced().size() == 4);
    rig.pass(1);
    CHECK(rig.all<VerdictChanged>().empty());
    rig.fail(0);
    CHECK(rig.network.announced() == std::set{prefix("203.0.113.0/25")});
    CHECK(rig.site.view().services[1].verdict_reason == "check db passes");
    rig.fail(1);
    CHECK(rig.all<FailoverBegan>().size() == 1);
    CHECK(rig.all<FailoverBegan>()[0].reason ==
          "check web fails (HTTP 503, 1 of 1), check db fails (HTTP 503, 1 of 1)");
}

TEST_CASE("site: lost evidence is told and fails the service after 30 s") {
    Rig rig(portal());
    rig.handle(Begin{});
    rig.pass();
    rig.finish(0, ProbeResult::unknown, "no password");
    REQUIRE(rig.all<EvidenceLost>().size() == 1);
    const TimePoint until = rig.all<EvidenceLost>()[0].until;
    CHECK(until == rig.now + 30s);
    while (rig.now < until - 2s) rig.finish(0, ProbeResult::unknown, "no password");
    CHECK(rig.network.announced().size() == 3);
    while (rig.now < until) rig.jump();
    CHECK(rig.now == until);
    CHECK(rig.network.announced().empty());
}

TEST_CASE("site: first attempts are spread over 100 ms, the first one at once") {
    SitePolicy policy = portal();
    policy.checks.assign(4, {"web", nervous()});
    Rig rig(std::move(policy));
    rig.handle(Begin{});
    CHECK(rig.all<StartProbe>().size() == 1);
    for (int i = 1; i < 4; ++i) {
        CHECK(rig.site.next_deadline() == TimePoint{100s} + i * 25ms);
        rig.jump();
        CHECK(rig.all<StartProbe>().size() == 1);
    }
}

TEST_CASE("site: drain withdraws at once and outranks an announce on a prefix") {
    Rig rig(portal());
    rig.handle(Begin{});
    rig.pass();
    rig.set(prefix("198.51.100.0/24"), OverrideKind::announce);
    CHECK(rig.all<OverrideChanged>().size() == 1);
    CHECK(rig.actions.size() == 1);
    rig.set(ServiceId{0}, OverrideKind::drain);
    CHECK(rig.network.announced().empty());
    REQUIRE(rig.all<FailoverBegan>().size() == 1);
    CHECK(rig.all<FailoverBegan>()[0].subject == "portal");
    CHECK(rig.all<FailoverBegan>()[0].reason == "drained by root: maintenance");
    CHECK(rig.all<FailoverBegan>()[0].first_evidence == rig.now);
    CHECK(rig.all<Withdraw>().size() == 2);  // the exception is merged into its range
    CHECK(rig.all<IntentChanged>()[0].to == Intent::drain);
    rig.clear(ServiceId{0}, OverrideKind::drain);
    CHECK(rig.network.announced().size() == 3);
    CHECK(rig.site.view().prefix_overrides.size() == 1);
}

TEST_CASE("site: announce on a prefix holds against a verdict that is down") {
    Rig rig(portal());
    rig.handle(Begin{});
    rig.set(prefix("198.51.101.0/24"), OverrideKind::announce);
    CHECK(rig.network.announced() == std::set{prefix("198.51.101.0/24")});
    CHECK(rig.all<Advertise>()[0].service == ServiceId{0});
    rig.pass();
    CHECK(rig.network.announced().size() == 3);
    rig.fail();
    CHECK(rig.network.announced() == std::set{prefix("198.51.101.0/24")});
    rig.clear(prefix("198.51.101.0/24"));
    CHECK(rig.network.announced().empty());
    CHECK(rig.all<FailoverBegan>()[0].subject == "198.51.101.0/24");
    CHECK(rig.all<FailoverBegan>()[0].reason ==
          "the override was cleared: check web fails (HTTP 503, 1 of 1)");
}

TEST_CASE("site: withdraw on a prefix takes just this one and outranks everything but stop") {
    Rig rig(portal());
    rig.handle(Begin{});
    rig.pass();
    rig.set(prefix("198.51.100.0/24"), OverrideKind::withdraw);
    CHECK_FALSE(rig.announces("198.51.100.0/24"));
    CHECK(rig.network.announced().size() == 2);
    CHECK(rig.all<FailoverBegan>()[0].reason == "withdrawn by root: maintenance");
    CHECK(rig.all<IntentChanged>().empty());
    rig.fail();
    rig.pass();
    CHECK(rig.network.announced().size() == 2);
    rig.set(prefix("198.51.100.0/24"), OverrideKind::announce);  // the later word on it counts
    CHECK(rig.network.announced().size() == 3);
    rig.set(prefix("198.51.100.0/24"), OverrideKind::withdraw);
    rig.clear(ServiceId{0});
    CHECK(rig.network.announced().size() == 3);
    CHECK(rig.site.view().prefix_overrides.empty());
}

TEST_CASE("site: clearing one kind leaves the others") {
    Rig rig(portal());
    rig.handle(Begin{});
    rig.pass();
    rig.set(ServiceId{0}, OverrideKind::drain);
    rig.set(prefix("198.51.100.0/24"), OverrideKind::withdraw);
    rig.clear(prefix("198.51.100.0/24"), OverrideKind::announce);
    CHECK(rig.actions.empty());
    rig.clear(ServiceId{0}, OverrideKind::drain);
    CHECK(rig.network.announced().size() == 2);
    rig.set(ServiceId{0}, OverrideKind::drain);
    rig.clear(ServiceId{0});
    CHECK(rig.all<OverrideChanged>().size() == 2);
    CHECK(rig.network.announced().size() == 3);
    rig.clear(ServiceId{0});
    CHECK(rig.actions.empty());
}

TEST_CASE("site: an owned prefix of no service becomes a manual route and goes when cleared") {
    Rig rig(portal());
    rig.handle(Begin{});
    rig.set(prefix("203.0.113.0/25"), OverrideKind::announce);
    CHECK(rig.announces("203.0.113.0/25"));
    REQUIRE(rig.all<Advertise>().size() == 1);
    CHECK_FALSE(rig.all<Advertise>()[0].service);
    const bgp::BlockRef first = rig.all<Advertise>()[0].block;
    CHECK(rig.site.view().manual_routes == std::vector{prefix("203.0.113.0/25")});
    rig.clear(prefix("203.0.113.0/25"));
    CHECK(rig.network.announced().empty());
    CHECK(rig.all<FailoverBegan>()[0].subject == "203.0.113.0/25");
    CHECK(rig.all<FailoverBegan>()[0].reason == "the override was cleared");
    CHECK(rig.site.view().manual_routes.empty());
    rig.set(prefix("203.0.113.0/25"), OverrideKind::announce);
    CHECK(rig.all<Advertise>()[0].block == first);
    rig.set(prefix("203.0.113.0/25"), OverrideKind::withdraw);
    CHECK(rig.network.announced().empty());
}

TEST_CASE("site: an override ends at its expiry, not a nanosecond before") {
    Rig rig(portal());
    rig.handle(Begin{});
    rig.pass();
    const TimePoint until = rig.now + 500us;
    rig.set(ServiceId{0}, OverrideKind::drain, until);
    rig.set(prefix("198.51.100.0/24"), OverrideKind::withdraw, until + 1us);
    CHECK(rig.site.next_deadline() == until);
    rig.now = until - 1ns;
    rig.tick();
    CHECK(rig.actions.empty());
    rig.now = until;
    rig.tick();
    REQUIRE(rig.all<OverrideChanged>().size() == 1);
    CHECK(rig.all<OverrideChanged>()[0].subject == "portal");
    CHECK(rig.all<OverrideChanged>()[0].expired);
    CHECK_FALSE(rig.all<OverrideChanged>()[0].value);
    CHECK(rig.network.announced().size() == 2);
    CHECK(rig.site.next_deadline() == until + 1us);
    rig.jump();
    CHECK(rig.network.announced().size() == 3);
}

TEST_CASE("site: an override that is replaced no longer expires when the first one would have") {
    Rig rig(portal());
    rig.handle(Begin{});
    const TimePoint until = rig.now + 500us;
    rig.set(prefix("198.51.100.0/24"), OverrideKind::announce, until);
    rig.set(prefix("198.51.100.0/24"), OverrideKind::announce, until + 100us);
    CHECK(rig.site.next_deadline() == until + 100us);
    rig.set(prefix("198.51.100.0/24"), OverrideKind::announce);
    rig.now = until + 200us;
    rig.tick();
    CHECK(rig.announces("198.51.100.0/24"));
}

TEST_CASE("site: the expiry of an announce names what is behind it") {
    Rig rig(portal());
    rig.handle(Begin{});
    rig.fail();
    rig.set(prefix("198.51.100.0/24"), OverrideKind::announce, rig.now + 500us);
    rig.set(prefix("203.0.113.0/24"), OverrideKind::announce, rig.now + 600us);
    rig.jump();
    CHECK(rig.all<FailoverBegan>()[0].reason ==
          "the override expired: check web fails (HTTP 503, 1 of 1)");
    rig.jump();
    CHECK(rig.all<FailoverBegan>()[0].reason == "the override expired");
    CHECK(rig.network.announced().empty());
}

TEST_CASE("site: stop withdraws everything and nothing is announced again") {
    Rig rig(portal());
    rig.handle(Begin{});
    rig.pass();
    rig.set(prefix("203.0.113.0/24"), OverrideKind::announce);
    rig.set(prefix("198.51.100.0/24"), OverrideKind::announce);
    rig.handle(StopAnnouncing{"SIGTERM"});
    CHECK(rig.network.announced().empty());
    CHECK(rig.all<FailoverBegan>().size() == 2);
    CHECK(rig.all<FailoverBegan>()[0].reason == "the daemon is stopping: SIGTERM");
    CHECK(rig.all<FailoverBegan>()[1].subject == "203.0.113.0/24");
    CHECK(rig.site.refuses(ServiceId{0}, OverrideKind::drain) == Refusal::stopping);
    rig.set(prefix("198.51.101.0/24"), OverrideKind::announce);
    CHECK(rig.actions.empty());
    rig.fail();
    rig.pass();
    rig.clear(ServiceId{0});
    rig.handle(StopAnnouncing{"SIGTERM"});
    CHECK(rig.actions.empty());
    CHECK(rig.network.announced().empty());
    CHECK(rig.site.view().stopping);
}

TEST_CASE("site: words that cannot be taken are refused and change nothing") {
    Rig rig(portal());
    rig.handle(Begin{});
    const auto refuses = [&](const std::variant<ServiceId, Prefix>& subject, OverrideKind kind) {
        rig.set(subject, kind);
        CHECK(rig.actions.empty());
        return rig.site.refuses(subject, kind);
    };
    CHECK(refuses(prefix("192.0.2.0/24"), OverrideKind::announce) == Refusal::not_owned);
    CHECK(refuses(prefix("198.51.0.0/16"), OverrideKind::announce) == Refusal::not_owned);
    CHECK(refuses(ServiceId{1}, OverrideKind::drain) == Refusal::no_such_object);
    CHECK(refuses(ServiceId{0}, OverrideKind::withdraw) == Refusal::no_such_object);
    CHECK(refuses(prefix("198.51.100.0/24"), OverrideKind::drain) == Refusal::no_such_object);
    // Of no service and not announced: there is nothing that could be withdrawn.
    CHECK(refuses(prefix("198.51.100.0/25"), OverrideKind::withdraw) == Refusal::no_such_object);
    CHECK_FALSE(rig.site.refuses(prefix("198.51.100.0/25"), OverrideKind::announce));
    CHECK_FALSE(rig.site.refuses(prefix("198.51.100.0/24"), OverrideKind::withdraw));
    CHECK_FALSE(rig.site.refuses(ServiceId{0}, OverrideKind::drain));
}

TEST_CASE("site: further changes do not prolong how long an undecided verdict stands") {
    Rig rig(portal());
    rig.handle(Begin{});
    rig.pass();
    REQUIRE_FALSE(rig.network.announced().empty());
    const auto announces = [&] {
        bool any = false;
        rig.site.for_each_announced([&](const Advertise&) { any = true; });
        return any;
    };
    rig.handle(Reconfigure{portal(), {std::nullopt}});  // another probe, which never answers
    const TimePoint changed = rig.now;
    for (int second = 0; second < 30; ++second) {
        CHECK(announces());
        rig.now = changed + second * 1s;
        rig.handle(Reconfigure{portal(), {CheckId{0}}});
    }
    rig.now = changed + health::unknown_hold;
    rig.tick();
    CHECK_FALSE(announces());
}

TEST_CASE("site: a verdict not reached yet says how far it is") {
    SitePolicy policy = portal();
    policy.checks[0].tracker = {};
    Rig rig(std::move(policy));
    rig.handle(Begin{});
    CHECK(rig.site.view().services[0].intent_reason == "check web is undecided (no result yet)");
    rig.pass();
    rig.pass();
    CHECK(rig.site.view().services[0].intent_reason ==
          "check web is undecided (HTTP 200, 2 of 5 passes)");
}

}  // namespace swerve::failover
