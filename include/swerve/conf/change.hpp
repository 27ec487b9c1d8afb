#pragma once
// From one valid configuration to the next: what changes, as values that main applies in one turn,
// and in words for --dry-run and `config diff`.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "swerve/base/result.hpp"
#include "swerve/bgp/prefix_block.hpp"
#include "swerve/conf/config.hpp"
#include "swerve/conf/diagnostic.hpp"

namespace swerve::conf {

/// One key that differs. `before` or `after` is empty where it was not there.
struct ChangedKey {
    std::string path;  ///< "neighbors.upstream-a.hold_time"
    std::string before;
    std::string after;

    friend bool operator==(const ChangedKey&, const ChangedKey&) = default;
};

/// A session that cannot live on: it is removed, or what changed is settled in the OPEN or by the
/// connection itself.
struct SessionReset {
    std::string neighbor;
    std::string reason;  ///< "hold_time changes from 9s to 30s"
    bool removed = false;

    friend bool operator==(const SessionReset&, const SessionReset&) = default;
};

/// Prefixes of a service that come, go, or are sent with other attributes to someone.
struct RouteChange {
    std::string service;
    std::size_t added = 0;
    std::size_t removed = 0;
    std::size_t kept = 0;
    /// Neighbors that are told something else of the kept ones, announced in full: other
    /// attributes, another next hop, or whether they are sent them at all. New neighbors are not
    /// counted.
    std::vector<std::string> attributes;

    friend bool operator==(const RouteChange&, const RouteChange&) = default;
};

struct Change {
    std::shared_ptr<const Config> before;
    /// The new configuration; services whose prefixes are equal share the block of `before`.
    std::shared_ptr<const Config> after;
    /// By new CheckId: the check of `before` whose evidence still counts (failover::Reconfigure).
    std::vector<std::optional<failover::CheckId>> checks;
    std::vector<bgp::Handover> hand_overs;  ///< between blocks of services

    std::vector<ChangedKey> keys;      ///< in the order of the configuration
    std::vector<SessionReset> resets;  ///< likewise
    std::vector<RouteChange> routes;   ///< services that have any

    [[nodiscard]] bool empty() const { return keys.empty(); }
};

/// Blocks on nothing but takes a pass over all prefixes of services that changed: for operations.
/// The error names what only a restart can change (state_dir, control.socket, collector; of a
/// collector also local_as and router_id).
[[nodiscard]] Result<std::shared_ptr<const Change>, Diagnostics> compare(
    std::shared_ptr<const Config> before, std::shared_ptr<const Config> after);

}  // namespace swerve::conf
