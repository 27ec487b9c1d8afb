#include "daemon/operations/json_text.hpp"

#include <fmt/format.h>

#include <boost/json/serialize.hpp>
#include <cmath>

#include "swerve/base/escape.hpp"

namespace swerve::daemon {

namespace json = boost::json;

namespace {

/// Far above any sentence of ours and any field of a peer; "…" marks the cut.
constexpr std::size_t longest_string = 16'384;

void append(std::string& out, const json::value& value);

void append(std::string& out, double number) {
    if (!std::isfinite(number)) {
        out += "null";
        return;
    }
    const std::string digits = fmt::format("{}", number);
    out += digits;
    if (digits.find_first_of(".e") == std::string::npos) out += ".0";
}

void append(std::string& out, const json::object& object) {
    out += '{';
    bool first = true;
    for (const auto& member : object) {
        if (!first) out += ',';
        first = false;
        out += json::serialize(json::string_view{member.key()});
        out += ':';
        append(out, member.value());
    }
    out += '}';
}

void append(std::string& out, const json::array& array) {
    out += '[';
    bool first = true;
    for (const auto& element : array) {
        if (!first) out += ',';
        first = false;
        append(out, element);
    }
    out += ']';
}

void append(std::string& out, const json::value& value) {
    if (const auto* object = value.if_object()) {
        append(out, *object);
    } else if (const auto* array = value.if_array()) {
        append(out, *array);
    } else if (const auto* number = value.if_double()) {
        append(out, *number);
    } else {
        out += json::serialize(value);
    }
}

}  // namespace

std::string to_text(const json::value& value) {
    std::string out;
    append(out, value);
    return out;
}

std::string rfc3339(WallTime when) {
    const auto day = std::chrono::floor<std::chrono::days>(when);
    const std::chrono::year_month_day date{day};
    const std::chrono::hh_mm_ss time{std::chrono::floor<std::chrono::milliseconds>(when - day)};
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()),
                       static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                       time.hours().count(), time.minutes().count(), time.seconds().count(),
                       time.subseconds().count());
}

json::value json_string(std::string_view text) {
    return json::string{escape(text, longest_string)};
}

std::string quoted(std::string_view text, std::size_t limit) {
    std::string out = "\"";
    for (const char octet : escape(text, limit)) {
        if (octet == '"' || octet == '\\') out += '\\';
        out += octet;
    }
    return out + '"';
}

}  // namespace swerve::daemon
