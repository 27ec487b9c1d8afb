#include "health/probes/disk_space.hpp"

#include <charconv>
#include <limits>
#include <utility>

namespace swerve::health {
namespace {

constexpr std::pair<std::string_view, unsigned> units[] = {
    {"B", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}};

void add(std::string& out, const std::string& what) {
    if (!out.empty()) out += ", ";
    out += what;
}

}  // namespace

std::uint64_t percent_of(std::uint64_t part, std::uint64_t whole) {
    if (part >= whole) return 100;
    // Both are divided where the product would not fit.
    while (part > std::numeric_limits<std::uint64_t>::max() / 100) {
        part /= 2;
        whole /= 2;
    }
    return part * 100 / whole;
}

std::string DiskMarks::look(const DiskSpace& space) {
    std::string out;
    if (const auto wanted = free ? free->look(space.free) : std::nullopt) {
        add(out, size_text(space.free) + " free instead of at least " + size_text(*wanted));
    }
    const std::uint64_t share = percent_of(space.free, space.size);
    if (const auto wanted = free_percent ? free_percent->look(share) : std::nullopt) {
        add(out, std::to_string(share) + " % free instead of at least " + std::to_string(*wanted) +
                     " %");
    }
    const std::uint64_t inodes = percent_of(space.free_inodes, space.inodes);
    if (const auto wanted = inodes_percent ? inodes_percent->look(inodes) : std::nullopt) {
        add(out, std::to_string(inodes) + " % of the inodes free instead of at least " +
                     std::to_string(*wanted) + " %");
    }
    return out;
}

std::optional<std::uint64_t> size_from_text(std::string_view text) {
    std::uint64_t number = 0;
    const char* const end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    if (error != std::errc{}) return std::nullopt;
    std::string_view unit{stop, static_cast<std::size_t>(end - stop)};
    if (unit.starts_with(' ')) unit.remove_prefix(1);
    for (const auto& [name, bits] : units) {
        if (unit != name) continue;
        if (number > std::numeric_limits<std::uint64_t>::max() >> bits) return std::nullopt;
        return number << bits;
    }
    return std::nullopt;
}

std::string size_text(std::uint64_t octets) {
    std::size_t unit = 0;
    while (unit + 1 < std::size(units) && octets >> units[unit + 1].second != 0) ++unit;
    const auto& [name, bits] = units[unit];
    const std::uint64_t whole = octets >> bits;
    // Of the rest ten bits are enough for a tenth.
    const std::uint64_t rest = bits == 0 ? 0 : octets >> (bits - 10U) & 0x3ffU;
    const std::uint64_t tenth = rest * 10 / 1024;
    std::string out = std::to_string(whole);
    if (tenth != 0) out += "." + std::to_string(tenth);
    return out + " " + std::string{name};
}

}  // namespace swerve::health
