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
    return candidates.front().route;
}

/// The neighbor of the best route.
std::optional<NeighborId> chosen(const std::vector<ReceivedRoute>& routes) {
    if (routes.empty() || routes.front().own_as_in_path) return std::nullopt;
    return routes.front().neighbor;
}

void report(const Prefix& prefix, std::optional<NeighborId> from, std::optional<NeighborId> to,
            std::vector<BestChanged>& out) {
    if (from != to) out.push_back({prefix, from, to});
}

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
            ++at;
            continue;
        }
        std::vector<NeighborId> holders;
        for (const ReceivedRoute& route : at->second) holders.push_back(route.neighbor);
        const Prefix prefix = at->first;
        ++at;
        for (const NeighborId neighbor : holders) forget(prefix, neighbor, out);
    }
}

void RibIn::neighbor_up(NeighborId neighbor, const NeighborRank& rank) {
    const bool is_new = neighbors_.try_emplace(neighbor, Neighbor{rank}).second;
    assert(is_new);
}

void RibIn::update(TimePoint now, NeighborId neighbor, const Update& update,
                   std::vector<BestChanged>& out) {
    assert(neighbors_.contains(neighbor));
    // RFC 4271 §4.3: a prefix that one UPDATE both withdraws and announces is announced.
    std::set<Prefix> announced;
    if (!update.withdrawn.empty()) {
        for (const Reach& reach : update.reach) {
            announced.insert(reach.prefixes.begin(), reach.prefixes.end());
        }
    }
    for (const Prefix& prefix : update.withdrawn) {
        if (!announced.contains(prefix)) forget(prefix, neighbor, out);
    }
    for (const Reach& reach : update.reach) {
        const bool own_as = update.attributes->as_path.contains(local_as_);
        for (const Prefix& prefix : reach.prefixes) {
            if (!keeps(prefix)) continue;
            learn(prefix, {neighbor, reach.next_hop, update.attributes, now, own_as}, out);
        }
    }
}

void RibIn::neighbor_down(NeighborId neighbor, std::vector<BestChanged>& out) {
    for (auto at = routes_.begin(); at != routes_.end();) at = forget(at, neighbor, out);
    neighbors_.erase(neighbor);
}

const ReceivedRoute* RibIn::best(const Prefix& prefix) const {
    const auto at = routes_.find(prefix);
    return at != routes_.end() && chosen(at->second) ? &at->second.front() : nullptr;
}

void RibIn::for_each(
    const std::function<void(const Prefix&, const ReceivedRoute&, bool best)>& visit) const {
    for (const auto& [prefix, routes] : routes_) {
        bool best = chosen(routes).has_value();
        for (const ReceivedRoute& route : routes) visit(prefix, route, std::exchange(best, false));
    }
}

std::size_t RibIn::received(NeighborId neighbor) const {
    const auto found = neighbors_.find(neighbor);
    return found == neighbors_.end() ? 0 : found->second.received;
}

bool RibIn::keeps(const Prefix& prefix) const {
    if (keep_all_) return true;
    // None of owned_ lies inside another, so that only the two between which `prefix` would stand
    // can overlap it.
    const auto behind = std::ranges::upper_bound(owned_, prefix);
    return (behind != owned_.end() && prefix.contains(*behind)) ||
           (behind != owned_.begin() && (behind - 1)->contains(prefix));
}

void RibIn::learn(const Prefix& prefix, ReceivedRoute route, std::vector<BestChanged>& out) {
    Routes& routes = routes_[prefix];
    const auto before = chosen(routes);
    const auto known = std::ranges::find(routes, route.neighbor, &ReceivedRoute::neighbor);
    if (known == routes.end()) {
        ++neighbors_.at(route.neighbor).received;
        routes.push_back(std::move(route));
    } else {
        // A repetition, as a route refresh brings it, does not make the route younger.
        if (known->next_hop == route.next_hop && *known->attributes == *route.attributes) return;
        *known = std::move(route);
    }
    select(routes);
    report(prefix, before, chosen(routes), out);
}

void RibIn::forget(const Prefix& prefix, NeighborId neighbor, std::vector<BestChanged>& out) {
    const auto at = routes_.find(prefix);
    if (at != routes_.end()) forget(at, neighbor, out);
}

std::map<Prefix, RibIn::Routes>::iterator RibIn::forget(std::map<Prefix, Routes>::iterator at,
                                                        NeighborId neighbor,
                                                        std::vector<BestChanged>& out) {
    auto& [prefix, routes] = *at;
    const auto known = std::ranges::find(routes, neighbor, &ReceivedRoute::neighbor);
    if (known == routes.end()) return std::next(at);
    const auto before = chosen(routes);
    routes.erase(known);
    --neighbors_.at(neighbor).received;
    select(routes);
    report(prefix, before, chosen(routes), out);
    return routes.empty() ? routes_.erase(at) : std::next(at);
}

void RibIn::select(Routes& routes) const {
    if (routes.size() < 2) return;
    std::ranges::sort(routes, {}, &ReceivedRoute::neighbor);
    std::vector<Candidate> candidates;
    for (const ReceivedRoute& route : routes) {
        if (!route.own_as_in_path) {
            candidates.push_back({&route, &neighbors_.at(route.neighbor).rank});
        }
    }
    if (candidates.empty()) return;
    const auto best = routes.begin() + (best_of(std::move(candidates)) - routes.data());
    std::rotate(routes.begin(), best, best + 1);
}

}  // namespace swerve::bgp
