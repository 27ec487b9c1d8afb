#pragma once
// Passwords and tokens stay in the memory of this process.

#include <optional>
#include <string>

namespace swerve::daemon {

/// No core file, and no other process of this user may look into this one (ptrace, /proc/PID/mem).
/// To be called before the first secret is read. What could not be done, as a sentence. The limit
/// of core files passes on to hooks and programs of exec checks, which may have been told secrets
/// of their own; that the process is not dumpable does not.
[[nodiscard]] std::optional<std::string> forbid_core_dumps();

}  // namespace swerve::daemon
