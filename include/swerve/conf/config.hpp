#pragma once
// A configuration that was found valid: immutable, defaults filled in, names resolved to indices.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "swerve/base/time.hpp"
#include "swerve/bgp/adj_rib_out.hpp"
#include "swerve/bgp/open.hpp"
#include "swerve/bgp/peer.hpp"
#include "swerve/bgp/prefix_block.hpp"
#include "swerve/failover/policy.hpp"
#include "swerve/health/expression.hpp"
#include "swerve/health/probe_fields.hpp"
#include "swerve/health/tracker.hpp"
#include "swerve/net/address.hpp"
#include "swerve/net/asn.hpp"
#include "swerve/net/community.hpp"
#include "swerve/net/prefix.hpp"
#include "swerve/net/router_id.hpp"

namespace swerve::conf {

/// Attributes a service (`announce`) or a neighbor (`export`) gives to routes.
struct ExportAttributes {
    std::optional<unsigned> prepend;  ///< 0..32
    std::optional<std::uint32_t> med;
    std::optional<std::uint32_t> local_pref;
    std::vector<Community> communities;
    std::vector<LargeCommunity> large_communities;

    friend bool operator==(const ExportAttributes&, const ExportAttributes&) = default;
};

struct Neighbor {
    std::string name;
    std::string description;
    Address address;
    std::uint16_t port = 179;
    Asn remote_as;
    std::optional<Address> local_address;
    bool passive = false;
    std::optional<unsigned>
        multihop;  ///< TTL of an eBGP session over hops, 2..255; absent: directly connected
    Duration hold_time;
    Duration connect_retry;
    bgp::FamilySet families;
    std::optional<std::vector<failover::ServiceId>> services;  ///< absent: all
    ExportAttributes attributes;
    std::optional<Address> next_hop_ipv4;  ///< absent: self
    std::optional<Address> next_hop_ipv6;

    friend bool operator==(const Neighbor&, const Neighbor&) = default;
};

struct Check {
    std::string name;
    health::ProbeSpec probe;
    health::TrackerPolicy timing;

    friend bool operator==(const Check&, const Check&) = default;
};

struct Service {
    std::string name;
    /// Packed, since there may be millions: a block per family that it has, IPv4 first. What
    /// prefixes_file names is included.
    std::vector<bgp::BlockRef> prefixes;
    std::string prefixes_file;  ///< empty: none
    health::Expression healthy_when;
    ExportAttributes announce;

    /// Blocks are equal when they hold the same prefixes.
    friend bool operator==(const Service& a, const Service& b);
};

/// Collector mode: passive, any AS, all routes kept, nothing announced.
struct Collector {
    std::vector<Prefix> accept;  ///< where neighbors may come from

    friend bool operator==(const Collector&, const Collector&) = default;
};

struct Config {
    std::string file;  ///< where it came from; not part of equality
    std::string site;
    Asn local_as;
    RouterId router_id;
    std::string state_dir;
    std::string control_socket;
    std::optional<Endpoint> http_listen;
    std::vector<Endpoint> bgp_listen;
    std::vector<Prefix> owned;
    std::vector<Neighbor> neighbors;
    std::optional<Collector> collector;
    std::vector<Check> checks;
    std::vector<Service> services;

    friend bool operator==(const Config& a, const Config& b);
};

/// One block per family of prefixes that are sorted and without duplicates.
[[nodiscard]] std::vector<bgp::BlockRef> blocks_of(std::span<const Prefix> sorted);
[[nodiscard]] bool same_prefixes(const Service& a, const Service& b);
/// Of all families.
[[nodiscard]] std::size_t count_prefixes(const Service& service);

/// DESIGN.md §4.13: lists add up (service, then neighbor, duplicates removed); of scalars the
/// neighbor's wins.
[[nodiscard]] bgp::RouteAttributes merge(const ExportAttributes& service,
                                         const ExportAttributes& neighbor);

/// Whether a neighbor is to be sent this service's prefixes of this family.
[[nodiscard]] bool carries(const Neighbor& neighbor, failover::ServiceId service, Family family);

/// Identifies what a check's evidence depends on: its probe, and the timing that says when passes
/// count. The same in every process and build.
[[nodiscard]] std::uint64_t fingerprint(const Check& check);

/// The part the decision needs; shares the prefix blocks.
[[nodiscard]] failover::SitePolicy site_policy(const Config& config, std::uint64_t seed);

/// The part a session needs.
[[nodiscard]] bgp::PeerConfig peer_config(const Config& config, const Neighbor& neighbor,
                                          std::uint64_t seed);

}  // namespace swerve::conf
