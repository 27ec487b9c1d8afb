#pragma once
// FNV-1a with 64 bits: one value for the same octets in every process and build. Not for tables
// that a stranger fills.

#include <cstdint>
#include <span>
#include <string_view>

namespace swerve::conf {

class Fnv1a {
public:
    explicit Fnv1a(std::uint64_t seed = 0) : hash_(0xcbf29ce484222325ULL ^ seed) {}

    void add_octets(std::span<const std::uint8_t> octets) {
        for (const std::uint8_t octet : octets) add_octet(octet);
    }
    void add_octets(std::string_view octets) {
        for (const char octet : octets) add_octet(static_cast<std::uint8_t>(octet));
    }
    /// Eight octets, lowest first, whatever the machine's order.
    void add(std::uint64_t number) {
        for (unsigned shift = 0; shift < 64; shift += 8) {
            add_octet(static_cast<std::uint8_t>(number >> shift));
        }
    }
    /// With its length in front, so that neighbouring texts cannot trade octets.
    void add(std::string_view text) {
        add(text.size());
        add_octets(text);
    }

    [[nodiscard]] std::uint64_t value() const { return hash_; }

private:
    void add_octet(std::uint8_t octet) { hash_ = (hash_ ^ octet) * 0x100000001b3ULL; }

    std::uint64_t hash_;
};

}  // namespace swerve::conf
