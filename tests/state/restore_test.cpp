#include <doctest/doctest.h>

#include <string>

#include "swerve/failover/saved_state.hpp"

using namespace swerve;
using namespace swerve::failover;
using namespace std::chrono_literals;
using health::CheckState;

namespace {

constexpr TimePoint saved_at{1h};
constexpr WallTime saved_wall{1'000'000h};
constexpr Duration instant{1};

SavedState saved() {
    return {.boot_id = "this boot",
            .saved_at = saved_at,
            .saved_wall = saved_wall,
            .started = saved_at - 1min,
            .ended_clean = false,
            .crashes = 0,
            .overrides = {},
            .checks = {},
            .disabled_neighbors = {}};
}

FoundState found(SavedState state) {
    return {.state = std::move(state), .last_alive = saved_at, .damage = {}};
}

SavedState with_override(Duration lasting) {
    SavedState out = saved();
    out.overrides.push_back({.subject = *Prefix::parse("198.51.100.0/24"),
                             .kind = OverrideKind::withdraw,
                             .reason = "maintenance",
                             .who = "root",
                             .set_at = saved_wall - 5s,
                             .expires = SavedDeadline{saved_at + lasting, saved_wall + lasting}});
    return out;
}

BootFacts same_boot(Duration later, Duration wall_later) {
    return {"this boot", saved_at + later, saved_wall + wall_later};
}
BootFacts next_boot(Duration wall_later) {
    return {"next boot", TimePoint{20s}, saved_wall + wall_later};
}

/// What is left of the one override; nothing: it is over.
std::optional<Duration> left(const FoundState& state, const BootFacts& boot) {
    const Restored out = restore(state, boot);
    if (out.overrides.empty()) return std::nullopt;
    REQUIRE(out.overrides.size() == 1);
    return out.overrides.front().value.expires.value() - boot.now;
}

unsigned earned(SavedState state, const BootFacts& boot, TimePoint last_alive = saved_at) {
    state.checks = {
        {"web", 7, CheckState::pass}, {"db", 8, CheckState::fail}, {"app", 9, CheckState::unknown}};
    const Restored out = restore({std::move(state), last_alive, {}}, boot);
    if (!out.earned.empty()) {
        CHECK(out.earned.front() == SavedCheck{"web", 7, CheckState::pass});
    }
    return static_cast<unsigned>(out.earned.size());
}

/// A daemon that ended uncleanly after `lived`, with `before` such ends before it.
Restored after_crash(unsigned before, Duration lived) {
    SavedState state = saved();
    state.crashes = before;
    state.started = saved_at - lived;
    return restore(found(state), same_boot(1s, 1s));
}

}  // namespace

TEST_CASE("restore: nothing found is a first boot") {
    const Restored out = restore({}, next_boot(0s));
    CHECK(out.overrides.empty());
    CHECK(out.earned.empty());
    CHECK_FALSE(out.hold_until.has_value());
    CHECK(out.crashes == 0);
    CHECK_FALSE(out.drain_all.has_value());
    CHECK(out.alarms.empty());
}

TEST_CASE("restore: damage without a state drains everything and says what to do") {
    const Restored out = restore({{}, {}, {"state.a: torn", "state.b: torn"}}, next_boot(0s));
    REQUIRE(out.drain_all.has_value());
    CHECK(out.drain_all->find("swervectl undrain SERVICE") != std::string::npos);
    CHECK(out.alarms == std::vector<std::string>{"state.a: torn", "state.b: torn"});
}

TEST_CASE("restore: damage of one generation is an alarm and no more") {
    FoundState state = found(saved());
    state.damage = {"state.b: torn"};
    const Restored out = restore(state, next_boot(1h));
    CHECK_FALSE(out.drain_all.has_value());
    REQUIRE(out.alarms.size() == 1);
    CHECK(out.alarms.front().starts_with("state.b: torn; the other generation is in force"));
}

