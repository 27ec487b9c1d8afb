// Attributes whose form is checked and whose value is not kept.

#include "bgp/attributes/row.hpp"

namespace swerve::bgp {

namespace {

bool multiple_above_zero(ByteView value, std::size_t unit) {
    return !value.empty() && value.size() % unit == 0;
}

}  // namespace

std::string_view check_originator_id(ByteView value, const AttributeContext&, DecodedAttributes&) {
    return value.size() == 4 ? "" : "length is not 4";
}

std::string_view check_cluster_list(ByteView value, const AttributeContext&, DecodedAttributes&) {
    return multiple_above_zero(value, 4) ? "" : "length is not a multiple of 4 above 0";
}

std::string_view check_ipv6_extended_communities(ByteView value, const AttributeContext&,
                                                 DecodedAttributes&) {
    return multiple_above_zero(value, 20) ? "" : "length is not a multiple of 20 above 0";
}

}  // namespace swerve::bgp
