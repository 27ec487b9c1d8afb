#pragma once
// What makes a clock trustworthy. No clock is read here.

#include <cstdint>
#include <optional>
#include <string>

#include "swerve/base/time.hpp"

namespace swerve::health {

/// One reading of the kernel's clocks and of what it knows of them.
struct ClockReading {
    bool synchronised = false;  ///< neither STA_UNSYNC nor STA_CLOCKERR
    Duration largest_error{};   ///< by which it may be wrong, as adjtimex() tells
    Duration ahead_of_boot{};   ///< CLOCK_REALTIME − CLOCK_BOOTTIME
    TimePoint at;
};

/// What is asked of the clock.
struct ClockWanted {
    bool synchronised = true;
    std::optional<Duration> max_error;
    Duration max_step = std::chrono::seconds{1};
    Duration step_hold = std::chrono::minutes{1};
};

/// Keeps the distance of the two clocks between readings. Slewing moves both alike, so it changes
/// by nothing but a step.
class ClockJudge {
public:
    explicit ClockJudge(ClockWanted wanted) : wanted_(wanted) {}

    /// What is wrong with the clock; empty: nothing.
    std::string look(const ClockReading& reading);

private:
    struct Step {
        Duration by;
        TimePoint seen;
    };

    ClockWanted wanted_;
    std::optional<Duration> ahead_of_boot_;
    std::optional<Step> step_;
};

}  // namespace swerve::health
