#pragma once
// Passwords and tokens of probes. They live in files of their own, never in the configuration, and
// never in a reason, a log line or a target.

#include <cstddef>
#include <string>

#include "health/probes/runtime.hpp"
#include "swerve/base/result.hpp"

namespace swerve::health {

/// What the file holds: one line of printable characters, at most 4096 octets, without its end of
/// line. Or the sentence that says why it cannot be used; others than its owner and group must have
/// no access to it. Read anew at every attempt, so that a secret is changed by changing the file.
[[nodiscard]] Result<std::string, std::string> read_secret(const std::string& path);

/// read_file() of a file that others than its owner and group must have no access to: a key.
[[nodiscard]] Result<FileText, std::string> read_private(const std::string& path,
                                                         std::size_t limit);

}  // namespace swerve::health
