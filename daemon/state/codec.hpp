#pragma once
// The text of what stands in `state_dir`: one line with format, version, number and checksum, then
// what a person can read.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "swerve/base/result.hpp"
#include "swerve/failover/saved_state.hpp"

namespace swerve::daemon {

struct Generation {
    std::uint64_t sequence;
    failover::SavedState state;
};

/// Octets of a generation. More is damage, so that no file makes the daemon read for ever.
inline constexpr std::size_t largest_generation = std::size_t{4} << 20U;

[[nodiscard]] std::string encode(const Generation& generation);
/// The error is a sentence: torn, checksum, a later version ("written by a later version of
/// Swerve"), or a fault of the content.
[[nodiscard]] Result<Generation, std::string> decode(std::string_view text);

struct SignOfLife {
    std::string boot_id;
    TimePoint at;

    friend bool operator==(const SignOfLife&, const SignOfLife&) = default;
};

[[nodiscard]] std::string encode(const SignOfLife& sign);
/// Nothing unless it is whole: it may tear, and then nobody misses it.
[[nodiscard]] std::optional<SignOfLife> decode_sign_of_life(std::string_view text);

}  // namespace swerve::daemon
