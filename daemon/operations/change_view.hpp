#pragma once

#include <boost/json/object.hpp>

#include "swerve/conf/change.hpp"

namespace swerve::daemon {

/// What a change of the configuration does, without the envelope: keys, sessions, routes.
[[nodiscard]] boost::json::object to_json(const conf::Change& change);

}  // namespace swerve::daemon
