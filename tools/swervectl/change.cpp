#include "tools/swervectl/change.hpp"

#include <fmt/format.h>

#include "tools/swervectl/answer.hpp"

namespace swerve::ctl {

namespace json = boost::json;

namespace {

std::string section(std::string_view heading, const Table& table, const Palette& palette) {
    if (table.empty()) return "";
    return palette.paint(heading, Style::heading) + "\n" + table.to_string(palette);
}

Cell value(const json::object& key, std::string_view side, Style style) {
    return raw_at(key, side).empty() ? Cell{"(none)"} : Cell{text_at(key, side), style};
}

/// What a daemon knows of the moment before the change; a comparison of files has no such word.
Cell met(const json::object& from, std::string_view key, std::string_view when, Style style) {
    if (!from.contains(key)) return {""};
    const bool met = flag_at(from, key);
    return {fmt::format("{} {}{}", when, met ? "" : "not ", key), met ? style : Style::plain};
}

std::string keys(const json::object& change, const Palette& palette) {
    Table table{{"", "", "", "", ""}};
    for (const json::object& key : objects_at(change, "keys")) {
        table.add({{""},
                   {text_at(key, "path")},
                   value(key, "before", Style::bad),
                   {"->"},
                   value(key, "after", Style::good)});
    }
    return section("changed keys", table, palette);
}

std::string resets(const json::object& change, std::string_view when, const Palette& palette) {
    Table table{{"", "", "", ""}};
    for (const json::object& reset : objects_at(change, "resets")) {
        table.add({{""},
                   {text_at(reset, "neighbor"), Style::warning},
                   {text_at(reset, "reason")},
                   met(reset, "established", when, Style::bad)});
    }
    return section("reset sessions", table, palette);
}

std::string enabled(const json::object& change, const Palette& palette) {
    Table table{{"", "", ""}};
    for (const json::object& each : objects_at(change, "enabled")) {
        table.add({{""},
                   {text_at(each, "neighbor"), Style::bad},
                   {"was disabled as " + text_at(each, "was")}});
    }
    return section("enabled neighbors", table, palette);
}

std::string routes(const json::object& change, std::string_view when, const Palette& palette) {
    Table table{{"", "", "", "", ""}};
    for (const json::object& route : objects_at(change, "routes")) {
        std::string counts = fmt::format("{} added, {} removed, {} kept", text_at(route, "added"),
                                         text_at(route, "removed"), text_at(route, "kept"));
        const std::string others = list_at(route, "attributes");
        table.add({{""},
                   {text_at(route, "service"), Style::warning},
                   {std::move(counts)},
                   {others == "-" ? "" : "changed for " + others},
                   met(route, "announced", when, Style::warning)});
    }
    return section("changed routes", table, palette);
}

}  // namespace

std::string change_text(const json::object& change, bool applied, const Palette& palette) {
    const std::string_view when = applied ? "was" : "is";
    std::string out;
    for (const std::string& part : {keys(change, palette), resets(change, when, palette),
                                    enabled(change, palette), routes(change, when, palette)}) {
        out += (out.empty() || part.empty() ? "" : "\n") + part;
    }
    return out;
}

}  // namespace swerve::ctl
