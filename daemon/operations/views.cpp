#include "daemon/operations/views.hpp"

#include <algorithm>

#include "daemon/operations/bfd_view.hpp"
#include "daemon/operations/json_text.hpp"
#include "daemon/operations/neighbor_view.hpp"
#include "daemon/operations/observed_view.hpp"
#include "daemon/operations/route_state.hpp"
#include "daemon/operations/view_parts.hpp"
#include "swerve/base/escape.hpp"
#include "swerve/health/probe_fields.hpp"

namespace swerve::daemon::views {

namespace json = boost::json;
using failover::SiteView;

namespace {

constexpr std::size_t most_bfd_steps = 3;
constexpr std::size_t longest_line = 1U << 20U;  // a list of prefixes is one line

[[nodiscard]] json::object received_route(const Snapshot& snapshot, const RouteView& view) {
    json::object out{{"prefix", json_string(view.prefix.to_string())},
                     {"neighbor", json_string(view.neighbor)},
                     {"best", view.best}};
    for (auto& member : heard(snapshot, view.route)) out[member.key()] = std::move(member.value());
    return out;
}

[[nodiscard]] json::object site_route(const Snapshot& snapshot, const SiteRoute& route) {
    json::object out;
    out["prefix"] = json_string(route.prefix.to_string());
    out["service"] = route.service == nullptr ? nullptr : json_string(route.service->name);
    out["intent"] = json_string(failover::to_string(route.intent));
    out["reason"] = json_string(route.reason);
    out["override"] = override_of(route.override_value, snapshot.now);
    out["sent_to"] = route.sent_to;
    return out;
}

/// Whether a neighbor is one to whom this prefix goes at all.
[[nodiscard]] bool carries(const Snapshot& snapshot, const NeighborView& view,
                           const Prefix& prefix) {
    if (view.config == nullptr) return false;  // a collector's
    if (view.negotiated && !view.negotiated->families.contains(prefix.family())) return false;
    const auto service = service_of(snapshot.site, prefix);
    return service ? conf::carries(*view.config, *service, prefix.family())
                   : view.config->families.contains(prefix.family());
}

[[nodiscard]] std::vector<failover::NeighborFacts> neighbor_facts(const Snapshot& snapshot,
                                                                  const Prefix& prefix) {
    std::vector<failover::NeighborFacts> out;
    for (const NeighborView& view : snapshot.neighbors) {
        const bool established = view.state == bgp::State::established;
        std::string detail{state_word(view.state)};
        if (view.waits_for_bfd) {
            detail = "waits for BFD";
        } else if (!established && !view.last_error.empty()) {
            detail += ": " + escape(view.last_error);
        }
        out.push_back({.name = view.name,
                       .established = established,
                       .carries = carries(snapshot, view, prefix),
                       .advertised = holds(view, prefix),
                       .detail = std::move(detail)});
    }
    return out;
}

/// What BFD keeps from carrying the prefix stands in the way as long as nobody carries it.
void add_bfd_steps(const Snapshot& snapshot, failover::Explanation& explanation) {
    using Mark = failover::ExplainStep::Mark;
    if (!explanation.wanted) return;
    std::size_t told = 0;
    for (const NeighborView& view : snapshot.neighbors) {
        if (!carries(snapshot, view, explanation.prefix)) continue;
        auto step = bfd_step(snapshot, view);
        if (!step) continue;
        if (told++ == most_bfd_steps) return;
        if (explanation.announced) step->mark = Mark::info;
        explanation.steps.push_back(*std::move(step));
    }
}

[[nodiscard]] std::string_view mark_word(failover::ExplainStep::Mark mark) {
    switch (mark) {
        case failover::ExplainStep::Mark::ok:
            return "ok";
        case failover::ExplainStep::Mark::blocked:
            return "blocked";
        case failover::ExplainStep::Mark::info:
            break;
    }
    return "info";
}

/// From the verdict to the last neighbor's `stage`; nothing while one is missing. A neighbor whose
/// session was lost, or that was not told after all, needs neither.
[[nodiscard]] json::value last_stage(
    const failover::FailoverRecord& record,
    std::optional<TimePoint> failover::FailoverRecord::Neighbor::* stage) {
    std::optional<TimePoint> last;
    for (const auto& neighbor : record.neighbors) {
        const std::optional<TimePoint>& reached = neighbor.*stage;
        if (!reached && (neighbor.session_lost || neighbor.cancelled)) continue;
        if (!reached) return nullptr;
        last = std::max(last.value_or(*reached), *reached);
    }
    return or_null(last,
                   [&](TimePoint when) { return json::value(seconds(when - record.verdict)); });
}

}  // namespace

json::object envelope(std::string_view schema, WallTime wall, TimePoint now) {
    return {{"schema", json_string(schema)},
            {"time", json_string(rfc3339(wall))},
            {"boottime_ns", nanoseconds(now)}};
}

json::object envelope(std::string_view schema, const Snapshot& snapshot) {
    return envelope(schema, snapshot.wall, snapshot.now);
}

json::array neighbors(const Snapshot& snapshot, Only only) {
    json::array out;
    for (const auto& view : snapshot.neighbors) {
        if (!only || *only == view.name) out.push_back(neighbor(snapshot, view));
    }
    return out;
}

json::array failovers(const Snapshot& snapshot, std::optional<std::uint64_t> only) {
    json::array out;
    for (auto record = snapshot.failovers.rbegin(); record != snapshot.failovers.rend(); ++record) {
        if (!only || *only == record->id) out.push_back(failover(*record));
    }
    return out;
}

json::object routes(const Snapshot& snapshot, const std::optional<Prefix>& overlapping,
                    std::size_t limit) {
    json::object out = envelope("swerve.routes/1", snapshot);
    bool cut = snapshot.received_cut;
    json::array own;
    for_each_route(snapshot, overlapping, [&](const SiteRoute& route) {
        if (own.size() == limit) {
            cut = true;
            return false;
        }
        own.push_back(site_route(snapshot, route));
        return true;
    });
    json::array received;
    for (const auto& view : snapshot.received) received.push_back(received_route(snapshot, view));
    out["routes"] = std::move(own);
    out["received"] = std::move(received);
    out["cut"] = cut;
    return out;
}

json::object status(const Snapshot& snapshot, json::array events) {
    const conf::Config& config = *snapshot.config;
    json::object out = envelope("swerve.status/1", snapshot);
    out["version"] = SWERVE_VERSION;
    out["site"] = json_string(config.site);
    out["local_as"] = config.local_as.value();
    out["router_id"] = json_string(config.router_id.to_string());
    out["mode"] = config.collector ? "collector" : "site";
    out["stopping"] = snapshot.site.stopping;
    out["started"] = json_string(rfc3339(snapshot.started_wall));
    out["uptime_s"] = seconds(snapshot.now - snapshot.started);
    out["neighbors"] = neighbors(snapshot);
    out["services"] = services(snapshot);
    out["checks"] = checks(snapshot);
    out["events"] = std::move(events);
    return out;
}

json::object explain(const Snapshot& snapshot, const Prefix& prefix) {
    std::vector<std::string> caveats;
    for (const auto& check : snapshot.config->checks) {
        const auto* type = health::find_probe_type(check.probe.type);
        caveats.push_back(type == nullptr ? std::string{} : type->caveat(check.probe.fields));
    }
    failover::Explanation explanation = failover::explain(
        snapshot.site, prefix, neighbor_facts(snapshot, prefix), caveats, snapshot.now);
    add_bfd_steps(snapshot, explanation);
    json::array steps;
    for (const auto& step : explanation.steps) {
        steps.push_back(json::object{{"stage", json_string(step.stage)},
                                     {"mark", json_string(mark_word(step.mark))},
                                     {"text", json_string(step.text)}});
    }
    json::object out = envelope("swerve.explain/1", snapshot);
    out["prefix"] = json_string(explanation.prefix.to_string());
    out["announced"] = explanation.announced;
    out["wanted"] = explanation.wanted;
    out["summary"] = json_string(explanation.summary);
    out["steps"] = std::move(steps);
    return out;
}

json::object failover(const failover::FailoverRecord& record) {
    const auto since_verdict = [&](TimePoint when) {
        return json::value(seconds(when - record.verdict));
    };
    const auto raw = [](TimePoint when) { return json::value(nanoseconds(when)); };
    json::array per_neighbor;
    for (const auto& neighbor : record.neighbors) {
        per_neighbor.push_back(
            json::object{{"name", json_string(neighbor.name)},
                         {"written_boottime_ns", or_null(neighbor.written, raw)},
                         {"acknowledged_boottime_ns", or_null(neighbor.acknowledged, raw)},
                         {"written_s", or_null(neighbor.written, since_verdict)},
                         {"acknowledged_s", or_null(neighbor.acknowledged, since_verdict)},
                         {"session_lost", neighbor.session_lost.has_value()},
                         {"session_lost_s", or_null(neighbor.session_lost, since_verdict)},
                         {"cancelled", neighbor.cancelled}});
    }
    json::object out;
    out["id"] = record.id;
    out["subject"] = json_string(record.subject);
    out["reason"] = json_string(record.reason);
    out["prefixes"] = record.prefixes;
    out["time"] = json_string(rfc3339(record.wall));
    out["complete"] = record.complete();
    out["first_evidence_boottime_ns"] = nanoseconds(record.first_evidence);
    out["verdict_boottime_ns"] = nanoseconds(record.verdict);
    out["detection_s"] = seconds(record.verdict - record.first_evidence);
    out["written_s"] = last_stage(record, &failover::FailoverRecord::Neighbor::written);
    out["acknowledged_s"] = last_stage(record, &failover::FailoverRecord::Neighbor::acknowledged);
    out["neighbors"] = std::move(per_neighbor);
    return out;
}

json::value override_of(const std::optional<failover::Override>& value, TimePoint now) {
    return or_null(value, [&](const failover::Override& set) {
        return json::value(json::object{{"kind", json_string(failover::to_string(set.kind))},
                                        {"reason", text_or_null(set.reason)},
                                        {"who", json_string(set.who)},
                                        {"set_at", json_string(rfc3339(set.set_at))},
                                        {"expires_s", or_null(set.expires, [&](TimePoint when) {
                                             return json::value(
                                                 seconds(std::max(Duration{}, when - now)));
                                         })}});
    });
}

json::value text_lines(std::string_view text) {
    json::string out;
    while (!text.empty()) {
        const std::size_t end = text.find('\n');
        out += escape(text.substr(0, end), longest_line);
        if (end == std::string_view::npos) break;
        out += '\n';
        text.remove_prefix(end + 1);
    }
    return out;
}

std::string_view origin_word(bgp::Origin origin) {
    switch (origin) {
        case bgp::Origin::igp:
            return "igp";
        case bgp::Origin::egp:
            return "egp";
        case bgp::Origin::incomplete:
            break;
    }
    return "incomplete";
}

std::string_view state_word(bgp::State state) {
    switch (state) {
        case bgp::State::idle:
            return "idle";
        case bgp::State::connect:
            return "connect";
        case bgp::State::active:
            return "active";
        case bgp::State::open_sent:
            return "open_sent";
        case bgp::State::open_confirm:
            return "open_confirm";
        case bgp::State::established:
            break;
    }
    return "established";
}

}  // namespace swerve::daemon::views
