#include "swerve/conf/config.hpp"

#include <algorithm>
#include <span>
#include <string_view>
#include <tuple>

#include "conf/fnv.hpp"
#include "conf/sum.hpp"

namespace swerve::conf {

namespace {

constexpr unsigned most_prepended = 32;

template <class T>
std::optional<T> first_given(const std::optional<T>& a, const std::optional<T>& b) {
    return a ? a : b;
}

/// Sessions of one site must not dial in step, so each gets a seed of its own.
std::uint64_t own_seed(std::uint64_t seed, std::string_view name) {
    Fnv1a hash{seed};
    hash.add_octets(name);
    return hash.value();
}

/// Whether both ends are on one link as far as the configuration tells: an iBGP neighbor may be
/// anywhere, unless its address is of the link alone.
bool shares_link(const Config& config, const Neighbor& neighbor) {
    if (neighbor.address.family() != Family::ipv6) return false;
    if (neighbor.address.is_ipv6_link_local()) return true;
    return neighbor.remote_as != local_as(config, neighbor) && !neighbor.multihop &&
           neighbor.ttl_security.value_or(1) == 1;
}

}  // namespace

bool operator==(const Service& a, const Service& b) {
    const auto compared = [](const Service& s) {
        return std::tie(s.name, s.prefixes_file, s.healthy_when, s.announce,
                        s.graceful_shutdown_for, s.degraded_when, s.degrade, s.drain_degraded_for,
                        s.return_degraded_for, s.damping, s.rto, s.addresses);
    };
    return compared(a) == compared(b) && same_prefixes(a, b);
}

bool operator==(const Config& a, const Config& b) {
    const auto compared = [](const Config& c) {
        return std::tie(c.site, c.local_as, c.router_id, c.state_dir, c.control_socket,
                        c.http_listen, c.bgp_listen, c.bfd_realtime, c.owned, c.site_community,
                        c.neighbors, c.collector, c.checks, c.services, c.hooks, c.webhooks);
    };
    return compared(a) == compared(b);
}

std::vector<bgp::BlockRef> blocks_of(std::span<const Prefix> sorted) {
    const auto middle = std::ranges::find(sorted, Family::ipv6, &Prefix::family);
    std::vector<bgp::BlockRef> blocks;
    for (const std::span<const Prefix> part :
         {std::span{sorted.begin(), middle}, std::span{middle, sorted.end()}}) {
        if (!part.empty()) blocks.push_back(std::make_shared<const bgp::PrefixBlock>(part));
    }
    return blocks;
}

bool same_prefixes(const Service& a, const Service& b) {
    return std::ranges::equal(a.prefixes, b.prefixes,
                              [](const bgp::BlockRef& left, const bgp::BlockRef& right) {
                                  return left == right || *left == *right;
                              });
}

std::string_view to_string(Occasion occasion) {
    switch (occasion) {
        case Occasion::announce:
            return "announce";
        case Occasion::degrade:
            return "degrade";
        case Occasion::drain:
            return "drain";
        case Occasion::withdraw:
            return "withdraw";
        case Occasion::alarm:
            break;
    }
    return "alarm";
}

std::size_t count_prefixes(const Service& service) {
    std::size_t count = 0;
    for (const bgp::BlockRef& block : service.prefixes) count += block->size();
    return count;
}

bgp::RouteAttributes merge(const Config& config, const ExportAttributes& service,
                           const ExportAttributes& neighbor) {
    bgp::RouteAttributes out{
        .origin = first_given(neighbor.origin, service.origin).value_or(bgp::Origin::igp),
        .prepend = first_given(neighbor.prepend, service.prepend).value_or(0),
        .med = first_given(neighbor.med, service.med),
        .local_pref = first_given(neighbor.local_pref, service.local_pref),
        .communities = sum(service.communities, neighbor.communities),
        .extended_communities = sum(service.extended_communities, neighbor.extended_communities),
        .large_communities = sum(service.large_communities, neighbor.large_communities)};
    if (config.site_community) {
        out.large_communities = sum(out.large_communities, {*config.site_community});
    }
    return out;
}

bgp::RouteAttributes degraded(const bgp::RouteAttributes& attributes,
                              const ExportAttributes& degrade) {
    bgp::RouteAttributes out = attributes;
    out.origin = degrade.origin.value_or(out.origin);
    out.prepend = std::min(out.prepend + degrade.prepend.value_or(0), most_prepended);
    if (degrade.med) out.med = degrade.med;
    if (degrade.local_pref) out.local_pref = degrade.local_pref;
    out.communities = sum(out.communities, degrade.communities);
    out.extended_communities = sum(out.extended_communities, degrade.extended_communities);
    out.large_communities = sum(out.large_communities, degrade.large_communities);
    return out;
}

bgp::RouteAttributes draining(const bgp::RouteAttributes& attributes) {
    bgp::RouteAttributes out = attributes;
    constexpr Community graceful_shutdown{0xffff0000};
    if (std::ranges::find(out.communities, graceful_shutdown) == out.communities.end()) {
        out.communities.push_back(graceful_shutdown);
    }
    out.local_pref = 0;
    return out;
}

Asn local_as(const Config& config, const Neighbor& neighbor) {
    return neighbor.local_as.value_or(config.local_as);
}

bool carries(const Neighbor& neighbor, failover::ServiceId service, Family family) {
    const bool listed = !neighbor.services ||
                        std::ranges::find(*neighbor.services, service) != neighbor.services->end();
    return listed && neighbor.families.contains(family);
}

failover::SitePolicy site_policy(const Config& config, std::uint64_t seed) {
    failover::SitePolicy policy{.site = config.site,
                                .owned = config.owned,
                                .checks = {},
                                .services = {},
                                .neighbors = {},
                                .seed = seed};
    for (const Check& check : config.checks) {
        policy.checks.push_back({.name = check.name,
                                 .tracker = check.timing,
                                 .scope = check.scope,
                                 .effect = check.effect,
                                 .only_if = check.only_if,
                                 .fingerprint = fingerprint(check)});
    }
    for (const Service& service : config.services) {
        policy.services.push_back({.name = service.name,
                                   .prefixes = service.prefixes,
                                   .healthy_when = service.healthy_when,
                                   .degraded_when = service.degraded_when,
                                   .drain_degraded_for = service.drain_degraded_for,
                                   .return_degraded_for = service.return_degraded_for,
                                   .damping = service.damping,
                                   .graceful_shutdown_for = service.graceful_shutdown_for});
    }
    for (const Neighbor& neighbor : config.neighbors) policy.neighbors.push_back(neighbor.name);
    return policy;
}

bgp::PeerConfig peer_config(const Config& config, const Neighbor& neighbor, std::uint64_t seed) {
    return {.open = {.local_as = local_as(config, neighbor),
                     .router_id = config.router_id,
                     .remote_as = neighbor.remote_as,
                     .hold_time = neighbor.hold_time,
                     .families = neighbor.families,
                     .extended_message = neighbor.extended_message,
                     .ipv4_over_ipv6 = neighbor.extended_next_hop,
                     .add_path_receive = neighbor.add_path_receive,
                     .role = neighbor.role,
                     .role_strict = neighbor.role_strict,
                     .restart_time = neighbor.restart_time},
            .passive = neighbor.passive,
            .connect_retry = neighbor.connect_retry,
            .next_hop_ipv4 = neighbor.next_hop_ipv4,
            .next_hop_ipv6 = neighbor.next_hop_ipv6,
            .shared_link = shares_link(config, neighbor),
            .seed = own_seed(seed, neighbor.name)};
}

}  // namespace swerve::conf
