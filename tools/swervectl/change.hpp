#pragma once

#include <boost/json/object.hpp>
#include <string>

#include "tools/swervectl/terminal.hpp"

namespace swerve::ctl {

/// What a change of the configuration does (`change` of swerve.reload/1): keys, sessions, routes;
/// empty where nothing changes. `applied`: it has been done, and what it met is past.
[[nodiscard]] std::string change_text(const boost::json::object& change, bool applied,
                                      const Palette& palette);

}  // namespace swerve::ctl
