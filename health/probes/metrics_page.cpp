#include "health/probes/metrics_page.hpp"

#include <algorithm>

#include "health/probes/threshold.hpp"

namespace swerve::health {
namespace {

constexpr std::size_t line_limit = 16UZ * 1024;
constexpr std::size_t label_limit = 64;

constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
constexpr std::string_view label_characters =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
constexpr std::string_view name_characters =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789:";

/// Takes one line apart from left to right.
class Cursor {
public:
    explicit Cursor(std::string_view line) : rest_(line) {}

    void skip_blanks() {
        rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t"), rest_.size()));
    }
    std::string_view word(std::string_view characters) {
        const std::size_t length = std::min(rest_.find_first_not_of(characters), rest_.size());
        return cut(length);
    }
    std::string_view up_to_blank() {
        return cut(std::min(rest_.find_first_of(" \t"), rest_.size()));
    }
    bool take(char expected) {
        if (!rest_.starts_with(expected)) return false;
        rest_.remove_prefix(1);
        return true;
    }
    /// A value in double quotes, which must be next; what it means, with its escapes resolved.
    std::optional<std::string> quoted_value() {
        if (!take('"')) return std::nullopt;
        std::string out;
        while (!rest_.empty()) {
            const char c = rest_.front();
            rest_.remove_prefix(1);
            if (c == '"') return out;
            if (c != '\\') {
                out += c;
                continue;
            }
            if (rest_.empty()) return std::nullopt;
            const char escaped = rest_.front();
            rest_.remove_prefix(1);
            // Others than these three stand for themselves, their backslash with them.
            if (escaped != '\\' && escaped != '"' && escaped != 'n') out += '\\';
            out += escaped == 'n' ? '\n' : escaped;
        }
        return std::nullopt;
    }
    [[nodiscard]] std::string_view rest() const { return rest_; }

private:
    std::string_view cut(std::size_t length) {
        const std::string_view out = rest_.substr(0, length);
        rest_.remove_prefix(length);
        return out;
    }

    std::string_view rest_;
};

using Labels = std::vector<std::pair<std::string_view, std::string>>;

/// What stands between braces, the first of which has been taken.
std::optional<Labels> labels_in(Cursor& cursor) {
    Labels out;
    for (;;) {
        cursor.skip_blanks();
        if (cursor.take('}')) return out;
        const std::string_view name = cursor.word(label_characters);
        if (!is_label_name(name) || out.size() == label_limit) return std::nullopt;
        cursor.skip_blanks();
        if (!cursor.take('=')) return std::nullopt;
        cursor.skip_blanks();
        auto value = cursor.quoted_value();
        if (!value) return std::nullopt;
        out.emplace_back(name, std::move(*value));
        cursor.skip_blanks();
        if (cursor.take(',')) continue;
        if (cursor.take('}')) return out;
        return std::nullopt;
    }
}

/// Whether all that is asked for is among the labels.
bool match(const SeriesSelector& selector, const Labels& labels) {
    return std::ranges::all_of(selector.labels, [&](const auto& wanted) {
        const auto found =
            std::ranges::find(labels, std::string_view{wanted.first}, &Labels::value_type::first);
        return found == labels.end() ? wanted.second.empty() : found->second == wanted.second;
    });
}

}  // namespace

bool is_metric_name(std::string_view text) {
    return !text.empty() && (letters.contains(text.front()) || text.front() == ':') &&
           text.find_first_not_of(name_characters) == std::string_view::npos;
}

bool is_label_name(std::string_view text) {
    return !text.empty() && letters.contains(text.front()) &&
           text.find_first_not_of(label_characters) == std::string_view::npos;
}

void MetricsPage::feed(std::string_view piece) {
    while (!piece.empty()) {
        const std::size_t newline = piece.find('\n');
        const std::string_view part = piece.substr(0, newline);
        const bool is_whole = newline != std::string_view::npos;
        if (line_.empty() && is_whole && !is_too_long_) {
            if (part.size() > line_limit) is_too_long_ = true;
            take(part.substr(0, line_limit));
        } else {
            const std::size_t room = line_limit - line_.size();
            if (part.size() > room) is_too_long_ = true;
            line_ += part.substr(0, room);
            if (is_whole) take(line_);
        }
        if (!is_whole) return;
        line_.clear();
        is_too_long_ = false;
        piece.remove_prefix(newline + 1);
    }
}

void MetricsPage::end() {
    if (!line_.empty()) take(line_);
    line_.clear();
    is_too_long_ = false;
}

void MetricsPage::take(std::string_view line) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    Cursor cursor(line);
    cursor.skip_blanks();
    const std::string_view from_name = cursor.rest();
    const std::string_view name = cursor.word(name_characters);
    if (!is_metric_name(name)) return;
    // Of other metrics' lines no more is read than tells them from a page of another kind.
    if (name != selector_.name) {
        const char next = cursor.rest().empty() ? '\0' : cursor.rest().front();
        if (next == '{' || next == ' ' || next == '\t') ++series_;
        return;
    }
    ++series_;
    if (is_too_long_) {
        ++unreadable_;
        return;
    }
    cursor.skip_blanks();
    std::optional<Labels> labels = Labels{};
    if (cursor.take('{')) labels = labels_in(cursor);
    const std::string_view series = from_name.substr(0, from_name.size() - cursor.rest().size());
    cursor.skip_blanks();
    // A time, and what OpenMetrics has behind it, may follow; it tells nothing of the value.
    const auto value = number_in(cursor.up_to_blank());
    if (!labels || !value) {
        ++unreadable_;
        return;
    }
    if (match(selector_, *labels)) {
        found_(series.substr(0, series.find_last_not_of(" \t") + 1), *value);
    }
}

}  // namespace swerve::health
