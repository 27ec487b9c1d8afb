// What an API server says of its checks is counted as it stands, and little of it is kept.

#include "health/probes/readyz.hpp"

#include <algorithm>
#include <string_view>

#include "tests/fuzz/targets.hpp"

namespace swerve::fuzz {

void readyz(ByteView input) {
    const std::string text(input.begin(), input.end());
    const health::Readyz found = health::parse_readyz(text);
    const auto lines = static_cast<std::size_t>(std::ranges::count(text, '\n')) + 1;
    demand(found.passed + found.failed <= lines, "a line is one check at most");
    demand(found.failed_names.size() == std::min(found.failed, health::readyz_names_kept),
           "the first names are kept, and no others");
    demand(found.failed == 0 || found.is_readyz, "who names a check is an API server");
    for (const std::string& name : found.failed_names) {
        demand(text.contains("[-]" + name), "a name is on the page");
        demand(!name.contains('\n') && !name.contains(' '), "a name is one word");
    }
    // Another check that fails is one more, whatever stands before it.
    if (text.empty() || text.ends_with('\n')) {
        const health::Readyz more = health::parse_readyz(text + "[-]last failed");
        demand(more.failed == found.failed + 1 && more.passed == found.passed, "each line counts");
    }
}

}  // namespace swerve::fuzz
