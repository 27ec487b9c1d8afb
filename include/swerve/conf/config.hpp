#pragma once
// A configuration that was found valid: immutable, defaults filled in, names resolved to indices.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "swerve/base/time.hpp"
#include "swerve/bfd/packet.hpp"
#include "swerve/bfd/session.hpp"
#include "swerve/bgp/adj_rib_out.hpp"
#include "swerve/bgp/open.hpp"
#include "swerve/bgp/peer.hpp"
#include "swerve/bgp/prefix_block.hpp"
#include "swerve/conf/diagnostic.hpp"
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
    std::optional<bgp::Origin> origin{};
    std::optional<unsigned> prepend;  ///< 0..32
    std::optional<std::uint32_t> med;
    std::optional<std::uint32_t> local_pref;
    std::vector<Community> communities;
    std::vector<ExtendedCommunity> extended_communities{};
    std::vector<LargeCommunity> large_communities;

    friend bool operator==(const ExportAttributes&, const ExportAttributes&) = default;
};

/// More than this from one neighbor ends the session with Cease/Maximum Number of Prefixes Reached.
struct PrefixLimit {
    std::size_t kept = 10'000;              ///< routes that concern `owned` (all, for a collector)
    std::optional<std::size_t> received{};  ///< announced less withdrawn, kept or not
    Duration idle{std::chrono::minutes{15}};  ///< before the next attempt

    friend bool operator==(const PrefixLimit&, const PrefixLimit&) = default;
};

/// BFD with a neighbor (RFC 5880), from and to its `local_address`.
struct Bfd {
    bfd::Timing timing{};
    std::optional<unsigned> multihop{};  ///< RFC 5883: hops to it at most, 1..255; absent: one hop
    bool strict = false;                 ///< no BGP session before BFD is Up
    std::optional<bfd::Authentication> authentication{};  ///< its secret is never printed
    std::string key_file{};                               ///< where the secret was read; or empty

    friend bool operator==(const Bfd&, const Bfd&) = default;
};

struct Neighbor {
    std::string name;
    std::string description;
    std::string group;  ///< empty: none; what the group says is filled in already
    /// Of a neighbor with a range: the range's first address; no session is ever made with it.
    Address address;
    std::optional<Prefix> range{};  ///< passive neighbors from here, `limit` of them at most
    unsigned range_limit = 100;
    std::string interface{};        ///< zone of a link-local address; empty: none
    std::optional<Asn> local_as{};  ///< absent: the site's
    bool admin_down = false;
    std::optional<unsigned> ttl_security{};  ///< RFC 5082: hops to the neighbor, 1..254
    std::string password_file{};             ///< of TCP-MD5 (RFC 2385); empty: none
    std::string password{};                  ///< read from it; never printed
    PrefixLimit prefix_limit{};
    std::optional<bgp::Role> role{};
    bool role_strict = false;
    bool extended_message = false;
    bool extended_next_hop = false;  ///< RFC 8950
    bool add_path_receive = false;
    std::optional<Duration> restart_time{};  ///< graceful_restart.restart_time; absent: off
    bool restart_with_checks = false;        ///< though services follow checks
    std::string mrt_file{};                  ///< messages are dumped there; empty: not
    std::optional<Bfd> bfd{};
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
    failover::Scope scope = failover::Scope::local;
    failover::Effect effect = failover::Effect::withdraw;
    std::optional<failover::CheckId> only_if{};

    friend bool operator==(const Check&, const Check&) = default;
};

/// Addresses that Swerve puts on an interface for a service.
struct ServiceAddresses {
    std::string interface;
    std::vector<Prefix> add;  ///< host addresses with the length they are bound with
    /// From the acknowledged withdraw to the removal.
    Duration grace{std::chrono::seconds{1}};

    friend bool operator==(const ServiceAddresses&, const ServiceAddresses&) = default;
};

/// On what a hook or a webhook is told.
enum class Occasion : std::uint8_t { announce, degrade, drain, withdraw, alarm };
[[nodiscard]] std::string_view to_string(Occasion occasion);

