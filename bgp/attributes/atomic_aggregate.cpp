#include "bgp/attributes/row.hpp"

namespace swerve::bgp {

std::string_view decode_atomic_aggregate(ByteView value, const AttributeContext&,
                                         DecodedAttributes& out) {
    if (!value.empty()) return "length is not 0";
    out.path.atomic_aggregate = true;
    return {};
}

bool encode_atomic_aggregate(const EncodeInput& input, Bytes&) {
    return input.path.atomic_aggregate;
}

}  // namespace swerve::bgp
