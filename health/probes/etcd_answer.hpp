#pragma once
// What etcd answers at /health and what that means for the site. Nothing here waits for anything.

#include <optional>
#include <string_view>

#include "swerve/health/outcome.hpp"

namespace swerve::health {

/// Judges the answer, whose HTTP status is 200 or 503. Nothing if the member is healthy.
[[nodiscard]] std::optional<Outcome> etcd_fault(unsigned status, std::string_view body);

}  // namespace swerve::health
