#include "swerve/bgp/observation.hpp"

#include <algorithm>

namespace swerve::bgp {
namespace {

/// The site that a route's communities name.
std::optional<std::uint32_t> site_of(const PathAttributes& attributes,
                                     const std::optional<LargeCommunity>& ours) {
    if (!ours) return std::nullopt;
    const auto is_site = [&](const LargeCommunity& each) {
        return each.global_administrator == ours->global_administrator &&
               each.local_data_1 == ours->local_data_1;
    };
    const auto found = std::ranges::find_if(attributes.large_communities, is_site);
    if (found == attributes.large_communities.end()) return std::nullopt;
    return found->local_data_2;
}

/// Whether this neighbor would tell a route of another site: BGP lets it tell its best one only,
/// which is ours while we announce to it, unless it tells all (RFC 7911).
bool would_tell(const Observer& observer, const Prefix& prefix, const ObservationInput& input) {
    const Family family = prefix.family();
    if (!observer.end_of_rib.contains(family)) return false;
    return observer.add_path.contains(family) || !input.is_sent(observer.id, prefix);
}

/// Whether the silence of this neighbor about others means that there are none. One that gives us
/// our own route back has no better one, but perhaps more; one that gives us what may be ours or
/// another's is not silent.
bool tells_none(const Observer& observer, const std::vector<ObservedRoute>& routes) {
    return std::ranges::all_of(routes, [&](const ObservedRoute& each) {
        if (each.route.neighbor != observer.id) return true;
        const bool surely_ours = each.may_be_ours && each.site;
        return surely_ours && observer.add_path.contains(each.prefix.family());
    });
}

Visibility visibility(const Observation& observation, const ObservationInput& input) {
    const auto& routes = observation.routes;
    if (!std::ranges::all_of(routes, &ObservedRoute::may_be_ours)) return Visibility::seen;
    const bool silent = std::ranges::any_of(input.observers, [&](const Observer& observer) {
        return would_tell(observer, observation.prefix, input) && tells_none(observer, routes);
    });
    return silent ? Visibility::not_seen : Visibility::not_observable;
}

Observation observe(const Prefix& own, const ObservationInput& input) {
    Observation out{own, Visibility::not_observable, {}, {}, {}};
    std::optional<bool> announced;  // looked up when it matters
    const auto is_announced = [&] {
        if (!announced) {
            announced = std::ranges::any_of(input.observers, [&](const Observer& observer) {
                return input.is_sent(observer.id, own);
            });
        }
        return *announced;
    };
    input.rib.for_each_overlapping(
        own, [&](const Prefix& prefix, const ReceivedRoute& route, bool /*best*/) {
            auto& list = prefix == own                    ? out.routes
                         : prefix.length() < own.length() ? out.covering
                                                          : out.inside;
            const auto site = site_of(*route.attributes, input.site_community);
            const bool may_be_ours = site ? *site == input.site_community->local_data_2
                                          : route.own_as_in_path && is_announced();
            list.push_back({prefix, route, site, may_be_ours});
        });
    out.visibility = visibility(out, input);
    return out;
}

}  // namespace

std::string_view to_string(Visibility visibility) {
    switch (visibility) {
        case Visibility::seen:
            return "seen";
        case Visibility::not_seen:
            return "not_seen";
        case Visibility::not_observable:
            break;
    }
    return "not_observable";
}

std::vector<Observation> observe(std::span<const Prefix> own, const ObservationInput& input) {
    std::vector<Observation> out;
    out.reserve(own.size());
    for (const Prefix& prefix : own) out.push_back(observe(prefix, input));
    return out;
}

}  // namespace swerve::bgp
