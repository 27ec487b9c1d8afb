#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace swerve::conf {

/// A file with warnings alone is valid.
enum class Severity : std::uint8_t { error, warning };
[[nodiscard]] std::string_view to_string(Severity severity);

/// One fault of a configuration file. Line and column count from 1; 0 where the fault has no place
/// (unreadable file).
struct Diagnostic {
    std::string file;
    int line = 0;
    int column = 0;
    std::string path;  ///< "neighbors.upstream-a.remote_as"
    std::string message;
    std::string hint;       ///< what to do; may be empty
    std::size_t count = 1;  ///< faults that it stands for; of "and N more" N, else 1
    Severity severity = Severity::error;

    /// "swerve.yaml:14:10: neighbors.upstream-a.remote_as: '70000x' is not an AS number (hint: …)",
    /// one line; "warning: " stands in front of the path.
    [[nodiscard]] std::string to_string() const;
};

using Diagnostics = std::vector<Diagnostic>;

/// How many faults there are, those that are only counted included.
[[nodiscard]] std::size_t fault_count(const Diagnostics& faults);

}  // namespace swerve::conf
