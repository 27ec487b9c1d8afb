#include "daemon/operations/reload_disabled.hpp"

#include <algorithm>
#include <optional>

namespace swerve::daemon {

namespace {

/// By what name a session with the address of `view` comes up; nothing where none does.
[[nodiscard]] std::optional<std::string> name_after(const conf::Config& after,
                                                    const NeighborView& view) {
    const conf::Neighbor* range = nullptr;
    for (const conf::Neighbor& each : after.neighbors) {
        if (!each.range) {
            if (each.address != view.address || each.interface != view.interface) continue;
            return each.admin_down ? std::nullopt : std::optional{each.name};
        }
        const bool of_it = each.range->contains(view.address) &&
                           (each.interface.empty() || each.interface == view.interface);
        if (!of_it) continue;
        if (range == nullptr || each.range->length() > range->range->length()) range = &each;
    }
    if (range == nullptr || range->admin_down) return std::nullopt;
    return range->name + "-" + view.address.to_string();
}

/// Whether an operator's word about this name is kept.
[[nodiscard]] bool is_named(const conf::Config& config, const std::string& name) {
    return std::ranges::any_of(config.neighbors, [&](const conf::Neighbor& each) {
        return !each.range && each.name == name;
    });
}

[[nodiscard]] bool is_disabled(std::span<const NeighborView> neighbors, const std::string& name) {
    return std::ranges::any_of(
        neighbors, [&](const NeighborView& each) { return each.disabled && each.name == name; });
}

}  // namespace

std::vector<Reenabled> reenabled(const conf::Config& after, std::span<const NeighborView> before) {
    std::vector<Reenabled> out;
    for (const NeighborView& view : before) {
        if (!view.disabled || is_named(after, view.name)) continue;
        const auto name = name_after(after, view);
        // One that is disabled by its own name stays so, and so does one whose name is the same.
        if (name && !is_disabled(before, *name)) out.push_back({*name, view.name});
    }
    return out;
}

}  // namespace swerve::daemon
