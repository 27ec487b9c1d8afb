#include "health/probes/readyz.hpp"

#include <algorithm>

namespace swerve::health {

Readyz parse_readyz(std::string_view text) {
    Readyz out;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        const std::string_view line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        // "readyz check passed", and of older servers "healthz check passed".
        out.is_closed = line.ends_with("z check passed") && text.empty();
        if (line.starts_with("[+]")) ++out.passed;
        if (!line.starts_with("[-]")) continue;
        ++out.failed;
        if (out.failed_names.size() == readyz_names_kept) continue;
        const std::string_view rest = line.substr(3);
        out.failed_names.emplace_back(rest.substr(0, rest.find(' ')));
    }
    out.is_readyz = out.passed + out.failed > 0;
    return out;
}

}  // namespace swerve::health
