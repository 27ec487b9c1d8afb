#pragma once
// What a reload does to the word of an operator that disabled a neighbor: the word is about a name.

#include <span>
#include <string>
#include <vector>

#include "daemon/snapshot.hpp"
#include "swerve/conf/config.hpp"

namespace swerve::daemon {

/// A neighbor that may come up though its address was disabled, under a name that is gone.
struct Reenabled {
    std::string neighbor;
    std::string was;

    friend bool operator==(const Reenabled&, const Reenabled&) = default;
};

/// Those that there are once `after` is in force; `before` are the neighbors until then.
[[nodiscard]] std::vector<Reenabled> reenabled(const conf::Config& after,
                                               std::span<const NeighborView> before);

}  // namespace swerve::daemon
