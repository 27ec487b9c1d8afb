#pragma once
// What RabbitMQ's management API answers and what that means for the site. Nothing here waits for
// anything.

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "swerve/health/outcome.hpp"

namespace swerve::health {

/// Judges the answer of a health check below /api/health/checks, whose HTTP status is 200 or 503.
/// Nothing if the check is passed.
[[nodiscard]] std::optional<Outcome> rabbitmq_check_fault(unsigned status, std::string_view body);

/// Judges the list of /api/federation-links/VIRTUAL_HOST: every link from every expected upstream
/// must be running, and there must be one. Nothing if that is so.
[[nodiscard]] std::optional<Outcome> rabbitmq_federation_fault(
    std::string_view body, std::string_view virtual_host, std::span<const std::string> upstreams);

/// Why RabbitMQ refuses a request, as it says in the body; empty if it does not say.
[[nodiscard]] std::string rabbitmq_refusal(std::string_view body);

/// A name as one segment of a path: RFC 3986 §2.1, with everything but the unreserved encoded.
[[nodiscard]] std::string path_segment(std::string_view name);

}  // namespace swerve::health
