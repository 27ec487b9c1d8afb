#include <algorithm>

#include "bgp/attributes/row.hpp"

namespace swerve::bgp {

std::string_view decode_large_communities(ByteView value, const AttributeContext&,
                                          DecodedAttributes& out) {
    if (value.empty() || value.size() % 12 != 0) return "length is not a multiple of 12 above 0";
    auto& communities = out.path.large_communities;
    communities.reserve(value.size() / 12);
    for (Reader reader{value}; !reader.empty();) {
        const auto part = [&] { return reader.u32().value_or(0); };
        const LargeCommunity community{part(), part(), part()};
        // RFC 8092 §3: a repeated value is dropped silently.
        if (std::ranges::find(communities, community) == communities.end()) {
            communities.push_back(community);
        }
    }
    return {};
}

bool encode_large_communities(const EncodeInput& input, Bytes& out) {
    Writer writer{out};
    for (const LargeCommunity& community : input.path.large_communities) {
        writer.u32(community.global_administrator);
        writer.u32(community.local_data_1);
        writer.u32(community.local_data_2);
    }
    return !input.path.large_communities.empty();
}

}  // namespace swerve::bgp
