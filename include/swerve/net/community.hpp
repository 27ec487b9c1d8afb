#pragma once

#include <array>
#include <charconv>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "swerve/net/address.hpp"
#include "swerve/net/asn.hpp"

namespace swerve {

namespace detail {

/// Parses exactly N decimal numbers separated by colons, each at most `most`, without leading
/// zeros.
template <std::size_t N>
[[nodiscard]] std::optional<std::array<std::uint32_t, N>> colon_numbers(std::string_view text,
                                                                        std::uint32_t most) {
    std::array<std::uint32_t, N> out{};
    for (std::size_t i = 0; i < N; ++i) {
        const auto colon = text.find(':');
        if ((colon == std::string_view::npos) != (i + 1 == N)) return std::nullopt;
        const std::string_view part = text.substr(0, colon);
        text = i + 1 == N ? std::string_view{} : text.substr(colon + 1);
        const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), out[i]);
        const bool leading_zero = part.size() > 1 && part.front() == '0';
        if (error != std::errc{} || end != part.data() + part.size() || leading_zero ||
            out[i] > most) {
            return std::nullopt;
        }
    }
    return out;
}

struct WellKnownCommunity {
    std::string_view name;
    std::uint32_t value;
};
inline constexpr std::array<WellKnownCommunity, 10> well_known_communities{{
    {"graceful_shutdown", 0xffff0000},
    {"accept_own", 0xffff0001},
    {"llgr_stale", 0xffff0006},
    {"no_llgr", 0xffff0007},
    {"accept_own_nexthop", 0xffff0008},
    {"blackhole", 0xffff029a},
    {"no_export", 0xffffff01},
    {"no_advertise", 0xffffff02},
    {"no_export_subconfed", 0xffffff03},
    {"no_peer", 0xffffff04},
}};

}  // namespace detail

/// RFC 1997 community.
struct Community {
    std::uint32_t value;

    /// "64500:100" (both halves 0..65535) or a well-known name: no_export, no_advertise,
    /// no_export_subconfed (RFC 1997), no_peer (RFC 3765), accept_own (RFC 7611), blackhole (RFC
    /// 7999), graceful_shutdown (RFC 8326), llgr_stale, no_llgr (RFC 9494), accept_own_nexthop.
    [[nodiscard]] static std::optional<Community> parse(std::string_view text) {
        for (const auto& known : detail::well_known_communities) {
            if (text == known.name) return Community{known.value};
        }
        const auto halves = detail::colon_numbers<2>(text, 0xffff);
        if (!halves) return std::nullopt;
        return Community{((*halves)[0] << 16U) | (*halves)[1]};
    }
    /// The well-known name where there is one, else "high:low".
    [[nodiscard]] std::string to_string() const {
        for (const auto& known : detail::well_known_communities) {
            if (value == known.value) return std::string{known.name};
        }
        return std::to_string(value >> 16U) + ":" + std::to_string(value & 0xffffU);
    }

    friend auto operator<=>(const Community&, const Community&) = default;
};

/// RFC 4360 extended community, its eight octets as a number in network order.
struct ExtendedCommunity {
    std::uint64_t value;

