#pragma once

#include <memory>

#include "swerve/conf/config.hpp"

namespace swerve::daemon {

/// Runs the daemon in the foreground until SIGTERM or SIGINT. Returns the exit code of the process:
/// 0 after an orderly stop, 1 if it could not start (the reason was logged).
[[nodiscard]] int run(const std::shared_ptr<const conf::Config>& config);

}  // namespace swerve::daemon
