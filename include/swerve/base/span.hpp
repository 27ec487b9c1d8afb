#pragma once

#include <algorithm>
#include <chrono>
#include <string>

#include "swerve/base/time.hpp"

namespace swerve {

/// How long ago or for how long, in the two units that matter: "3d04h", "4h05m", "12m03s", "41s".
/// Fractions of a second are cut off; less than none reads as "0s".
[[nodiscard]] inline std::string span_text(Duration span) {
    const auto seconds = std::max(std::chrono::duration_cast<std::chrono::seconds>(span).count(),
                                  std::chrono::seconds::rep{});
    const auto two = [](auto whole, char unit, auto part, char smaller) {
        return std::to_string(whole) + unit + (part < 10 ? "0" : "") + std::to_string(part) +
               smaller;
    };
    const auto minutes = seconds / 60;
    const auto hours = minutes / 60;
    if (hours >= 24) return two(hours / 24, 'd', hours % 24, 'h');
    if (hours > 0) return two(hours, 'h', minutes % 60, 'm');
    if (minutes > 0) return two(minutes, 'm', seconds % 60, 's');
    return std::to_string(seconds) + 's';
}

}  // namespace swerve
