#pragma once

#include "swerve/net/address.hpp"

namespace swerve::bgp {

/// Whether an address can be the next hop of a route: a unicast address of some host, not this one.
[[nodiscard]] bool usable_next_hop(const Address& address);

}  // namespace swerve::bgp
