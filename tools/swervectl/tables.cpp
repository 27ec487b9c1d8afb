#include "tools/swervectl/tables.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "tools/swervectl/answer.hpp"

namespace swerve::ctl {

namespace json = boost::json;

namespace {

Cell word(const json::object& from, std::string_view key) {
    const std::string text = text_at(from, key);
    return {text, style_of(text)};
}

Cell plain(const json::object& from, std::string_view key) { return {text_at(from, key)}; }

/// "2/3": how many of the established neighbors hold it.
Cell holders(const json::object& service) {
    return {text_at(service, "sent_to") + "/" + text_at(service, "established_neighbors")};
}

Cell advertised(const json::object& neighbor) {
    const json::object counts = object_at(neighbor, "prefixes_advertised");
    const double sum =
        number_at(counts, "ipv4").value_or(0) + number_at(counts, "ipv6").value_or(0);
    return {fmt::format("{:.0f}", sum)};
}

Cell last_event(const json::object& neighbor) {
    const auto retry = number_at(neighbor, "next_retry_s");
    std::string text = text_at(neighbor, "last_error");
    if (flag_at(object_at(neighbor, "bfd"), "waits")) {
        text = "waits for BFD (bfd.strict)" + (text == "-" ? "" : "; " + text);
    }
    if (retry) text += fmt::format("; next try in {:.0f}s", *retry);
    return {text};
}

/// The state of the session; what an operator or a stuck neighbor does to it comes first.
Cell session(const json::object& neighbor) {
    if (flag_at(neighbor, "disabled")) return {"disabled", Style::warning};
    if (flag_at(neighbor, "admin_down")) return {"admin down", Style::warning};
    if (flag_at(neighbor, "over_limit")) return {"over its limit", Style::bad};
    if (flag_at(neighbor, "out_of_sync")) return {"out of sync", Style::bad};
    return word(neighbor, "state");
}

/// "igp, prepend 2, med 5, 64500:1".
std::string attributes(const json::object& route) {
    if (route.empty()) return "-";
    std::string out = text_at(route, "origin");
    if (number_at(route, "prepend").value_or(0) > 0)
        out += ", prepend " + text_at(route, "prepend");
    if (number_at(route, "med")) out += ", med " + text_at(route, "med");
    if (number_at(route, "local_pref")) out += ", local_pref " + text_at(route, "local_pref");
    for (const auto* list : {"communities", "extended_communities", "large_communities"}) {
        if (const std::string members = list_at(route, list); members != "-") out += ", " + members;
    }
    return out;
}

/// A reason, and what calls for somebody beside it.
std::string why(const json::object& from, std::string_view reason, const std::string& more) {
    return text_at(from, reason) + (more.empty() ? "" : "; " + more);
}

std::string received_table(const json::object& answer, const Palette& palette) {
    Table table{{"", "PREFIX", "NEIGHBOR", "NEXT HOP", "AS PATH", ">MED", ">AGE", "COMMUNITIES"}};
    for (const json::object& route : objects_at(answer, "received")) {
        const bool best = flag_at(route, "best");
        table.add({{best ? "*" : " ", Style::good},
                   plain(route, "prefix"),
                   plain(route, "neighbor"),
                   plain(route, "next_hop"),
                   plain(route, "as_path"),
                   plain(route, "med"),
                   {span_at(route, "age_s")},
                   {list_at(route, "communities")}});
    }
    return table.empty() ? "" : "received (* best)\n" + table.to_string(palette);
}

}  // namespace

std::string damping_text(const json::object& service) {
    const json::object damping = object_at(service, "damping");
    const auto wait = number_at(damping, "wait_s");
    if (!wait) return "";
    return fmt::format("damping holds it back for {} ({})", human_span(*wait),
                       text_at(damping, "cause"));
}

std::string neighbors_table(const json::object& answer, const Palette& palette) {
    Table table{{"NAME", "ADDRESS", ">REMOTE AS", "STATE", ">UP/DOWN", ">SENT", ">RCVD", "BFD",
                 "LAST ERROR"}};
    for (const json::object& neighbor : objects_at(answer, "neighbors")) {
        const auto up = number_at(neighbor, "up_s");
        table.add({plain(neighbor, "name"),
                   plain(neighbor, "address"),
                   plain(neighbor, "remote_as"),
                   session(neighbor),
                   {up ? human_span(*up) : since_at(answer, neighbor, "since")},
                   advertised(neighbor),
                   plain(neighbor, "prefixes_received"),
                   bfd_state(object_at(neighbor, "bfd")),
                   last_event(neighbor)});
    }
    if (table.empty()) return "no neighbor is configured or connected\n";
    return table.to_string(palette);
}

std::string services_table(const json::object& answer, const Palette& palette) {
    Table table{{"NAME", "VERDICT", "INTENT", "SHOWN", ">FOR", ">PREFIXES", ">SENT TO", "WHY"}};
    for (const json::object& service : objects_at(answer, "services")) {
        table.add({plain(service, "name"),
                   word(service, "verdict"),
                   word(service, "intent"),
                   word(service, "shown"),
                   {since_at(answer, service, "intent_since")},
                   plain(service, "prefix_count"),
                   holders(service),
                   {why(service, "intent_reason", damping_text(service))}});
    }
    if (table.empty()) return "no service is configured\n";
    return table.to_string(palette);
}

std::string checks_table(const json::object& answer, const Palette& palette) {
    Table table{
        {"NAME", "TYPE", "TARGET", "EFFECT", "STATE", ">FOR", "LAST", ">AGE", ">TOOK", "WHY"}};
    for (const json::object& check : objects_at(answer, "checks")) {
        const json::object last = object_at(check, "last");
        const std::string raised = text_at(check, "alarm");
        const std::string alarm = raised == "-" ? "" : "alarm: " + raised;
        table.add({plain(check, "name"),
                   plain(check, "type"),
                   plain(check, "target"),
                   plain(check, "effect"),
                   word(check, "state"),
                   {since_at(answer, check, "since")},
                   word(last, "result"),
                   {time_at(last, "age_s")},
                   {time_at(last, "duration_s")},
                   {why(check, "reason", alarm)}});
    }
    if (table.empty()) return "no check is configured\n";
    return table.to_string(palette);
}

std::string routes_table(const json::object& answer, const Palette& palette) {
    Table table{{"PREFIX", "SERVICE", "INTENT", "OVERRIDE", ">SENT TO", "WHY"}};
    for (const json::object& route : objects_at(answer, "routes")) {
        const json::object held = object_at(route, "override");
        const bool manual = text_at(route, "service") == "-";
        table.add({plain(route, "prefix"),
                   {manual ? "(manual)" : text_at(route, "service")},
                   word(route, "intent"),
                   plain(held, "kind"),
                   plain(route, "sent_to"),
                   plain(route, "reason")});
    }
    std::string out = table.empty() ? "" : table.to_string(palette);
    const std::string received = received_table(answer, palette);
    if (!out.empty() && !received.empty()) out += '\n';
    out += received;
    if (out.empty()) return "no route here and none received\n";
    if (flag_at(answer, "cut")) {
        out += "not all routes are shown; name a prefix, or give --limit\n";
    }
    return out;
}

std::string observed_table(const json::object& answer, const Palette& palette) {
    Table table{{"PREFIX", "VISIBILITY", "NEIGHBOR", ">SITE", "AS PATH", ">AGE", "NOTE"}};
    for (const json::object& own : objects_at(answer, "observed")) {
        const std::string visibility = text_at(own, "visibility");
        const Style style = visibility == "seen" ? Style::good : Style::plain;
        bool first = true;
        for (const std::string_view list : {"routes", "covering", "inside"}) {
            for (const json::object& route : objects_at(own, list)) {
                const bool exact = list == "routes";
                table.add({{first ? text_at(own, "prefix") : ""},
                           {first ? visibility : "", style},
                           plain(route, "neighbor"),
                           plain(route, "site"),
                           plain(route, "as_path"),
                           {span_at(route, "age_s")},
                           {exact ? (flag_at(route, "may_be_ours") ? "may be ours" : "")
                                  : text_at(route, "prefix")}});
                first = false;
            }
        }
        if (first)
            table.add(
                {plain(own, "prefix"), {visibility, style}, {"-"}, {"-"}, {"-"}, {"-"}, {""}});
    }
    if (table.empty()) return "this site has no prefix of its own\n";
    std::string out = table.to_string(palette);
    if (flag_at(answer, "cut")) {
        out += "not all prefixes are shown; name a prefix, or give --limit\n";
    }
    return out;
}

std::string adj_out_table(const json::object& answer, const Palette& palette) {
    struct State {
        std::string_view word;
        std::string_view text;
        Style style;
    };
    static constexpr std::array<State, 5> states{
        {{"sent", "sent", Style::good},
         {"to_announce", "to be announced", Style::warning},
         {"to_change", "to be changed", Style::warning},
         {"to_withdraw", "to be withdrawn", Style::bad},
         {"withheld", "cannot be carried", Style::bad}}};
    Table table{{"PREFIX", "NEIGHBOR", "STATE", "SENT", "TO BE SENT"}};
    for (const json::object& route : objects_at(answer, "adj_out")) {
        const std::string given = text_at(route, "state");
        const auto* state = std::ranges::find(states, given, &State::word);
        const bool known = state != states.end();
        const json::object desired = object_at(route, "desired");
        table.add({plain(route, "prefix"),
                   plain(route, "neighbor"),
                   {known ? std::string{state->text} : given, known ? state->style : Style::plain},
                   {attributes(object_at(route, "sent"))},
                   {given == "sent" ? "" : attributes(desired)}});
    }
    if (table.empty()) return "nothing is sent to a neighbor, and nothing is to be\n";
    std::string out = table.to_string(palette);
    if (flag_at(answer, "cut")) {
        out += "not all routes are shown; name a neighbor and a prefix, or give --limit\n";
    }
    return out;
}

std::string failovers_table(const json::object& answer, const Palette& palette) {
    Table table{{">ID", "TIME", "SUBJECT", ">PREFIXES", ">DETECTED", ">WRITTEN", ">ACKED", "WHY"}};
    for (const json::object& failover : objects_at(answer, "failovers")) {
        table.add({plain(failover, "id"),
                   plain(failover, "time"),
                   plain(failover, "subject"),
                   plain(failover, "prefixes"),
                   {time_at(failover, "detection_s")},
                   {time_at(failover, "written_s")},
                   {time_at(failover, "acknowledged_s")},
                   plain(failover, "reason")});
    }
    if (table.empty()) return "no failover since the daemon started\n";
    return table.to_string(palette);
}

std::string events_table(const json::object& answer, const Palette& palette) {
    Table table{{">ID", "TIME", "TYPE", "SUBJECT", "TEXT"}};
    for (const json::object& event : objects_at(answer, "events")) {
        table.add({plain(event, "id"),
                   plain(event, "time"),
                   {text_at(event, "type"), style_of(text_at(event, "severity"))},
                   plain(event, "subject"),
                   plain(event, "text")});
    }
    if (table.empty()) return "no event is kept\n";
    return table.to_string(palette);
}

std::string event_line(const json::object& event, const Palette& palette) {
    const std::string type = fmt::format("{:<13}", text_at(event, "type"));
    return fmt::format("{}  {}  {}\n", text_at(event, "time"),
                       palette.paint(type, style_of(text_at(event, "severity"))),
                       text_at(event, "text"));
}

}  // namespace swerve::ctl
