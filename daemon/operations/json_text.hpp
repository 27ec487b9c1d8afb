#pragma once
// Values as text: JSON as people like to read it, wall time, and strings that are safe to show.

#include <boost/json/value.hpp>
#include <string>
#include <string_view>

#include "swerve/base/time.hpp"

namespace swerve::daemon {

/// One line of JSON. Doubles always carry a decimal point ("9.0", not Boost's "9E0"), so that a
/// field has the same type whatever its value; what is not finite becomes null.
[[nodiscard]] std::string to_text(const boost::json::value& value);

/// RFC 3339 in UTC with milliseconds: "2026-11-21T05:30:00.123Z".
[[nodiscard]] std::string rfc3339(WallTime when);

/// `text` as a JSON string that is valid UTF-8 without control characters, whatever it was.
[[nodiscard]] boost::json::value json_string(std::string_view text);

/// `text` in quotes for a key=value log line, so that the line can be taken apart again. At
/// most `limit` octets of it.
[[nodiscard]] std::string quoted(std::string_view text, std::size_t limit = 2048);

[[nodiscard]] constexpr double seconds(Duration duration) {
    return static_cast<double>(duration.count()) / 1e9;
}
[[nodiscard]] constexpr std::int64_t nanoseconds(TimePoint when) {
    return when.time_since_epoch().count();
}

}  // namespace swerve::daemon
