// The second half of tables.hpp: one object at length.

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <utility>
#include <vector>

#include "tools/swervectl/answer.hpp"
#include "tools/swervectl/tables.hpp"

namespace swerve::ctl {

namespace json = boost::json;

namespace {

Cell word(const json::object& from, std::string_view key) {
    const std::string text = text_at(from, key);
    return {text, style_of(text)};
}

std::string seconds(const json::object& from, std::string_view key) {
    const auto value = number_at(from, key);
    return value ? human_time(*value) : "-";
}

std::string messages(const json::object& counts) {
    return fmt::format("open {}, update {}, notification {}, keepalive {}, route refresh {}",
                       text_at(counts, "open"), text_at(counts, "update"),
                       text_at(counts, "notification"), text_at(counts, "keepalive"),
                       text_at(counts, "route_refresh"));
}

std::string title(const json::object& object, std::string_view kind, const Palette& palette) {
    return palette.paint(fmt::format("{} {}", kind, text_at(object, "name")), Style::heading) +
           "\n";
}

std::string override_text(const json::object& held) {
    if (held.empty()) return "-";
    std::string out = fmt::format("{} by {}", text_at(held, "kind"), text_at(held, "who"));
    if (const auto left = number_at(held, "expires_s")) out += ", ends in " + human_span(*left);
    if (text_at(held, "reason") != "-") out += ": " + text_at(held, "reason");
    return out;
}

/// "Cease/Administrative Shutdown "maintenance", received 41s ago".
std::string notification(const json::object& last) {
    if (last.empty()) return "-";
    const auto age = number_at(last, "age_s");
    return fmt::format("{}, {}{}", text_at(last, "text"), text_at(last, "direction"),
                       age ? " " + human_span(*age) + " ago" : "");
}

std::string limit(const json::object& neighbor) {
    const json::object most = object_at(neighbor, "prefix_limit");
    if (most.empty()) return "-";
    return fmt::format("kept {}, received {}, pause {}{}", text_at(most, "kept"),
                       text_at(most, "received"), seconds(most, "idle_s"),
                       flag_at(neighbor, "over_limit") ? "; the last session ended for it" : "");
}

/// What the session can, of what both OPENs say.
std::string capabilities(const json::object& session) {
    std::string out;
    const auto add = [&](std::string_view text) {
        out += (out.empty() ? "" : ", ") + std::string{text};
    };
    for (const auto& [key, text] :
         std::initializer_list<std::pair<std::string_view, std::string_view>>{
             {"four_octet_as", "four-octet AS"},
             {"route_refresh", "route refresh"},
             {"enhanced_route_refresh", "enhanced route refresh"},
             {"extended_message_send", "extended messages out"},
             {"extended_message_receive", "extended messages in"},
             {"ipv4_over_ipv6", "IPv4 over IPv6 next hops"}}) {
        if (flag_at(session, key)) add(text);
    }
    if (const std::string families = list_at(session, "add_path_receive"); families != "-") {
        add("add-path in (" + families + ")");
    }
    if (const json::object restart = object_at(session, "remote_restart"); !restart.empty()) {
        add("it keeps routes for a restart");
    }
    return out.empty() ? "-" : out;
}

std::string roles(const json::object& neighbor) {
    const std::string ours = text_at(object_at(neighbor, "offered"), "role");
    if (ours == "-") return ours;
    const std::string theirs = text_at(object_at(neighbor, "negotiated"), "remote_role");
    return fmt::format("{}, its own {}", ours, theirs == "-" ? "is not known" : theirs);
}

/// BFD beside the session of BGP; all of it is in `show bfd NAME`.
void add_bfd(Details& out, const json::object& answer, const json::object& neighbor) {
    const json::object bfd = object_at(neighbor, "bfd");
    if (bfd.empty()) return out.add("BFD", {"-"});
    out.add("BFD", bfd_state(bfd));
    out.add("BFD for", {since_at(answer, bfd, "since")});
    out.add("BFD because", {text_at(bfd, "hint")});
    out.add("BFD diagnostic", {fmt::format("{}, the neighbor's {}", text_at(bfd, "diagnostic"),
                                           text_at(bfd, "neighbor_diagnostic"))});
    out.add("BFD detection", {fmt::format("{}, the neighbor's {}", seconds(bfd, "detection_time_s"),
                                          seconds(bfd, "neighbor_detection_time_s"))});
    if (flag_at(bfd, "strict")) {
        out.add("waits for BFD", {flag_at(bfd, "waits") ? "yes: bfd.strict" : "no longer"});
    }
}

std::string neighbor_detail(const json::object& answer, const json::object& neighbor,
                            const Palette& palette) {
    const json::object sent = object_at(neighbor, "prefixes_advertised");
    const auto up = number_at(neighbor, "up_s");
    const auto retry = number_at(neighbor, "next_retry_s");
    Details out;
    out.add("description", {text_at(neighbor, "description")});
    out.add("address",
            {fmt::format("{} port {}{}", text_at(neighbor, "address"), text_at(neighbor, "port"),
                         flag_at(neighbor, "passive") ? ", passive" : "")});
    out.add("local address", {text_at(neighbor, "local_address")});
    out.add("group", {text_at(neighbor, "group")});
    out.add("local AS", {text_at(neighbor, "local_as")});
    out.add("remote AS", {text_at(neighbor, "remote_as")});
    out.add("state", word(neighbor, "state"));
    out.add("disabled", {flag_at(neighbor, "disabled")     ? "yes, by an operator"
                         : flag_at(neighbor, "admin_down") ? "yes, by admin_down"
                                                           : "no"});
    out.add("out of sync",
            {flag_at(neighbor, "out_of_sync") ? "yes: it does not take what it is to hold" : "no"});
    out.add("for", {up ? human_span(*up) : since_at(answer, neighbor, "since")});
    out.add("times established", {text_at(neighbor, "established_count")});
    out.add("last error", {text_at(neighbor, "last_error")});
    out.add("last notification", {notification(object_at(neighbor, "last_notification"))});
    out.add("next try in", {retry ? human_time(*retry) : "-"});
    out.add("hold time", {seconds(neighbor, "hold_time_s")});
    out.add("keepalive", {seconds(neighbor, "keepalive_s")});
    add_bfd(out, answer, neighbor);
    out.add("families", {list_at(neighbor, "families")});
    out.add("capabilities", {capabilities(object_at(neighbor, "negotiated"))});
    out.add("role", {roles(neighbor)});
    out.add("prefixes sent",
            {fmt::format("ipv4 {}, ipv6 {}", text_at(sent, "ipv4"), text_at(sent, "ipv6"))});
    out.add("prefixes received",
            {fmt::format("{} kept of {} announced", text_at(neighbor, "prefixes_received"),
                         text_at(neighbor, "prefixes_heard"))});
    out.add("prefix limit", {limit(neighbor)});
    out.add("all told (EoR)", {list_at(neighbor, "end_of_rib")});
    out.add("waiting to be sent",
            {fmt::format("withdrawals {}, announcements {}, octets in the kernel {}",
                         text_at(neighbor, "pending_withdrawals"),
                         text_at(neighbor, "pending_announcements"),
                         text_at(neighbor, "unsent_octets"))});
    out.add("messages sent", {messages(object_at(neighbor, "messages_sent"))});
    out.add("messages received", {messages(object_at(neighbor, "messages_received"))});
    return title(neighbor, "neighbor", palette) + out.to_string(palette);
}

/// Where a drain or a return stands.
std::string stage_text(const json::object& service) {
    if (const auto left = number_at(service, "return_s")) {
        return fmt::format("returning: degraded, in full in {}", human_span(*left));
    }
    const std::string stage = text_at(service, "drain_stage");
    const auto left = number_at(service, "drain_stage_s");
    if (!left) return stage;
    const auto end = number_at(service, "withdrawn_in_s");
    return fmt::format("announced with {} for {}, withdrawn in {}", stage, human_span(*left),
                       end ? human_span(*end) : "-");
}

std::string damping_detail(const json::object& service) {
    const json::object damping = object_at(service, "damping");
    const auto round = [&](std::string_view key) {
        return fmt::format("{:.0f}", number_at(damping, key).value_or(0));
    };
    const auto most = number_at(damping, "changes_per_hour").value_or(0);
    std::string out = fmt::format(
        "profile {}, penalty {} of {}, {} withdrawals in the last hour{}",
        text_at(damping, "profile"), round("penalty"), round("suppressed_above"),
        text_at(damping, "withdrawals_last_hour"), most > 0 ? fmt::format(" of {:.0f}", most) : "");
    if (const std::string wait = damping_text(service); !wait.empty()) out += "; " + wait;
    return out;
}

std::string service_detail(const json::object& answer, const json::object& service,
                           const Palette& palette) {
    Details out;
    out.add("verdict", word(service, "verdict"));
    out.add("verdict for", {since_at(answer, service, "verdict_since")});
    out.add("verdict because", {text_at(service, "verdict_reason")});
    out.add("intent", word(service, "intent"));
    out.add("intent for", {since_at(answer, service, "intent_since")});
    out.add("intent because", {text_at(service, "intent_reason")});
    out.add("shown", word(service, "shown"));
    out.add("healthy when", {text_at(service, "healthy_when")});
    out.add("degraded when", {text_at(service, "degraded_when")});
    out.add("drain", {override_text(object_at(service, "drain"))});
    out.add("stage", {stage_text(service)});
    out.add("safe to stop", {flag_at(service, "safe_to_stop") ? "yes" : "no"});
    out.add("damping", {damping_detail(service)});
    out.add("sent to", {fmt::format("{} of {} established neighbors", text_at(service, "sent_to"),
                                    text_at(service, "established_neighbors"))});
    const auto count = number_at(service, "prefix_count").value_or(0);
    out.add("prefixes", {fmt::format("{:.0f}: {}{}", count, list_at(service, "prefixes"),
                                     count > 20 ? ", …" : "")});
    return title(service, "service", palette) + out.to_string(palette);
}

/// One sign per result, oldest first, with the last ones in full below.
std::string history_text(const json::object& check, const Palette& palette) {
    constexpr std::size_t in_full = 10;
    const std::vector<json::object> past = objects_at(check, "history");
    if (past.empty()) return "";
    std::string signs;
    for (const json::object& each : past) {
        const std::string result = text_at(each, "result");
        const std::string_view sign = result == "pass" ? "." : result == "fail" ? "x" : "?";
        signs += palette.paint(sign, style_of(result));
    }
    Table table{{"  AGO", ">TOOK", "RESULT", "BY", "REASON"}};
    for (std::size_t i = 0; i < std::min(past.size(), in_full); ++i) {
        const json::object& each = past[past.size() - 1 - i];
        table.add({{"  " + time_at(each, "age_s")},
                   {time_at(each, "duration_s")},
                   word(each, "result"),
                   {flag_at(each, "by_event") ? "event" : "interval"},
                   {text_at(each, "reason")}});
    }
    return fmt::format("  last {} (. pass, x fail, ? unknown), oldest first:\n  {}\n{}",
                       past.size(), signs, table.to_string(palette));
}

std::string evidence_text(const json::object& check) {
    if (flag_at(check, "without_evidence")) return "none: its state stands all the same";
    const auto held = number_at(check, "held_until_s");
    return held ? fmt::format("none: its state is held for {}", human_time(*held)) : "there is";
}

std::string check_detail(const json::object& answer, const json::object& check,
                         const Palette& palette) {
    const json::object last = object_at(check, "last");
    const json::object window = object_at(check, "window");
    const json::object results = object_at(check, "results");
    Details out;
    out.add("probe", {text_at(check, "type") + " " + text_at(check, "target")});
    out.add("effect",
            {fmt::format("{} (scope {})", text_at(check, "effect"), text_at(check, "scope"))});
    out.add("only if", {text_at(check, "only_if")});
    out.add("state", word(check, "state"));
    out.add("for", {since_at(answer, check, "since")});
    out.add("because", {text_at(check, "reason")});
    out.add("alarm", {text_at(check, "alarm"), Style::bad});
    out.add("last result", word(last, "result"));
    out.add("last reason", {text_at(last, "reason")});
    out.add("last took", {seconds(last, "duration_s")});
    out.add("last was", {seconds(last, "age_s") + " ago"});
    out.add("in a row",
            {fmt::format("{} passes (rise {}), {} failures (fall {})",
                         text_at(check, "consecutive_passes"), text_at(check, "rise"),
                         text_at(check, "consecutive_failures"), text_at(check, "fall"))});
    if (number_at(window, "of").value_or(0) > 0) {
        out.add("window", {fmt::format("{} failures of the last {} (flips at {})",
                                       text_at(check, "window_failures"), text_at(window, "of"),
                                       text_at(window, "failures"))});
    }
    out.add("timing", {fmt::format("every {}, after a failure every {}, timeout {}",
                                   seconds(check, "interval_s"), seconds(check, "fast_interval_s"),
                                   seconds(check, "timeout_s"))});
    out.add("detection within", {seconds(check, "detection_bound_s")});
    out.add("evidence", {evidence_text(check)});
    out.add("without evidence",
            {fmt::format("held for {}, then: {}", seconds(check, "unknown_hold_s"),
                         text_at(check, "on_unknown"))});
    out.add("results", {fmt::format("pass {}, fail {}, unknown {}", text_at(results, "pass"),
                                    text_at(results, "fail"), text_at(results, "unknown"))});
    out.add("caveat", {text_at(check, "caveat")});
    out.add("services", {list_at(check, "services")});
    return title(check, "check", palette) + out.to_string(palette) + history_text(check, palette);
}

/// Its loss withdraws as well: when that was.
std::string session_of(const json::object& neighbor) {
    if (!flag_at(neighbor, "session_lost")) return "kept";
    const std::string after = time_at(neighbor, "session_lost_s");
    return after == "-" ? "lost" : "lost after " + after;
}

std::string failover_detail(const json::object& failover, const Palette& palette) {
    Details out;
    out.add("subject", {text_at(failover, "subject")});
    out.add("because", {text_at(failover, "reason")});
    out.add("time", {text_at(failover, "time")});
    out.add("prefixes", {text_at(failover, "prefixes")});
    out.add("complete", {text_at(failover, "complete")});
    out.add("evidence to verdict", {seconds(failover, "detection_s")});
    out.add("verdict to bytes written", {seconds(failover, "written_s")});
    out.add("verdict to acknowledged", {seconds(failover, "acknowledged_s")});
    Table table{{"  NEIGHBOR", ">WRITTEN", ">ACKED", "SESSION"}};
    for (const json::object& neighbor : objects_at(failover, "neighbors")) {
        table.add({{"  " + text_at(neighbor, "name")},
                   {time_at(neighbor, "written_s")},
                   {time_at(neighbor, "acknowledged_s")},
                   {session_of(neighbor)}});
    }
    const std::string heading =
        palette.paint("failover " + text_at(failover, "id"), Style::heading) + "\n";
    return heading + out.to_string(palette) + (table.empty() ? "" : table.to_string(palette));
}

template <class Render>
std::string each(const json::object& answer, std::string_view key, Render render) {
    std::string out;
    for (const json::object& object : objects_at(answer, key)) {
        out += (out.empty() ? "" : "\n") + render(object);
    }
    return out;
}

}  // namespace

std::string neighbors_detail(const json::object& answer, const Palette& palette) {
    return each(answer, "neighbors",
                [&](const auto& object) { return neighbor_detail(answer, object, palette); });
}

std::string services_detail(const json::object& answer, const Palette& palette) {
    return each(answer, "services",
                [&](const auto& object) { return service_detail(answer, object, palette); });
}

std::string checks_detail(const json::object& answer, const Palette& palette) {
    return each(answer, "checks",
                [&](const auto& object) { return check_detail(answer, object, palette); });
}

std::string failovers_detail(const json::object& answer, const Palette& palette) {
    return each(answer, "failovers",
                [&](const auto& object) { return failover_detail(object, palette); });
}

}  // namespace swerve::ctl
