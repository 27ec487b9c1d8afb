// EXTENDED COMMUNITIES (RFC 4360 §2): eight octets each, kept as a number.

#include "bgp/attributes/row.hpp"

namespace swerve::bgp {

std::string_view decode_extended_communities(ByteView value, const AttributeContext&,
                                             DecodedAttributes& out) {
    if (value.empty() || value.size() % 8 != 0) return "length is not a multiple of 8 above 0";
    auto& communities = out.path.extended_communities;
    communities.reserve(value.size() / 8);
    for (Reader reader{value}; !reader.empty();) {
        const std::uint64_t high = reader.u32().value_or(0);
        communities.push_back({(high << 32U) | reader.u32().value_or(0)});
    }
    return {};
}

bool encode_extended_communities(const EncodeInput& input, Bytes& out) {
    Writer writer{out};
    for (const ExtendedCommunity community : input.path.extended_communities) {
        writer.u32(static_cast<std::uint32_t>(community.value >> 32U));
        writer.u32(static_cast<std::uint32_t>(community.value));
    }
    return !input.path.extended_communities.empty();
}

}  // namespace swerve::bgp
