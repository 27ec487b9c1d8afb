#include "health/probes/json_answer.hpp"

#include <array>
#include <boost/json/error.hpp>
#include <boost/json/parse.hpp>
#include <charconv>
#include <utility>

#include "health/probes/runtime.hpp"
#include "swerve/base/escape.hpp"

namespace swerve::health {

namespace json = boost::json;

Result<json::value, std::string> parse_json(std::string_view text) {
    json::parse_options options;
    options.max_depth = json_depth_limit;
    json::error_code error;
    json::value document = json::parse({text.data(), text.size()}, error, {}, options);
    if (!error) return document;
    if (error == json::error::too_deep) {
        return fail("JSON nested deeper than " + std::to_string(json_depth_limit));
    }
    if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) {
        return fail(std::string{"no JSON: empty"});
    }
    if (error == json::error::incomplete) return fail(std::string{"JSON without its end"});
    return fail("no JSON: " + escape(error.message()) + " in " + quoted(text));
}

std::optional<std::string> bad_json_pointer(std::string_view pointer) {
    if (!pointer.empty() && !pointer.starts_with('/')) return "does not begin with a slash";
    for (std::size_t at = 0; (at = pointer.find('~', at)) != std::string_view::npos; ++at) {
        const std::string_view escaped = pointer.substr(at + 1, 1);
        if (escaped != "0" && escaped != "1") return "has a ~ that is neither ~0 nor ~1";
    }
    return std::nullopt;
}

const json::value* json_at(const json::value& document, std::string_view pointer) {
    json::error_code error;
    return document.find_pointer({pointer.data(), pointer.size()}, error);
}

std::optional<std::string> json_scalar(const json::value& value) {
    switch (value.kind()) {
        case json::kind::null:
            return "null";
        case json::kind::bool_:
            return value.get_bool() ? "true" : "false";
        case json::kind::int64:
            return std::to_string(value.get_int64());
        case json::kind::uint64:
            return std::to_string(value.get_uint64());
        case json::kind::double_: {
            std::array<char, 32> digits{};
            const auto end =
                std::to_chars(digits.data(), digits.data() + digits.size(), value.get_double());
            return std::string(digits.data(), end.ptr);
        }
        case json::kind::string: {
            const json::string& text = value.get_string();
            return std::string(text.data(), text.size());
        }
        case json::kind::array:
        case json::kind::object:
            break;
    }
    return std::nullopt;
}

std::string json_text(const json::value& value) {
    if (const auto scalar = json_scalar(value)) return escape(*scalar, 80);
    if (value.is_array()) return "an array of " + std::to_string(value.get_array().size());
    return "an object of " + std::to_string(value.get_object().size());
}

}  // namespace swerve::health
