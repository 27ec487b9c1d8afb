#include "swerve/bgp/rib_in.hpp"

#include <algorithm>
#include <cassert>
#include <set>
#include <utility>

namespace swerve::bgp {
namespace {

/// A route in the course of selection.
struct Candidate {
    const ReceivedRoute* route;
    const NeighborRank* rank;
};

/// Keeps the candidates whose value is the lowest.
template <class Value>
void keep_lowest(std::vector<Candidate>& candidates, const Value& value) {
    const auto least = std::ranges::min(candidates, {}, value);
    const auto best = value(least);
    std::erase_if(candidates, [&](const Candidate& candidate) { return best < value(candidate); });
}

/// RFC 4271 §9.1.2.2 c: the neighbor AS is the first of the path; nothing stands for our own AS,
/// which is neighbor of a route that an internal peer originated.
std::optional<Asn> neighbor_as(const Candidate& candidate) {
    return candidate.route->attributes->as_path.first();
}

std::uint32_t med(const Candidate& candidate) {
    return candidate.route->attributes->med.value_or(0);
}

/// RFC 4271 §9.1.2.2 c: a route falls to one with a lower MED from the same neighbor AS. All are
/// compared with all, or the outcome would depend on the order.
void keep_lowest_med(std::vector<Candidate>& candidates) {
    const std::vector<Candidate> all = candidates;
    std::erase_if(candidates, [&](const Candidate& candidate) {
        return std::ranges::any_of(all, [&](const Candidate& other) {
            return neighbor_as(other) == neighbor_as(candidate) && med(other) < med(candidate);
        });
    });
}

/// RFC 4271 §9.1.1, §9.1.2.2: each step removes what is worse than the best of it.
const ReceivedRoute* best_of(std::vector<Candidate> candidates) {
    keep_lowest(candidates, [](const Candidate& candidate) {
        return ~candidate.route->attributes->local_pref.value_or(100);
    });
    keep_lowest(candidates, [](const Candidate& candidate) {
        return candidate.route->attributes->as_path.length();
    });
    keep_lowest(candidates,
                [](const Candidate& candidate) { return candidate.route->attributes->origin; });
    keep_lowest_med(candidates);
    keep_lowest(candidates, [](const Candidate& candidate) { return candidate.rank->internal; });
    keep_lowest(candidates, [](const Candidate& candidate) { return candidate.rank->router_id; });
    keep_lowest(candidates, [](const Candidate& candidate) { return candidate.rank->address; });
    // Several of one neighbor (RFC 7911): any will do, but always the same.
    keep_lowest(candidates, [](const Candidate& candidate) { return candidate.route->path_id; });
    return candidates.front().route;
}

/// The neighbor of the best route.
std::optional<NeighborId> chosen(const std::vector<ReceivedRoute>& routes) {
    if (routes.empty() || !routes.front().usable()) return std::nullopt;
    return routes.front().neighbor;
}

void report(const Prefix& prefix, std::optional<NeighborId> from, std::optional<NeighborId> to,
            std::vector<BestChanged>& out) {
    if (from != to) out.push_back({prefix, from, to});
}

/// RFC 9234 §5: a customer or a client sends on what was meant for customers only, or a peer does
/// that did not mark it itself. (What a route lacks is not added: nothing learned is passed on.)
bool is_leak(const NeighborRank& rank, const PathAttributes& attributes) {
    const auto& marked_by = attributes.only_to_customer;
    if (!marked_by || !rank.role || rank.internal) return false;
    switch (*rank.role) {
        case Role::provider:
        case Role::route_server:
            return true;
        case Role::peer:
            return rank.remote_as && *marked_by != *rank.remote_as;
        case Role::customer:
        case Role::route_server_client:
            break;
    }
    return false;
}

/// What a route costs, attributes included; the list nodes around it are estimated.
std::size_t octets_of(const ReceivedRoute& route) {
    const PathAttributes& attributes = *route.attributes;
    std::size_t asns = 0;
    for (const AsPathSegment& segment : attributes.as_path.segments) asns += segment.asns.size();
    constexpr std::size_t node = sizeof(Prefix) + 64;
    return node + sizeof(ReceivedRoute) + sizeof(PathAttributes) +
           attributes.as_path.segments.size() * sizeof(AsPathSegment) + asns * sizeof(Asn) +
           attributes.communities.size() * sizeof(Community) +
           attributes.extended_communities.size() * sizeof(ExtendedCommunity) +
           attributes.large_communities.size() * sizeof(LargeCommunity);
}

/// For DistinctCount: multiply and fold, until every bit of the prefix has reached the low ones.
std::uint64_t hash_of(const Prefix& prefix, PathId path_id) {
    std::uint64_t hash = (std::uint64_t{path_id} << 8U) | prefix.length();
    const auto mix = [&](std::uint64_t word) {
        hash = (hash ^ word) * 0x9e3779b97f4a7c15U;
        hash ^= hash >> 32U;
    };
    std::uint64_t word = 0;
    for (std::size_t i = 0; const std::uint8_t octet : prefix.address().octets()) {
        word = (word << 8U) | octet;
        if (++i % 4 == 0) mix(std::exchange(word, 0));
    }
    mix(0);
    return hash;
}

void visit_routes(const std::pair<const Prefix, std::vector<ReceivedRoute>>& each,
                  const RibIn::Visit& visit) {
    bool best = chosen(each.second).has_value();
    for (const ReceivedRoute& route : each.second) {
        visit(each.first, route, std::exchange(best, false));
    }
}

PathId path_id(const PathIds& ids, std::size_t index) { return ids.empty() ? 0 : ids[index]; }

/// A prefix that overlaps an inner one overlaps the outer one too. Sorted, the outer one comes
/// first.
std::vector<Prefix> outermost(std::vector<Prefix> prefixes) {
    std::ranges::sort(prefixes);
    std::vector<Prefix> outer;
    for (const Prefix& prefix : prefixes) {
        if (outer.empty() || !outer.back().contains(prefix)) outer.push_back(prefix);
    }
    return outer;
}

}  // namespace

RibIn::RibIn(std::vector<Prefix> owned, bool keep_all, Asn local_as)
    : owned_(outermost(std::move(owned))), keep_all_(keep_all), local_as_(local_as) {}

void RibIn::reconfigure(std::vector<Prefix> owned, Asn local_as, std::vector<BestChanged>& out) {
    owned_ = outermost(std::move(owned));
    local_as_ = local_as;
    for (auto at = routes_.begin(); at != routes_.end();) {
        if (keeps(at->first)) {
            look_for_loops(at++, out);
            continue;
        }
        for (const ReceivedRoute& route : at->second) {
            neighbors_.at(route.neighbor)
                .of(at->first.family())
                .not_kept.insert(hash_of(at->first, route.path_id));
        }
        at = forget_if(at, [](const ReceivedRoute&) { return true; }, out);
    }
}

void RibIn::neighbor_up(NeighborId neighbor, const NeighborRank& rank) {
    const bool is_new = neighbors_.try_emplace(neighbor, Neighbor{rank}).second;
    assert(is_new);
}

void RibIn::update(TimePoint now, NeighborId neighbor, const Update& update,
                   std::vector<BestChanged>& out) {
    assert(neighbors_.contains(neighbor));
    Neighbor& teller = neighbors_.at(neighbor);
    // RFC 4271 §4.3: a prefix that one UPDATE both withdraws and announces is announced.
    std::set<std::pair<Prefix, PathId>> announced;
    if (!update.withdrawn.empty()) {
        for (const Reach& reach : update.reach) {
            for (std::size_t i = 0; i < reach.prefixes.size(); ++i) {
                announced.emplace(reach.prefixes[i], path_id(reach.path_ids, i));
            }
        }
    }
    for (std::size_t i = 0; i < update.withdrawn.size(); ++i) {
        const Prefix& prefix = update.withdrawn[i];
        const PathId id = path_id(update.withdrawn_path_ids, i);
        if (announced.contains({prefix, id})) continue;
        if (keeps(prefix)) {
            forget(prefix, neighbor, id, out);
        } else {
            teller.of(prefix.family()).not_kept.erase(hash_of(prefix, id));
        }
    }
    if (update.reach.empty()) return;
    const bool has_own_as = looped(teller.rank, update.attributes->as_path);
    const bool leaked = is_leak(teller.rank, *update.attributes);
    for (const Reach& reach : update.reach) {
        for (std::size_t i = 0; i < reach.prefixes.size(); ++i) {
            const Prefix& prefix = reach.prefixes[i];
            const PathId id = path_id(reach.path_ids, i);
            if (keeps(prefix)) {
                learn(prefix,
                      {neighbor, reach.next_hop, update.attributes, now, has_own_as, leaked, id},
                      out);
            } else {
                teller.of(prefix.family()).not_kept.insert(hash_of(prefix, id));
            }
        }
    }
}

void RibIn::refresh_begun(NeighborId neighbor, Family family) {
    const auto found = neighbors_.find(neighbor);
    if (found == neighbors_.end()) return;
    Told& told = found->second.of(family);
    ++told.round;
    told.refreshing = true;
    told.not_repeated = told.kept;
    // Those not kept cannot be told apart either: they are counted anew.
    told.not_kept.clear();
}

void RibIn::refresh_ended(NeighborId neighbor, Family family, std::vector<BestChanged>& out) {
    const auto found = neighbors_.find(neighbor);
    if (found == neighbors_.end()) return;
    Told& told = found->second.of(family);
    if (!std::exchange(told.refreshing, false) || told.not_repeated == 0) return;
    const std::uint32_t round = told.round;
    for (auto at = routes_.begin(); at != routes_.end();) {
        if (at->first.family() != family) {
            ++at;
            continue;
        }
        at = forget_if(
            at,
            [&](const ReceivedRoute& route) {
                return route.neighbor == neighbor && route.round != round;
            },
            out);
    }
    told.not_repeated = 0;
}

void RibIn::neighbor_down(NeighborId neighbor, std::vector<BestChanged>& out) {
    const auto of_neighbor = [&](const ReceivedRoute& route) { return route.neighbor == neighbor; };
    for (auto at = routes_.begin(); at != routes_.end();) at = forget_if(at, of_neighbor, out);
    neighbors_.erase(neighbor);
}

const ReceivedRoute* RibIn::best(const Prefix& prefix) const {
    const auto at = routes_.find(prefix);
    return at != routes_.end() && chosen(at->second) ? &at->second.front() : nullptr;
}

std::span<const ReceivedRoute> RibIn::routes(const Prefix& prefix) const {
    const auto at = routes_.find(prefix);
    if (at == routes_.end()) return {};
    return at->second;
}

void RibIn::for_each(const Visit& visit) const {
    for (const auto& each : routes_) visit_routes(each, visit);
}

void RibIn::for_each_overlapping(const Prefix& prefix, const Visit& visit) const {
    if (routes_.empty()) return;
    for (unsigned length = 0; length < prefix.length(); ++length) {
        const auto outer = routes_.find(*Prefix::masked(prefix.address(), length));
        if (outer != routes_.end()) visit_routes(*outer, visit);
    }
    for (auto at = routes_.lower_bound(prefix); at != routes_.end(); ++at) {
        if (!prefix.contains(at->first)) break;
        visit_routes(*at, visit);
    }
}

std::size_t RibIn::kept(NeighborId neighbor) const {
    return sum(neighbor, [](const Told& told) { return told.kept; });
}

std::size_t RibIn::kept_octets(NeighborId neighbor) const {
    return sum(neighbor, [](const Told& told) { return told.kept_octets; });
}

std::size_t RibIn::received(NeighborId neighbor) const {
    return sum(neighbor, [](const Told& told) { return told.kept + told.not_kept.estimate(); });
}

template <class Value>
std::size_t RibIn::sum(NeighborId neighbor, const Value& value) const {
    const auto found = neighbors_.find(neighbor);
    if (found == neighbors_.end()) return 0;
    std::size_t out = 0;
    for (const Told& told : found->second.told) out += value(told);
    return out;
}

bool RibIn::keeps(const Prefix& prefix) const {
    if (keep_all_) return true;
    // None of owned_ lies inside another, so that only the two between which `prefix` would stand
    // can overlap it.
    const auto behind = std::ranges::upper_bound(owned_, prefix);
    return (behind != owned_.end() && prefix.contains(*behind)) ||
           (behind != owned_.begin() && (behind - 1)->contains(prefix));
}

bool RibIn::looped(const NeighborRank& rank, const AsPath& path) const {
    return path.contains(local_as_) || (rank.local_as && path.contains(*rank.local_as));
}

void RibIn::look_for_loops(Table::iterator at, std::vector<BestChanged>& out) {
    auto& [prefix, routes] = *at;
    const auto before = chosen(routes);
    for (ReceivedRoute& route : routes) {
        route.own_as_in_path =
            looped(neighbors_.at(route.neighbor).rank, route.attributes->as_path);
    }
    select(routes);
    report(prefix, before, chosen(routes), out);
}

void RibIn::count_in(const Prefix& prefix, ReceivedRoute& route) {
    Told& told = neighbors_.at(route.neighbor).of(prefix.family());
    route.round = told.round;
    ++told.kept;
    told.kept_octets += octets_of(route);
}

void RibIn::count_out(const Prefix& prefix, const ReceivedRoute& route) {
    Told& told = neighbors_.at(route.neighbor).of(prefix.family());
    if (told.refreshing && route.round != told.round) --told.not_repeated;
    --told.kept;
    told.kept_octets -= octets_of(route);
}

void RibIn::learn(const Prefix& prefix, ReceivedRoute route, std::vector<BestChanged>& out) {
    Routes& routes = routes_[prefix];
    const auto before = chosen(routes);
    const auto known = std::ranges::find_if(routes, [&](const ReceivedRoute& each) {
        return each.neighbor == route.neighbor && each.path_id == route.path_id;
    });
    if (known == routes.end()) {
        // It may have been received before it concerned the configuration.
        neighbors_.at(route.neighbor)
            .of(prefix.family())
            .not_kept.erase(hash_of(prefix, route.path_id));
        count_in(prefix, routes.emplace_back(std::move(route)));
    } else {
        const bool same = known->next_hop == route.next_hop && known->leaked == route.leaked &&
                          known->own_as_in_path == route.own_as_in_path &&
                          *known->attributes == *route.attributes;
        count_out(prefix, *known);
        // A repetition, as a route refresh brings it, does not make the route younger.
        if (!same) *known = std::move(route);
        count_in(prefix, *known);
        if (same) return;
    }
    select(routes);
    report(prefix, before, chosen(routes), out);
}

void RibIn::forget(const Prefix& prefix, NeighborId neighbor, PathId path_id,
                   std::vector<BestChanged>& out) {
    const auto at = routes_.find(prefix);
    if (at == routes_.end()) return;
    forget_if(
        at,
        [&](const ReceivedRoute& route) {
            return route.neighbor == neighbor && route.path_id == path_id;
        },
        out);
}

template <class Gone>
RibIn::Table::iterator RibIn::forget_if(Table::iterator at, const Gone& gone,
                                        std::vector<BestChanged>& out) {
    auto& [prefix, routes] = *at;
    const auto before = chosen(routes);
    const auto forgotten = std::erase_if(routes, [&](const ReceivedRoute& route) {
        if (!gone(route)) return false;
        count_out(at->first, route);
        return true;
    });
    if (forgotten == 0) return std::next(at);
    select(routes);
    report(prefix, before, chosen(routes), out);
    return routes.empty() ? routes_.erase(at) : std::next(at);
}

void RibIn::select(Routes& routes) const {
    if (routes.size() < 2) return;
    std::ranges::sort(routes, {}, [](const ReceivedRoute& route) {
        return std::pair{route.neighbor, route.path_id};
    });
    std::vector<Candidate> candidates;
    for (const ReceivedRoute& route : routes) {
        if (route.usable()) {
            candidates.push_back({&route, &neighbors_.at(route.neighbor).rank});
        }
    }
    if (candidates.empty()) return;
    const auto best = routes.begin() + (best_of(std::move(candidates)) - routes.data());
    std::rotate(routes.begin(), best, best + 1);
}

}  // namespace swerve::bgp
