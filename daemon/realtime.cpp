#include "daemon/realtime.hpp"

#include <linux/capability.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>

namespace swerve::daemon {
namespace {

std::string os_error(int error) {
    return std::strerror(error);  // NOLINT(concurrency-mt-unsafe)
}

bool has_capability(unsigned which) {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> data{};
    if (::syscall(SYS_capget, &header, data.data()) != 0) return false;
    return ((data[which / 32].effective >> (which % 32)) & 1U) != 0;
}

/// Under a finite limit an allocation long after this one would fail, and end the process.
bool may_lock_all() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur == RLIM_INFINITY) return true;
    return has_capability(CAP_IPC_LOCK);
}

}  // namespace

Result<void, std::string> set_realtime(bool on) {
    const sched_param priority{.sched_priority = on ? 1 : 0};
    // The flag stays, for to take it back needs more rights than to set it.
    const int policy = (on ? SCHED_RR : SCHED_OTHER) | SCHED_RESET_ON_FORK;
    std::string missing;
    if (::sched_setscheduler(0, policy, &priority) != 0) {
        if (!on) return fail("cannot give up real-time priority: " + os_error(errno));
        missing = "without real-time priority (" + os_error(errno) +
                  "; it needs LimitRTPRIO=1 in the systemd unit, or CAP_SYS_NICE)";
    }
    if (!on) {
        (void)::munlockall();
        return {};
    }
    const bool may_lock = may_lock_all();
    if (!may_lock || ::mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0) {
        if (!missing.empty()) missing += " and ";
        missing += "with memory that may be swapped out (" +
                   (may_lock ? os_error(errno) : std::string{"a limit of locked memory"}) +
                   "; to lock it needs LimitMEMLOCK=infinity in the systemd unit, or CAP_IPC_LOCK)";
    }
    if (!missing.empty()) return fail("`bfd.realtime`: BFD runs " + missing);
    return {};
}

}  // namespace swerve::daemon
