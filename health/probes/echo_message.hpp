#pragma once
// Echo requests and replies of ICMP (RFC 792) and ICMPv6 (RFC 4443 §4). No socket here.

#include <cstdint>
#include <optional>

#include "swerve/base/bytes.hpp"
#include "swerve/net/address.hpp"

namespace swerve::health {

struct Echo {
    std::uint16_t identifier = 0;
    std::uint16_t sequence = 0;
    /// Random, so that nobody who does not see the request can reply to it.
    Bytes payload;

    friend bool operator==(const Echo&, const Echo&) = default;
};

/// The request, with its checksum; ICMPv6's is left to the kernel, which knows the addresses that
/// it covers.
[[nodiscard]] Bytes encode_request(Family family, const Echo& echo);

/// The reply in a message; nothing if it is another message.
[[nodiscard]] std::optional<Echo> decode_reply(Family family, ByteView message);

/// What is behind the IPv4 header that raw sockets hand out; nothing if that is none of ICMP's.
[[nodiscard]] std::optional<ByteView> behind_ipv4_header(ByteView packet);

}  // namespace swerve::health
