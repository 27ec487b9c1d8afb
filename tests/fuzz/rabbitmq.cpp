// Answers of RabbitMQ's management API: what is shown of them is short and safe for a terminal, and
// a check that is not passed says why.

#include "health/probes/rabbitmq_answer.hpp"

#include <array>
#include <string>

#include "swerve/base/escape.hpp"
#include "tests/fuzz/targets.hpp"

namespace swerve::fuzz {
namespace {

using namespace health;

void check_shown(const std::string& text) {
    demand(text.size() <= 4096, "what is shown is short");
    demand(text == escape(text, text.size()), "what is shown is safe");
}

void check_fault(const std::optional<Outcome>& fault) {
    if (!fault) return;
    demand(fault->result != ProbeResult::pass, "a fault is no pass");
    demand(!fault->reason.empty(), "a fault has a reason");
    check_shown(fault->reason);
}

}  // namespace

void rabbitmq(ByteView input) {
    const Chosen chosen(input);
    const std::string body(chosen.rest.begin(), chosen.rest.end());
    const auto good = rabbitmq_check_fault(200, body);
    const auto bad = rabbitmq_check_fault(503, body);
    check_fault(good);
    check_fault(bad);
    demand(bad && bad->result == ProbeResult::fail, "HTTP 503 is a fail, whatever it says");
    const std::array<std::string, 2> upstreams{"a", "b"};
    const auto both = rabbitmq_federation_fault(body, "/", upstreams);
    check_fault(both);
    if (!both) {
        demand(!rabbitmq_federation_fault(body, "/", std::span{upstreams}.first(1)),
               "fewer upstreams ask for less");
    }
    check_shown(rabbitmq_refusal(body));
    const std::string segment = path_segment(body);
    demand(segment.find_first_of("/?# \r\n") == std::string::npos, "a segment stays one");
}

}  // namespace swerve::fuzz
