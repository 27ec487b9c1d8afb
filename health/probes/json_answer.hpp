#pragma once
// JSON from servers that may lie: bounded in depth and size, and looked at by JSON pointer.

#include <boost/json/value.hpp>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "swerve/base/result.hpp"
#include "swerve/health/outcome.hpp"

namespace swerve::health {

inline constexpr std::size_t json_depth_limit = 32;

/// The document, or why it is none: no JSON, nested deeper than the limit, followed by something
/// else. Never throws. `text` is at most an answer's limit long.
[[nodiscard]] Result<boost::json::value, std::string> parse_json(std::string_view text);

/// The value that a JSON pointer (RFC 6901) names; null where there is none.
[[nodiscard]] const boost::json::value* json_at(const boost::json::value& document,
                                                std::string_view pointer);

/// What is wrong with a JSON pointer; nothing if it is one.
[[nodiscard]] std::optional<std::string> bad_json_pointer(std::string_view pointer);

/// A scalar as people write it ("true", "3.5", "null"), whole and as it is; nothing for arrays and
/// objects.
[[nodiscard]] std::optional<std::string> json_scalar(const boost::json::value& value);

/// A scalar as people write it ("true", "3.5", "ready"), of arrays and objects what they are; for
/// reasons, escaped and cut.
[[nodiscard]] std::string json_text(const boost::json::value& value);

}  // namespace swerve::health
