#include "bgp/attributes/row.hpp"

namespace swerve::bgp {

std::string_view decode_origin(ByteView value, const AttributeContext&, DecodedAttributes& out) {
    if (value.size() != 1) return "length is not 1";
    if (value[0] > static_cast<std::uint8_t>(Origin::incomplete)) return "undefined value";
    out.path.origin = static_cast<Origin>(value[0]);
    return {};
}

bool encode_origin(const EncodeInput& input, Bytes& out) {
    Writer{out}.u8(static_cast<std::uint8_t>(input.path.origin));
    return true;
}

}  // namespace swerve::bgp
