#include "daemon/state/resume.hpp"

#include <doctest/doctest.h>

#include <string>

#include "tests/support/memory_disk.hpp"

using namespace swerve;
using namespace std::chrono_literals;
using daemon::StateStore;
using failover::BootFacts;
using failover::Restored;
using failover::SavedState;
using test::MemoryDisk;

namespace {

constexpr TimePoint saved_at{1h};
constexpr WallTime saved_wall{1'000'000h};

/// Of a process that ran for a minute, in which check web passed.
SavedState saved() {
    return {.boot_id = "this boot",
            .saved_at = saved_at,
            .saved_wall = saved_wall,
            .started = saved_at - 1min,
            .overrides = {{.subject = std::string{"portal"},
                           .kind = failover::OverrideKind::drain,
                           .reason = "works",
                           .who = "root",
                           .set_at = saved_wall,
                           .expires = failover::SavedDeadline{saved_at + 1h, saved_wall + 1h}}},
            .checks = {{"web", 7, health::CheckState::pass}},
            .disabled_neighbors = {"upstream-a"}};
}

BootFacts after(Duration later) { return {"this boot", saved_at + later, saved_wall + later}; }

/// A disk with that state on it, and processes that begin there and end before they save anything.
struct Site {
    explicit Site(const SavedState& state) {
        StateStore store{disk};
        (void)store.load();
        REQUIRE(store.save(state).has_value());
    }
    Restored start(const BootFacts& boot) {
        StateStore store{disk};
        return daemon::resume(store, boot);
    }
    [[nodiscard]] SavedState on_disk() { return StateStore{disk}.load().state.value(); }

    MemoryDisk disk{1};
};

}  // namespace

TEST_CASE("resume: a process that ends before its first save is counted all the same") {
    Site site{saved()};
    for (const unsigned crashes : {1U, 2U, 3U, 4U}) {
        const Restored out = site.start(after(crashes * 1s));
        CHECK(out.crashes == crashes);
        CHECK(out.hold_until.has_value() == (crashes >= failover::crashes_before_hold));
    }
}

TEST_CASE("resume: what was known stays as it is, and as old as it is") {
    Site site{saved()};
    CHECK(site.start(after(20s)).earned.size() == 1);
    SavedState expected = saved();
    expected.started = saved_at + 20s;
    expected.crashes = 1;
    CHECK(site.on_disk() == expected);
    CHECK(site.start(after(59s)).earned.size() == 1);
    CHECK(site.start(after(61s)).earned.empty());
    CHECK(site.start(after(62s)).overrides.front().value.expires == saved_at + 1h);
}

TEST_CASE("resume: where the start cannot be saved nothing is earned, and an alarm says so") {
    SavedState clean = saved();
    clean.ended_clean = true;
    Site site{clean};
    site.disk.set_room(0);
    for (const Duration later : {1s, 2s, 3s}) {
        const Restored out = site.start(after(later));
        CHECK(out.earned.empty());
        CHECK(out.overrides.size() == 1);
        REQUIRE(out.alarms.size() == 1);
        CHECK(out.alarms.front().find("No space left on device") != std::string::npos);
        CHECK(out.alarms.front().find("not counted") != std::string::npos);
    }
    CHECK(site.on_disk() == clean);
}

TEST_CASE("resume: a clean end and a planned restart are known once") {
    SavedState planned = saved();
    planned.ended_clean = true;
    planned.planned_restart = true;
    Site site{planned};
    const Restored first = site.start(after(1s));
    CHECK(first.crashes == 0);
    CHECK(first.vanished_at == saved_at);
    const Restored second = site.start(after(2s));
    CHECK(second.crashes == 1);
    CHECK_FALSE(second.vanished_at.has_value());
}

TEST_CASE("resume: the state of another boot is written as it was") {
    Site site{saved()};
    const BootFacts next{"next boot", TimePoint{20s}, saved_wall + 30s};
    CHECK(site.start(next).earned.size() == 1);
    CHECK(site.on_disk() == saved());
    site.disk.set_room(0);
    CHECK(site.start(next).earned.empty());
}

TEST_CASE("resume: a first boot, and a lost state, write nothing") {
    MemoryDisk empty{1};
    StateStore first{empty};
    CHECK(daemon::resume(first, after(0s)).alarms.empty());
    CHECK(empty.steps() == 0);
    MemoryDisk damaged{1};
    damaged.plant("state.a", "rubbish");
    StateStore second{damaged};
    CHECK(daemon::resume(second, after(0s)).drain_all.has_value());
    CHECK(damaged.steps() == 0);
}
