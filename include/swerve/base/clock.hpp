#pragma once
// The one place that reads a clock. For adapters only: tests/architecture refuses this include in a
// pure room.

#include <ctime>

#include "swerve/base/time.hpp"

namespace swerve {

inline BootClock::time_point BootClock::now() noexcept {
    timespec ts{};
    ::clock_gettime(CLOCK_BOOTTIME, &ts);
    return time_point{std::chrono::seconds{ts.tv_sec} + std::chrono::nanoseconds{ts.tv_nsec}};
}

[[nodiscard]] inline WallTime wall_now() noexcept {
    return std::chrono::time_point_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now());
}

}  // namespace swerve
