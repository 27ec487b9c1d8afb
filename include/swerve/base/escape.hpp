#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace swerve {

namespace detail {

/// Length of the well-formed UTF-8 sequence at the head of `text` (RFC 3629), 0 if there is none.
[[nodiscard]] constexpr std::size_t utf8_sequence(std::string_view text) {
    const auto octet = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
    const std::uint8_t lead = octet(0);
    if (lead < 0x80) return 1;
    const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return 0;
    for (std::size_t i = 1; i < length; ++i) {
        if ((octet(i) & 0xc0U) != 0x80U) return 0;
    }
    const bool overlong = (lead == 0xe0 && octet(1) < 0xa0) || (lead == 0xf0 && octet(1) < 0x90);
    const bool surrogate = lead == 0xed && octet(1) >= 0xa0;
    const bool beyond = lead == 0xf4 && octet(1) >= 0x90;
    return overlong || surrogate || beyond ? 0 : length;
}

}  // namespace detail

/// Makes text from a peer, a probe or a file safe for a terminal and a log line: control characters
/// (C0, DEL, C1) and invalid UTF-8 become \xNN. At most `limit` octets of input are used; "…" marks
/// the cut.
[[nodiscard]] inline std::string escape(std::string_view text, std::size_t limit = 512) {
    static constexpr std::string_view hex = "0123456789abcdef";
    std::string out;
    std::size_t used = 0;
    while (used < text.size()) {
        const std::string_view rest = text.substr(used);
        const std::size_t length = detail::utf8_sequence(rest);
        if (used + (length == 0 ? 1 : length) > limit) return out + "…";
        const auto lead = static_cast<std::uint8_t>(rest[0]);
        const bool c1 = length == 2 && lead == 0xc2 && static_cast<std::uint8_t>(rest[1]) < 0xa0;
        if (length == 0 || lead < 0x20 || lead == 0x7f || c1) {
            for (std::size_t i = 0; i < (length == 0 ? 1 : length); ++i) {
                const auto octet = static_cast<std::uint8_t>(rest[i]);
                out += {'\\', 'x', hex[octet >> 4U], hex[octet & 0xfU]};
            }
        } else {
            out += rest.substr(0, length);
        }
        used += length == 0 ? 1 : length;
    }
    return out;
}

}  // namespace swerve
