#pragma once

#include <boost/json/object.hpp>

#include "daemon/snapshot.hpp"

namespace swerve::daemon::views {

/// `swerve.adj_out/1` of a snapshot that was requested with `adj_out`.
[[nodiscard]] boost::json::object adj_out(const Snapshot& snapshot);

}  // namespace swerve::daemon::views
