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
    const std::string text = text_at(key, side);
    return text == "-" ? Cell{"(none)"} : Cell{text, style};
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
    return section("keys that change", table, palette);
}

/// Whether it is up now is known to a daemon, not to a comparison of files.
std::string resets(const json::object& change, const Palette& palette) {
    Table table{{"", "", "", ""}};
    for (const json::object& reset : objects_at(change, "resets")) {
        const bool up = flag_at(reset, "established");
        table.add(
            {{""},
             {text_at(reset, "neighbor"), Style::warning},
             {text_at(reset, "reason")},
             {reset.contains("established") ? (up ? "was established" : "was not established") : "",
              up ? Style::bad : Style::plain}});
    }
    return section("sessions that end", table, palette);
}

std::string routes(const json::object& change, const Palette& palette) {
    Table table{{"", "", "", "", ""}};
    for (const json::object& route : objects_at(change, "routes")) {
        std::string counts = fmt::format("{} added, {} removed, {} kept", text_at(route, "added"),
                                         text_at(route, "removed"), text_at(route, "kept"));
        const std::string others = list_at(route, "attributes");
        const bool announced = flag_at(route, "announced");
        table.add(
            {{""},
             {text_at(route, "service"), Style::warning},
             {std::move(counts)},
             {others == "-" ? "" : "told otherwise: " + others},
             {route.contains("announced") ? (announced ? "was announced" : "was not announced")
                                          : "",
              announced ? Style::warning : Style::plain}});
    }
    return section("services whose routes change", table, palette);
}

}  // namespace

std::string change_text(const json::object& change, const Palette& palette) {
    std::string out;
    for (const std::string& part :
         {keys(change, palette), resets(change, palette), routes(change, palette)}) {
        out += (out.empty() || part.empty() ? "" : "\n") + part;
    }
    return out.empty() ? "nothing changes\n" : out;
}

}  // namespace swerve::ctl
