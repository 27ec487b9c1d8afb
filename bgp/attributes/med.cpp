#include "bgp/attributes/row.hpp"

namespace swerve::bgp {

std::string_view decode_med(ByteView value, const AttributeContext&, DecodedAttributes& out) {
    if (value.size() != 4) return "length is not 4";
    out.path.med = Reader{value}.u32();
    return {};
}

bool encode_med(const EncodeInput& input, Bytes& out) {
    if (!input.path.med) return false;
    Writer{out}.u32(*input.path.med);
    return true;
}

}  // namespace swerve::bgp
