#pragma once
// Of one prefix of this site: what is wanted, why, and who holds it.

#include <functional>
#include <optional>
#include <string>

#include "daemon/snapshot.hpp"

namespace swerve::daemon {

/// One route of this site. Manual routes belong to no service.
struct SiteRoute {
    Prefix prefix;
    const failover::SiteView::Service* service;  ///< null: manual
    failover::Intent intent;
    std::string reason;
    std::optional<failover::Override> override_value;  ///< on this very prefix
    std::size_t sent_to;                               ///< established neighbors that hold it
};

/// Calls `visit` for each route in the order of the services, manual ones last, until it returns
/// false. `overlapping` restricts to the prefixes that contain it or lie inside it.
void for_each_route(const Snapshot& snapshot, const std::optional<Prefix>& overlapping,
                    const std::function<bool(const SiteRoute&)>& visit);

/// Established neighbors that hold at least one prefix of the service.
[[nodiscard]] std::size_t holders(const Snapshot& snapshot,
                                  const failover::SiteView::Service& service);

[[nodiscard]] bool holds(const NeighborView& neighbor, const Prefix& prefix);

/// The service a prefix belongs to, as an index.
[[nodiscard]] std::optional<failover::ServiceId> service_of(const failover::SiteView& site,
                                                            const Prefix& prefix);

}  // namespace swerve::daemon
