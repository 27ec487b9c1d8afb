#include "bgp/attributes/row.hpp"

namespace swerve::bgp {

std::string_view decode_local_pref(ByteView value, const AttributeContext&,
                                   DecodedAttributes& out) {
    if (value.size() != 4) return "length is not 4";
    out.path.local_pref = Reader{value}.u32();
    return {};
}

bool encode_local_pref(const EncodeInput& input, Bytes& out) {
    // RFC 4271 §5.1.5: never to an external peer.
    if (!input.context.internal || !input.path.local_pref) return false;
    Writer{out}.u32(*input.path.local_pref);
    return true;
}

}  // namespace swerve::bgp
