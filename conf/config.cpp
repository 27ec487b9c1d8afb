#include "swerve/conf/config.hpp"

#include <algorithm>
#include <span>
#include <string_view>
#include <tuple>

#include "conf/fnv.hpp"

namespace swerve::conf {

namespace {

template <class T>
std::vector<T> sum(const std::vector<T>& a, const std::vector<T>& b) {
    std::vector<T> out;
    for (const auto* list : {&a, &b}) {
        for (const T& member : *list) {
            if (std::ranges::find(out, member) == out.end()) out.push_back(member);
        }
    }
    return out;
}

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

}  // namespace

bool operator==(const Service& a, const Service& b) {
    return std::tie(a.name, a.prefixes_file, a.healthy_when, a.announce) ==
               std::tie(b.name, b.prefixes_file, b.healthy_when, b.announce) &&
           same_prefixes(a, b);
}

bool operator==(const Config& a, const Config& b) {
    const auto compared = [](const Config& c) {
        return std::tie(c.site, c.local_as, c.router_id, c.state_dir, c.control_socket,
                        c.http_listen, c.bgp_listen, c.owned, c.neighbors, c.collector, c.checks,
                        c.services);
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

std::size_t count_prefixes(const Service& service) {
    std::size_t count = 0;
    for (const bgp::BlockRef& block : service.prefixes) count += block->size();
    return count;
}

bgp::RouteAttributes merge(const ExportAttributes& service, const ExportAttributes& neighbor) {
    return {
        .origin = bgp::Origin::igp,
        .prepend = first_given(neighbor.prepend, service.prepend).value_or(0),
        .med = first_given(neighbor.med, service.med),
        .local_pref = first_given(neighbor.local_pref, service.local_pref),
        .communities = sum(service.communities, neighbor.communities),
        .extended_communities = sum(service.extended_communities, neighbor.extended_communities),
        .large_communities = sum(service.large_communities, neighbor.large_communities)};
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
        policy.checks.push_back({check.name, check.timing, fingerprint(check)});
    }
    for (const Service& service : config.services) {
        policy.services.push_back({service.name, service.prefixes, service.healthy_when});
    }
    for (const Neighbor& neighbor : config.neighbors) policy.neighbors.push_back(neighbor.name);
    return policy;
}

bgp::PeerConfig peer_config(const Config& config, const Neighbor& neighbor, std::uint64_t seed) {
    return {.open = {.local_as = config.local_as,
                     .router_id = config.router_id,
                     .remote_as = neighbor.remote_as,
                     .hold_time = neighbor.hold_time,
                     .families = neighbor.families},
            .passive = neighbor.passive,
            .connect_retry = neighbor.connect_retry,
            .next_hop_ipv4 = neighbor.next_hop_ipv4,
            .next_hop_ipv6 = neighbor.next_hop_ipv6,
            .seed = own_seed(seed, neighbor.name)};
}

}  // namespace swerve::conf
