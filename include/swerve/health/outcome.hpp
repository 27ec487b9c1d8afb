#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "swerve/base/time.hpp"

namespace swerve::health {

/// `unknown`: the attempt says nothing about the service (bad credentials, missing file, no answer
/// to parse).
enum class ProbeResult : std::uint8_t { pass, fail, unknown };
[[nodiscard]] constexpr std::string_view to_string(ProbeResult result) {
    switch (result) {
        case ProbeResult::pass:
            return "pass";
        case ProbeResult::fail:
            return "fail";
        case ProbeResult::unknown:
            break;
    }
    return "unknown";
}

/// What one attempt found. `reason` is one sentence a person can act on, already escaped.
struct Outcome {
    ProbeResult result = ProbeResult::unknown;
    std::string reason;
    TimePoint started;
    TimePoint finished;
};

}  // namespace swerve::health
