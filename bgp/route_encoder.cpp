#include "bgp/route_encoder.hpp"

#include "bgp/pack.hpp"

namespace swerve::bgp {

std::optional<Address> RouteEncoder::next_hop(Family family) const {
    const auto& configured =
        family == Family::ipv4 ? session_.next_hop_ipv4 : session_.next_hop_ipv6;
    return configured && configured->family() == family ? configured : std::nullopt;
}

void RouteEncoder::set_next_hop(Family family, const std::optional<Address>& next_hop) {
    (family == Family::ipv4 ? session_.next_hop_ipv4 : session_.next_hop_ipv6) = next_hop;
    known_[static_cast<std::size_t>(family)].clear();
}

EncodedAttributes RouteEncoder::encode(const RouteRef& route, Family family) const {
    if (!negotiated(family) || !next_hop(family)) return nullptr;
    Cache& known = known_[static_cast<std::size_t>(family)];
    if (const auto found = known.find(route.get()); found != known.end()) {
        return found->second.attributes;
    }
    if (known.size() >= most_known) known.clear();
    EncodedAttributes attributes = encode_anew(*route, family);
    known.emplace(route.get(), Known{route, attributes});
    return attributes;
}

EncodedAttributes RouteEncoder::encode_anew(const RouteAttributes& route, Family family) const {
    Bytes octets;
    encode_attributes(path_attributes(route),
                      family == Family::ipv4 ? next_hop(family) : std::nullopt, session_.attributes,
                      octets);
    // RFC 4271 §9.2: a route that does not fit into one UPDATE is not advertised.
    if (!announcement_has_room(family, octets.size())) return nullptr;
    return std::make_shared<const Bytes>(std::move(octets));
}

PathAttributes RouteEncoder::path_attributes(const RouteAttributes& route) const {
    const bool internal = session_.attributes.internal;
    PathAttributes out;
    out.origin = route.origin;
    // RFC 4271 §5.1.2: the local AS stands in the path towards external peers only; prepending
    // beyond that is the operator's word.
    const std::size_t times = route.prepend + (internal ? std::size_t{0} : std::size_t{1});
    if (times > 0) {
        out.as_path.segments.push_back(
            {AsPathSegment::Type::as_sequence, std::vector<Asn>(times, session_.local_as)});
    }
    out.med = route.med;
    // RFC 4271 §5.1.5: LOCAL_PREF is in every UPDATE to an internal peer and in none to others.
    if (internal) out.local_pref = route.local_pref.value_or(100);
    out.communities = route.communities;
    out.extended_communities = route.extended_communities;
    out.large_communities = route.large_communities;
    return out;
}

}  // namespace swerve::bgp
