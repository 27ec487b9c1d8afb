#pragma once

#include <array>
#include <charconv>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

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
inline constexpr std::array<WellKnownCommunity, 6> well_known_communities{{
    {"graceful_shutdown", 0xffff0000},
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
    /// no_export_subconfed (RFC 1997), no_peer (RFC 3765), blackhole (RFC 7999), graceful_shutdown
    /// (RFC 8326).
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
    [[nodiscard]] static std::optional<ExtendedCommunity> parse(std::string_view text);
    /// In the form that parse() takes, the most telling one.
    [[nodiscard]] std::string to_string() const;

    friend auto operator<=>(const ExtendedCommunity&, const ExtendedCommunity&) = default;
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
