#pragma once
// The two messages of grpc.health.v1 (gRPC's "health checking protocol"), in protobuf and in the
// frame that gRPC puts around a message. Pure.

#include <cstdint>
#include <string>
#include <string_view>

#include "swerve/base/result.hpp"

namespace swerve::health {

/// HealthCheckResponse.ServingStatus; other numbers may come of servers that are newer than this.
enum class ServingStatus : std::uint64_t { unknown, serving, not_serving, service_unknown };

/// A HealthCheckRequest for a service; an empty name is the server as a whole. At most 255 octets.
[[nodiscard]] std::string health_request(std::string_view service);

/// The status in the body of an answer, or what is wrong with that body: it must be one message,
/// and not compressed.
[[nodiscard]] Result<ServingStatus, std::string> serving_status(std::string_view body);

}  // namespace swerve::health
