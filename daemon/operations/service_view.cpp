// What is shown of services.

#include <algorithm>

#include "daemon/operations/json_text.hpp"
#include "daemon/operations/route_state.hpp"
#include "daemon/operations/view_parts.hpp"
#include "daemon/operations/views.hpp"

namespace swerve::daemon::views {

namespace json = boost::json;
using failover::Damping;
using failover::Shown;
using failover::SiteView;

namespace {

constexpr std::size_t prefixes_shown = 20;

[[nodiscard]] json::value seconds_left(const Snapshot& snapshot,
                                       const std::optional<TimePoint>& until) {
    return or_null(until, [&](TimePoint when) {
        return json::value(seconds(std::max(Duration{}, when - snapshot.now)));
    });
}

void add_prefixes(const SiteView::Service& view, json::object& out) {
    std::size_t count = 0;
    json::array prefixes;
    for (const auto& block : view.prefixes) {
        count += block->size();
        for (std::uint32_t id = 0; id < block->size() && prefixes.size() < prefixes_shown; ++id) {
            prefixes.push_back(json_string(block->at(id).to_string()));
        }
    }
    out["prefix_count"] = count;
    out["prefixes"] = std::move(prefixes);
}

/// Whether a withdraw was of this service, or of a prefix of it that an override withdrew.
[[nodiscard]] bool is_of(const failover::FailoverRecord& record, const SiteView::Service& view) {
    if (record.subject == view.name) return true;
    const auto prefix = Prefix::parse(record.subject);
    return prefix && covers(view, *prefix);
}

/// Whether a drained service has left for good: nothing of it is shown, and every neighbor that
/// held any of it has acknowledged that.
[[nodiscard]] bool safe_to_stop(const Snapshot& snapshot, const SiteView::Service& view,
                                std::size_t holders) {
    if (!view.drain || view.shown != Shown::nothing || holders > 0) return false;
    return std::ranges::none_of(snapshot.failovers, [&](const failover::FailoverRecord& record) {
        return !record.complete() && is_of(record, view);
    });
}

/// How long the stages of a drain take by the configuration.
[[nodiscard]] json::value drain_takes(const Snapshot& snapshot, const SiteView::Service& view) {
    const auto& services = snapshot.config->services;
    const auto found = std::ranges::find(services, view.name, &conf::Service::name);
    if (found == services.end()) return nullptr;
    return seconds(found->drain_degraded_for + found->graceful_shutdown_for);
}

void add_drain(const Snapshot& snapshot, const SiteView::Service& view, json::object& out) {
    out["drain_takes_s"] = drain_takes(snapshot, view);
    out["drain"] = override_of(view.drain, snapshot.now);
    out["drain_stage"] = nullptr;
    out["drain_stage_s"] = nullptr;
    if (view.drain && !view.leaving_until) {
        out["drain_stage"] = "withdrawn";
    } else if (view.drain) {
        out["drain_stage"] = view.degraded_until ? "degraded" : "graceful_shutdown";
        out["drain_stage_s"] =
            seconds_left(snapshot, view.degraded_until ? view.degraded_until : view.leaving_until);
    }
    out["withdrawn_in_s"] = seconds_left(snapshot, view.leaving_until);
    out["return_s"] =
        view.drain ? json::value(nullptr) : seconds_left(snapshot, view.degraded_until);
}

[[nodiscard]] json::object damping(const Snapshot& snapshot, const SiteView::Service& view) {
    const failover::DampingPolicy& policy = view.damping.policy();
    json::object out;
    out["profile"] = json_string(to_string(policy.profile));
    out["penalty"] = view.damping.penalty(snapshot.now);
    out["suppressed_above"] = failover::figures_of(policy.profile).suppress;
    out["hold_down_s"] = seconds(policy.hold_down);
    out["changes_per_hour"] = policy.changes_per_hour;
    out["withdrawals_last_hour"] = view.damping.withdrawals(snapshot.now);
    out["wait_s"] = nullptr;
    out["cause"] = nullptr;
    if (view.damped) {
        out["wait_s"] = seconds_left(snapshot, view.damped->until);
        out["cause"] = json_string(cause_word(view.damped->cause));
    }
    return out;
}

[[nodiscard]] json::object service(const Snapshot& snapshot, const SiteView::Service& view,
                                   std::size_t holders, std::size_t established) {
    const auto expression = [&](const health::Expression& of) {
        const auto name = [&](std::uint32_t check) {
            return std::string_view{snapshot.site.checks.at(check).name};
        };
        return json_string(health::to_string(of, name));
    };
    json::object out;
    out["name"] = json_string(view.name);
    out["verdict"] = json_string(to_string(view.verdict));
    out["verdict_reason"] = json_string(view.verdict_reason);
    out["verdict_since"] = wall_of(snapshot, view.verdict_since);
    out["intent"] = json_string(to_string(view.intent));
    out["intent_reason"] = json_string(view.intent_reason);
    out["intent_since"] = wall_of(snapshot, view.intent_since);
    out["shown"] = json_string(to_string(view.shown));
    out["healthy_when"] = expression(view.healthy_when);
    out["degraded_when"] = or_null(view.degraded_when, expression);
    add_prefixes(view, out);
    add_drain(snapshot, view, out);
    out["safe_to_stop"] = safe_to_stop(snapshot, view, holders);
    out["damping"] = damping(snapshot, view);
    out["sent_to"] = holders;
    out["established_neighbors"] = established;
    return out;
}

}  // namespace

json::array services(const Snapshot& snapshot, Only only) {
    const auto established = static_cast<std::size_t>(
        std::ranges::count(snapshot.neighbors, bgp::State::established, &NeighborView::state));
    const Holders holders{snapshot};
    json::array out;
    for (const auto& view : snapshot.site.services) {
        if (only && *only != view.name) continue;
        out.push_back(service(snapshot, view, holders.of(view), established));
    }
    return out;
}

std::string_view cause_word(Damping::Cause cause) {
    switch (cause) {
        case Damping::Cause::penalty:
            return "penalty";
        case Damping::Cause::hold_down:
            return "hold_down";
        case Damping::Cause::changes_per_hour:
            break;
    }
    return "changes_per_hour";
}

}  // namespace swerve::daemon::views
