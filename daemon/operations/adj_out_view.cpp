#include "daemon/operations/adj_out_view.hpp"

#include <boost/json/array.hpp>
#include <string_view>

#include "daemon/operations/view_parts.hpp"
#include "daemon/operations/views.hpp"

namespace swerve::daemon::views {

namespace json = boost::json;

namespace {

[[nodiscard]] json::value number_or_null(const std::optional<std::uint32_t>& number) {
    if (!number) return nullptr;
    return json::value(*number);
}

[[nodiscard]] json::value attributes(const bgp::RouteRef& route) {
    if (!route) return nullptr;
    return json::object{{"origin", json_string(origin_word(route->origin))},
                        {"prepend", route->prepend},
                        {"med", number_or_null(route->med)},
                        {"local_pref", number_or_null(route->local_pref)},
                        {"communities", strings(route->communities)},
                        {"extended_communities", strings(route->extended_communities)},
                        {"large_communities", strings(route->large_communities)}};
}

/// What is still to be done about the prefix. An Adj-RIB-Out takes routes that say the same for one
/// and the same, so objects need not be looked into.
[[nodiscard]] std::string_view state_of(const AdjOutView& view) {
    if (view.desired && view.withheld) return view.sent ? "to_withdraw" : "withheld";
    if (view.desired == view.sent) return "sent";
    if (!view.sent) return "to_announce";
    return view.desired ? "to_change" : "to_withdraw";
}

}  // namespace

json::object adj_out(const Snapshot& snapshot) {
    json::array list;
    for (const AdjOutView& view : snapshot.adj_out) {
        list.push_back(json::object{{"prefix", json_string(view.prefix.to_string())},
                                    {"neighbor", json_string(view.neighbor)},
                                    {"state", json_string(state_of(view))},
                                    {"sent", attributes(view.sent)},
                                    {"desired", attributes(view.desired)}});
    }
    json::object out = envelope("swerve.adj_out/1", snapshot);
    out["adj_out"] = std::move(list);
    out["cut"] = snapshot.adj_out_cut;
    return out;
}

}  // namespace swerve::daemon::views
