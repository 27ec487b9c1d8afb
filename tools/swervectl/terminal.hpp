#pragma once
// What a person sees: styles, durations, tables. Text from the daemon is made safe for the terminal
// on its way into a cell.

#include <string>
#include <string_view>
#include <vector>

namespace swerve::ctl {

enum class Style : unsigned char { plain, good, bad, warning, heading };

/// Whether styles become escape sequences; decided once, from --color, NO_COLOR and the terminal.
class Palette {
public:
    explicit Palette(bool on) : on_(on) {}
    [[nodiscard]] std::string paint(std::string_view text, Style style) const;

private:
    bool on_;
};

/// `mode`: "always", "never", or "auto": standard output is a terminal and NO_COLOR is empty.
[[nodiscard]] bool colors_wanted(std::string_view mode);

/// Style of a verdict, an intent, a check's or a session's state, a severity.
[[nodiscard]] Style style_of(std::string_view word);

struct Cell {
    std::string text;
    Style style = Style::plain;
};

/// Columns as wide as their widest cell; the last one is not padded.
class Table {
public:
    /// A heading that begins with '>' stands over a column aligned to the right.
    explicit Table(std::vector<std::string> headings);
    void add(std::vector<Cell> row) { rows_.push_back(std::move(row)); }
    [[nodiscard]] bool empty() const { return rows_.empty(); }
    [[nodiscard]] std::string to_string(const Palette& palette) const;

private:
    std::vector<std::string> headings_;
    std::vector<bool> right_;
    std::vector<std::vector<Cell>> rows_;
};

/// Lines "  name   value" with the values in one column.
class Details {
public:
    void add(std::string name, Cell value) {
        rows_.push_back({{std::move(name)}, std::move(value)});
    }
    [[nodiscard]] std::string to_string(const Palette& palette) const;

private:
    std::vector<std::vector<Cell>> rows_;
};

/// How long ago or for how long: "3d04h", "4h05m", "12m03s", "41s".
[[nodiscard]] std::string human_span(double seconds);
/// A measured time: "850us", "12.3ms", "1.25s", above a minute as human_span.
[[nodiscard]] std::string human_time(double seconds);

}  // namespace swerve::ctl
