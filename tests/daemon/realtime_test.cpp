#include "daemon/realtime.hpp"

#include <doctest/doctest.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <thread>

#include "tests/support/skipped.hpp"

using swerve::daemon::set_realtime;

namespace {

int policy() { return ::sched_getscheduler(0) & ~SCHED_RESET_ON_FORK; }

/// Of the calling thread alone.
void give_up_capabilities() {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    const std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> none{};
    REQUIRE(::syscall(SYS_capset, &header, none.data()) == 0);
}

bool is_unlimited(int resource) {
    rlimit limit{};
    return ::getrlimit(static_cast<__rlimit_resource>(resource), &limit) == 0 &&
           limit.rlim_cur == RLIM_INFINITY;
}

// The sanitizer's shadow is too large to be locked, so it makes nothing of mlockall(2).
#if defined(__SANITIZE_ADDRESS__)
constexpr bool locks_memory = false;
#else
constexpr bool locks_memory = true;
#endif

bool has_locked_memory() {
    std::ifstream status{"/proc/self/status"};
    for (std::string line; std::getline(status, line);) {
        if (line.starts_with("VmLck:")) return line.find(" 0 kB") == std::string::npos;
    }
    return false;
}

}  // namespace

TEST_CASE("realtime: of the thread alone, inherited by no thread and no child, and taken back") {
    std::thread{[] {
        const auto done = set_realtime(true);
        if (!done) {
            swerve::testing::skipped(done.error());
            (void)set_realtime(false);
            return;
        }
        CHECK(policy() == SCHED_RR);
        CHECK(has_locked_memory() == locks_memory);
        std::thread{[] { CHECK(policy() == SCHED_OTHER); }}.join();
        const pid_t child = ::fork();
        if (child == 0) ::_exit(policy() == SCHED_OTHER ? 0 : 1);
        int status = -1;
        CHECK(::waitpid(child, &status, 0) == child);
        CHECK(status == 0);
        CHECK(set_realtime(false).has_value());
        CHECK(policy() == SCHED_OTHER);
        CHECK_FALSE(has_locked_memory());
    }}.join();
    CHECK(policy() == SCHED_OTHER);
}

TEST_CASE("realtime: what is not permitted is named, with what would permit it") {
    rlimit priority{};
    REQUIRE(::getrlimit(RLIMIT_RTPRIO, &priority) == 0);
    if (priority.rlim_cur != 0 || is_unlimited(RLIMIT_MEMLOCK)) {
        swerve::testing::skipped("the limits permit it to everybody");
        return;
    }
    std::thread{[] {
        give_up_capabilities();
        const auto done = set_realtime(true);
        CHECK_FALSE(done.has_value());
        if (done) return;
        CHECK(done.error() ==
              "`bfd.realtime`: BFD runs without real-time priority (Operation not permitted; it "
              "needs LimitRTPRIO=1 in the systemd unit, or CAP_SYS_NICE) and with memory that may "
              "be swapped out (a limit of locked memory; to lock it needs LimitMEMLOCK=infinity in "
              "the systemd unit, or CAP_IPC_LOCK)");
        CHECK(policy() == SCHED_OTHER);
        CHECK(set_realtime(false).has_value());
    }}.join();
}
