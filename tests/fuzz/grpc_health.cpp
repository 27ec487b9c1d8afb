// The messages of grpc.health.v1: any body is read or refused, and what we write can be read.

#include "health/probes/grpc_health.hpp"

#include "tests/fuzz/targets.hpp"

namespace swerve::fuzz {

using namespace health;

void grpc_health(ByteView input) {
    const std::string_view body{reinterpret_cast<const char*>(input.data()), input.size()};
    const auto status = serving_status(body);
    if (!status) demand(!status.error().empty(), "a reason for what cannot be read");
    const auto framed = health_request(body);
    demand(framed.size() <= 5 + 3 + 255, "a request is short");
    // A request is a message too, of which field 1 is a text: no status in it.
    demand(serving_status(framed) == ServingStatus::unknown, "what we write can be read");
}

}  // namespace swerve::fuzz
