#pragma once
// An event as `swerve.event/1`: the same object goes to followers, to the audit file and into the
// log line.

#include <boost/json/object.hpp>
#include <cstdint>
#include <string>
#include <string_view>

#include "daemon/speaker/event.hpp"
#include "swerve/conf/config.hpp"

namespace swerve::daemon {

enum class Severity : std::uint8_t { info, warning, critical };
[[nodiscard]] std::string_view to_string(Severity severity);

struct EventView {
    std::string_view type;
    Severity severity;
    std::string subject;
    std::string text;  ///< one sentence
    boost::json::object detail;
};

/// `config` gives the names of checks, services and neighbors.
[[nodiscard]] EventView view_of(const Event& event, const conf::Config& config);

/// `swerve.event/1`.
[[nodiscard]] boost::json::object to_json(const EventView& view, const Event& event,
                                          std::uint64_t id);

}  // namespace swerve::daemon
