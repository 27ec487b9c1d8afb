#include "tools/swervectl/answer.hpp"

#include <boost/json/array.hpp>
#include <boost/json/value_to.hpp>
#include <cmath>
#include <ctime>

#include "swerve/base/escape.hpp"
#include "tools/swervectl/terminal.hpp"

namespace swerve::ctl {

namespace json = boost::json;

namespace {

constexpr std::string_view nothing = "-";

std::optional<double> to_number(const json::value& value) {
    if (value.is_double()) return value.get_double();
    if (value.is_int64()) return static_cast<double>(value.get_int64());
    if (value.is_uint64()) return static_cast<double>(value.get_uint64());
    return std::nullopt;
}

std::string to_text(const json::value& value) {
    if (const json::string* text = value.if_string()) {
        return text->empty() ? std::string{nothing} : escape({text->data(), text->size()});
    }
    if (value.is_bool()) return value.get_bool() ? "yes" : "no";
    if (value.is_int64()) return std::to_string(value.get_int64());
    if (value.is_uint64()) return std::to_string(value.get_uint64());
    return std::string{nothing};
}

}  // namespace

std::string text_at(const json::object& from, std::string_view key) {
    const json::value* value = from.if_contains(key);
    return value == nullptr ? std::string{nothing} : to_text(*value);
}

std::string raw_at(const json::object& from, std::string_view key) {
    const json::value* value = from.if_contains(key);
    const json::string* text = value == nullptr ? nullptr : value->if_string();
    return text == nullptr ? std::string{} : std::string{*text};
}

std::optional<double> number_at(const json::object& from, std::string_view key) {
    const json::value* value = from.if_contains(key);
    return value == nullptr ? std::nullopt : to_number(*value);
}

bool flag_at(const json::object& from, std::string_view key) {
    const json::value* value = from.if_contains(key);
    return value != nullptr && value->is_bool() && value->get_bool();
}

std::string span_at(const json::object& from, std::string_view key) {
    const auto seconds = number_at(from, key);
    return seconds ? human_span(*seconds) : std::string{nothing};
}

std::string time_at(const json::object& from, std::string_view key) {
    const auto seconds = number_at(from, key);
    return seconds ? human_time(*seconds) : std::string{nothing};
}

std::vector<json::object> objects_at(const json::object& from, std::string_view key) {
    std::vector<json::object> out;
    const json::value* value = from.if_contains(key);
    const json::array* array = value == nullptr ? nullptr : value->if_array();
    if (array == nullptr) return out;
    for (const json::value& element : *array) {
        if (element.is_object()) out.push_back(element.get_object());
    }
    return out;
}

json::object object_at(const json::object& from, std::string_view key) {
    const json::value* value = from.if_contains(key);
    return value != nullptr && value->is_object() ? value->get_object() : json::object{};
}

std::string list_at(const json::object& from, std::string_view key) {
    const json::value* value = from.if_contains(key);
    const json::array* array = value == nullptr ? nullptr : value->if_array();
    std::string out;
    if (array != nullptr) {
        for (const json::value& element : *array) {
            out += (out.empty() ? "" : ", ") + to_text(element);
        }
    }
    return out.empty() ? std::string{nothing} : out;
}

std::optional<double> wall_seconds(std::string_view rfc3339) {
    const std::string text{rfc3339};
    std::tm tm{};
    const char* rest = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &tm);
    if (rest == nullptr) return std::nullopt;
    double fraction = 0;
    double unit = 0.1;
    if (*rest == '.') {
        for (++rest; *rest >= '0' && *rest <= '9'; ++rest, unit /= 10)
            fraction += unit * (*rest - '0');
    }
    if (std::string_view{rest} != "Z") return std::nullopt;
    return static_cast<double>(::timegm(&tm)) + fraction;
}

std::string since_at(const json::object& answer, const json::object& from, std::string_view key) {
    const auto now = wall_seconds(text_at(answer, "time"));
    const auto then = wall_seconds(text_at(from, key));
    return now && then ? human_span(*now - *then) : std::string{nothing};
}

}  // namespace swerve::ctl
