#pragma once

#include <cstdint>
#include <optional>

#include "swerve/net/address.hpp"

namespace swerve::bgp {

/// IANA "Subsequent Address Family Identifiers": unicast forwarding.
inline constexpr std::uint8_t safi_unicast = 1;

/// IANA "Address Family Numbers".
[[nodiscard]] constexpr std::uint16_t afi_of(Family family) {
    return family == Family::ipv4 ? 1 : 2;
}

/// The family of an AFI and SAFI pair; nothing for any that this speaker does not know.
[[nodiscard]] constexpr std::optional<Family> unicast_family(std::uint16_t afi, std::uint8_t safi) {
    if (safi != safi_unicast || (afi != 1 && afi != 2)) return std::nullopt;
    return afi == 1 ? Family::ipv4 : Family::ipv6;
}

}  // namespace swerve::bgp
