// Shares of time are never more than all of it.

#include <algorithm>
#include <string_view>

#include "health/probes/pressure_file.hpp"
#include "tests/fuzz/targets.hpp"

namespace swerve::fuzz {

void pressure(ByteView input) {
    const std::string_view text{reinterpret_cast<const char*>(input.data()), input.size()};
    const auto read = health::parse_pressure(text);
    if (!read) return;
    for (const auto& stalled : {read->some, read->full}) {
        if (!stalled) continue;
        demand(std::ranges::max(stalled->averages) <= 100'00, "not more than all the time");
    }
    demand(!read->some || text.contains("some avg10="), "read where it stands");
    demand(!read->full || text.contains("full avg10="), "read where it stands");
}

}  // namespace swerve::fuzz
