// What is shown of checks.

#include <algorithm>
#include <vector>

#include "daemon/operations/json_text.hpp"
#include "daemon/operations/view_parts.hpp"
#include "daemon/operations/views.hpp"
#include "swerve/health/probe_fields.hpp"

namespace swerve::daemon::views {

namespace json = boost::json;
using failover::SiteView;

namespace {

[[nodiscard]] json::object last_outcome(const Snapshot& snapshot, const health::Outcome& outcome) {
    json::object out;
    out["result"] = json_string(health::to_string(outcome.result));
    out["reason"] = json_string(outcome.reason);
    out["finished"] = wall_of(snapshot, outcome.finished);
    out["duration_s"] = seconds(outcome.finished - outcome.started);
    out["age_s"] = seconds(snapshot.now - outcome.finished);
    return out;
}

[[nodiscard]] json::value history(const Snapshot& snapshot, const SiteView::Check& view) {
    if (snapshot.history_of != view.name) return nullptr;
    json::array out;
    for (const health::PastResult& past : snapshot.history) {
        out.push_back(json::object{{"finished", wall_of(snapshot, past.finished)},
                                   {"duration_s", seconds(past.took)},
                                   {"age_s", seconds(snapshot.now - past.finished)},
                                   {"result", json_string(health::to_string(past.result))},
                                   {"by_event", past.by_event},
                                   {"reason", past.reason ? json_string(*past.reason) : nullptr}});
    }
    return out;
}

/// What decides, and when.
void add_policy(const health::TrackerPolicy& policy, json::object& out) {
    out["interval_s"] = seconds(policy.interval);
    out["fast_interval_s"] = seconds(policy.fast_interval);
    out["timeout_s"] = seconds(policy.timeout);
    out["rise"] = policy.rise;
    out["fall"] = policy.fall;
    out["window"] = json::object{{"failures", policy.window_failures}, {"of", policy.window_of}};
    out["on_unknown"] = policy.on_unknown == health::OnUnknown::hold ? "hold" : "fail";
    out["unknown_hold_s"] = seconds(policy.hold_unknown);
    out["detection_bound_s"] = seconds(health::detection_bound(policy));
}

void add_evidence(const Snapshot& snapshot, const SiteView::Check& view, json::object& out) {
    out["consecutive_passes"] = view.passes;
    out["consecutive_failures"] = view.failures;
    out["window_failures"] = view.window_failures;
    out["last"] = or_null(view.last, [&](const health::Outcome& outcome) {
        return json::value(last_outcome(snapshot, outcome));
    });
    out["held_until_s"] = or_null(view.held_until, [&](TimePoint until) {
        return json::value(seconds(std::max(Duration{}, until - snapshot.now)));
    });
    out["without_evidence"] = view.without_evidence;
    out["results"] = json::object{
        {"pass", view.results[0]}, {"fail", view.results[1]}, {"unknown", view.results[2]}};
    out["history"] = history(snapshot, view);
}

[[nodiscard]] json::object check(const Snapshot& snapshot, std::size_t index,
                                 json::array services) {
    const SiteView::Check& view = snapshot.site.checks[index];
    const health::ProbeSpec& probe = snapshot.config->checks[index].probe;
    const health::ProbeType* type = health::find_probe_type(probe.type);
    json::object out;
    out["name"] = json_string(view.name);
    out["type"] = json_string(probe.type);
    out["target"] = type == nullptr ? nullptr : text_or_null(type->target(probe.fields));
    out["scope"] = json_string(to_string(view.scope));
    out["effect"] = json_string(to_string(view.effect));
    out["only_if"] = text_or_null(view.only_if);
    out["state"] = json_string(to_string(view.state));
    out["reason"] = json_string(view.reason);
    out["since"] = wall_of(snapshot, view.since);
    out["alarm"] = text_or_null(view.alarm);
    add_policy(view.policy, out);
    add_evidence(snapshot, view, out);
    out["caveat"] = type == nullptr ? nullptr : text_or_null(type->caveat(probe.fields));
    out["services"] = std::move(services);
    return out;
}

/// By check: names of the services that use it.
[[nodiscard]] std::vector<json::array> users(const SiteView& site) {
    std::vector<json::array> out(site.checks.size());
    for (const SiteView::Service& service : site.services) {
        std::vector<std::uint32_t> checks = health::checks_of(service.healthy_when);
        if (service.degraded_when) {
            const auto more = health::checks_of(*service.degraded_when);
            checks.insert(checks.end(), more.begin(), more.end());
            std::ranges::sort(checks);
            const auto repeated = std::ranges::unique(checks);
            checks.erase(repeated.begin(), repeated.end());
        }
        for (const std::uint32_t check : checks) out.at(check).push_back(json_string(service.name));
    }
    return out;
}

}  // namespace

json::array checks(const Snapshot& snapshot, Only only) {
    std::vector<json::array> services = users(snapshot.site);
    json::array out;
    for (std::size_t i = 0; i < snapshot.site.checks.size(); ++i) {
        if (only && *only != snapshot.site.checks[i].name) continue;
        out.push_back(check(snapshot, i, std::move(services[i])));
    }
    return out;
}

}  // namespace swerve::daemon::views
