#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "swerve/failover/site.hpp"

namespace swerve::failover {

/// What explain must know of a neighbor.
struct NeighborFacts {
    std::string name;
    bool established;
    bool carries;        ///< its services and families include the prefix
    bool advertised;     ///< the prefix stands in its Adj-RIB-Out as sent
    std::string detail;  ///< state or last error, one phrase
};

struct ExplainStep {
    enum class Mark : std::uint8_t { ok, blocked, info };
    std::string stage;  ///< owned, service, override, hold, checks, damping, return, sessions
    Mark mark;
    std::string text;
};

struct Explanation {
    Prefix prefix;
    bool announced;  ///< at least one neighbor was sent the route
    bool wanted;     ///< the intent is to announce
    std::string summary;
    std::vector<ExplainStep> steps;
};

/// Why a prefix is announced or not at `now`, as a chain in the order in which the decision is
/// made. `caveats[i]` is what the probe of check i proves only weakly; may be empty.
[[nodiscard]] Explanation explain(const SiteView& site, const Prefix& prefix,
                                  const std::vector<NeighborFacts>& neighbors,
                                  const std::vector<std::string>& caveats, TimePoint now);

}  // namespace swerve::failover
