#pragma once
// How often something may be done that events ask for, however often they ask.

#include <algorithm>

#include "swerve/base/time.hpp"

namespace swerve {

/// Once in `gap` in the long run, and `burst` times at once after a calm: what appears and goes
/// again a moment later is no storm, and its going must not wait.
class EventRate {
public:
    static constexpr Duration gap = std::chrono::milliseconds{20};
    static constexpr int burst = 4;

    /// When it may be done next; in the past where it may be done now.
    [[nodiscard]] TimePoint earliest() const { return calm_ - gap * (burst - 1); }
    /// It is done, not before earliest().
    void take(TimePoint now) { calm_ = std::max(calm_, now) + gap; }

private:
    TimePoint calm_{Duration::min() / 2};  ///< when a whole burst is there again
};

}  // namespace swerve