    /// "rt:A:N" and "ro:A:N" (route target and route origin, RFC 4360 §4, §5) where A is an AS
    /// number (two octets, or four: RFC 5668) or an IPv4 address and N fills what is left; or the
    /// eight octets as "0x" and 16 hexadecimal digits.
    [[nodiscard]] static std::optional<ExtendedCommunity> parse(std::string_view text) {
        if (text.starts_with("0x")) return parse_octets(text.substr(2));
        const bool target = text.starts_with("rt:");
        if (!target && !text.starts_with("ro:")) return std::nullopt;
        const auto colon = text.rfind(':');
        if (colon == 2) return std::nullopt;
        const std::string_view administrator = text.substr(3, colon - 3);
        const auto number = detail::colon_numbers<1>(text.substr(colon + 1), 0xffffffff);
        if (!number) return std::nullopt;
        const std::uint8_t sub_type = target ? route_target : route_origin;
        const std::uint32_t assigned = number->front();
        if (const auto as = Asn::parse(administrator)) {
            if (as->fits_two_octets()) {
                return specific(two_octet_as, sub_type, (wide(as->value()) << 32U) | assigned);
            }
            if (assigned > 0xffff) return std::nullopt;
            return specific(four_octet_as, sub_type, (wide(as->value()) << 16U) | assigned);
        }
        const auto address = Address::parse(administrator);
        if (!address || address->family() != Family::ipv4 || assigned > 0xffff) return std::nullopt;
        std::uint64_t octets = 0;
        for (const std::uint8_t octet : address->octets()) octets = (octets << 8U) | octet;
        return specific(ipv4_address, sub_type, (octets << 16U) | assigned);
    }
    /// In the form that parse() takes, the most telling one.
    [[nodiscard]] std::string to_string() const {
        const std::uint64_t sub_type = (value >> 48U) & 0xffU;
        std::string text = sub_type == route_target ? "rt:" : "ro:";
        const auto low_32 = static_cast<std::uint32_t>(value >> 16U);
        switch (value >> 56U) {
            case two_octet_as:
                text += std::to_string((value >> 32U) & 0xffffU) + ":" +
                        std::to_string(value & 0xffffffffU);
                break;
            case ipv4_address:
                text += Address::v4(low_32).to_string() + ":" + std::to_string(value & 0xffffU);
                break;
            default:
                text += std::to_string(low_32) + ":" + std::to_string(value & 0xffffU);
        }
        // A telling form that means something else (a small AS in four octets) tells nothing.
        return parse(text) == *this ? text : octets_text();
    }

    friend auto operator<=>(const ExtendedCommunity&, const ExtendedCommunity&) = default;

private:
    // Type (RFC 4360 §3.1, §3.2; RFC 5668 §2) and sub-type (RFC 4360 §4, §5).
    static constexpr std::uint8_t two_octet_as = 0;
    static constexpr std::uint8_t ipv4_address = 1;
    static constexpr std::uint8_t four_octet_as = 2;
    static constexpr std::uint8_t route_target = 2;
    static constexpr std::uint8_t route_origin = 3;

    static constexpr std::uint64_t wide(std::uint32_t number) { return number; }
    static ExtendedCommunity specific(std::uint8_t type, std::uint8_t sub_type,
                                      std::uint64_t six_octets) {
        return {(wide(type) << 56U) | (wide(sub_type) << 48U) | six_octets};
    }
    static std::optional<ExtendedCommunity> parse_octets(std::string_view digits) {
        std::uint64_t octets = 0;
        const auto [end, error] =
            std::from_chars(digits.data(), digits.data() + digits.size(), octets, 16);
        const bool whole = digits.size() == 16 && end == digits.data() + digits.size();
        if (error != std::errc{} || !whole) return std::nullopt;
        return ExtendedCommunity{octets};
    }
    [[nodiscard]] std::string octets_text() const {
        static constexpr std::string_view digits = "0123456789abcdef";
        std::string text = "0x";
        for (unsigned shift = 64; shift > 0; shift -= 4)
            text += digits[(value >> (shift - 4)) & 15U];
        return text;
    }
};

/// RFC 8092 large community.
struct LargeCommunity {
    std::uint32_t global_administrator;
    std::uint32_t local_data_1;
    std::uint32_t local_data_2;

    /// "64500:1:2", each part 0..4294967295 without leading zeros (RFC 8092 §4.1).
    [[nodiscard]] static std::optional<LargeCommunity> parse(std::string_view text) {
        const auto parts = detail::colon_numbers<3>(text, 0xffffffff);
        if (!parts) return std::nullopt;
        return LargeCommunity{(*parts)[0], (*parts)[1], (*parts)[2]};
    }
    [[nodiscard]] std::string to_string() const {
        return std::to_string(global_administrator) + ":" + std::to_string(local_data_1) + ":" +
               std::to_string(local_data_2);
    }

    friend auto operator<=>(const LargeCommunity&, const LargeCommunity&) = default;
};

}  // namespace swerve
