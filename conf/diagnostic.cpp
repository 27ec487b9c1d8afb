#include "swerve/conf/diagnostic.hpp"

#include "swerve/base/escape.hpp"

namespace swerve::conf {

std::string Diagnostic::to_string() const {
    std::string out = escape(file);
    if (line > 0) out += ":" + std::to_string(line) + ":" + std::to_string(column);
    out += ": ";
    if (!path.empty()) out += escape(path) + ": ";
    out += escape(message);
    if (!hint.empty()) out += " (hint: " + escape(hint) + ")";
    return out;
}

}  // namespace swerve::conf
