// Which sessions cannot live through a change.

#include <algorithm>
#include <array>
#include <map>

#include "conf/change_parts.hpp"
#include "conf/print.hpp"

namespace swerve::conf {

namespace {

/// Keys of a neighbor that are settled by the connection or by the OPEN. Every other one takes
/// effect on a session that is up.
constexpr std::array<std::string_view, 6> settled_keys{"address",  "remote_as", "local_address",
                                                       "multihop", "hold_time", "families"};

std::string value_of(const std::vector<PrintedKey>& keys, std::string_view name) {
    const auto found = std::ranges::find_if(
        keys, [&](const PrintedKey& key) { return key.level == 0 && key.key == name; });
    return found == keys.end() ? std::string{} : found->value;
}

/// Adds "hold_time changes from 9s to 30s" where the two differ.
void note(std::string& reasons, std::string_view key, const std::string& was,
          const std::string& becomes) {
    if (was == becomes) return;
    reasons += (reasons.empty() ? "" : "; ") + std::string{key};
    if (was.empty()) {
        reasons += " is set to " + becomes;
    } else if (becomes.empty()) {
        reasons += " " + was + " is removed";
    } else {
        reasons += " changes from " + was + " to " + becomes;
    }
}

}  // namespace

std::optional<std::string> reset_reason(const Config& before, const Neighbor& was,
                                        const Config& after, const Neighbor& becomes) {
    std::string reasons;
    note(reasons, "local_as", before.local_as.to_string(), after.local_as.to_string());
    note(reasons, "router_id", before.router_id.to_string(), after.router_id.to_string());
    const auto old_keys = print_keys(before, was);
    const auto new_keys = print_keys(after, becomes);
    for (const std::string_view key : settled_keys) {
        note(reasons, key, value_of(old_keys, key), value_of(new_keys, key));
    }
    if (reasons.empty()) return std::nullopt;
    return reasons;
}

std::vector<SessionReset> session_resets(const Config& before, const Config& after) {
    const NameIndex new_ids{after.neighbors};
    std::map<Address, const Neighbor*> by_address;
    for (const Neighbor& neighbor : after.neighbors)
        by_address.emplace(neighbor.address, &neighbor);
    std::vector<SessionReset> out;
    for (const Neighbor& neighbor : before.neighbors) {
        if (const auto id = new_ids.find(neighbor.name)) {
            auto reason = reset_reason(before, neighbor, after, after.neighbors[*id]);
            if (reason) out.push_back({neighbor.name, *std::move(reason)});
            continue;
        }
        const auto heir = by_address.find(neighbor.address);
        const std::string reason =
            heir == by_address.end()
                ? "is removed"
                : "is removed; its address is now that of " + heir->second->name;
        out.push_back({neighbor.name, reason, true});
    }
    return out;
}

}  // namespace swerve::conf
