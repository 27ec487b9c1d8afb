#pragma once
// A site whose service is up, over long times.

#include <doctest/doctest.h>

#include "swerve/failover/explain.hpp"
#include "tests/failover/rig.hpp"

namespace swerve::failover::test {

/// A site whose check passes, and goes on passing unless a test says otherwise.
struct Up : Rig {
    explicit Up(const SitePolicy& policy, const Restored& restored = {}) : Rig(policy, restored) {
        handle(Begin{});
        pass();
    }
    void drain() { set(ServiceId{0}, OverrideKind::drain); }
    void undrain() { clear(ServiceId{0}, OverrideKind::drain); }
    [[nodiscard]] SiteView::Service service() const { return site.view().services[0]; }
    /// What stands, of all three prefixes alike.
    [[nodiscard]] Shown shown() const {
        const SiteView::Service now_shown = service();
        const auto expect = [&](Shown shown, std::size_t count) {
            CHECK(count == (now_shown.shown == shown ? 3U : 0U));
        };
        expect(Shown::announced, network.announced().size());
        expect(Shown::degraded, network.degraded().size());
        expect(Shown::draining, network.draining().size());
        return now_shown.shown;
    }
    /// Lets the checks give `result` until `end`, with every deadline on the way, and collects what
    /// is told of damping.
    void until(TimePoint end, ProbeResult result = ProbeResult::pass) {
        while (*site.next_deadline() <= end || attempts.at(0) != 0) {
            if (attempts.at(0) != 0) {
                finish(0, result, "again");
            } else {
                jump();
            }
            for (const DampingChanged& each : all<DampingChanged>()) told.push_back(each);
        }
        now = std::max(now, end);
        tick();
        for (const DampingChanged& each : all<DampingChanged>()) told.push_back(each);
    }
    void reload(const SitePolicy& policy) {
        handle(Reconfigure{policy, {CheckId{0}}});
        network.clear();
        site.for_each_announced([&](const Advertise& each) { network.apply({each}); });
    }
    void flap() {
        fail();
        pass();
    }
    std::vector<DampingChanged> told;
};

}  // namespace swerve::failover::test
