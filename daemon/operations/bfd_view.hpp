#pragma once
// BFD as people and programs see it. Main and the bfd loop are asked one after the other: what main
// knows may be a moment older.

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/operations/views.hpp"
#include "daemon/snapshot.hpp"
#include "swerve/failover/explain.hpp"

namespace swerve::daemon::views {

[[nodiscard]] std::string_view bfd_word(bfd::State state);  ///< "admin_down"

/// Whether it is configured.
[[nodiscard]] bool has_bfd(const NeighborView& neighbor);
/// Null: the loop has none, as of a neighbor that is kept down.
[[nodiscard]] const BfdView* bfd_session(const Snapshot& snapshot, const NeighborView& neighbor);

/// The whole of `swerve.bfd/1`. In the order of the neighbors; with `only` the list is empty where
/// the neighbor of this name has no session.
[[nodiscard]] boost::json::object bfd(const Snapshot& snapshot, Only only = {});
/// Why the neighbor of this name has no session, and what to do, as a hint.
[[nodiscard]] std::string without_bfd(const Snapshot& snapshot, std::string_view name);

/// `bfd` of an element of `swerve.neighbors/1`; null where it is not configured.
[[nodiscard]] boost::json::value neighbor_bfd(const Snapshot& snapshot,
                                              const NeighborView& neighbor);

/// Why BFD with this neighbor is not Up and where to look, one phrase; empty while it is Up.
[[nodiscard]] std::string bfd_hint(const Snapshot& snapshot, const NeighborView& neighbor);

/// What BFD has to do with a neighbor's BGP session being down; nothing where it has not.
[[nodiscard]] std::optional<failover::ExplainStep> bfd_step(const Snapshot& snapshot,
                                                            const NeighborView& neighbor);

}  // namespace swerve::daemon::views
