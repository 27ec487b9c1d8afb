// The order in which an operator's drain takes routes away (RFC 8326 §4.1): GRACEFUL_SHUTDOWN, a
// wait, the withdraw.

#include <doctest/doctest.h>

#include "swerve/failover/explain.hpp"
#include "tests/failover/rig.hpp"

namespace swerve::failover {

using namespace test;

namespace {

constexpr Duration notice = 30s;

SitePolicy draining_portal(Duration graceful_shutdown_for = notice) {
    SitePolicy policy = portal();
    policy.services[0].graceful_shutdown_for = graceful_shutdown_for;
    return policy;
}

/// All three prefixes of the service are announced.
struct Up : Rig {
    explicit Up(const SitePolicy& policy = draining_portal()) : Rig(policy) {
        handle(Begin{});
        pass();
        REQUIRE(network.announced().size() == 3);
    }

    void drain() { set(ServiceId{0}, OverrideKind::drain); }
    [[nodiscard]] bool all_draining() const {
        return network.draining().size() == 3 && network.announced().empty();
    }
    [[nodiscard]] bool all_withdrawn() const {
        return network.draining().empty() && network.announced().empty();
    }
    /// Lets the checks pass on until `end` is reached, with every deadline on the way.
    void pass_until(TimePoint end) {
        while (*site.next_deadline() <= end) {
            if (attempts.at(0) != 0) {
                pass();
            } else {
                jump();
            }
        }
    }
    void reload(const SitePolicy& policy) {
        handle(Reconfigure{policy, {CheckId{0}}});
        network.clear();
        site.for_each_announced([&](const Advertise& each) { network.apply({each}); });
    }
};

}  // namespace

TEST_CASE("drain: routes stand with GRACEFUL_SHUTDOWN for their time, then they are withdrawn") {
    Up rig;
    rig.drain();
    const TimePoint end = rig.now + notice;
    CHECK(rig.all_draining());
    CHECK(rig.all<FailoverBegan>().empty());
    CHECK(rig.all<IntentChanged>()[0].to == Intent::drain);
    CHECK(rig.site.view().services[0].leaving_until == end);
    rig.pass_until(end - 1ns);
    rig.now = end - 1ns;
    rig.tick();
    CHECK(rig.all_draining());
    rig.now = end;
    rig.tick();
    CHECK(rig.all_withdrawn());
    REQUIRE(rig.all<FailoverBegan>().size() == 1);
    CHECK(rig.all<FailoverBegan>()[0].verdict == end);
    CHECK(rig.all<FailoverBegan>()[0].reason == "drained by root: maintenance");
    CHECK_FALSE(rig.site.view().services[0].leaving_until.has_value());
}

TEST_CASE("drain: without a time for GRACEFUL_SHUTDOWN it withdraws at once") {
    Up rig{draining_portal(Duration{})};
    rig.drain();
    CHECK(rig.all_withdrawn());
}

TEST_CASE("drain: undrain, auto and expiry return at once to the full announcement") {
    for (const bool waited : {false, true}) {
        for (const std::optional<OverrideKind> only : {std::optional{OverrideKind::drain}, {}}) {
            Up rig;
            rig.drain();
            if (waited) rig.pass_until(rig.now + notice);
            rig.clear(ServiceId{0}, only);
            CHECK(rig.network.announced().size() == 3);
            CHECK(rig.network.draining().empty());
            CHECK(rig.all<FailoverBegan>().empty());
            rig.pass_until(rig.now + 2 * notice);
            CHECK(rig.network.announced().size() == 3);
        }
    }
    Up rig;
    rig.set(ServiceId{0}, OverrideKind::drain, rig.now + 10s);
    CHECK(rig.all_draining());
    rig.pass_until(rig.now + 10s);
    CHECK(rig.network.announced().size() == 3);
}

TEST_CASE("drain: a verdict that falls meanwhile withdraws at once, and nothing comes back") {
    Up rig;
    rig.drain();
    rig.fail();
    CHECK(rig.all_withdrawn());
    REQUIRE(rig.all<FailoverBegan>().size() == 1);
    rig.pass();
    CHECK(rig.all_withdrawn());
    rig.pass_until(rig.now + 2 * notice);
    CHECK(rig.all_withdrawn());
}

TEST_CASE("drain: the end of the daemon does not wait") {
    Up rig;
    rig.drain();
    rig.handle(StopAnnouncing{"stopped by SIGTERM"});
    CHECK(rig.all_withdrawn());
    CHECK(rig.all<FailoverBegan>()[0].reason == "the daemon is stopping: stopped by SIGTERM");
    CHECK_FALSE(rig.site.view().services[0].leaving_until.has_value());
}

TEST_CASE("drain: a service that is down, or one drained before a restart, shows nothing") {
    Rig down{draining_portal()};
    down.handle(Begin{});
    down.fail();
    down.set(ServiceId{0}, OverrideKind::drain);
    CHECK(down.network.draining().empty());
    down.pass();
    CHECK(down.network.draining().empty());

    Restored restored;
    restored.overrides.push_back(
        {std::string{"portal"}, {OverrideKind::drain, "", "root", WallTime{}, std::nullopt}});
    Rig rig{draining_portal(), restored};
    rig.handle(Begin{});
    rig.pass();
    CHECK(rig.network.draining().empty());
    CHECK(rig.network.announced().empty());
    CHECK_FALSE(rig.site.view().services[0].leaving_until.has_value());
}

TEST_CASE("drain: what an operator announced of a service that is down leaves by the same stages") {
    Rig rig{draining_portal()};
    rig.handle(Begin{});
    rig.fail();
    rig.set(prefix("198.51.100.0/24"), OverrideKind::announce);
    REQUIRE(rig.network.announced().size() == 1);
    rig.set(ServiceId{0}, OverrideKind::drain);
    const TimePoint end = rig.now + notice;
    CHECK(rig.network.draining() == std::set{prefix("198.51.100.0/24")});
    CHECK(rig.all<FailoverBegan>().empty());
    CHECK(rig.site.view().services[0].leaving_until == end);
    rig.pass();  // up, which shows nothing anew
    CHECK(rig.network.draining() == std::set{prefix("198.51.100.0/24")});
    CHECK(rig.network.announced().empty());
    rig.now = end;
    rig.tick();
    CHECK(rig.network.draining().empty());
    CHECK(rig.all<FailoverBegan>().size() == 1);
}

TEST_CASE("drain: a verdict that falls meanwhile ends nothing for what an operator announced") {
    Up rig;
    rig.set(prefix("198.51.100.0/24"), OverrideKind::announce);
    rig.drain();
    const TimePoint end = rig.now + notice;
    CHECK(rig.all_draining());
    rig.fail();
    CHECK(rig.network.draining() == std::set{prefix("198.51.100.0/24")});
    CHECK(rig.site.view().services[0].leaving_until == end);
    const auto shown = [&](std::string_view text) {
        return explain(rig.site.view(), prefix(text), {}, {}, rig.now).steps.back().text;
    };
    rig.pass();
    CHECK(rig.network.draining() == std::set{prefix("198.51.100.0/24")});
    CHECK(shown("198.51.100.0/24").find("GRACEFUL_SHUTDOWN") != std::string::npos);
    CHECK(shown("198.51.101.0/24").find("GRACEFUL_SHUTDOWN") == std::string::npos);
    rig.now = end;
    rig.tick();
    CHECK(rig.all_withdrawn());
}

TEST_CASE("drain: a restart begins no stage for what an operator announced") {
    Restored restored;
    restored.overrides.push_back(
        {std::string{"portal"}, {OverrideKind::drain, "", "root", WallTime{}, std::nullopt}});
    restored.overrides.push_back({prefix("198.51.100.0/24"),
                                  {OverrideKind::announce, "", "root", WallTime{}, std::nullopt}});
    Rig rig{draining_portal(), restored};
    rig.handle(Begin{});
    CHECK(rig.network.draining().empty());
    CHECK(rig.network.announced().empty());
}

TEST_CASE("drain: asked once more it goes on, and does not begin anew") {
    Up rig;
    rig.drain();
    const TimePoint end = rig.now + notice;
    rig.pass_until(rig.now + 10s);
    rig.drain();
    CHECK(rig.all_draining());
    CHECK(rig.site.view().services[0].leaving_until == end);
    rig.pass_until(end);
    CHECK(rig.all_withdrawn());
    rig.drain();
    CHECK(rig.all_withdrawn());
}

TEST_CASE("drain: an operator's withdraw on a prefix does not wait for the drain") {
    Up rig;
    rig.drain();
    rig.set(prefix("198.51.100.0/24"), OverrideKind::withdraw);
    CHECK(rig.network.draining().size() == 2);
    rig.clear(prefix("198.51.100.0/24"));
    CHECK(rig.all_draining());
}

TEST_CASE("drain: a reload keeps the stage, and counts another time from the drain") {
    for (const Duration after : {notice, Duration{20s}, Duration{5s}, Duration{}, Duration{60s}}) {
        Up rig;
        rig.drain();
        const TimePoint began = rig.now;
        rig.pass_until(began + 10s);
        rig.now = began + 10s;
        rig.reload(draining_portal(after));
        if (after <= 10s) {
            CHECK(rig.all_withdrawn());
            continue;
        }
        CHECK(rig.all_draining());
        CHECK(rig.site.view().services[0].leaving_until == began + after);
        rig.pass_until(began + after);
        CHECK(rig.all_withdrawn());
    }
}

}  // namespace swerve::failover
