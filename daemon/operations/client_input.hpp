#pragma once
// What clients write, checked.

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "swerve/base/result.hpp"
#include "swerve/net/prefix.hpp"

namespace swerve::daemon {

struct InputFault {
    std::string message;
    std::string hint;
};

[[nodiscard]] Result<Prefix, InputFault> parse_prefix(std::string_view text);

/// Decimal digits alone.
[[nodiscard]] std::optional<std::uint64_t> parse_number(std::string_view text);

/// "alice", or "uid 1000" for one without a name.
[[nodiscard]] std::string user_name(uid_t uid);

}  // namespace swerve::daemon
