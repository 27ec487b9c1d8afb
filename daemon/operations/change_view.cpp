#include "daemon/operations/change_view.hpp"

#include <boost/json/array.hpp>

#include "daemon/operations/json_text.hpp"

namespace swerve::daemon {

namespace json = boost::json;

json::object to_json(const conf::Change& change) {
    const auto text_or_null = [](const std::string& text) -> json::value {
        if (text.empty()) return nullptr;
        return json_string(text);
    };
    json::array keys;
    for (const conf::ChangedKey& key : change.keys) {
        keys.push_back(json::object{{"path", json_string(key.path)},
                                    {"before", text_or_null(key.before)},
                                    {"after", text_or_null(key.after)}});
    }
    json::array resets;
    for (const conf::SessionReset& reset : change.resets) {
        resets.push_back(json::object{{"neighbor", json_string(reset.neighbor)},
                                      {"reason", json_string(reset.reason)},
                                      {"removed", reset.removed}});
    }
    json::array routes;
    for (const conf::RouteChange& route : change.routes) {
        json::array attributes;
        for (const std::string& name : route.attributes) attributes.push_back(json_string(name));
        routes.push_back(json::object{{"service", json_string(route.service)},
                                      {"added", route.added},
                                      {"removed", route.removed},
                                      {"kept", route.kept},
                                      {"attributes", std::move(attributes)}});
    }
    return {
        {"keys", std::move(keys)}, {"resets", std::move(resets)}, {"routes", std::move(routes)}};
}

}  // namespace swerve::daemon
