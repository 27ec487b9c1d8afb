// Which sessions cannot live through a change.

#include <algorithm>
#include <array>
#include <tuple>

#include "conf/change_parts.hpp"
#include "conf/print.hpp"
#include "conf/values.hpp"

namespace swerve::conf {

namespace {

/// Keys of a neighbor that are settled by the connection or by the OPEN, or that say whether there
/// is to be a session at all. Every other one takes effect on a session that is up.
constexpr std::array<std::string_view, 14> settled_keys{
    "address",           "range",     "interface", "remote_as", "admin_down",  "local_address",
    "multihop",          "hold_time", "families",  "role",      "role_strict", "extended_message",
    "extended_next_hop", "add_path"};

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

/// Why a session cannot live through the change; nothing where it does. Both are of the same name.
std::optional<std::string> reset_reason(const Config& before, const Neighbor& was,
                                        const Config& after, const Neighbor& becomes) {
    std::string reasons;
    note(reasons, "local_as", local_as(before, was).to_string(),
         local_as(after, becomes).to_string());
    note(reasons, "router_id", before.router_id.to_string(), after.router_id.to_string());
    const auto old_keys = print_keys(before, was);
    const auto new_keys = print_keys(after, becomes);
    for (const std::string_view key : settled_keys) {
        note(reasons, key, value_of(old_keys, key), value_of(new_keys, key));
    }
    // What is settled is whether the link is shared: a link-local next hop goes along or does not.
    if (peer_config(before, was, 0).shared_link != peer_config(after, becomes, 0).shared_link) {
        note(reasons, "ttl_security", value_of(old_keys, "ttl_security"),
             value_of(new_keys, "ttl_security"));
    }
    const auto restart_time = [](const Neighbor& neighbor) {
        return neighbor.restart_time ? format_duration(*neighbor.restart_time) : std::string{};
    };
    note(reasons, "graceful_restart.restart_time", restart_time(was), restart_time(becomes));
    if (reasons.empty()) return std::nullopt;
    return reasons;
}

}  // namespace

std::vector<SessionReset> session_resets(const Config& before, const Config& after) {
    const NameIndex new_ids{after.neighbors};
    const auto where = [](const Neighbor& neighbor) {
        return std::tie(neighbor.address, neighbor.interface, neighbor.range);
    };
    const auto heir_of = [&](const Neighbor& neighbor) {
        return std::ranges::find_if(after.neighbors, [&](const Neighbor& other) {
            return where(other) == where(neighbor);
        });
    };
    std::vector<SessionReset> out;
    for (const Neighbor& neighbor : before.neighbors) {
        if (const auto id = new_ids.find(neighbor.name)) {
            auto reason = reset_reason(before, neighbor, after, after.neighbors[*id]);
            if (reason) out.push_back({neighbor.name, *std::move(reason)});
            continue;
        }
        const auto heir = heir_of(neighbor);
        const std::string reason = heir == after.neighbors.end()
                                       ? "is removed"
                                       : "is removed; its address is now that of " + heir->name;
        out.push_back({neighbor.name, reason, true});
    }
    return out;
}

}  // namespace swerve::conf
