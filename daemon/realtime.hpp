#pragma once
// Real-time priority and locked memory, for a loop that must not be late.

#include <string>

#include "swerve/base/result.hpp"

namespace swerve::daemon {

/// Gives the calling thread the lowest real-time priority, which no thread or child that it starts
/// inherits, and locks what memory the process touches from now on; or takes both back. The error
/// is a sentence that says what is not permitted; what is permitted is done all the same.
[[nodiscard]] Result<void, std::string> set_realtime(bool on);

}  // namespace swerve::daemon
