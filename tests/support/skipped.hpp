#pragma once
// Tests that cannot run everywhere.

#include <doctest/doctest.h>

#include <cstdlib>
#include <string>
#include <string_view>

namespace swerve::testing {

/// Says why a test does nothing: a program or a right that is missing. With CI=true in the
/// environment, where both are there, that is a failure.
inline void skipped(const std::string& why) {
    const char* const ci = std::getenv("CI");
    if (ci != nullptr && std::string_view{ci} == "true") {
        FAIL_CHECK("skipped in CI: ", why);
    } else {
        MESSAGE("skipped: ", why);
    }
}

}  // namespace swerve::testing
