// A call takes any octets, comes to an end within its limits, and never says more than it was
// given.

#include "health/probes/grpc_call.hpp"
#include "health/probes/grpc_health.hpp"
#include "tests/fuzz/targets.hpp"

namespace swerve::fuzz {

namespace {

using namespace health;

GrpcRequest request() {
    return {.is_tls = false,
            .authority = "127.0.0.1:1",
            .path = "/grpc.health.v1.Health/Check",
            .body = health_request("portal")};
}

void demand_limits(const GrpcAnswer& answer) {
    demand(answer.body.size() <= GrpcCall::body_limit, "no body beyond its limit");
    demand(answer.message.size() + answer.content_type.size() <= GrpcCall::header_limit,
           "no header beyond its limit");
}

}  // namespace

void grpc_call(ByteView input) {
    const Chosen chosen(input);
    const std::string_view octets{reinterpret_cast<const char*>(chosen.rest.data()),
                                  chosen.rest.size()};
    GrpcCall call(request());
    demand(call.output().size() < 1024, "a request is short");
    // In pieces of one size, which the first octet chooses.
    const std::size_t piece = chosen.choice == 0 ? 4096 : chosen.choice;
    std::size_t sent = 0;
    for (std::size_t at = 0; at < octets.size() && !call.is_over(); at += piece) {
        call.take(octets.substr(at, piece));
        sent += call.output().size();
    }
    // At most an acknowledgement for each frame, and what the request's body still lacks.
    demand(sent <= 1024 + 2 * octets.size(), "answers no longer than what they answer");
    demand_limits(call.answer());
    if (octets.size() > GrpcCall::octet_limit) demand(call.is_over(), "an end within the limit");
}

}  // namespace swerve::fuzz
