#include "daemon/secrecy.hpp"

#include <doctest/doctest.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace swerve::daemon;

namespace {

/// What is found wrong, as an exit code.
int fault_of_child() {
    // What others may have set before.
    (void)::prctl(PR_SET_DUMPABLE, 1);
    if (forbid_core_dumps()) return 1;
    rlimit limit{1, 1};
    if (::getrlimit(RLIMIT_CORE, &limit) != 0) return 2;
    if (limit.rlim_cur != 0 || limit.rlim_max != 0) return 3;
    return ::prctl(PR_GET_DUMPABLE) == 0 ? 0 : 4;
}

}  // namespace

TEST_CASE("secrecy: no core file, not dumpable, and said twice it stays so") {
    const ::pid_t pid = ::fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
        const int first = fault_of_child();
        ::_exit(first != 0 ? first : fault_of_child());
    }
    int status = 0;
    REQUIRE(::waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
}
