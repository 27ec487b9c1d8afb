// The part of tables.hpp that is about BFD.

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "swerve/base/escape.hpp"
#include "tools/swervectl/answer.hpp"
#include "tools/swervectl/tables.hpp"

namespace swerve::ctl {

namespace json = boost::json;

namespace {

std::string time_or_dash(const json::object& from, std::string_view key) {
    const auto value = number_at(from, key);
    if (!value) return "-";
    return *value == 0 ? "0s" : human_time(*value);
}

/// "unknown_discriminator 3, ttl_too_low 1", the reasons that there were.
std::string discards(const json::object& from) {
    std::string out;
    const json::object counts = object_at(from, "discarded");
    for (const json::key_value_pair& each : counts) {
        const std::string number = text_at(counts, each.key());
        if (number == "0") continue;
        out += fmt::format("{}{} {}", out.empty() ? "" : ", ", escape(each.key()), number);
    }
    return out.empty() ? "none" : out;
}

/// Ours and the neighbor's: after how many packets that are missed a session goes down.
std::string multipliers(const json::object& session) {
    return text_at(session, "multiplier") + "/" +
           text_at(object_at(session, "neighbor_says"), "multiplier");
}

std::string why(const json::object& session) {
    const std::string hint = text_at(session, "hint");
    return hint == "-" ? text_at(session, "diagnostic") : hint;
}

std::string up_or_down_for(const json::object& answer, const json::object& session) {
    const auto up = number_at(session, "up_s");
    return up ? human_span(*up) : since_at(answer, session, "since");
}

/// "99% within 100us, all within 2.5ms, of 4711".
std::string lateness(const json::object& answer) {
    const json::object late = object_at(answer, "lateness");
    if (number_at(late, "count").value_or(0) == 0) return "-";
    const auto most = number_at(late, "within_s");
    return fmt::format("99% within {}, {}, of {}", time_or_dash(late, "within_99_percent_s"),
                       most ? "all within " + human_time(*most) : "some more than 1s",
                       text_at(late, "count"));
}

Cell realtime(const json::object& answer) {
    if (flag_at(answer, "realtime")) return {"yes"};
    if (flag_at(answer, "realtime_wanted")) {
        return {"no, though `bfd: {realtime: true}` asks for it", Style::warning};
    }
    return {"no"};
}

std::string hops(const json::object& session) {
    if (!flag_at(session, "multihop")) return "single hop, UDP port 3784";
    return fmt::format("multihop, {} hops at most, UDP port 4784", text_at(session, "hops"));
}

std::string auth(const json::object& session) {
    const json::object configured = object_at(session, "auth");
    if (configured.empty()) return "none";
    return fmt::format("{}, key {}", text_at(configured, "type"), text_at(configured, "key_id"));
}

std::string timing(const json::object& from) {
    return fmt::format("sends every {}, takes every {}, multiplier {}",
                       time_or_dash(from, "min_tx_s"), time_or_dash(from, "min_rx_s"),
                       text_at(from, "multiplier"));
}

/// What the last packet of the neighbor says.
void add_neighbor(Details& out, const json::object& session) {
    const json::object says = object_at(session, "neighbor_says");
    if (says.empty()) return out.add("neighbor says", {"nothing"});
    out.add("neighbor says", bfd_state(says));
    out.add("its diagnostic", {text_at(says, "diagnostic")});
    out.add("its timing", {timing(says)});
    out.add("its discriminator", {text_at(says, "discriminator")});
    out.add("its demand mode", {text_at(says, "demand")});
}

std::string session_detail(const json::object& answer, const json::object& session,
                           const Palette& palette) {
    const std::string interface = text_at(session, "interface");
    Details out;
    out.add("state", bfd_state(session));
    out.add("for", {up_or_down_for(answer, session)});
    out.add("why", {text_at(session, "hint")});
    out.add("last cause", {text_at(session, "cause")});
    out.add("diagnostic", {text_at(session, "diagnostic")});
    out.add("trouble", {text_at(session, "trouble"), Style::bad});
    out.add("local address", {fmt::format("{} port {}", text_at(session, "local_address"),
                                          text_at(session, "source_port"))});
    out.add("remote address", {text_at(session, "remote_address") +
                               (interface == "-" ? "" : ", interface " + interface)});
    out.add("hops", {hops(session)});
    out.add("discriminator", {text_at(session, "discriminator")});
    out.add("timing", {timing(session)});
    out.add("auth", {auth(session)});
    add_neighbor(out, session);
    out.add("sends every", {time_or_dash(session, "transmit_interval_s")});
    out.add("detection time", {time_or_dash(session, "detection_time_s")});
    out.add("neighbor's detection", {time_or_dash(session, "neighbor_detection_time_s")});
    out.add("packets", {fmt::format("sent {}, received {}", text_at(session, "packets_sent"),
                                    text_at(session, "packets_received"))});
    out.add("refused", {discards(session)});
    const bool ever_down =
        number_at(session, "downs").value_or(0) > 0 && text_at(session, "neighbor") != "-";
    const std::string told =
        fmt::format(": `swervectl show events {}` has when and why", text_at(session, "neighbor"));
    out.add("times down", {text_at(session, "downs") + (ever_down ? told : "")});
    return palette.paint("bfd " + text_at(session, "neighbor"), Style::heading) + "\n" +
           out.to_string(palette);
}

}  // namespace

Cell bfd_state(const json::object& from) {
    struct Row {
        std::string_view word;
        std::string_view name;  ///< of RFC 5880
        Style style;
    };
    static constexpr std::array<Row, 4> rows{{{"up", "Up", Style::good},
                                              {"init", "Init", Style::warning},
                                              {"down", "Down", Style::bad},
                                              {"admin_down", "AdminDown", Style::warning}}};
    const std::string word = text_at(from, "state");
    const auto* found = std::ranges::find(rows, word, &Row::word);
    if (found == rows.end()) return {word};
    return {std::string{found->name}, found->style};
}

std::string bfd_table(const json::object& answer, const Palette& palette) {
    Table table{{"NEIGHBOR", "STATE", ">UP/DOWN", ">TX", ">DETECTION", ">MULT", "WHY"}};
    for (const json::object& session : objects_at(answer, "bfd")) {
        table.add({{text_at(session, "neighbor")},
                   bfd_state(session),
                   {up_or_down_for(answer, session)},
                   {time_or_dash(session, "transmit_interval_s")},
                   {time_or_dash(session, "detection_time_s")},
                   {multipliers(session)},
                   {why(session)}});
    }
    for (const json::object& none : objects_at(answer, "no_session")) {
        table.add({{text_at(none, "neighbor")},
                   {"none", Style::warning},
                   {"-"},
                   {"-"},
                   {"-"},
                   {"-"},
                   {text_at(none, "hint")}});
    }
    if (table.empty()) {
        return "no BFD session: `bfd: {}` under a neighbor that has its local_address switches it "
               "on\n";
    }
    Details out;
    out.add("packets of no session", {discards(answer)});
    out.add("lateness of the loop", {lateness(answer)});
    out.add("real-time priority and locked memory", realtime(answer));
    return table.to_string(palette) + "\n" + out.to_string(palette);
}

std::string bfd_detail(const json::object& answer, const Palette& palette) {
    std::string out;
    for (const json::object& session : objects_at(answer, "bfd")) {
        out += (out.empty() ? "" : "\n") + session_detail(answer, session, palette);
    }
    return out;
}

}  // namespace swerve::ctl
