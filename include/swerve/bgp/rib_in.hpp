#pragma once
// Routes heard from neighbors, for display and for the collector: nothing learned is installed or
// passed on.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "swerve/base/time.hpp"
#include "swerve/bgp/attributes.hpp"
#include "swerve/bgp/update.hpp"
#include "swerve/net/prefix.hpp"

namespace swerve::bgp {

using NeighborId = std::uint32_t;

struct ReceivedRoute {
    NeighborId neighbor;
    Address next_hop;
    std::shared_ptr<const PathAttributes> attributes;
    TimePoint since;
    bool own_as_in_path;  ///< kept for observation, never best (RFC 4271 §9.1.2)
};

/// Facts about a neighbor that route selection compares.
struct NeighborRank {
    bool internal;
    RouterId router_id;
    Address address;
};

struct BestChanged {
    Prefix prefix;
    std::optional<NeighborId> from;
    std::optional<NeighborId> to;
};

class RibIn {
public:
    /// Only prefixes that overlap `owned` are kept; with `keep_all` (collector) every one.
    RibIn(std::vector<Prefix> owned, bool keep_all, Asn local_as);

    /// Another configuration; routes that concern it no more are forgotten.
    void reconfigure(std::vector<Prefix> owned, Asn local_as, std::vector<BestChanged>& out);
    /// Stands before the first update() of a neighbor.
    void neighbor_up(NeighborId neighbor, const NeighborRank& rank);
    void update(TimePoint now, NeighborId neighbor, const Update& update,
                std::vector<BestChanged>& out);
    void neighbor_down(NeighborId neighbor, std::vector<BestChanged>& out);

    /// Best path by RFC 4271 §9.1.2.2: LOCAL_PREF (100 if absent), AS_PATH length, ORIGIN, MED
    /// within one neighbor AS (0 if absent), eBGP over iBGP, BGP Identifier, address. Interior cost
    /// is not compared: there is no interior table here. Nothing without a usable route.
    [[nodiscard]] const ReceivedRoute* best(const Prefix& prefix) const;
    /// In order of prefix; the best route of each comes first, the others by neighbor.
    void for_each(
        const std::function<void(const Prefix&, const ReceivedRoute&, bool best)>& visit) const;
    [[nodiscard]] std::size_t received(NeighborId neighbor) const;  ///< kept routes of a neighbor

private:
    struct Neighbor {
        NeighborRank rank;
        std::size_t received = 0;
    };
    /// The routes of one prefix; the first is the best if it is usable at all.
    using Routes = std::vector<ReceivedRoute>;

    [[nodiscard]] bool keeps(const Prefix& prefix) const;
    void learn(const Prefix& prefix, ReceivedRoute route, std::vector<BestChanged>& out);
    void forget(const Prefix& prefix, NeighborId neighbor, std::vector<BestChanged>& out);
    std::map<Prefix, Routes>::iterator forget(std::map<Prefix, Routes>::iterator at,
                                              NeighborId neighbor, std::vector<BestChanged>& out);
    void select(Routes& routes) const;

    std::vector<Prefix> owned_;  ///< sorted, none inside another
    bool keep_all_;
    Asn local_as_;
    std::map<NeighborId, Neighbor> neighbors_;
    std::map<Prefix, Routes> routes_;
};

}  // namespace swerve::bgp
