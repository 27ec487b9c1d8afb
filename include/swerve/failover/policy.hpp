#pragma once
// What the decision must know of the configuration, as plain values.

#include <cstdint>
#include <string>
#include <vector>

#include "swerve/base/time.hpp"
#include "swerve/bgp/prefix_block.hpp"
#include "swerve/health/expression.hpp"
#include "swerve/health/tracker.hpp"
#include "swerve/net/prefix.hpp"

namespace swerve::failover {

using CheckId = std::uint32_t;
using ServiceId = std::uint32_t;
using NeighborId = std::uint32_t;

struct CheckPolicy {
    std::string name;
    health::TrackerPolicy tracker;
    std::uint64_t fingerprint = 0;  ///< of all that its evidence depends on (SavedCheck)
};

struct ServicePolicy {
    std::string name;
    std::vector<bgp::BlockRef> prefixes;  ///< one block per family that the service has
    health::Expression healthy_when;
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
