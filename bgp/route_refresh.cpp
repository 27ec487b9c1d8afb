#include "bgp/route_refresh.hpp"

#include "bgp/family.hpp"
#include "swerve/bgp/framer.hpp"
#include "swerve/bgp/update.hpp"

namespace swerve::bgp {

namespace {

/// RFC 2918 §3: AFI, one octet that RFC 7313 §3.2 made the message subtype, SAFI.
constexpr std::size_t body_size = 4;
constexpr std::size_t subtype_at = 2;

Bytes message(ByteView body) {
    Bytes out;
    const std::size_t begin = begin_message(out, MessageType::route_refresh);
    Writer{out}.bytes(body);
    finish_message(out, begin);
    return out;
}

}  // namespace

Result<std::optional<RouteRefresh>, Notification> decode_route_refresh(ByteView body,
                                                                       bool enhanced) {
    if (body.size() <= subtype_at) return std::nullopt;
    const auto subtype = static_cast<RefreshSubtype>(body[subtype_at]);
    const bool marker = subtype == RefreshSubtype::begin || subtype == RefreshSubtype::end;
    // RFC 7313 §5: a subtype that is not known is ignored.
    if (subtype != RefreshSubtype::request && !(marker && enhanced)) return std::nullopt;
    if (body.size() != body_size) {
        if (!marker) return std::nullopt;
        // RFC 7313 §5: the data is the whole message.
        return fail(
            Notification{ErrorCode::route_refresh, subcode::invalid_message_length, message(body)});
    }
    const auto family = unicast_family(Reader{body}.u16().value_or(0), body[3]);
    if (!family) return std::nullopt;
    return RouteRefresh{*family, subtype};
}

Bytes encode(const RouteRefresh& refresh) {
    Bytes body;
    Writer writer{body};
    writer.u16(afi_of(refresh.family));
    writer.u8(static_cast<std::uint8_t>(refresh.subtype));
    writer.u8(safi_unicast);
    return message(body);
}

Bytes encode_route_refresh(Family family) {
    return encode(RouteRefresh{family, RefreshSubtype::request});
}

}  // namespace swerve::bgp
