#pragma once
// Routes heard from neighbors, for display, for observation and for the collector: nothing learned
// is installed or passed on.

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "swerve/base/time.hpp"
#include "swerve/bgp/attributes.hpp"
#include "swerve/bgp/distinct_count.hpp"
#include "swerve/bgp/update.hpp"
#include "swerve/net/prefix.hpp"

namespace swerve::bgp {

using NeighborId = std::uint32_t;

struct ReceivedRoute {
    NeighborId neighbor;
    Address next_hop;
    std::shared_ptr<const PathAttributes> attributes;
    TimePoint since;
    bool own_as_in_path;      ///< kept for observation, never best (RFC 4271 §9.1.2)
    bool leaked = false;      ///< ONLY_TO_CUSTOMER says so; kept, never best (RFC 9234 §5)
    PathId path_id = 0;       ///< RFC 7911
    std::uint32_t round = 0;  ///< in which refresh it was told last; for RibIn

    [[nodiscard]] bool usable() const { return !own_as_in_path && !leaked; }
};

/// Facts about a neighbor that route selection needs.
struct NeighborRank {
    bool internal;
    RouterId router_id;
    Address address;
    std::optional<Asn> local_as{};   ///< where this session speaks for another AS than the site
    std::optional<Asn> remote_as{};  ///< for the rules of RFC 9234 §5; absent: not known
    std::optional<Role> role{};      ///< ours; absent: those rules do not apply
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

    /// Another configuration; routes that concern it no more are forgotten, and whether our AS
    /// stands in the path of the others is looked at anew.
    void reconfigure(std::vector<Prefix> owned, Asn local_as, std::vector<BestChanged>& out);
    /// Stands before the first update() of a neighbor.
    void neighbor_up(NeighborId neighbor, const NeighborRank& rank);
    void update(TimePoint now, NeighborId neighbor, const Update& update,
                std::vector<BestChanged>& out);
    /// RFC 7313 §4: the neighbor begins to tell its routes of this family once more. At the end
    /// what it did not repeat is forgotten; an end without a beginning means nothing.
    void refresh_begun(NeighborId neighbor, Family family);
    void refresh_ended(NeighborId neighbor, Family family, std::vector<BestChanged>& out);
    void neighbor_down(NeighborId neighbor, std::vector<BestChanged>& out);

    /// Best path by RFC 4271 §9.1.2.2: LOCAL_PREF (100 if absent), AS_PATH length, ORIGIN, MED
    /// within one neighbor AS (0 if absent), eBGP over iBGP, BGP Identifier, address, path
    /// identifier. Interior cost is not compared: there is no interior table here. Nothing without
    /// a usable route.
    [[nodiscard]] const ReceivedRoute* best(const Prefix& prefix) const;
    /// Exactly of this prefix; the best comes first, the others by neighbor and path identifier.
    [[nodiscard]] std::span<const ReceivedRoute> routes(const Prefix& prefix) const;

    using Visit = std::function<void(const Prefix&, const ReceivedRoute&, bool best)>;
    /// In order of prefix; the routes of each as routes() has them.
    void for_each(const Visit& visit) const;
    /// The same for prefixes that contain `prefix`, are it or lie inside it.
    void for_each_overlapping(const Prefix& prefix, const Visit& visit) const;

    /// Routes of a neighbor that are held, and the octets they take (attributes that several of
    /// them share count for each).
    [[nodiscard]] std::size_t kept(NeighborId neighbor) const;
    [[nodiscard]] std::size_t kept_octets(NeighborId neighbor) const;
    /// Routes that the neighbor has announced and not withdrawn, kept or not. Those not kept are
    /// counted without being held (ADR-0015): see DistinctCount for how well.
    [[nodiscard]] std::size_t received(NeighborId neighbor) const;

private:
    /// What a neighbor has told of one family.
    struct Told {
        std::size_t kept = 0;
        std::size_t kept_octets = 0;
        std::uint32_t round = 0;       ///< how many refreshes have begun
        bool refreshing = false;       ///< and the last of them has not ended
        std::size_t not_repeated = 0;  ///< kept routes that it has not told again yet
        DistinctCount not_kept;
    };
    struct Neighbor {
        NeighborRank rank;
        std::array<Told, 2> told{};  ///< by family

        [[nodiscard]] Told& of(Family family) { return told[static_cast<std::size_t>(family)]; }
    };
    /// The routes of one prefix; the first is the best if it is usable at all.
    using Routes = std::vector<ReceivedRoute>;
    using Table = std::map<Prefix, Routes>;

    template <class Value>
    [[nodiscard]] std::size_t sum(NeighborId neighbor, const Value& value) const;
    [[nodiscard]] bool keeps(const Prefix& prefix) const;
    /// RFC 4271 §9.1.2: our AS, the site's or the one that this session speaks for, is in the path.
    [[nodiscard]] bool looped(const NeighborRank& rank, const AsPath& path) const;
    void look_for_loops(Table::iterator at, std::vector<BestChanged>& out);
    void learn(const Prefix& prefix, ReceivedRoute route, std::vector<BestChanged>& out);
    void forget(const Prefix& prefix, NeighborId neighbor, PathId path_id,
                std::vector<BestChanged>& out);
    /// Forgets the routes of one prefix for which `gone(route)` holds; returns what comes behind.
    template <class Gone>
    Table::iterator forget_if(Table::iterator at, const Gone& gone, std::vector<BestChanged>& out);
    void count_in(const Prefix& prefix, ReceivedRoute& route);
    void count_out(const Prefix& prefix, const ReceivedRoute& route);
    void select(Routes& routes) const;

    std::vector<Prefix> owned_;  ///< sorted, none inside another
    bool keep_all_;
    Asn local_as_;
    std::map<NeighborId, Neighbor> neighbors_;
    Table routes_;
};

}  // namespace swerve::bgp
