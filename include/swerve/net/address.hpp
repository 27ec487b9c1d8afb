#pragma once

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace swerve {

enum class Family : std::uint8_t { ipv4, ipv6 };

[[nodiscard]] constexpr std::string_view to_string(Family family) {
    return family == Family::ipv4 ? "ipv4" : "ipv6";
}
[[nodiscard]] constexpr unsigned address_bits(Family family) {
    return family == Family::ipv4 ? 32 : 128;
}

/// An IPv4 or IPv6 address without zone. IPv4-mapped IPv6 stays IPv6.
class Address {
public:
    [[nodiscard]] static constexpr Address v4(std::uint32_t host_order) {
        Address out{Family::ipv4};
        for (unsigned i = 0; i < 4; ++i) {
            out.octets_[i] = static_cast<std::uint8_t>(host_order >> (24U - 8U * i));
        }
        return out;
    }
    /// 4 octets give IPv4, 16 give IPv6, any other count nothing.
    [[nodiscard]] static std::optional<Address> from_octets(std::span<const std::uint8_t> octets) {
        if (octets.size() != 4 && octets.size() != 16) return std::nullopt;
        Address out{octets.size() == 4 ? Family::ipv4 : Family::ipv6};
        std::ranges::copy(octets, out.octets_.begin());
        return out;
    }
    /// The address with all bits behind the first `length` cleared; at most address_bits().
    [[nodiscard]] constexpr Address first_bits(unsigned length) const {
        Address out{family_};
        const std::size_t whole = length / 8;
        std::ranges::copy(octets().first(whole), out.octets_.begin());
        if (whole < octets().size()) {
            out.octets_[whole] =
                static_cast<std::uint8_t>(octets_[whole] & (0xff00U >> (length % 8)));
        }
        return out;
    }
    /// Textual form of RFC 4291 or dotted quad; leading zeros in a quad are refused.
    [[nodiscard]] static std::optional<Address> parse(std::string_view text) {
        // inet_pton reads up to a NUL and would take what stands before one inside the text.
        if (text.find('\0') != std::string_view::npos) return std::nullopt;
        const std::string copy{text};
        Address out{Family::ipv4};
        if (::inet_pton(AF_INET, copy.c_str(), out.octets_.data()) == 1) return out;
        out = Address{Family::ipv6};
        if (::inet_pton(AF_INET6, copy.c_str(), out.octets_.data()) == 1) return out;
        return std::nullopt;
    }

    [[nodiscard]] constexpr Family family() const { return family_; }
    [[nodiscard]] constexpr std::span<const std::uint8_t> octets() const {
        return {octets_.data(), family_ == Family::ipv4 ? std::size_t{4} : std::size_t{16}};
    }
    [[nodiscard]] constexpr bool bit(unsigned index) const {
        return ((octets_[index / 8] >> (7U - index % 8U)) & 1U) != 0;
    }
    [[nodiscard]] constexpr bool is_unspecified() const {
        return std::ranges::all_of(octets_, [](std::uint8_t octet) { return octet == 0; });
    }
    /// 127/8 or ::1.
    [[nodiscard]] constexpr bool is_loopback() const {
        if (family_ == Family::ipv4) return octets_[0] == 127;
        return std::all_of(octets_.begin(), octets_.begin() + 15,
                           [](std::uint8_t octet) { return octet == 0; }) &&
               octets_[15] == 1;
    }
    /// 224/4 or ff00::/8.
    [[nodiscard]] constexpr bool is_multicast() const {
        return family_ == Family::ipv4 ? (octets_[0] & 0xf0U) == 0xe0U : octets_[0] == 0xff;
    }
    /// fe80::/10; IPv4 link-local (169.254/16) is an ordinary BGP peer address and answers false.
    [[nodiscard]] constexpr bool is_ipv6_link_local() const {
        return family_ == Family::ipv6 && octets_[0] == 0xfe && (octets_[1] & 0xc0U) == 0x80U;
    }

    [[nodiscard]] std::string to_string() const {
        std::array<char, INET6_ADDRSTRLEN> text{};
        ::inet_ntop(family_ == Family::ipv4 ? AF_INET : AF_INET6, octets_.data(), text.data(),
                    text.size());
        return text.data();
    }

    friend constexpr auto operator<=>(const Address&, const Address&) = default;

private:
    constexpr explicit Address(Family family) : family_(family) {}

    Family family_;
    std::array<std::uint8_t, 16> octets_{};
};

/// An address with a TCP or UDP port.
struct Endpoint {
    Address address;
    std::uint16_t port;

    /// "192.0.2.1:179" or "[2001:db8::1]:179".
    [[nodiscard]] static std::optional<Endpoint> parse(std::string_view text) {
        const auto colon = text.rfind(':');
        if (colon == std::string_view::npos) return std::nullopt;
        std::string_view host = text.substr(0, colon);
        const std::string_view digits = text.substr(colon + 1);
        const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
        if (bracketed) host = host.substr(1, host.size() - 2);
        const auto address = Address::parse(host);
        if (!address || bracketed != (address->family() == Family::ipv6)) return std::nullopt;
        std::uint16_t port = 0;
        const auto [end, error] =
            std::from_chars(digits.data(), digits.data() + digits.size(), port);
        const bool leading_zero = digits.size() > 1 && digits.front() == '0';
        if (error != std::errc{} || end != digits.data() + digits.size() || leading_zero) {
            return std::nullopt;
        }
        return Endpoint{*address, port};
    }
    [[nodiscard]] std::string to_string() const {
        const std::string host = address.to_string();
        return (address.family() == Family::ipv6 ? "[" + host + "]" : host) + ":" +
               std::to_string(port);
    }

    friend auto operator<=>(const Endpoint&, const Endpoint&) = default;
};

}  // namespace swerve
