#pragma once
// Reading a daemon's answer without trusting it: a value that is absent, null or of another type
// reads as "-", and text is made safe for the terminal.

#include <boost/json/object.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace swerve::ctl {

[[nodiscard]] std::string text_at(const boost::json::object& from, std::string_view key);
/// A text as it came, to be passed on or compared; empty where there is none.
[[nodiscard]] std::string raw_at(const boost::json::object& from, std::string_view key);
[[nodiscard]] std::optional<double> number_at(const boost::json::object& from,
                                              std::string_view key);
[[nodiscard]] bool flag_at(const boost::json::object& from, std::string_view key);
[[nodiscard]] std::string span_at(const boost::json::object& from, std::string_view key);
[[nodiscard]] std::string time_at(const boost::json::object& from, std::string_view key);
/// The objects of an array; what is no object is left out.
[[nodiscard]] std::vector<boost::json::object> objects_at(const boost::json::object& from,
                                                          std::string_view key);
[[nodiscard]] boost::json::object object_at(const boost::json::object& from, std::string_view key);
/// The strings of an array, joined by ", "; "-" when there are none.
[[nodiscard]] std::string list_at(const boost::json::object& from, std::string_view key);

/// "2026-11-21T05:28:14.102348Z" to seconds since 1970; nothing when it is no such time.
[[nodiscard]] std::optional<double> wall_seconds(std::string_view rfc3339);
/// Seconds between the answer's "time" and `from[key]`, as human_span.
[[nodiscard]] std::string since_at(const boost::json::object& answer,
                                   const boost::json::object& from, std::string_view key);

}  // namespace swerve::ctl
