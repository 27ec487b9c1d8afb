#pragma once
// What the decision must know of the configuration, as plain values.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "swerve/base/time.hpp"
#include "swerve/bgp/prefix_block.hpp"
#include "swerve/failover/damping.hpp"
#include "swerve/health/expression.hpp"
#include "swerve/health/tracker.hpp"
#include "swerve/net/prefix.hpp"

namespace swerve::failover {

using CheckId = std::uint32_t;
using ServiceId = std::uint32_t;
using NeighborId = std::uint32_t;

/// Whether a failure means that this site alone is broken, or may strike other sites at the same
/// time (HEALTH.md §0).
enum class Scope : std::uint8_t { local, shared };

/// What a check may do to the services that use it. `gate`: it must pass to start announcing, and
/// losing it later is an alarm only; `alarm`: it never counts.
enum class Effect : std::uint8_t { withdraw, degrade, gate, alarm };
[[nodiscard]] std::string_view to_string(Scope scope);
[[nodiscard]] std::string_view to_string(Effect effect);

struct CheckPolicy {
    std::string name;
    health::TrackerPolicy tracker;
    Scope scope = Scope::local;
    Effect effect = Effect::withdraw;
    /// The check that must pass for attempts of this one to be made; those form no circle.
    std::optional<CheckId> only_if{};
    std::uint64_t fingerprint = 0;  ///< of all that its evidence depends on (SavedCheck)
};

struct ServicePolicy {
    std::string name;
    std::vector<bgp::BlockRef> prefixes;  ///< one block per family that the service has
    health::Expression healthy_when;
    /// When it passes, the service is degraded though healthy; absent: never for that reason.
    std::optional<health::Expression> degraded_when{};
    /// How long a drained service is announced with its degraded attributes first.
    Duration drain_degraded_for{};
    /// How long a service that comes back is announced with its degraded attributes before it is
    /// announced in full.
    Duration return_degraded_for{};
    DampingPolicy damping{};
    /// How long a drained service is announced with GRACEFUL_SHUTDOWN before it is withdrawn; 0:
    /// not at all.
    Duration graceful_shutdown_for{};
};

struct SitePolicy {
    std::string site;
    std::vector<Prefix> owned;
    std::vector<CheckPolicy> checks;
    std::vector<ServicePolicy> services;
    std::vector<std::string> neighbors;
    std::uint64_t seed = 0;
};

}  // namespace swerve::failover
