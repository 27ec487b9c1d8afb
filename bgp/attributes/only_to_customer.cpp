// ONLY_TO_CUSTOMER (RFC 9234 §5): the AS that sent the route to a customer, a peer or a client of a
// route server first. Who attaches it, and what it says about a received route, is decided with the
// session (route_encoder, rib_in).

#include "bgp/attributes/row.hpp"

namespace swerve::bgp {

std::string_view decode_only_to_customer(ByteView value, const AttributeContext&,
                                         DecodedAttributes& out) {
    if (value.size() != 4) return "length is not 4";
    const auto as = Asn::from(Reader{value}.u32().value_or(0));
    if (!as) return "AS 0";
    out.path.only_to_customer = as;
    return {};
}

bool encode_only_to_customer(const EncodeInput& input, Bytes& out) {
    if (!input.path.only_to_customer) return false;
    Writer{out}.u32(input.path.only_to_customer->value());
    return true;
}

}  // namespace swerve::bgp
