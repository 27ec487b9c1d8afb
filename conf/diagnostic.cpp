#include "swerve/conf/diagnostic.hpp"

#include "swerve/base/escape.hpp"

namespace swerve::conf {

std::string_view to_string(Severity severity) {
    return severity == Severity::error ? "error" : "warning";
}

std::string Diagnostic::to_string() const {
    std::string out = escape(file);
    if (line > 0) out += ":" + std::to_string(line) + ":" + std::to_string(column);
    out += ": ";
    if (severity == Severity::warning) out += "warning: ";
    if (!path.empty()) out += escape(path) + ": ";
    out += escape(message);
    if (!hint.empty()) out += " (hint: " + escape(hint) + ")";
    return out;
}

std::size_t fault_count(const Diagnostics& faults) {
    std::size_t sum = 0;
    for (const Diagnostic& fault : faults) sum += fault.count;
    return sum;
}

}  // namespace swerve::conf
