// The rules about neighbors that look at more than one key. Each keeps silent about values that are
// already known to be faulty, so that one mistake gives one line.

#include <algorithm>
#include <map>
#include <tuple>

#include "conf/draft.hpp"
#include "conf/subject.hpp"

namespace swerve::conf {

namespace {

const std::optional<Address>& next_hop(const Neighbor& neighbor, Family family) {
    return family == Family::ipv4 ? neighbor.next_hop_ipv4 : neighbor.next_hop_ipv6;
}

std::string next_hop_key(Family family) {
    return "export.next_hop." + std::string{to_string(family)};
}

/// The session's own address as far as it is known before there is a session: its family is that of
/// the neighbor's address, and the kernel answers a loopback address from a loopback address.
const Address& session_address(const Neighbor& neighbor) {
    return neighbor.local_address ? *neighbor.local_address : neighbor.address;
}

bool is_internal(const Config& config, const Neighbor& neighbor) {
    return neighbor.remote_as == local_as(config, neighbor);
}

/// Whether the two AS numbers that say what kind of session it is can be trusted.
bool as_known(const Subject& subject, const Neighbor& neighbor, const Faults& faults) {
    return subject.sound("remote_as") && subject.sound("local_as") &&
           (neighbor.local_as || faults.sound("local_as"));
}

bool is_link_local(const Neighbor& neighbor) {
    return neighbor.address.is_ipv6_link_local() &&
           (!neighbor.range || neighbor.range->length() >= 10);
}

/// The key that says where the neighbor is.
std::string_view whereabouts(const Neighbor& neighbor) {
    return neighbor.range ? "range" : "address";
}

void check_address(const Subject& subject, const Neighbor& neighbor) {
    if (!subject.sound("address") || !subject.sound("range")) return;
    if (!subject.has({"address"}) && !neighbor.range) {
        subject.lacks_key("address", "the address of the neighbor, or a range of passive ones");
        return;
    }
    if (subject.has({"address"}) && neighbor.range) {
        subject.fault({"range"}, "cannot stand beside address",
                      "a neighbor is one address, or whoever calls from a range");
        return;
    }
    const Address& address = neighbor.address;
    const std::string_view key = whereabouts(neighbor);
    if (address.is_multicast() || (address.is_unspecified() && !neighbor.range)) {
        const std::string text = neighbor.range ? neighbor.range->to_string() : address.to_string();
        subject.fault({key}, quote(text) + " is no " + std::string{key} + " of a neighbor");
    }
    if (!subject.sound("interface")) return;
    if (is_link_local(neighbor) && neighbor.interface.empty()) {
        subject.fault({key}, "is link-local, and interface does not say of which link",
                      "set interface to where the neighbor is, like eth0");
    } else if (!is_link_local(neighbor) && !neighbor.interface.empty()) {
        subject.fault({"interface"},
                      "has no effect: only a link-local " + std::string{key} + " needs it",
                      "remove it; local_address chooses the source of a session");
    }
}

void check_local_address(const Subject& subject, const Neighbor& neighbor) {
    if (!neighbor.local_address || !subject.sound("local_address")) return;
    const Address& local = *neighbor.local_address;
    if (local.is_unspecified() || local.is_multicast()) {
        subject.fault({"local_address"}, quote(local.to_string()) + " is no address of a host",
                      "leave it out and the kernel chooses");
    }
    if (!subject.sound("address") || neighbor.range) return;
    if (local == neighbor.address) {
        subject.fault({"local_address"}, "is the neighbor's own address");
    } else if (local.family() != neighbor.address.family()) {
        subject.fault({"local_address"}, quote(local.to_string()) + " is not of the family of " +
                                             neighbor.address.to_string());
    }
}

/// What a range has no use for: nobody of it is dialled.
void check_range(const Subject& subject, const Neighbor& neighbor) {
    if (!subject.sound("range") || !subject.sound("address")) return;
    if (!neighbor.range) {
        if (!subject.has({"range_limit"})) return;
        return subject.fault({"range_limit"}, "has no effect without range");
    }
    for (const std::string_view key : {"port", "local_address", "connect_retry"}) {
        if (!subject.has({key}) || !subject.sound(key)) continue;
        subject.fault({key}, "has no effect: nobody of a range is dialled", "remove it");
    }
    if (neighbor.restart_time && subject.sound("graceful_restart")) {
        subject.fault(
            {"graceful_restart"}, "does not go with range",
            "nobody of a range is known before it calls, so none can be told of a restart");
    }
    if (subject.sound("passive") && !neighbor.passive) {
        subject.fault({"passive"}, "a range is always passive: nobody of it is dialled",
                      "remove it");
    }
}

void check_listener(const Subject& subject, const Neighbor& neighbor, const Config& config,
                    const Faults& faults) {
    const bool waits = neighbor.passive || neighbor.range;
    if (!waits || !subject.sound("address") || !subject.sound("range") ||
        !faults.sound_throughout("bgp")) {
        return;
    }
    const bool reachable = std::ranges::any_of(config.bgp_listen, [&](const Endpoint& endpoint) {
        return endpoint.address.family() == neighbor.address.family();
    });
    if (reachable) return;
    subject.fault({neighbor.range ? "range" : "passive"}, "nothing listens for this neighbor",
                  "set bgp.listen to an address of its family");
}

void check_hops(const Subject& subject, const Neighbor& neighbor, bool internal) {
    if (neighbor.multihop && internal) {
        subject.fault({"multihop"}, "has no meaning for iBGP, which may cross hops anyway",
                      "remove it");
    }
    if (neighbor.multihop && subject.sound("multihop") && is_link_local(neighbor) &&
        subject.sound("address")) {
        subject.fault({"multihop"}, "a link-local neighbor is never some hops away", "remove it");
    }
    if (neighbor.multihop && neighbor.ttl_security) {
        subject.fault({"ttl_security"}, "cannot stand beside multihop",
                      "ttl_security says how many hops there may be, too; remove multihop");
    }
}

void check_roles(const Subject& subject, const Neighbor& neighbor, bool internal) {
    if (neighbor.role && internal) {
        subject.fault({"role"}, "has no meaning for iBGP", "remove it (RFC 9234 §4)");
    }
    if (neighbor.role_strict && !neighbor.role && subject.sound("role")) {
        subject.fault({"role_strict"}, "has no effect without role");
    }
}

/// A neighbor that keeps the routes of a site that restarts cannot be told meanwhile that a service
/// died, and takes a daemon that died for one that restarts.
void check_restart(const Subject& subject, const Neighbor& neighbor, const Config& config,
                   const Faults& faults) {
    if (!neighbor.restart_time || neighbor.restart_with_checks ||
        !subject.sound_throughout("graceful_restart") || !subject.sound("services") ||
        !faults.sound_throughout("services")) {
        return;
    }
    for (failover::ServiceId id = 0; id < config.services.size(); ++id) {
        const Service& service = config.services[id];
        const bool listed = !neighbor.services ||
                            std::ranges::find(*neighbor.services, id) != neighbor.services->end();
        if (!listed || is_always(service.healthy_when)) continue;
        subject.fault({"graceful_restart"},
                      "the neighbor would keep routes of service " + quote(service.name) +
                          " while nobody checks it, also after a crash of this daemon",
                      "leave it out, or accept that with with_health_checks: true");
        return;
    }
}

void check_session(const Subject& subject, const Neighbor& neighbor, const Config& config,
                   const Faults& faults) {
    const bool known = as_known(subject, neighbor, faults);
    const bool internal = known && is_internal(config, neighbor);
    check_hops(subject, neighbor, internal);
    check_roles(subject, neighbor, internal);
    check_restart(subject, neighbor, config, faults);
    if (neighbor.attributes.local_pref && known && !internal) {
        subject.fault({"export", "local_pref"}, "is never sent to an eBGP neighbor",
                      "remove it (RFC 4271 §5.1.5)");
    }
    if (subject.has({"families"}) && subject.sound("families") && neighbor.families.empty()) {
        subject.fault({"families"}, "has no members");
    }
    check_listener(subject, neighbor, config, faults);
    check_bfd(subject, neighbor);
}

/// Whether the session's own address can be the next hop of this family.
bool has_own_next_hop(const Neighbor& neighbor, Family family) {
    const Family own = session_address(neighbor).family();
    return own == family || (own == Family::ipv6 && neighbor.extended_next_hop);
}

/// Another way to a next hop of IPv4 routes, where the session is IPv6.
std::string or_extended_next_hop(Family family) {
    return family == Family::ipv4 ? " or extended_next_hop: true" : "";
}

/// What is wrong with an address that is given as next hop; nothing if it is sound.
std::optional<Refusal> refuse_next_hop(const Address& address, const Neighbor& neighbor,
                                       Family family) {
    const std::string text = quote(address.to_string());
    const bool over_ipv6 = family == Family::ipv4 && address.family() == Family::ipv6;
    if (address.family() != family && !(over_ipv6 && neighbor.extended_next_hop)) {
        return Refusal{text + " is not an " + std::string{to_string(family)} + " address",
                       over_ipv6 ? "extended_next_hop: true offers IPv4 routes with an IPv6 next "
                                   "hop (RFC 8950)"
                                 : ""};
    }
    // 0/8 and 240/4 are nobody's address either.
    const std::uint8_t first = address.octets()[0];
    const bool nobody = address.family() == Family::ipv4 && (first == 0 || first >= 240);
    if (address.is_unspecified() || address.is_loopback() || address.is_multicast() ||
        address.is_ipv6_link_local() || nobody) {
        return Refusal{text + " is no address that traffic can be sent to", {}};
    }
    if (neighbor.range && neighbor.range->contains(address)) {
        return Refusal{text + " may be the address of a neighbor of this range",
                       "a router takes no route that leads to itself (RFC 4271 §5.1.3)"};
    }
    if (!neighbor.range && address == neighbor.address) {
        return Refusal{"is the neighbor's own address",
                       "a router takes no route that leads to itself (RFC 4271 §5.1.3)"};
    }
    return std::nullopt;
}

void check_next_hop(const Subject& subject, const Neighbor& neighbor, Family family) {
    const std::string key = next_hop_key(family);
    const std::string_view word = to_string(family);
    const std::initializer_list<std::string_view> keys{"export", "next_hop", word};
    if (!subject.sound(key) || !subject.sound("families")) return;
    const bool offered = neighbor.families.contains(family);
    if (subject.has(keys) && subject.has({"families"}) && !offered) {
        subject.fault(keys, "has no effect: families does not name " + std::string{word});
        return;
    }
    if (const auto& address = next_hop(neighbor, family)) {
        if (!subject.sound("address") || !subject.sound("extended_next_hop")) return;
        auto refusal = refuse_next_hop(*address, neighbor, family);
        if (refusal) subject.fault(keys, std::move(refusal->message), std::move(refusal->hint));
        return;
    }
    if (!subject.sound("address") || !subject.sound("range") || !subject.sound("local_address") ||
        !subject.sound("extended_next_hop")) {
        return;
    }
    const Address& own = session_address(neighbor);
    if (!has_own_next_hop(neighbor, family)) {
        if (!subject.has(keys)) return;
        subject.fault(keys, "self is the session's own address, which is not " + std::string{word},
                      "write the address" + or_extended_next_hop(family));
    } else if (offered && own.is_loopback()) {
        subject.fault(keys, "self would be the loopback address of this session",
                      "set " + key + " to an address that traffic can be sent to");
    }
}

/// One line per family says what the neighbor lacks; the prefix is an example.
bool carried_elsewhere(const Config& config, failover::ServiceId service, Family family) {
    return std::ranges::any_of(config.neighbors, [&](const Neighbor& neighbor) {
        return carries(neighbor, service, family);
    });
}

void check_carries(const Subject& subject, const Neighbor& neighbor, const Config& config,
                   Family family) {
    const std::string word{to_string(family)};
    if (!subject.sound("address") || !subject.sound("range") || !subject.sound("local_address") ||
        !subject.sound("extended_next_hop") || !subject.sound("families") ||
        !subject.sound("services") || !subject.sound(next_hop_key(family))) {
        return;
    }
    const bool offered = neighbor.families.contains(family);
    const bool has_next_hop = next_hop(neighbor, family) || has_own_next_hop(neighbor, family);
    if (offered && has_next_hop) return;
    // Who says `families` has said what this session is for: one session per family is common.
    const bool leaves_out = subject.has({"families"}) && !offered;
    for (std::size_t id = 0; id < config.services.size(); ++id) {
        const Service& service = config.services[id];
        if (neighbor.services &&
            std::ranges::find(*neighbor.services, id) == neighbor.services->end()) {
            continue;
        }
        const auto found = std::ranges::find(
            service.prefixes, family, [](const bgp::BlockRef& block) { return block->family(); });
        if (found == service.prefixes.end()) continue;
        if (leaves_out && carried_elsewhere(config, static_cast<failover::ServiceId>(id), family)) {
            continue;
        }
        const std::string lack =
            has_next_hop ? word + " is not in families" : "no next hop for " + word;
        std::string remedy =
            has_next_hop ? "" : "set " + next_hop_key(family) + or_extended_next_hop(family);
        if (leaves_out) {
            remedy += (remedy.empty() ? "add " : " and add ") + word + " to families";
        }
        if (!subject.has({"families"}) &&
            carried_elsewhere(config, static_cast<failover::ServiceId>(id), family)) {
            remedy += ", say in families what this session is for";
        }
        subject.fault({},
                      "cannot carry " + (*found)->at(0).to_string() + " of service " +
                          quote(service.name) + ": " + lack,
                      remedy + ", or list in services what this neighbor is sent");
        return;
    }
}

void check_distinct_addresses(const Draft& draft, Faults& faults) {
    using Where = std::tuple<Address, std::string, std::optional<Prefix>>;
    std::map<Where, std::size_t> seen;
    for (std::size_t i = 0; i < draft.neighbors.size(); ++i) {
        const Subject subject{draft.neighbors[i], faults};
        if (!subject.sound("address") || !subject.sound("range") || !subject.sound("interface")) {
            continue;
        }
        const Neighbor& neighbor = draft.config.neighbors[i];
        const auto [first, is_new] =
            seen.emplace(Where{neighbor.address, neighbor.interface, neighbor.range}, i);
        if (is_new) continue;
        const Origin& other = draft.neighbors[first->second];
        const std::string_view key = whereabouts(neighbor);
        subject.fault({key}, quote(subject.text(key)) + " is given twice",
                      "the first one is " + other.path + " at " + faults.where(other.at({key})));
    }
}

}  // namespace

void check_neighbors(const Draft& draft, Faults& faults) {
    for (std::size_t i = 0; i < draft.neighbors.size(); ++i) {
        const Subject subject{draft.neighbors[i], faults};
        const Neighbor& neighbor = draft.config.neighbors[i];
        check_address(subject, neighbor);
        check_local_address(subject, neighbor);
        check_range(subject, neighbor);
        check_session(subject, neighbor, draft.config, faults);
        for (const Family family : bgp::all_families) {
            check_next_hop(subject, neighbor, family);
            check_carries(subject, neighbor, draft.config, family);
        }
    }
    check_distinct_addresses(draft, faults);
}

}  // namespace swerve::conf
