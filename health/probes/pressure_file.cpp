#include "health/probes/pressure_file.hpp"

#include <charconv>
#include <string>

namespace swerve::health {
namespace {

constexpr std::uint32_t hundred_percent = 100'00;
constexpr std::string_view names[] = {"avg10=", "avg60=", "avg300="};

/// "1.05" as 105, two digits behind the point as the kernel writes them.
std::optional<std::uint32_t> hundredths(std::string_view text) {
    const std::size_t point = text.find('.');
    if (point == 0 || point == std::string_view::npos || point > 3) return std::nullopt;
    if (text.size() != point + 3) return std::nullopt;
    std::string digits{text};
    digits.erase(point, 1);
    std::uint32_t value = 0;
    const char* const end = digits.data() + digits.size();
    const auto [stop, error] = std::from_chars(digits.data(), end, value);
    if (error != std::errc{} || stop != end || value > hundred_percent) return std::nullopt;
    return value;
}

/// Cuts the first word off.
std::string_view next_word(std::string_view& line) {
    const std::size_t space = line.find(' ');
    const std::string_view word = line.substr(0, space);
    line.remove_prefix(space == std::string_view::npos ? line.size() : space + 1);
    return word;
}

std::optional<Stalled> parse_averages(std::string_view line) {
    Stalled out;
    for (std::size_t i = 0; i < out.averages.size(); ++i) {
        std::string_view word = next_word(line);
        if (!word.starts_with(names[i])) return std::nullopt;
        word.remove_prefix(names[i].size());
        const auto value = hundredths(word);
        if (!value) return std::nullopt;
        out.averages[i] = *value;
    }
    return out;
}

}  // namespace

std::optional<Pressure> parse_pressure(std::string_view text) {
    Pressure out;
    while (!text.empty()) {
        const std::size_t end = text.find('\n');
        std::string_view line = text.substr(0, end);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        const std::string_view name = next_word(line);
        if (name != "some" && name != "full") continue;
        const auto stalled = parse_averages(line);
        if (!stalled) return std::nullopt;
        (name == "some" ? out.some : out.full) = stalled;
    }
    return out;
}

}  // namespace swerve::health
