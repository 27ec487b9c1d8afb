#include "daemon/operations/event_view.hpp"

#include <fmt/format.h>

#include "daemon/operations/bfd_view.hpp"
#include "daemon/operations/change_view.hpp"
#include "daemon/operations/json_text.hpp"
#include "daemon/operations/views.hpp"
#include "swerve/base/escape.hpp"
#include "swerve/base/overloaded.hpp"
#include "swerve/base/span.hpp"

namespace swerve::daemon {

namespace json = boost::json;

namespace {

[[nodiscard]] json::value text_or_null(std::string_view text) {
    if (text.empty()) return nullptr;
    return json_string(text);
}

template <class State>
[[nodiscard]] json::object change(const State& from, const State& to, std::string_view reason) {
    return {{"from", json_string(to_string(from))},
            {"to", json_string(to_string(to))},
            {"reason", json_string(reason)}};
}

[[nodiscard]] EventView view(const SessionEvent& event) {
    json::object detail{{"neighbor", json_string(event.name)},
                        {"reason", text_or_null(event.reason)},
                        {"notification", nullptr},
                        {"notification_sent", nullptr}};
    if (event.notification) {
        detail["notification"] = json_string(bgp::describe(*event.notification));
        detail["notification_sent"] = event.notification_sent;
    }
    std::string text =
        fmt::format("session with {} is {}{}{}", event.name, event.up ? "up" : "down",
                    event.reason.empty() ? "" : ": ", event.reason);
    return {event.up ? "session_up" : "session_down", event.up ? Severity::info : Severity::warning,
            event.name, std::move(text), std::move(detail)};
}

[[nodiscard]] EventView view(const BfdEvent& event) {
    const bool up = event.to == bfd::State::up;
    // RFC 5882 §3.2: that somebody has switched it off, or on anew, says nothing about the path.
    const bool switched = event.cause == bfd::Cause::neighbor_admin_down ||
                          event.cause == bfd::Cause::admin_down ||
                          event.cause == bfd::Cause::came_up;
    const json::value cause = up ? json::value{} : json_string(to_string(event.cause));
    return {up ? "bfd_up" : "bfd_down", up || switched ? Severity::info : Severity::warning,
            event.name,
            fmt::format("BFD with {} is {}{}{}", event.name, to_string(event.to),
                        event.reason.empty() ? "" : ": ", event.reason),
            json::object{{"neighbor", json_string(event.name)},
                         {"from", json_string(views::bfd_word(event.from))},
                         {"to", json_string(views::bfd_word(event.to))},
                         {"cause", cause},
                         {"reason", text_or_null(event.reason)}}};
}

[[nodiscard]] EventView view(const BestPathEvent& event) {
    const std::string prefix = event.prefix.to_string();
    std::string text =
        event.to.empty()     ? fmt::format("{} is gone, last heard from {}", prefix, event.from)
        : event.from.empty() ? fmt::format("{} is reachable through {}", prefix, event.to)
                             : fmt::format("{} moved from {} to {}", prefix, event.from, event.to);
    return {"best_path", event.to.empty() ? Severity::warning : Severity::info, prefix,
            std::move(text),
            json::object{{"prefix", json_string(prefix)},
                         {"from", text_or_null(event.from)},
                         {"to", text_or_null(event.to)}}};
}

[[nodiscard]] EventView view(const FailoverCompleted& event) {
    const failover::FailoverRecord& record = event.record;
    json::object detail = views::failover(record);
    const auto milliseconds = [&](std::string_view stage) -> std::string {
        const auto* value = detail[stage].if_double();
        return value == nullptr ? "not seen" : fmt::format("{:.3f} ms", *value * 1000);
    };
    std::string text = fmt::format(
        "failover {} of {} ({} prefix{}): detected in {}, written after {}, acknowledged after {}: "
        "{}",
        record.id, record.subject, record.prefixes, record.prefixes == 1 ? "" : "es",
        milliseconds("detection_s"), milliseconds("written_s"), milliseconds("acknowledged_s"),
        record.reason);
    return {"failover", Severity::warning, record.subject, std::move(text), std::move(detail)};
}

[[nodiscard]] EventView view(const DaemonEvent& event, const conf::Config& config) {
    const bool alarm = event.kind == DaemonEvent::Kind::alarm;
    const std::string_view kind = alarm                                      ? "alarm"
                                  : event.kind == DaemonEvent::Kind::started ? "started"
                                                                             : "stopping";
    return {"daemon", alarm ? Severity::critical : Severity::info, config.site, event.text,
            json::object{{"kind", json_string(kind)}}};
}

[[nodiscard]] EventView view(const CheckEvent& event) {
    const std::string& name = event.name;
    const bool good = event.to == health::CheckState::pass;
    return {"check", good ? Severity::info : Severity::warning, name,
            fmt::format("check {}: {} -> {}: {}", name, health::to_string(event.from),
                        health::to_string(event.to), event.reason),
            change(event.from, event.to, event.reason)};
}

[[nodiscard]] EventView view(const EvidenceEvent& event, TimePoint at) {
    const std::string& name = event.name;
    const double held = seconds(std::max(Duration{}, event.until - at));
    const bool fails = event.then == health::OnUnknown::fail;
    return {"evidence_lost", Severity::critical, name,
            fmt::format("check {} has no evidence; its last verdict is held for {:.1f} s, then {}: "
                        "{}",
                        name, held,
                        fails ? "it counts as failed" : "it stands under an alarm until there is",
                        event.reason),
            json::object{{"reason", json_string(event.reason)},
                         {"held_until_s", held},
                         {"then", fails ? "fail" : "hold"}}};
}

[[nodiscard]] EventView view(const CheckAlarmEvent& event) {
    return {"check_alarm", event.raised ? Severity::critical : Severity::info, event.name,
            fmt::format("check {}: alarm {}: {}", event.name, event.raised ? "raised" : "ended",
                        event.reason),
            json::object{{"raised", event.raised}, {"reason", json_string(event.reason)}}};
}

[[nodiscard]] EventView view(const DampingEvent& event, TimePoint at) {
    json::object detail{
        {"wait_s", nullptr}, {"cause", nullptr}, {"reason", json_string(event.reason)}};
    if (event.wait) {
        detail["wait_s"] = seconds(std::max(Duration{}, event.wait->until - at));
        detail["cause"] = json_string(views::cause_word(event.wait->cause));
    }
    const bool flaps = event.wait && event.wait->too_often;
    return {"damping", flaps ? Severity::critical : Severity::info, event.name,
            fmt::format("service {}: {}", event.name, event.reason), std::move(detail)};
}

[[nodiscard]] EventView view(const VerdictEvent& event) {
    const std::string& name = event.name;
    const Severity severity = event.to == failover::Verdict::up         ? Severity::info
                              : event.to == failover::Verdict::degraded ? Severity::warning
                                                                        : Severity::critical;
    return {"verdict", severity, name,
            fmt::format("service {}: verdict {} -> {}: {}", name, failover::to_string(event.from),
                        failover::to_string(event.to), event.reason),
            change(event.from, event.to, event.reason)};
}

[[nodiscard]] EventView view(const IntentEvent& event) {
    const std::string& name = event.name;
    const bool good = event.to == failover::Intent::announce;
    return {"intent", good ? Severity::info : Severity::warning, name,
            fmt::format("service {}: intent {} -> {}: {}", name, failover::to_string(event.from),
                        failover::to_string(event.to), event.reason),
            change(event.from, event.to, event.reason)};
}

[[nodiscard]] EventView view(const failover::OverrideChanged& event, TimePoint at) {
    json::object detail{{"kind", nullptr},
                        {"reason", nullptr},
                        {"who", nullptr},
                        {"expires_s", nullptr},
                        {"expired", event.expired}};
    std::string text =
        fmt::format("override on {} {}{}{}", event.subject, event.expired ? "expired" : "cleared",
                    event.why.empty() ? "" : ": ", event.why);
    if (event.value) {
        detail["kind"] = json_string(failover::to_string(event.value->kind));
        detail["reason"] = text_or_null(event.value->reason);
        detail["who"] = json_string(event.value->who);
        if (event.value->expires) detail["expires_s"] = seconds(*event.value->expires - at);
        text = fmt::format("override {} on {} by {}{}{}", failover::to_string(event.value->kind),
                           event.subject, event.value->who, event.value->reason.empty() ? "" : ": ",
                           event.value->reason);
    }
    return {"override", Severity::info, event.subject, std::move(text), std::move(detail)};
}

[[nodiscard]] EventView view(const OutOfSyncEvent& event) {
    const json::object detail{{"out_of_sync", event.out_of_sync},
                              {"pending_withdrawals", event.pending_withdrawals},
                              {"pending_announcements", event.pending_announcements}};
    if (!event.out_of_sync) {
        return {"out_of_sync", Severity::info, event.name,
                fmt::format("neighbor {} holds again what it is to hold", event.name), detail};
    }
    return {"out_of_sync", Severity::critical, event.name,
            fmt::format("neighbor {} does not take what it is to hold: {} withdrawals and {} "
                        "announcements wait",
                        event.name, event.pending_withdrawals, event.pending_announcements),
            detail};
}

[[nodiscard]] std::string_view word(PrefixLimitEvent::Of of) {
    switch (of) {
        case PrefixLimitEvent::Of::kept:
            return "kept";
        case PrefixLimitEvent::Of::kept_octets:
            return "kept_octets";
        case PrefixLimitEvent::Of::received:
            break;
    }
    return "received";
}

[[nodiscard]] std::string_view limited(PrefixLimitEvent::Of of) {
    switch (of) {
        case PrefixLimitEvent::Of::kept:
            return "routes that are kept";
        case PrefixLimitEvent::Of::kept_octets:
            return "octets of routes that are kept";
        case PrefixLimitEvent::Of::received:
            break;
    }
    return "routes";
}

[[nodiscard]] EventView view(const PrefixLimitEvent& event) {
    return {
        "prefix_limit", Severity::critical, event.name,
        fmt::format("neighbor {} has told {} {}, more than its limit of {}: its session "
                    "ended and is tried again in {}",
                    event.name, event.told, limited(event.of), event.limit, span_text(event.idle)),
        json::object{
            {"of", json_string(word(event.of))},
            {event.of == PrefixLimitEvent::Of::kept_octets ? "octets" : "routes", event.told},
            {"limit", event.limit},
            {"idle_s", seconds(event.idle)}}};
}

[[nodiscard]] EventView view(const NeighborCommandEvent& event) {
    return {"neighbor_command", Severity::info, event.name,
            fmt::format("neighbor {}: {} by {}{}{}", event.name, event.command, event.who,
                        event.reason.empty() ? "" : ": ", event.reason),
            json::object{{"command", json_string(event.command)},
                         {"who", json_string(event.who)},
                         {"reason", text_or_null(event.reason)}}};
}

[[nodiscard]] EventView view(const Reloaded& event) {
    const conf::Change& change = *event.change;
    return {"reloaded", Severity::info, change.after->site,
            fmt::format("the configuration was reloaded: {} key{} changed, {} session{} reset",
                        change.keys.size(), change.keys.size() == 1 ? "" : "s",
                        change.resets.size(), change.resets.size() == 1 ? "" : "s"),
            to_json(change)};
}

}  // namespace

std::string_view to_string(Severity severity) {
    switch (severity) {
        case Severity::info:
            return "info";
        case Severity::warning:
            return "warning";
        case Severity::critical:
            break;
    }
    return "critical";
}

EventView view_of(const Event& event, const conf::Config& config) {
    return std::visit(
        Overloaded{[&](const DaemonEvent& what) { return view(what, config); },
                   [&](const EvidenceEvent& what) { return view(what, event.at); },
                   [&](const DampingEvent& what) { return view(what, event.at); },
                   [&](const failover::OverrideChanged& what) { return view(what, event.at); },
                   [](const auto& what) { return view(what); }},
        event.what);
}

json::object to_json(const EventView& view, const Event& event, std::uint64_t id) {
    return {{"schema", "swerve.event/1"},
            {"id", id},
            {"time", json_string(rfc3339(event.wall))},
            {"boottime_ns", nanoseconds(event.at)},
            {"type", json_string(view.type)},
            {"severity", json_string(to_string(view.severity))},
            {"subject", json_string(view.subject)},
            {"text", json_string(view.text)},
            {"detail", view.detail}};
}

}  // namespace swerve::daemon
