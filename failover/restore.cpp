#include <fmt/format.h>

#include <algorithm>

#include "swerve/failover/saved_state.hpp"

namespace swerve::failover {
namespace {

/// How long the hold of a first crash loop is, and the longest one.
constexpr Duration first_hold = std::chrono::seconds{30};
constexpr Duration longest_hold = std::chrono::minutes{15};

[[nodiscard]] TimePoint last_alive(const FoundState& found) {
    return std::max(found.last_alive.value_or(found.state->saved_at), found.state->saved_at);
}

/// Since the last sign of life. Across boots only the wall clock can tell: negative when it stands
/// before that moment now.
[[nodiscard]] Duration silence(const FoundState& found, const BootFacts& boot) {
    const SavedState& saved = *found.state;
    if (saved.boot_id == boot.boot_id) return boot.now - last_alive(found);
    return boot.wall - (saved.saved_wall + (last_alive(found) - saved.saved_at));
}

/// What is left of a deadline; none or less: it has passed.
[[nodiscard]] Duration remaining(const SavedDeadline& deadline, const SavedState& saved,
                                 const BootFacts& boot) {
    if (saved.boot_id == boot.boot_id) return deadline.boot - boot.now;
    // A wall clock that stepped back must not prolong what an operator asked for.
    return std::min<Duration>(deadline.wall - boot.wall, deadline.boot - saved.saved_at);
}

[[nodiscard]] std::vector<Restored::Word> overrides_in_force(const SavedState& saved,
                                                             const BootFacts& boot) {
    std::vector<Restored::Word> words;
    for (const SavedOverride& each : saved.overrides) {
        std::optional<TimePoint> expires;
        if (each.expires) {
            const Duration left = remaining(*each.expires, saved, boot);
            if (left <= Duration::zero()) continue;
            expires = boot.now + left;
        }
        words.push_back(
            {each.subject, Override{each.kind, each.reason, each.who, each.set_at, expires}});
    }
    return words;
}

[[nodiscard]] std::vector<SavedCheck> earned_checks(const FoundState& found,
                                                    const BootFacts& boot) {
    const Duration silent = silence(found, boot);
    if (silent < Duration::zero() || silent > continuation) return {};
    std::vector<SavedCheck> earned;
    std::ranges::copy_if(
        found.state->checks, std::back_inserter(earned),
        [](const SavedCheck& check) { return check.state == health::CheckState::pass; });
    return earned;
}

[[nodiscard]] unsigned crashes_in_a_row(const FoundState& found) {
    const SavedState& saved = *found.state;
    if (saved.ended_clean) return 0;
    return last_alive(found) - saved.started >= proven_run ? 1 : saved.crashes + 1;
}

/// By how much the moments of the saved state are to be moved to be those of this boot. Across
/// boots only the wall clock can tell; one that stepped back lets no time pass, and after a day
/// everything is forgotten.
[[nodiscard]] Duration shift_of(const SavedState& saved, const BootFacts& boot) {
    if (saved.boot_id == boot.boot_id) return Duration::zero();
    const Duration passed = std::clamp<Duration>(boot.wall - saved.saved_wall, Duration::zero(),
                                                 std::chrono::hours{24});
    return boot.now - (saved.saved_at + passed);
}

/// A host that was down meanwhile has forwarded nothing, so that a restart of it is no such one.
[[nodiscard]] bool vanished_for_restart(const FoundState& found, const BootFacts& boot) {
    return found.state->planned_restart && found.state->boot_id == boot.boot_id;
}

[[nodiscard]] std::vector<Restored::Cost> costs(const FoundState& found, const BootFacts& boot) {
    const SavedState& saved = *found.state;
    const Duration shift = shift_of(saved, boot);
    const bool vanished = vanished_for_restart(found, boot);
    std::vector<Restored::Cost> out;
    for (const SavedDamping& each : saved.damping) {
        Damping::Saved moved = each.damping;
        // The sessions of a process that ends without a word take its routes with them.
        if (each.shown != Shown::nothing && !saved.ended_clean && !vanished) {
            Damping damping{DampingPolicy{}};
            damping.restore(moved);
            damping.withdrawn(last_alive(found));
            moved = damping.save(last_alive(found));
        }
        moved.at += shift;
        if (moved.withdrawn_at) *moved.withdrawn_at += shift;
        for (TimePoint& withdrawal : moved.withdrawals) withdrawal += shift;
        out.push_back({each.service, std::move(moved), vanished ? each.shown : Shown::nothing});
    }
    return out;
}

[[nodiscard]] Duration hold_after(unsigned crashes) {
    const unsigned doublings = std::min(crashes - crashes_before_hold, 5U);
    return std::min<Duration>(first_hold * (1U << doublings), longest_hold);
}

}  // namespace

Restored restore(const FoundState& found, const BootFacts& boot) {
    Restored out;
    for (const std::string& fault : found.damage) {
        out.alarms.push_back(
            found.state
                ? fmt::format(
                      "{}; the other generation is in force: the last change may be missing", fault)
                : fault);
    }
    if (!found.state) {
        if (!found.damage.empty()) {
            out.drain_all =
                "the saved state is damaged and what operators had said is lost: look at the site, "
                "then swervectl undrain SERVICE";
        }
        return out;
    }
    out.overrides = overrides_in_force(*found.state, boot);
    out.earned = earned_checks(found, boot);
    out.disabled_neighbors = found.state->disabled_neighbors;
    out.damping = costs(found, boot);
    if (vanished_for_restart(found, boot)) out.vanished_at = found.state->saved_at;
    out.crashes = crashes_in_a_row(found);
    if (out.crashes >= crashes_before_hold) {
        const Duration hold = hold_after(out.crashes);
        out.hold_until = boot.now + hold;
        out.alarms.push_back(fmt::format(
            "the daemon ended unexpectedly {} times in a row: no verdict announces for "
            "{} s",
            out.crashes, std::chrono::duration_cast<std::chrono::seconds>(hold).count()));
    }
    return out;
}

}  // namespace swerve::failover
