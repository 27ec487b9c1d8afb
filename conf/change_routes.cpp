// What a change does to routes: prefixes that come and go, and to whom the others are told anew.

#include <array>
#include <unordered_map>

#include "conf/change_parts.hpp"

namespace swerve::conf {

namespace {

using failover::ServiceId;

constexpr auto families = bgp::all_families.size();

/// How many prefixes a service keeps, by family.
using Kept = std::array<std::size_t, families>;

/// A neighbor of both configurations, and which services each of them sends it.
struct NeighborPair {
    const Neighbor* was;
    const Neighbor* becomes;
    std::vector<bool> was_listed;  ///< by ServiceId
    std::vector<bool> is_listed;
};

std::vector<bool> listed(const Neighbor& neighbor, std::size_t services) {
    std::vector<bool> out(services, !neighbor.services);
    if (neighbor.services) {
        for (const ServiceId id : *neighbor.services) out[id] = true;
    }
    return out;
}

std::vector<NeighborPair> neighbor_pairs(const Config& before, const Config& after) {
    const NameIndex old_ids{before.neighbors};
    std::vector<NeighborPair> out;
    for (const Neighbor& becomes : after.neighbors) {
        const auto id = old_ids.find(becomes.name);
        if (!id) continue;
        const Neighbor& was = before.neighbors[*id];
        out.push_back({&was, &becomes, listed(was, before.services.size()),
                       listed(becomes, after.services.size())});
    }
    return out;
}

using Owners = std::unordered_map<const bgp::PrefixBlock*, ServiceId>;

Owners owners(const Config& config) {
    Owners out;
    for (ServiceId id = 0; id < config.services.size(); ++id) {
        for (const bgp::BlockRef& block : config.services[id].prefixes) out[block.get()] = id;
    }
    return out;
}

/// By new ServiceId. A prefix that moves to another service is not kept by either.
std::vector<Kept> count_kept(const Config& before, const Config& after,
                             std::span<const bgp::Handover> hand_overs) {
    const Owners old_owners = owners(before);
    const Owners new_owners = owners(after);
    std::vector<Kept> out(after.services.size());
    const auto add = [&](const bgp::PrefixBlock& from, const bgp::PrefixBlock& to,
                         std::size_t count) {
        const ServiceId id = new_owners.at(&to);
        if (before.services[old_owners.at(&from)].name != after.services[id].name) return;
        out[id][static_cast<std::size_t>(to.family())] += count;
    };
    for (const auto& [block, id] : new_owners) {
        if (old_owners.contains(block)) add(*block, *block, block->size());
    }
    for (const bgp::Handover& each : hand_overs) {
        std::size_t count = 0;
        for (const bgp::CommonRange& range : each.ranges) count += range.to.size();
        add(*each.from, *each.to, count);
    }
    return out;
}

const std::optional<Address>& next_hop(const Neighbor& neighbor, Family family) {
    return family == Family::ipv4 ? neighbor.next_hop_ipv4 : neighbor.next_hop_ipv6;
}

/// Whether a neighbor is told something else of the prefixes that a service keeps.
class Telling {
public:
    Telling(const Config& before, ServiceId old_id, const Config& after, ServiceId new_id)
        : old_id_(old_id),
          new_id_(new_id),
          was_(before.services[old_id].announce),
          becomes_(after.services[new_id].announce),
          before_(before),
          after_(after),
          is_same_(was_ == becomes_ && before.site_community == after.site_community) {}

    [[nodiscard]] bool differs(const NeighborPair& pair, const Kept& kept) const {
        bool is_sent = false;
        for (const Family family : bgp::all_families) {
            if (kept[static_cast<std::size_t>(family)] == 0) continue;
            const bool was_carried =
                pair.was_listed[old_id_] && pair.was->families.contains(family);
            const bool is_carried =
                pair.is_listed[new_id_] && pair.becomes->families.contains(family);
            if (was_carried != is_carried) return true;
            if (!is_carried) continue;
            if (next_hop(*pair.was, family) != next_hop(*pair.becomes, family)) return true;
            is_sent = true;
        }
        if (!is_sent || (is_same_ && pair.was->attributes == pair.becomes->attributes)) {
            return false;
        }
        return merge(before_, was_, pair.was->attributes) !=
               merge(after_, becomes_, pair.becomes->attributes);
    }

private:
    ServiceId old_id_;
    ServiceId new_id_;
    const ExportAttributes& was_;
    const ExportAttributes& becomes_;
    const Config& before_;
    const Config& after_;
    bool is_same_;
};

}  // namespace

std::vector<RouteChange> route_changes(const Config& before, const Config& after,
                                       std::span<const bgp::Handover> hand_overs) {
    const NameIndex old_ids{before.services};
    const NameIndex new_ids{after.services};
    const auto pairs = neighbor_pairs(before, after);
    const auto kept = count_kept(before, after, hand_overs);
    std::vector<RouteChange> out;
    for (ServiceId id = 0; id < after.services.size(); ++id) {
        const Service& service = after.services[id];
        const auto old_id = old_ids.find(service.name);
        RouteChange change{.service = service.name};
        for (const std::size_t count : kept[id]) change.kept += count;
        change.added = count_prefixes(service) - change.kept;
        if (old_id) {
            change.removed = count_prefixes(before.services[*old_id]) - change.kept;
            const Telling telling{before, *old_id, after, id};
            for (const NeighborPair& pair : pairs) {
                if (!telling.differs(pair, kept[id])) continue;
                change.attributes.push_back(pair.becomes->name);
            }
        }
        if (change.added + change.removed + change.attributes.size() > 0) out.push_back(change);
    }
    for (const Service& service : before.services) {
        if (new_ids.find(service.name)) continue;
        out.push_back({.service = service.name, .removed = count_prefixes(service)});
    }
    return out;
}

}  // namespace swerve::conf
