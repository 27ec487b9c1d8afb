#pragma once
// Of one prefix of this site: what is wanted, why, and who holds it.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

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

/// Which neighbors hold what, indexed once: of thousands of services nobody may look through what
/// is sent for each.
class Holders {
public:
    explicit Holders(const Snapshot& snapshot);
    /// Established neighbors that hold at least one prefix of the service.
    [[nodiscard]] std::size_t of(const failover::SiteView::Service& service) const;
    /// Those that hold this prefix.
    [[nodiscard]] std::size_t of(const bgp::BlockRef& block, std::uint32_t id) const;

private:
    struct Held {
        const NeighborView* neighbor;
        bgp::IdRange range;
    };
    std::unordered_map<const bgp::PrefixBlock*, std::vector<Held>> held_;
};

[[nodiscard]] bool holds(const NeighborView& neighbor, const Prefix& prefix);

/// Whether the prefix is one of the service, or lies inside one.
[[nodiscard]] bool covers(const failover::SiteView::Service& service, const Prefix& prefix);

/// The service a prefix belongs to, as an index.
[[nodiscard]] std::optional<failover::ServiceId> service_of(const failover::SiteView& site,
                                                            const Prefix& prefix);

}  // namespace swerve::daemon
