#include "bgp/route_encoder.hpp"

#include "bgp/attributes/next_hop.hpp"
#include "bgp/pack.hpp"

namespace swerve::bgp {

RouteEncoder::RouteEncoder(const SessionEncoding& session) : session_(session) {
    for (const Family family : all_families) {
        mp_next_hops_[static_cast<std::size_t>(family)] = encode_mp_next_hop(family);
    }
}

std::optional<Address> RouteEncoder::next_hop(Family family) const {
    const auto& configured =
        family == Family::ipv4 ? session_.next_hop_ipv4 : session_.next_hop_ipv6;
    // Where the session's own address is a loopback one, nobody could send traffic to it.
    if (!configured || !usable_next_hop(*configured)) return std::nullopt;
    if (configured->family() == Family::ipv4) {
        return family == Family::ipv4 ? configured : std::nullopt;
    }
    // RFC 8950 §4: IPv4 goes over IPv6 only where both ends have said so.
    if (family == Family::ipv4 && !session_.ipv4_over_ipv6) return std::nullopt;
    // RFC 2545 §2: a link-local address means nothing beyond the link.
    if (configured->is_ipv6_link_local() && !session_.next_hop_link_local) return std::nullopt;
    return configured;
}

void RouteEncoder::set_next_hop(Family family, const std::optional<Address>& next_hop) {
    (family == Family::ipv4 ? session_.next_hop_ipv4 : session_.next_hop_ipv6) = next_hop;
    mp_next_hops_[static_cast<std::size_t>(family)] = encode_mp_next_hop(family);
    known_[static_cast<std::size_t>(family)].clear();
}

/// RFC 2545 §3: the global address, and behind it the link-local one for a neighbor on the same
/// link. Without a global address the link-local one stands in both places: of the forms that
/// speakers use for that, it is the one that neither holds zeros nor needs a capability.
Bytes RouteEncoder::encode_mp_next_hop(Family family) const {
    const auto address = next_hop(family);
    if (!address || address->family() == Family::ipv4) return {};
    const auto octets = address->octets();
    Bytes out{octets.begin(), octets.end()};
    const auto& link_local = session_.next_hop_link_local;
    if (link_local && link_local->is_ipv6_link_local()) {
        Writer{out}.bytes(address->is_ipv6_link_local() ? octets : link_local->octets());
    }
    return out;
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
    const ByteView mp = mp_next_hop(family);
    encode_attributes(path_attributes(route), mp.empty() ? next_hop(family) : std::nullopt,
                      session_.attributes, octets);
    // RFC 4271 §9.2, RFC 8654 §4: a route that does not fit into one UPDATE is not advertised.
    if (!announcement_has_room(family, mp.size(), octets.size(), largest_message())) return nullptr;
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
    // RFC 9234 §5: what goes to a customer, a client or a peer is to go to customers only from
    // there on. Upwards nothing is said.
    const auto& role = session_.role;
    const bool marks = role == Role::provider || role == Role::route_server || role == Role::peer;
    if (marks && !internal) out.only_to_customer = session_.local_as;
    return out;
}

}  // namespace swerve::bgp
