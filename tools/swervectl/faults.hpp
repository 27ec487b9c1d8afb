#pragma once
// Faults of a configuration file: as the daemon sends them, as --json has them, as a person reads
// them.

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <string>
#include <string_view>

#include "swerve/conf/diagnostic.hpp"

namespace swerve::ctl {

/// One line each, with the source line and a caret where the file can be read here.
[[nodiscard]] std::string faults_text(const conf::Diagnostics& faults);

[[nodiscard]] boost::json::array to_json(const conf::Diagnostics& faults);
/// The `diagnostics` of a swerve.error/1; what is no fault is left out.
[[nodiscard]] conf::Diagnostics faults_from(const boost::json::object& error);

/// "1 error", "2 errors".
[[nodiscard]] std::string plural(std::size_t count, std::string_view one, std::string_view many);

}  // namespace swerve::ctl
