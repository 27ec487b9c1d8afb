#pragma once
// What the kernel writes into /proc/pressure (PSI). No file is opened here.

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace swerve::health {

/// One line: shares of time in hundredths of a percent, over the last 10, 60 and 300 seconds.
struct Stalled {
    std::array<std::uint32_t, 3> averages{};

    friend bool operator==(const Stalled&, const Stalled&) = default;
};

struct Pressure {
    std::optional<Stalled> some;  ///< at least one task had to wait
    std::optional<Stalled> full;  ///< all of them; older kernels leave it out for the cpu

    friend bool operator==(const Pressure&, const Pressure&) = default;
};

/// Nothing if a line is not as the kernel writes it; lines of a name unknown here are passed over.
[[nodiscard]] std::optional<Pressure> parse_pressure(std::string_view text);

}  // namespace swerve::health
