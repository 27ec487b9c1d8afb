#pragma once

#include <boost/json/array.hpp>
#include <optional>
#include <vector>

#include "daemon/operations/views.hpp"
#include "daemon/snapshot.hpp"
#include "swerve/conf/rto.hpp"

namespace swerve::daemon::views {

/// One entry per service: what is promised, the worst case of each kind of failure with the hold
/// times that sessions have negotiated, and the failovers there were.
[[nodiscard]] boost::json::array rto(const Snapshot& snapshot, Only only = {});

/// What sessions have negotiated that notices when this host dies: their hold times, and the time
/// after which the neighbor's BFD, while it is Up, misses us.
[[nodiscard]] std::vector<conf::NegotiatedHold> negotiated_holds(const Snapshot& snapshot);

/// From the first failed evidence to the last acknowledgement of a neighbor, or to the last octet
/// written where none came; nothing while that is open, and where nobody was told. What went before
/// the first evidence nobody can see.
[[nodiscard]] std::optional<Duration> took(const failover::FailoverRecord& record);

}  // namespace swerve::daemon::views
