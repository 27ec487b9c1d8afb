#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "swerve/net/address.hpp"

namespace swerve {

/// BGP Identifier: four octets, not zero (RFC 6286 §2.1). Ordered as an unsigned integer in host
/// order.
class RouterId {
public:
    [[nodiscard]] static constexpr std::optional<RouterId> from(std::uint32_t host_order) {
        if (host_order == 0) return std::nullopt;
        return RouterId{host_order};
    }
    /// Dotted quad.
    [[nodiscard]] static std::optional<RouterId> parse(std::string_view text) {
        const auto address = Address::parse(text);
        if (!address || address->family() != Family::ipv4) return std::nullopt;
        std::uint32_t value = 0;
        for (const std::uint8_t octet : address->octets()) value = (value << 8U) | octet;
        return from(value);
    }

    [[nodiscard]] constexpr std::uint32_t value() const { return value_; }
    [[nodiscard]] std::string to_string() const { return Address::v4(value_).to_string(); }

    friend constexpr auto operator<=>(RouterId, RouterId) = default;

private:
    constexpr explicit RouterId(std::uint32_t value) : value_(value) {}

    std::uint32_t value_;
};

}  // namespace swerve
