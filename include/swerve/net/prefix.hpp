#pragma once

#include <charconv>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "swerve/base/result.hpp"
#include "swerve/net/address.hpp"

namespace swerve {

/// An IP prefix in canonical form: the bits behind the length are zero.
class Prefix {
public:
    /// Clears host bits: what a peer sends is not refused for them (RFC 4271 §4.3: their value is
    /// irrelevant). Nothing if the length exceeds the family's.
    [[nodiscard]] static std::optional<Prefix> masked(const Address& address, unsigned length) {
        if (length > address_bits(address.family())) return std::nullopt;
        return Prefix{address.first_bits(length), static_cast<std::uint8_t>(length)};
    }

    enum class ParseError : std::uint8_t { syntax, length, host_bits };
    /// "198.51.100.0/24" or "2001:db8::/32", strictly: the length is required and host bits are an
    /// error.
    [[nodiscard]] static Result<Prefix, ParseError> parse(std::string_view text) {
        const auto slash = text.find('/');
        if (slash == std::string_view::npos) return fail(ParseError::syntax);
        const auto address = Address::parse(text.substr(0, slash));
        const std::string_view digits = text.substr(slash + 1);
        unsigned length = 0;
        const auto [end, error] =
            std::from_chars(digits.data(), digits.data() + digits.size(), length);
        const bool leading_zero = digits.size() > 1 && digits.front() == '0';
        if (!address || error != std::errc{} || end != digits.data() + digits.size() ||
            leading_zero) {
            return fail(ParseError::syntax);
        }
        const auto prefix = masked(*address, length);
        if (!prefix) return fail(ParseError::length);
        if (prefix->address() != *address) return fail(ParseError::host_bits);
        return *prefix;
    }

    [[nodiscard]] const Address& address() const { return address_; }
    [[nodiscard]] unsigned length() const { return length_; }
    [[nodiscard]] Family family() const { return address_.family(); }

    [[nodiscard]] bool contains(const Address& address) const {
        return address.family() == family() && address.first_bits(length_) == address_;
    }
    /// True when `other` is this prefix or a more specific of it.
    [[nodiscard]] bool contains(const Prefix& other) const {
        return other.length_ >= length_ && contains(other.address_);
    }
    /// True when one contains the other.
    [[nodiscard]] bool overlaps(const Prefix& other) const {
        return contains(other) || other.contains(*this);
    }

    [[nodiscard]] std::string to_string() const {
        return address_.to_string() + "/" + std::to_string(length_);
    }

    /// Ordered by family, address, length: a covering prefix stands before what it covers.
    friend auto operator<=>(const Prefix&, const Prefix&) = default;

private:
    Prefix(const Address& address, std::uint8_t length) : address_(address), length_(length) {}

    Address address_;
    std::uint8_t length_;
};

}  // namespace swerve
