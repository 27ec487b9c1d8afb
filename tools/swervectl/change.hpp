#pragma once

#include <boost/json/object.hpp>
#include <string>

#include "tools/swervectl/terminal.hpp"

namespace swerve::ctl {

/// What a change of the configuration does (`change` of swerve.reload/1): keys, sessions, routes;
/// "nothing changes" where there is none.
[[nodiscard]] std::string change_text(const boost::json::object& change, const Palette& palette);

}  // namespace swerve::ctl
