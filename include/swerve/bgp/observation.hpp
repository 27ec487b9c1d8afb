#pragma once
// What neighbors say about our own prefixes: whether the network can be seen to reach them at
// another site. "I see nobody else" is no evidence that nobody else is up (a neighbor whose best
// route is ours does not tell us the others), so there are three answers, not two.

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "swerve/bgp/rib_in.hpp"

namespace swerve::bgp {

enum class Visibility : std::uint8_t {
    seen,            ///< some neighbor has told a route of exactly this prefix that is not ours
    not_seen,        ///< a neighbor that would tell such a route tells none
    not_observable,  ///< there is no neighbor whose silence means anything
};
[[nodiscard]] std::string_view to_string(Visibility visibility);  ///< "seen", "not_seen", …

/// A route of RibIn that concerns an own prefix. AS path and communities stand in its attributes.
struct ObservedRoute {
    Prefix prefix;
    ReceivedRoute route;
    /// Third part of the large community by which sites are told apart; absent: none of ours on it.
    std::optional<std::uint32_t> site;
    /// It carries this site's number; or it carries none, has our AS in its path, and we announce
    /// the prefix, so that it may be an echo.
    bool may_be_ours;
};

/// What is heard about one own prefix; each list by neighbor, the best route first.
struct Observation {
    Prefix prefix;
    Visibility visibility;
    std::vector<ObservedRoute> routes;    ///< of exactly this prefix
    std::vector<ObservedRoute> covering;  ///< of prefixes that contain it
    std::vector<ObservedRoute> inside;    ///< of more specific ones
};

/// A neighbor with an established session.
struct Observer {
    NeighborId id;
    FamilySet end_of_rib;  ///< its first routes of these families have all arrived (RFC 4724 §2)
    FamilySet add_path;    ///< it tells all its routes, not only the best (RFC 7911)
};

struct ObservationInput {
    const RibIn& rib;
    std::span<const Observer> observers;
    /// Whether the neighbor holds the prefix from us now.
    std::function<bool(NeighborId, const Prefix&)> is_sent;
    /// Ours; other sites have the same first two parts and another third one. Absent: no sites are
    /// told apart.
    std::optional<LargeCommunity> site_community{};
};

/// One answer for each of `own`, in its order. The cost is that of looking `own` up in the rib.
[[nodiscard]] std::vector<Observation> observe(std::span<const Prefix> own,
                                               const ObservationInput& input);

}  // namespace swerve::bgp
