// A page of Ceph's exporter, whole and in two pieces: the cut must not matter, a stricter judgement
// never passes more, and what is shown is short and safe for a terminal.

#include <algorithm>
#include <string>

#include "health/probes/ceph_page.hpp"
#include "swerve/base/escape.hpp"
#include "tests/fuzz/targets.hpp"

namespace swerve::fuzz {

void ceph(ByteView input) {
    using namespace health;
    const Chosen chosen(input);
    const std::string page(chosen.rest.begin(), chosen.rest.end());
    const std::string_view text{page};
    const std::size_t cut = std::min(std::size_t{chosen.choice}, text.size());
    CephPage whole;
    whole.feed(text);
    whole.end();
    CephPage pieces;
    pieces.feed(text.substr(0, cut));
    pieces.feed(text.substr(cut));
    pieces.end();
    const Outcome lenient = whole.judge(CephHealth::warn, false);
    const Outcome again = pieces.judge(CephHealth::warn, false);
    demand(lenient.result == again.result && lenient.reason == again.reason,
           "how a page is cut does not matter");
    const Outcome strict = whole.judge(CephHealth::ok, false);
    demand(strict.result != ProbeResult::pass || lenient.result == ProbeResult::pass,
           "strict is strict");
    demand(!lenient.reason.empty() && lenient.reason.size() <= 4096, "a reason is short");
    demand(lenient.reason == escape(lenient.reason, lenient.reason.size()), "a reason is safe");
}

}  // namespace swerve::fuzz