TEST_CASE("restore: a word without an end and a disabled neighbor come back as they were") {
    SavedState state = with_override(1h);
    state.overrides.front().expires.reset();
    state.disabled_neighbors = {"upstream-a"};
    const Restored out = restore(found(state), next_boot(10'000h));
    REQUIRE(out.overrides.size() == 1);
    const Restored::Word& word = out.overrides.front();
    CHECK(std::get<Prefix>(word.subject) == *Prefix::parse("198.51.100.0/24"));
    CHECK(word.value ==
          Override{OverrideKind::withdraw, "maintenance", "root", saved_wall - 5s, std::nullopt});
    CHECK(out.disabled_neighbors == std::vector<std::string>{"upstream-a"});
}

TEST_CASE("restore: within a boot an override ends by the boot clock, whatever the wall says") {
    const FoundState state = found(with_override(10min));
    for (const Duration wall : {Duration{-1h}, Duration{0}, Duration{1h}}) {
        CHECK(left(state, same_boot(1min, wall)) == 9min);
        CHECK(left(state, same_boot(10min - instant, wall)) == instant);
        CHECK_FALSE(left(state, same_boot(10min, wall)).has_value());
    }
}

TEST_CASE("restore: across boots an override ends by the wall clock") {
    const FoundState state = found(with_override(10min));
    CHECK(left(state, next_boot(0s)) == 10min);
    CHECK(left(state, next_boot(1min)) == 9min);
    CHECK(left(state, next_boot(10min - instant)) == instant);
    CHECK_FALSE(left(state, next_boot(10min)).has_value());
}

TEST_CASE("restore: a wall clock that stepped back prolongs nothing") {
    const FoundState state = found(with_override(10min));
    CHECK(left(state, next_boot(-instant)) == 10min);
    CHECK(left(state, next_boot(-500'000h)) == 10min);

    // It stood an hour ahead when the override was set and had been put right when it was saved.
    SavedState ahead = with_override(10min);
    ahead.overrides.front().expires->wall += 1h;
    CHECK(left(found(ahead), next_boot(1min)) == 10min);
    CHECK(left(found(ahead), next_boot(1h)) == 10min);
    CHECK(left(found(ahead), next_boot(1h + 1min)) == 9min);
}

TEST_CASE("restore: an override that was over when it was saved stays over") {
    CHECK_FALSE(left(found(with_override(0s)), next_boot(-1h)).has_value());
    CHECK(left(found(with_override(instant)), next_boot(-1h)) == instant);
}

TEST_CASE("restore: passes are earned within a minute of the last sign of life") {
    CHECK(earned(saved(), same_boot(0s, 0s)) == 1);
    CHECK(earned(saved(), same_boot(60s, 0s)) == 1);
    CHECK(earned(saved(), same_boot(60s + instant, 0s)) == 0);

    CHECK(earned(saved(), same_boot(10min + 60s, 0s), saved_at + 10min) == 1);
    CHECK(earned(saved(), same_boot(10min + 60s + instant, 0s), saved_at + 10min) == 0);
    // A sign of life from before the state was saved says nothing.
    CHECK(earned(saved(), same_boot(60s, 0s), saved_at - 10min) == 1);
}

TEST_CASE("restore: after a reboot the wall clock tells how long ago that was") {
    CHECK(earned(saved(), next_boot(0s)) == 1);
    CHECK(earned(saved(), next_boot(60s)) == 1);
    CHECK(earned(saved(), next_boot(60s + instant)) == 0);
    CHECK(earned(saved(), next_boot(-instant)) == 0);
    CHECK(earned(saved(), next_boot(10min + 60s), saved_at + 10min) == 1);
    CHECK(earned(saved(), next_boot(10min - instant), saved_at + 10min) == 0);
}

TEST_CASE("restore: passes are earned after a clean end, too") {
    SavedState state = saved();
    state.ended_clean = true;
    CHECK(earned(state, same_boot(5s, 5s)) == 1);
}

TEST_CASE("restore: a planned restart is known with its moment, in the same boot alone") {
    SavedState state = saved();
    CHECK_FALSE(restore({.state = state}, same_boot(5s, 5s)).vanished_at.has_value());
    state.planned_restart = true;
    state.ended_clean = true;
    CHECK(restore({.state = state}, same_boot(5s, 5s)).vanished_at == state.saved_at);
    CHECK_FALSE(restore({.state = state}, next_boot(5s)).vanished_at.has_value());
}

TEST_CASE("restore: unclean ends in a row are counted") {
    CHECK(after_crash(0, 1min).crashes == 1);
    CHECK(after_crash(1, 1min).crashes == 2);
    CHECK(after_crash(7, proven_run - instant).crashes == 8);
    CHECK(after_crash(7, proven_run).crashes == 1);

    SavedState clean = saved();
    clean.crashes = 7;
    clean.ended_clean = true;
    CHECK(restore(found(clean), same_boot(1s, 1s)).crashes == 0);
}

TEST_CASE("restore: signs of life after the last save prove a run") {
    FoundState state = found(saved());  // started a minute before it was saved
    state.state->crashes = 7;
    state.last_alive = saved_at + proven_run - 1min - instant;
    CHECK(restore(state, next_boot(1s)).crashes == 8);
    state.last_alive = saved_at + proven_run - 1min;
    CHECK(restore(state, next_boot(1s)).crashes == 1);
}

TEST_CASE("restore: from the third unclean end on announcements wait, longer each time") {
    const TimePoint now = saved_at + 1s;
    CHECK_FALSE(after_crash(1, 1min).hold_until.has_value());
    CHECK(after_crash(1, 1min).alarms.empty());
    const auto hold = [&](unsigned crashes) {
        return after_crash(crashes - 1, 1min).hold_until.value() - now;
    };
    CHECK(hold(3) == 30s);
    CHECK(hold(4) == 1min);
    CHECK(hold(5) == 2min);
    CHECK(hold(6) == 4min);
    CHECK(hold(7) == 8min);
    CHECK(hold(8) == 15min);
    CHECK(hold(1'000'000) == 15min);
    CHECK(after_crash(3, 1min).alarms ==
          std::vector<std::string>{
              "the daemon ended unexpectedly 4 times in a row: no verdict announces for 60 s"});
    CHECK_FALSE(after_crash(9, proven_run).hold_until.has_value());
}

namespace {

/// Withdrawn half an hour before it was saved, and ten minutes before.
SavedState with_damping(bool shown) {
    SavedState out = saved();
    out.ended_clean = true;
    out.damping.push_back({"portal",
                           {.penalty = 1500,
                            .at = saved_at - 10min,
                            .withdrawn_at = shown ? std::nullopt : std::optional{saved_at - 10min},
                            .withdrawals = {saved_at - 30min, saved_at - 10min}},
                           shown ? Shown::announced : Shown::nothing});
    return out;
}

}  // namespace

TEST_CASE("restore: damping goes on in the same boot, whatever the wall clock says") {
    for (const Duration wall : {Duration{-5h}, Duration{1min}, Duration{5h}}) {
        const Restored out = restore(found(with_damping(false)), same_boot(1min, wall));
        REQUIRE(out.damping.size() == 1);
        CHECK(out.damping[0].service == "portal");
        CHECK(out.damping[0].damping == with_damping(false).damping[0].damping);
    }
}

TEST_CASE(
    "restore: damping of another boot is moved by the wall clock, and never gets older by it") {
    for (const auto& [wall, passed] :
         {std::pair<Duration, Duration>{3min, 3min}, {-5h, 0s}, {1000h, 24h}}) {
        const BootFacts boot = next_boot(wall);
        const Damping::Saved moved = restore(found(with_damping(false)), boot).damping[0].damping;
        CHECK(moved.penalty == 1500);
        CHECK(moved.at == boot.now - passed - 10min);
        CHECK(moved.withdrawn_at == boot.now - passed - 10min);
        CHECK(moved.withdrawals ==
              std::deque{boot.now - passed - 30min, boot.now - passed - 10min});
    }
}

TEST_CASE("restore: a process that ended without a word took its routes with it") {
    const BootFacts boot = same_boot(1min, 1min);
    SavedState state = with_damping(true);
    CHECK(restore(found(state), boot).damping[0].damping.withdrawals.size() == 2);
    state.ended_clean = false;
    const Damping::Saved crashed = restore(found(state), boot).damping[0].damping;
    CHECK(crashed.withdrawn_at == saved_at);
    CHECK(crashed.withdrawals.size() == 3);
    CHECK(crashed.penalty > 1900);
    CHECK(crashed.penalty < 2000);
    state.planned_restart = true;  // neighbors keep them
    CHECK(restore(found(state), boot).damping[0].damping.withdrawals.size() == 2);
    CHECK(restore(found(state), boot).damping[0].shown == Shown::announced);
    // A host that was down has forwarded nothing meanwhile.
    const Restored rebooted = restore(found(state), next_boot(1min));
    CHECK(rebooted.damping[0].damping.withdrawals.size() == 3);
    CHECK(rebooted.damping[0].shown == Shown::nothing);
}
