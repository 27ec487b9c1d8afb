#pragma once
// What outlives the process (DESIGN.md §4.7), and what a new one makes of it. Values and one pure
// function; the file is the affair of daemon/state.

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "swerve/base/time.hpp"
#include "swerve/failover/site.hpp"

namespace swerve::failover {

/// A deadline that holds across restarts: in the same boot by `boot`, which no clock step moves; in
/// a later one by `wall`.
struct SavedDeadline {
    TimePoint boot;
    WallTime wall;

    friend bool operator==(const SavedDeadline&, const SavedDeadline&) = default;
};

struct SavedOverride {
    std::variant<std::string, Prefix> subject;  ///< name of a service, or a prefix
    OverrideKind kind;
    std::string reason;
    std::string who;
    WallTime set_at;
    std::optional<SavedDeadline> expires;

    friend bool operator==(const SavedOverride&, const SavedOverride&) = default;
};

struct SavedCheck {
    std::string name;
    std::uint64_t fingerprint;  ///< of its configuration; evidence for another one is worth nothing
    health::CheckState state;

    friend bool operator==(const SavedCheck&, const SavedCheck&) = default;
};

/// What a service has cost upstreams that damp. Its moments are of the boot in which it was saved;
/// with both clocks of SavedState they can be told in another one.
struct SavedDamping {
    std::string service;
    Damping::Saved damping;
    Shown shown;  ///< of its routes then

    friend bool operator==(const SavedDamping&, const SavedDamping&) = default;
};

struct SavedState {
    std::string boot_id;  ///< of the boot in which it was saved; /proc/sys/kernel/random/boot_id
    TimePoint saved_at;
    WallTime saved_wall;
    TimePoint started;         ///< of the process that saved it
    bool ended_clean = false;  ///< that process has withdrawn everything and said goodbye
    /// It ended without a word where neighbors keep the routes for a restart (RFC 4724).
    bool planned_restart = false;
    unsigned crashes = 0;  ///< unclean ends in a row before that process started
    std::vector<SavedOverride> overrides;
    std::vector<SavedCheck> checks;
    std::vector<std::string> disabled_neighbors;
    std::vector<SavedDamping> damping{};

    friend bool operator==(const SavedState&, const SavedState&) = default;
};

/// What was found in `state_dir`.
struct FoundState {
    std::optional<SavedState> state;  ///< the newest generation that is whole
    /// When the process that saved it was last seen alive, in its boot; at least `saved_at`.
    std::optional<TimePoint> last_alive;
    /// Faults of generations, one sentence each; with `state` set, an older one was taken.
    std::vector<std::string> damage;
};

/// The moment at which a process begins.
struct BootFacts {
    std::string boot_id;
    TimePoint now;
    WallTime wall;
};

/// What a site begins with.
struct Restored {
    struct Word {
        std::variant<std::string, Prefix> subject;
        Override value;
    };
    std::vector<Word> overrides;  ///< those that expired while nobody looked are left out
    /// Checks for which one pass is enough: they passed within the last minute of a process that
    /// ended less than a minute ago, and `rise` was earned then.
    std::vector<SavedCheck> earned;
    /// No verdict announces before this (a crash loop must not become a flap); operators' words do.
    std::optional<TimePoint> hold_until;
    unsigned crashes = 0;  ///< unclean ends in a row, the last one included
    std::vector<std::string> disabled_neighbors;
    /// What services have cost; moments of this boot's clock, which may lie before it.
    struct Cost {
        std::string service;
        Damping::Saved damping;
        /// What neighbors that keep the routes over a planned restart go on seeing.
        Shown shown = Shown::nothing;
    };
    std::vector<Cost> damping{};
    /// When the process before this one vanished for a planned restart.
    std::optional<TimePoint> vanished_at;
    /// The shortest time for which neighbors keep the routes then, of the configuration and so told
    /// by the caller; absent: none does.
    std::optional<Duration> restart_time{};
    /// Every service is drained for this reason: what operators had said is lost.
    std::optional<std::string> drain_all;
    /// What an operator must know, one sentence each.
    std::vector<std::string> alarms;
};

/// A restart this soon after the last sign of life is a continuation: see Restored::earned.
inline constexpr Duration continuation = std::chrono::minutes{1};
/// A process that lived this long was no crash loop: its unclean end is the first.
inline constexpr Duration proven_run = std::chrono::minutes{10};
/// After this many unclean ends in a row announcements wait: 30 s, doubled for each further one, at
/// most 15 min.
inline constexpr unsigned crashes_before_hold = 3;

/// Nothing found at all is a first boot. Only damage: everything starts drained.
[[nodiscard]] Restored restore(const FoundState& found, const BootFacts& boot);

}  // namespace swerve::failover
