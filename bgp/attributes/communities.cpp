#include "bgp/attributes/row.hpp"

namespace swerve::bgp {

std::string_view decode_communities(ByteView value, const AttributeContext&,
                                    DecodedAttributes& out) {
    if (value.empty() || value.size() % 4 != 0) return "length is not a multiple of 4 above 0";
    out.path.communities.reserve(value.size() / 4);
    for (Reader reader{value}; const auto community = reader.u32();) {
        out.path.communities.push_back(Community{*community});
    }
    return {};
}

bool encode_communities(const EncodeInput& input, Bytes& out) {
    Writer writer{out};
    for (const Community community : input.path.communities) writer.u32(community.value);
    return !input.path.communities.empty();
}

}  // namespace swerve::bgp
