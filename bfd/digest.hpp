#pragma once
// What authentication needs of cryptography.

#include <array>

#include "swerve/base/bytes.hpp"

namespace swerve::bfd {

inline constexpr std::size_t sha1_octets = 20;
using Sha1 = std::array<std::uint8_t, sha1_octets>;

/// RFC 5880 §6.7.4 asks for SHA-1 and nothing newer.
[[nodiscard]] Sha1 sha1(ByteView text);

/// Takes as long for octets that differ early as for those that differ late.
[[nodiscard]] bool is_same_secret(ByteView a, ByteView b);

}  // namespace swerve::bfd
