#pragma once
// Time as the pure machines see it: points on CLOCK_BOOTTIME, handed in by the caller. Reading the
// clock is an adapter's business (base/clock.hpp); no pure room includes that header.

#include <chrono>

namespace swerve {

using Duration = std::chrono::nanoseconds;

struct BootClock;

/// Nanoseconds since boot, suspended time included. Comparable within one boot only.
using TimePoint = std::chrono::time_point<BootClock, Duration>;

/// CLOCK_BOOTTIME: goes on while the machine is suspended and never steps with the wall clock.
struct BootClock {
    using duration = Duration;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = TimePoint;
    static constexpr bool is_steady = true;
    /// Defined in base/clock.hpp, so that pure code which calls it does not link.
    static time_point now() noexcept;
};

/// Wall-clock moment; appears in logs, records and override expiry, never in a timer.
using WallTime = std::chrono::sys_time<std::chrono::nanoseconds>;

}  // namespace swerve
