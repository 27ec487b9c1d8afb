#include "health/probes/etcd_answer.hpp"

#include <boost/json/value.hpp>
#include <string>

#include "health/probes/json_answer.hpp"
#include "health/probes/runtime.hpp"

namespace swerve::health {

std::optional<Outcome> etcd_fault(unsigned status, std::string_view body) {
    const auto document = parse_json(body);
    if (!document) {
        // A proxy in front says 503 in its own words.
        if (status == 503) return failed("HTTP 503: " + document.error());
        return unsure("no answer of etcd's /health: " + document.error());
    }
    // A string in the versions of today; a boolean would mean the same.
    const boost::json::value* health = json_at(*document, "/health");
    const std::string said = health == nullptr ? "" : json_text(*health);
    if (status == 200 && said == "true") return std::nullopt;
    if (status == 503 || said == "false") {
        const boost::json::value* reason = json_at(*document, "/reason");
        const std::string why = reason == nullptr ? "" : json_text(*reason);
        // etcd 3.4 says no more than false, of each of these.
        if (why.empty()) return failed("unhealthy: no leader, no quorum, or an alarm is raised");
        return failed("unhealthy: '" + why + "'");
    }
    if (health == nullptr) return unsure("no answer of etcd's /health: JSON without health");
    return unsure("no answer of etcd's /health: health is '" + said + "'");
}

}  // namespace swerve::health