/// A program that is run when something has changed, after the wire.
struct Hook {
    std::string name;
    std::vector<std::string> argv;  ///< the first an absolute path; no shell
    std::set<Occasion> on;
    std::optional<std::vector<failover::ServiceId>> services{};  ///< absent: all
    Duration timeout{std::chrono::seconds{10}};

    friend bool operator==(const Hook&, const Hook&) = default;
};

/// A URL to which changes are posted as JSON.
struct Webhook {
    std::string name;
    std::string url;         ///< http:// or https://
    std::string url_file{};  ///< where it was read from, and then it is never printed; or empty
    std::set<Occasion> on;
    std::optional<std::vector<failover::ServiceId>> services{};  ///< absent: all
    Duration timeout{std::chrono::seconds{5}};
    unsigned attempts = 5;      ///< in all, with growing pauses between them
    std::string bearer_file{};  ///< its content is sent as bearer token; empty: none
    std::string bearer{};       ///< read from it; never printed

    friend bool operator==(const Webhook&, const Webhook&) = default;
};

struct Service {
    std::string name;
    /// Packed, since there may be millions: a block per family that it has, IPv4 first. What
    /// prefixes_file names is included.
    std::vector<bgp::BlockRef> prefixes;
    std::string prefixes_file;  ///< empty: none
    health::Expression healthy_when;
    ExportAttributes announce;
    /// `drain.graceful_shutdown_for`: how long the routes carry GRACEFUL_SHUTDOWN (RFC 8326) before
    /// an operator's drain withdraws them.
    Duration graceful_shutdown_for{};
    std::optional<health::Expression> degraded_when{};
    ExportAttributes degrade{};      ///< on top of `announce`: see degraded()
    Duration drain_degraded_for{};   ///< `drain.degrade_for`
    Duration return_degraded_for{};  ///< `return.degrade_for`
    failover::DampingPolicy damping{};
    std::optional<Duration> rto{};  ///< what the operator promises
    std::optional<ServiceAddresses> addresses{};

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
    bool bfd_realtime = false;  ///< `bfd.realtime`
    std::vector<Prefix> owned;
    /// Attached to all routes; a route heard with the first two parts and another third is another
    /// site's. Its third part is this site's number.
    std::optional<LargeCommunity> site_community{};
    std::vector<Neighbor> neighbors;
    std::optional<Collector> collector;
    std::vector<Check> checks;
    std::vector<Service> services;
    std::vector<Hook> hooks{};
    std::vector<Webhook> webhooks{};
    Diagnostics warnings{};  ///< what is valid and yet worth a word; not part of equality

    friend bool operator==(const Config& a, const Config& b);
};

/// One block per family of prefixes that are sorted and without duplicates.
[[nodiscard]] std::vector<bgp::BlockRef> blocks_of(std::span<const Prefix> sorted);
[[nodiscard]] bool same_prefixes(const Service& a, const Service& b);
/// Of all families.
[[nodiscard]] std::size_t count_prefixes(const Service& service);

/// DESIGN.md §4.13: lists add up (service, then neighbor, duplicates removed); of scalars the
/// neighbor's wins. The community of the site goes with every route.
[[nodiscard]] bgp::RouteAttributes merge(const Config& config, const ExportAttributes& service,
                                         const ExportAttributes& neighbor);

/// The same made less attractive: `prepend` adds to what there is (32 at most), lists add up, other
/// single values take the place of what there is, whoever gave it.
[[nodiscard]] bgp::RouteAttributes degraded(const bgp::RouteAttributes& attributes,
                                            const ExportAttributes& degrade);

/// The same while a drain asks traffic to leave: GRACEFUL_SHUTDOWN and LOCAL_PREF 0 (RFC 8326 §4).
/// `attributes` are the degraded ones, so that no drain makes routes better.
[[nodiscard]] bgp::RouteAttributes draining(const bgp::RouteAttributes& attributes);

/// The AS this session speaks for.
[[nodiscard]] Asn local_as(const Config& config, const Neighbor& neighbor);

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
