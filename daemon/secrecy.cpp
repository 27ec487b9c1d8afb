#include "daemon/secrecy.hpp"

#include <sys/prctl.h>
#include <sys/resource.h>

#include <cerrno>
#include <system_error>

namespace swerve::daemon {

std::optional<std::string> forbid_core_dumps() {
    // The hard limit as well: no child can raise it again.
    const rlimit none{0, 0};
    if (::setrlimit(RLIMIT_CORE, &none) != 0) {
        return "cannot turn core files off: " + std::generic_category().message(errno);
    }
    // The limit does not bind a core_pattern that is a pipe, as of systemd-coredump; this does.
    if (::prctl(PR_SET_DUMPABLE, 0) != 0) {
        return "cannot forbid dumps of the process: " + std::generic_category().message(errno);
    }
    return std::nullopt;
}

}  // namespace swerve::daemon
