#pragma once

#include <boost/json/object.hpp>

#include "daemon/snapshot.hpp"

namespace swerve::daemon::views {

/// `swerve.observed/1`; the snapshot must have been asked for it.
[[nodiscard]] boost::json::object observed(const Snapshot& snapshot);

/// What a route heard from a neighbor says, without the neighbor and its prefix.
[[nodiscard]] boost::json::object heard(const Snapshot& snapshot, const bgp::ReceivedRoute& route);

}  // namespace swerve::daemon::views
