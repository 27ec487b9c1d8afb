#pragma once
// The text of a generation: one line with format, version, sequence and checksum, then JSON that a
// person can read.

#include <cstdint>
#include <string>
#include <string_view>

#include "swerve/base/result.hpp"
#include "swerve/failover/saved_state.hpp"

namespace swerve::daemon {

struct Generation {
    std::uint64_t sequence;
    failover::SavedState state;
};

[[nodiscard]] std::string encode(const Generation& generation);
/// The error is a sentence: torn, checksum, a later version ("written by a later version of
/// Swerve"), or a fault of the content.
[[nodiscard]] Result<Generation, std::string> decode(std::string_view text);

}  // namespace swerve::daemon
