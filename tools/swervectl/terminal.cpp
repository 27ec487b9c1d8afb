#include "tools/swervectl/terminal.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>

#include "swerve/base/span.hpp"

namespace swerve::ctl {

namespace {

/// Columns a text takes: its code points. Text here has no wide or combining characters worth a
/// table of them.
std::size_t width(std::string_view text) {
    return static_cast<std::size_t>(std::ranges::count_if(
        text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U; }));
}

std::string_view sequence(Style style) {
    switch (style) {
        case Style::plain:
            return "";
        case Style::good:
            return "\033[32m";
        case Style::bad:
            return "\033[31m";
        case Style::warning:
            return "\033[33m";
        case Style::heading:
            return "\033[1m";
    }
    return "";
}

}  // namespace

std::string Palette::paint(std::string_view text, Style style) const {
    if (!on_ || style == Style::plain) return std::string{text};
    return fmt::format("{}{}\033[0m", sequence(style), text);
}

bool colors_wanted(std::string_view mode) {
    if (mode != "auto") return mode == "always";
    // No thread of this program changes the environment.
    const char* refused = std::getenv("NO_COLOR");  // NOLINT(concurrency-mt-unsafe)
    return (refused == nullptr || *refused == '\0') && ::isatty(STDOUT_FILENO) == 1;
}

Style style_of(std::string_view word) {
    struct Row {
        std::string_view word;
        Style style;
    };
    static constexpr std::array<Row, 19> rows{{{"up", Style::good},
                                               {"pass", Style::good},
                                               {"announce", Style::good},
                                               {"announced", Style::good},
                                               {"established", Style::good},
                                               {"ok", Style::good},
                                               {"down", Style::bad},
                                               {"fail", Style::bad},
                                               {"withdraw", Style::bad},
                                               {"nothing", Style::bad},
                                               {"blocked", Style::bad},
                                               {"critical", Style::bad},
                                               {"unknown", Style::warning},
                                               {"drain", Style::warning},
                                               {"draining", Style::warning},
                                               {"degrade", Style::warning},
                                               {"degraded", Style::warning},
                                               {"warning", Style::warning},
                                               {"idle", Style::warning}}};
    const auto* found = std::ranges::find(rows, word, &Row::word);
    return found == rows.end() ? Style::plain : found->style;
}

Table::Table(std::vector<std::string> headings) : headings_(std::move(headings)) {
    for (std::string& heading : headings_) {
        right_.push_back(heading.starts_with('>'));
        if (right_.back()) heading.erase(0, 1);
    }
}

std::string Table::to_string(const Palette& palette) const {
    std::vector<std::vector<Cell>> lines;
    if (std::ranges::any_of(headings_, [](const auto& heading) { return !heading.empty(); })) {
        auto& head = lines.emplace_back();
        for (const std::string& heading : headings_) head.push_back({heading, Style::heading});
    }
    lines.insert(lines.end(), rows_.begin(), rows_.end());
    std::vector<std::size_t> widths(headings_.size());
    for (const auto& line : lines) {
        for (std::size_t i = 0; i < line.size(); ++i) {
            widths[i] = std::max(widths[i], width(line[i].text));
        }
    }
    std::string out;
    for (const auto& line : lines) {
        for (std::size_t i = 0; i < line.size(); ++i) {
            const std::string gap(widths[i] - width(line[i].text), ' ');
            const bool last = i + 1 == line.size();
            if (right_[i]) out += gap;
            out += palette.paint(line[i].text, line[i].style);
            if (!right_[i] && !last) out += gap;
            if (!last) out += "  ";
        }
        while (out.ends_with(' ')) out.pop_back();
        out += '\n';
    }
    return out;
}

std::string Details::to_string(const Palette& palette) const {
    Table table{{"", "", ""}};
    for (const auto& row : rows_) {
        std::vector<Cell> line{{""}};
        line.insert(line.end(), row.begin(), row.end());
        table.add(std::move(line));
    }
    return table.to_string(palette);
}

std::string human_span(double seconds) {
    // The answer of a broken daemon may hold any number.
    constexpr double longest = 9e9;
    return span_text(std::chrono::duration_cast<Duration>(
        std::chrono::duration<double>{std::clamp(seconds, 0.0, longest)}));
}

std::string human_time(double seconds) {
    if (seconds < 0.001) return fmt::format("{:.0f}us", seconds * 1e6);
    if (seconds < 1) return fmt::format("{:.1f}ms", seconds * 1e3);
    if (seconds < 60) return fmt::format("{:.2f}s", seconds);
    return human_span(seconds);
}

}  // namespace swerve::ctl
