// An answer of etcd: a member passes only by saying so with HTTP 200, and what is shown is short
// and safe for a terminal.

#include <string>

#include "health/probes/etcd_answer.hpp"
#include "swerve/base/escape.hpp"
#include "tests/fuzz/targets.hpp"

namespace swerve::fuzz {

void etcd(ByteView input) {
    using namespace health;
    const std::string body(input.begin(), input.end());
    for (const unsigned status : {200U, 503U}) {
        const auto fault = etcd_fault(status, body);
        if (!fault) {
            demand(status == 200, "HTTP 503 is no pass");
            demand(body.find("true") != std::string::npos, "a healthy member says true");
            continue;
        }
        demand(fault->result != ProbeResult::pass, "a fault is no pass");
        demand(status == 200 || fault->result == ProbeResult::fail, "HTTP 503 is a fail");
        demand(!fault->reason.empty() && fault->reason.size() <= 4096, "a reason is short");
        demand(fault->reason == escape(fault->reason, fault->reason.size()), "a reason is safe");
    }
}

}  // namespace swerve::fuzz
