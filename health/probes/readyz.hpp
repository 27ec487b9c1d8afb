#pragma once
// What a Kubernetes API server says at /readyz?verbose: a line for each of its checks, and a last
// line that sums them up.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace swerve::health {

struct Readyz {
    bool is_readyz = false;  ///< false: nothing in it looks like the answer of an API server
    bool is_closed = false;  ///< its last line says that the check is passed
    std::size_t passed = 0;
    std::size_t failed = 0;
    std::vector<std::string> failed_names;  ///< the first of them, as they were sent
};

inline constexpr std::size_t readyz_names_kept = 5;

/// Takes any text. Its own octets alone decide how long it looks.
[[nodiscard]] Readyz parse_readyz(std::string_view text);

}  // namespace swerve::health
