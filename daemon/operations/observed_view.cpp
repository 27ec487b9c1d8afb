#include "daemon/operations/observed_view.hpp"

#include <algorithm>
#include <boost/json/array.hpp>
#include <vector>

#include "daemon/operations/view_parts.hpp"
#include "daemon/operations/views.hpp"

namespace swerve::daemon::views {

namespace json = boost::json;

namespace {

[[nodiscard]] json::array routes(const Snapshot& snapshot,
                                 const std::vector<bgp::ObservedRoute>& list) {
    json::array out;
    for (const bgp::ObservedRoute& each : list) {
        const auto from =
            std::ranges::find(snapshot.neighbors, each.route.neighbor, &NeighborView::id);
        json::object route{
            {"prefix", json_string(each.prefix.to_string())},
            {"neighbor", from == snapshot.neighbors.end() ? nullptr : json_string(from->name)},
            {"site", or_null(each.site, [](std::uint32_t site) { return json::value(site); })},
            {"may_be_ours", each.may_be_ours}};
        for (auto& member : heard(snapshot, each.route)) {
            route[member.key()] = std::move(member.value());
        }
        out.push_back(std::move(route));
    }
    return out;
}

}  // namespace

json::object observed(const Snapshot& snapshot) {
    json::array list;
    for (const bgp::Observation& each : snapshot.observed) {
        list.push_back(json::object{{"prefix", json_string(each.prefix.to_string())},
                                    {"visibility", json_string(to_string(each.visibility))},
                                    {"routes", routes(snapshot, each.routes)},
                                    {"covering", routes(snapshot, each.covering)},
                                    {"inside", routes(snapshot, each.inside)}});
    }
    json::object out = envelope("swerve.observed/1", snapshot);
    out["site_community"] =
        or_null(snapshot.config->site_community,
                [](const LargeCommunity& community) { return json_string(community.to_string()); });
    out["observed"] = std::move(list);
    out["cut"] = snapshot.observed_cut;
    return out;
}

json::object heard(const Snapshot& snapshot, const bgp::ReceivedRoute& route) {
    const bgp::PathAttributes& attributes = *route.attributes;
    const auto number = [](std::uint32_t value) { return json::value(value); };
    json::object out;
    out["next_hop"] = json_string(route.next_hop.to_string());
    out["as_path"] = json_string(attributes.as_path.to_string());
    out["origin"] = json_string(origin_word(attributes.origin));
    out["local_pref"] = or_null(attributes.local_pref, number);
    out["med"] = or_null(attributes.med, number);
    out["communities"] = strings(attributes.communities);
    out["extended_communities"] = strings(attributes.extended_communities);
    out["large_communities"] = strings(attributes.large_communities);
    out["only_to_customer"] =
        or_null(attributes.only_to_customer, [](Asn asn) { return json::value(asn.value()); });
    out["own_as_in_path"] = route.own_as_in_path;
    out["leaked"] = route.leaked;
    out["path_id"] = route.path_id;
    out["age_s"] = seconds(snapshot.now - route.since);
    return out;
}

}  // namespace swerve::daemon::views
