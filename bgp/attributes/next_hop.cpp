#include "bgp/attributes/next_hop.hpp"

#include "bgp/attributes/row.hpp"

namespace swerve::bgp {

bool usable_next_hop(const Address& address) {
    if (address.is_unspecified() || address.is_loopback() || address.is_multicast()) return false;
    // 0/8 and 240/4 are nobody's address either.
    const std::uint8_t first = address.octets()[0];
    return address.family() == Family::ipv6 || (first != 0 && first < 240);
}

std::string_view decode_next_hop(ByteView value, const AttributeContext&, DecodedAttributes& out) {
    const auto address = Address::from_octets(value);
    if (!address || address->family() != Family::ipv4) return "length is not 4";
    // RFC 4271 §6.3: an address that is no host's makes the route useless, not the session.
    if (!usable_next_hop(*address)) return "not a host address";
    out.next_hop = address;
    return {};
}

bool encode_next_hop(const EncodeInput& input, Bytes& out) {
    if (!input.next_hop) return false;
    Writer{out}.bytes(input.next_hop->octets());
    return true;
}

}  // namespace swerve::bgp
