#pragma once
// What a check may stand at, as far as the world's truth and what was really told to the daemon
// allow: a set of states. Outside the time that DESIGN.md §4.6 grants for finding out, the set has
// one member, and then the daemon must agree.

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <vector>

#include "swerve/base/time.hpp"
#include "swerve/health/expression.hpp"
#include "swerve/health/outcome.hpp"
#include "swerve/health/tracker.hpp"
#include "tests/sim/truth.hpp"

namespace swerve::sim {

/// A set of check states.
class Possible {
public:
    constexpr Possible() = default;
    constexpr explicit Possible(health::CheckState only) { add(only); }
    constexpr void add(health::CheckState state) { bits_ |= bit(state); }
    constexpr void remove(health::CheckState state) { bits_ &= ~bit(state); }
    [[nodiscard]] constexpr bool has(health::CheckState state) const {
        return (bits_ & bit(state)) != 0;
    }
    [[nodiscard]] constexpr bool only(health::CheckState state) const {
        return bits_ == bit(state);
    }
    friend constexpr bool operator==(Possible, Possible) = default;

private:
    static constexpr unsigned bit(health::CheckState state) {
        return 1U << static_cast<unsigned>(state);
    }
    unsigned bits_ = 0;
};

/// What the expression may be, for checks that may be so; of those that do not count it is as
/// though they had not been written. Nothing: nothing is left of it.
[[nodiscard]] std::optional<Possible> possible(const health::Expression& rule,
                                               const std::vector<Possible>& checks,
                                               const std::function<bool(std::uint32_t)>& counts);

/// S2's grace: loops that are a little late.
inline constexpr Duration slack = std::chrono::milliseconds{100};
/// What a verdict that a reload made undecided lives on at least (HEALTH.md §0).
inline constexpr Duration silence_held = std::chrono::seconds{30};

class CheckBelief {
public:
    /// `earned`: one pass may be enough at first.
    CheckBelief(const health::TrackerPolicy& policy, bool earned, TimePoint now)
        : policy_(policy), earned_(earned), clean_since_(now), heard_(now) {}

    /// The daemon was told. `late`: perhaps too late to count.
    void told(TimePoint now, health::ProbeResult result, bool late);
    /// An event source reported.
    void event(TimePoint now, health::ProbeResult finding);
    /// From here on evidence is as it should be again: behind a pause or a stall, or under a new
    /// timing.
    void disturbed(TimePoint now) { clean_since_ = now; }
    void silent_since(std::optional<TimePoint> since) { silent_since_ = since; }
    void retime(TimePoint now, const health::TrackerPolicy& policy);
    /// Whether what it depends on passes. What is not asked proves nothing, and has to prove all of
    /// it anew.
    void asked(TimePoint now, bool asked);

    /// Takes in what time and truth say.
    [[nodiscard]] Possible now(TimePoint now, const RealService& truth);

private:
    /// HEALTH.md §0: `fall` failures in a row, or `window`.
    [[nodiscard]] bool condemned() const;

    health::TrackerPolicy policy_;
    bool earned_;
    bool asked_ = true;
    Possible states_{health::CheckState::unknown};
    TimePoint clean_since_;
    TimePoint bad_news_{};                     ///< last failure told
    TimePoint heard_;                          ///< last evidence that surely counted
    std::optional<TimePoint> silent_since_;    ///< the probe loop stands still
    std::optional<TimePoint> decisive_since_;  ///< an event asked for an attempt that decides
    unsigned passes_ = 0;
    unsigned failures_ = 0;
    /// Results until what is counted here is surely what the daemon counts.
    std::size_t doubt_ = 0;
    std::deque<bool> window_;  ///< whether each of the last results failed
};

}  // namespace swerve::sim
