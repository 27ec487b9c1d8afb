#pragma once
// What docs/api.md promises, made from one Snapshot. Pure functions.

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/snapshot.hpp"
#include "swerve/failover/explain.hpp"

namespace swerve::daemon::views {

/// The members every answer begins with.
[[nodiscard]] boost::json::object envelope(std::string_view schema, WallTime wall, TimePoint now);
[[nodiscard]] boost::json::object envelope(std::string_view schema, const Snapshot& snapshot);

/// `only` restricts to the one of this name; then an empty answer means that there is none.
using Only = std::optional<std::string_view>;
[[nodiscard]] boost::json::array neighbors(const Snapshot& snapshot, Only only = {});
[[nodiscard]] boost::json::array services(const Snapshot& snapshot, Only only = {});
/// With the last results of the one whose history the snapshot has.
[[nodiscard]] boost::json::array checks(const Snapshot& snapshot, Only only = {});
/// Newest first.
[[nodiscard]] boost::json::array failovers(const Snapshot& snapshot,
                                           std::optional<std::uint64_t> only = {});

/// `routes`, `received` and `cut`; `overlapping` as in the SnapshotRequest.
[[nodiscard]] boost::json::object routes(const Snapshot& snapshot,
                                         const std::optional<Prefix>& overlapping,
                                         std::size_t limit);
/// The whole answer but the events.
[[nodiscard]] boost::json::object status(const Snapshot& snapshot, boost::json::array events);
/// The snapshot must have been requested for `prefix`.
[[nodiscard]] boost::json::object explain(const Snapshot& snapshot, const Prefix& prefix);

[[nodiscard]] boost::json::object failover(const failover::FailoverRecord& record);
/// Seconds an override still has, counted from `now`.
[[nodiscard]] boost::json::value override_of(const std::optional<failover::Override>& value,
                                             TimePoint now);
/// A text of several lines, made safe line by line.
[[nodiscard]] boost::json::value text_lines(std::string_view text);
[[nodiscard]] std::string_view state_word(bgp::State state);  ///< "open_sent"
[[nodiscard]] std::string_view origin_word(bgp::Origin origin);
[[nodiscard]] std::string_view cause_word(failover::Damping::Cause cause);

}  // namespace swerve::daemon::views
