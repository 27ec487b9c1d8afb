#pragma once

#include <charconv>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace swerve {

/// Autonomous system number, 1..4294967295 (RFC 6793; 0 is never valid, RFC 7607).
class Asn {
public:
    /// RFC 6793 §9: AS_TRANS stands for a four-octet number in a two-octet field.
    static constexpr std::uint16_t trans = 23456;

    [[nodiscard]] static constexpr std::optional<Asn> from(std::uint32_t number) {
        if (number == 0) return std::nullopt;
        return Asn{number};
    }
    /// Plain decimal only ("asplain", RFC 5396); leading zeros and signs are refused.
    [[nodiscard]] static std::optional<Asn> parse(std::string_view text) {
        if (text.empty() || (text.size() > 1 && text.front() == '0')) return std::nullopt;
        std::uint32_t number = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
        if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
        return from(number);
    }

    [[nodiscard]] constexpr std::uint32_t value() const { return number_; }
    [[nodiscard]] constexpr bool fits_two_octets() const { return number_ <= 0xffff; }
    [[nodiscard]] std::string to_string() const { return std::to_string(number_); }

    friend constexpr auto operator<=>(Asn, Asn) = default;

private:
    constexpr explicit Asn(std::uint32_t number) : number_(number) {}

    std::uint32_t number_;
};

}  // namespace swerve
