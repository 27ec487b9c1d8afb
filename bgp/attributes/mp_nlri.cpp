// MP_REACH_NLRI and MP_UNREACH_NLRI, cut into their parts whatever the family.

#include "bgp/attributes/row.hpp"

namespace swerve::bgp {

std::string_view decode_mp_reach(ByteView value, const AttributeContext&, DecodedAttributes& out) {
    Reader reader{value};
    const auto afi = reader.u16();
    const auto safi = reader.u8();
    const auto size = reader.u8();
    const auto next_hop = size ? reader.take(*size) : std::nullopt;
    if (!afi || !safi || !next_hop) return "next hop overruns the attribute";
    // RFC 4760 §3: reserved, ignored on receipt, but present.
    if (!reader.u8()) return "no reserved octet";
    out.mp_reach = MpNlri{*afi, *safi, *next_hop, reader.rest(), {}};
    return {};
}

std::string_view decode_mp_unreach(ByteView value, const AttributeContext&,
                                   DecodedAttributes& out) {
    Reader reader{value};
    const auto afi = reader.u16();
    const auto safi = reader.u8();
    if (!afi || !safi) return "shorter than an AFI and a SAFI";
    out.mp_unreach = MpNlri{*afi, *safi, {}, reader.rest(), {}};
    return {};
}

}  // namespace swerve::bgp
