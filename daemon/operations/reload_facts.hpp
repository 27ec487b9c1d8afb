#pragma once

#include <cstdint>

#include "swerve/base/time.hpp"

namespace swerve::daemon {

/// What metrics tell of reloads. The load at the start counts as a success that is no reload.
struct ReloadFacts {
    bool last_successful = true;
    WallTime last_success;
    std::uint64_t successes = 0;
    std::uint64_t failures = 0;

    void succeeded(WallTime when) {
        last_successful = true;
        last_success = when;
        ++successes;
    }
    void failed() {
        last_successful = false;
        ++failures;
    }
};

}  // namespace swerve::daemon
