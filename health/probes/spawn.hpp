#pragma once
// How every program that a probe runs is started.

#include <sys/types.h>

#include <array>
#include <string>
#include <vector>

namespace swerve::health {

/// Runs `file` in a session of its own, in `/`, with no signal blocked or ignored, with these
/// descriptors as its input, output and errors (-1: /dev/null) and nothing else of what is open
/// here. `environment` ("NAME=value") is all there is of it. The error, or 0.
[[nodiscard]] int spawn(::pid_t& pid, const std::string& file, std::vector<std::string> argv,
                        std::vector<std::string> environment, const std::array<int, 3>& streams);

}  // namespace swerve::health
