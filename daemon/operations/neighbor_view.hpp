#pragma once

#include <boost/json/object.hpp>

#include "daemon/snapshot.hpp"

namespace swerve::daemon::views {

/// One element of `swerve.neighbors/1`.
[[nodiscard]] boost::json::object neighbor(const Snapshot& snapshot, const NeighborView& view);

}  // namespace swerve::daemon::views
