#include "health/probes/echo_message.hpp"

namespace swerve::health {
namespace {

constexpr std::uint8_t protocol_icmp = 1;

std::uint8_t request_type(Family family) { return family == Family::ipv4 ? 8 : 128; }
std::uint8_t reply_type(Family family) { return family == Family::ipv4 ? 0 : 129; }

/// RFC 1071.
std::uint16_t checksum(ByteView octets) {
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < octets.size(); ++i) {
        sum += i % 2 == 0 ? std::uint32_t{octets[i]} << 8U : std::uint32_t{octets[i]};
        sum = (sum & 0xffffU) + (sum >> 16U);
    }
    return static_cast<std::uint16_t>(~sum & 0xffffU);
}

}  // namespace

Bytes encode_request(Family family, const Echo& echo) {
    Bytes out;
    Writer to{out};
    to.u8(request_type(family));
    to.u8(0);
    to.u16(0);
    to.u16(echo.identifier);
    to.u16(echo.sequence);
    to.bytes(echo.payload);
    if (family == Family::ipv4) to.patch_u16(2, checksum(out));
    return out;
}

std::optional<Echo> decode_reply(Family family, ByteView message) {
    Reader from{message};
    const auto type = from.u8();
    const auto code = from.u8();
    const auto sum = from.u16();
    const auto identifier = from.u16();
    const auto sequence = from.u16();
    if (!sum || !sequence || type != reply_type(family) || code != 0) return std::nullopt;
    const ByteView payload = from.rest();
    return Echo{*identifier, *sequence, Bytes(payload.begin(), payload.end())};
}

std::optional<ByteView> behind_ipv4_header(ByteView packet) {
    if (packet.size() < 20 || packet[0] >> 4U != 4 || packet[9] != protocol_icmp) {
        return std::nullopt;
    }
    const std::size_t length = std::size_t{4} * (packet[0] & 0xfU);
    if (length < 20 || length > packet.size()) return std::nullopt;
    return packet.subspan(length);
}

}  // namespace swerve::health
