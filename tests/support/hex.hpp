#pragma once
// Octets as annotated hex, the way test vectors are written down.

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <string_view>

#include "swerve/base/bytes.hpp"

namespace swerve::test {

/// "ff*16 0013 04 # a KEEPALIVE": hex digits in pairs, spaces as wanted, `*N` repeats the octet
/// before it (N up to 4096, a space behind it), `#` starts a comment that ends with the line.
/// Throws on anything else.
[[nodiscard]] inline Bytes hex(std::string_view text) {
    Bytes out;
    std::size_t at = 0;
    while (at < text.size()) {
        const char c = text[at];
        const char* const here = text.data() + at;
        if (c == ' ' || c == '\n') {
            ++at;
        } else if (c == '#') {
            at = std::min(text.find('\n', at), text.size());
        } else if (c == '*' && !out.empty()) {
            std::size_t count = 0;
            const auto end = std::from_chars(here + 1, text.data() + text.size(), count).ptr;
            if (end == here + 1 || count == 0 || count > 4096)
                throw std::invalid_argument{"hex: bad repeat"};
            out.insert(out.end(), count - 1, Bytes::value_type{out.back()});
            at += static_cast<std::size_t>(end - here);
        } else {
            std::uint8_t octet = 0;
            const bool pair = at + 2 <= text.size();
            if (!pair || std::from_chars(here, here + 2, octet, 16).ptr != here + 2) {
                throw std::invalid_argument{"hex: bad digit in " + std::string{text.substr(at, 8)}};
            }
            out.push_back(octet);
            at += 2;
        }
    }
    return out;
}

[[nodiscard]] inline std::string to_hex(ByteView octets) {
    static constexpr std::string_view digits = "0123456789abcdef";
    std::string out;
    for (const std::uint8_t octet : octets) {
        out += digits[octet >> 4U];
        out += digits[octet & 0xfU];
    }
    return out;
}

/// Several pieces in a row.
[[nodiscard]] inline Bytes joined(std::initializer_list<Bytes> pieces) {
    Bytes out;
    for (const Bytes& piece : pieces) out.insert(out.end(), piece.begin(), piece.end());
    return out;
}

/// A BGP message around a body: marker, right length, type.
[[nodiscard]] inline Bytes bgp_message(std::uint8_t type, const Bytes& body) {
    Bytes out(16, 0xff);
    Writer writer{out};
    writer.u16(static_cast<std::uint16_t>(body.size() + 19));
    writer.u8(type);
    writer.bytes(body);
    return out;
}

/// The body of an UPDATE with its two length fields right.
[[nodiscard]] inline Bytes update_body(std::string_view withdrawn, std::string_view attributes,
                                       std::string_view nlri) {
    Bytes out;
    Writer writer{out};
    for (const std::string_view sized : {withdrawn, attributes}) {
        const Bytes octets = hex(sized);
        writer.u16(static_cast<std::uint16_t>(octets.size()));
        writer.bytes(octets);
    }
    writer.bytes(hex(nlri));
    return out;
}

}  // namespace swerve::test
