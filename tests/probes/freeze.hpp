#pragma once
// A server that is there and answers nobody.

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>

#include "tests/probes/support.hpp"

namespace swerve::health::testing {

/// Stops a program, and returns when all of its threads stand still: the signal alone may come to
/// one of them after it has answered once more.
inline void freeze(const Child& child) {
    child.signal(SIGSTOP);
    ::siginfo_t info{};
    REQUIRE(::waitid(P_PID, static_cast<::id_t>(child.pid()), &info, WSTOPPED) == 0);
}

}  // namespace swerve::health::testing
