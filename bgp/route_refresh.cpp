#include "bgp/family.hpp"
#include "swerve/bgp/framer.hpp"
#include "swerve/bgp/update.hpp"

namespace swerve::bgp {

std::optional<Family> decode_route_refresh(ByteView body) {
    // RFC 2918 §3: AFI, one octet that RFC 7313 §3.2 made the message subtype, SAFI.
    if (body.size() != 4 || body[2] != 0) return std::nullopt;
    return unicast_family(Reader{body}.u16().value_or(0), body[3]);
}

Bytes encode_route_refresh(Family family) {
    Bytes out;
    const std::size_t begin = begin_message(out, MessageType::route_refresh);
    Writer writer{out};
    writer.u16(afi_of(family));
    writer.u8(0);
    writer.u8(safi_unicast);
    finish_message(out, begin);
    return out;
}

}  // namespace swerve::bgp
