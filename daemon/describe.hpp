#pragma once
// What the speaker shows of itself, copied in one turn of main.

#include "daemon/snapshot.hpp"
#include "daemon/speaker/speaker.hpp"

namespace swerve::daemon {

/// Fills in everything but clocks, loops, the bfd loop's sessions and what only the sockets know
/// (NeighborView's `unsent_octets`).
void describe(const Speaker& speaker, const SnapshotRequest& request, Snapshot& out);

}  // namespace swerve::daemon
