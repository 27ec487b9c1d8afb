#pragma once
// The keys of neighbors and of what routes carry. See schema.hpp.

#include <cstdint>
#include <limits>
#include <string_view>

#include "conf/schema.hpp"

namespace swerve::conf {

inline constexpr std::int64_t max_u32 = std::numeric_limits<std::uint32_t>::max();
inline constexpr std::int64_t second = 1000;  ///< durations are bounded in milliseconds
inline constexpr std::int64_t hour = 3600 * second;

[[nodiscard]] constexpr Key later(std::string_view name) {
    return {.name = name, .type = Type::not_yet};
}

// A community is 4, 8 or 12 octets of at most 4096 of a message; two lists of this length of each
// kind still leave room for the path and the prefixes.
inline constexpr std::int64_t max_communities = 64;

inline constexpr Key prepend{
    .name = "prepend",
    .type = Type::integer,
    .help =
        "How often the local AS is put in front of the path beyond the one "
        "time that eBGP requires.",
    .otherwise = "0",
    .least = 0,
    .most = 32};
inline constexpr Key med{.name = "med",
                         .type = Type::integer,
                         .help = "MULTI_EXIT_DISC; the neighbor prefers the lower one.",
                         .otherwise = "not sent",
                         .least = 0,
                         .most = max_u32};
inline constexpr Key local_pref{.name = "local_pref",
                                .type = Type::integer,
                                .help = "LOCAL_PREF, sent to iBGP neighbors only.",
                                .otherwise = "100",
                                .least = 0,
                                .most = max_u32};
inline constexpr Key communities{.name = "communities",
                                 .type = Type::community,
                                 .list = true,
                                 .help = "Communities (RFC 1997) that the routes carry.",
                                 .otherwise = "none",
                                 .most = max_communities};
inline constexpr Key large_communities{
    .name = "large_communities",
    .type = Type::large_community,
    .list = true,
    .help = "Large communities (RFC 8092) that the routes carry.",
    .otherwise = "none",
    .most = max_communities};

inline constexpr Key extended_communities{
    .name = "extended_communities",
    .type = Type::extended_community,
    .list = true,
    .help =
        "Extended communities (RFC 4360) that the routes carry: `rt:A:N` and `ro:A:N`, where A "
        "is an AS number or an IPv4 address, or the eight octets as `0x` and 16 digits.",
    .otherwise = "none",
    .most = max_communities};
inline constexpr Key origin{
    .name = "origin",
    .type = Type::choice,
    .help = "ORIGIN; of equal paths igp is preferred to egp, and that to incomplete.",
    .otherwise = "igp",
    .choices = "igp|egp|incomplete"};

inline constexpr Key next_hop_keys[] = {
    {.name = "ipv4",
     .type = Type::next_hop,
     .help = "Next hop of IPv4 routes; `self` is the session's own address. With "
             "`extended_next_hop` it may be an IPv6 address.",
     .otherwise = "self"},
    {.name = "ipv6",
     .type = Type::next_hop,
     .help = "Next hop of IPv6 routes; `self` is the session's own address.",
     .otherwise = "self"},
};

inline constexpr Key export_keys[] = {
    prepend,
    med,
    local_pref,
    origin,
    communities,
    extended_communities,
    large_communities,
    {.name = "next_hop",
     .type = Type::map,
     .help = "Next hop of the routes sent to this neighbor, per family.",
     .members = next_hop_keys},
};

inline constexpr Key announce_keys[] = {
    prepend, med, local_pref, origin, communities, extended_communities, large_communities,
};

inline constexpr Key prefix_limit_keys[] = {
    {.name = "kept",
     .type = Type::integer,
     .help = "Most routes that concern `owned`: all others are not kept.",
     .fallback = "10000",
     .least = 1,
     .most = 10'000'000},
    {.name = "received",
     .type = Type::integer,
     .help = "Most routes that the neighbor has announced and not withdrawn, kept or not.",
     .otherwise = "no limit",
     .least = 1,
     .most = 5'000'000},
    {.name = "idle",
     .type = Type::duration,
     .help = "Pause after a limit was exceeded, before the next session.",
     .fallback = "15m",
     .least = second,
     .most = 24 * hour},
};

inline constexpr Key graceful_restart_keys[] = {
    {.name = "restart_time",
     .type = Type::whole_seconds,
     .required = true,
     .help = "How long the neighbor keeps the routes after a planned restart began, while nobody "
             "answers it. A daemon that crashed and a host that died look the same to it.",
     .least = second,
     .most = 4095 * second},
    {.name = "with_health_checks",
     .type = Type::boolean,
     .help = "Beside services that follow checks it must be said that their routes may stay for "
             "`restart_time` though nobody checks them.",
     .fallback = "false"},
};

inline constexpr Key bfd_auth_keys[] = {
    {.name = "type",
     .type = Type::choice,
     .required = true,
     .help = "How packets prove their sender (RFC 5880 §6.7); both ends say the same. A password "
             "goes over the wire as it is, and whoever reads it can forge every packet.",
     .choices = "meticulous_keyed_sha1|simple_password"},
    {.name = "key_id",
     .type = Type::integer,
     .help = "Number of the key; both ends say the same.",
     .fallback = "1",
     .least = 0,
     .most = 255},
    {.name = "key_file",
     .type = Type::path,
     .required = true,
     .help = "File with the key, of 1 to 20 printable characters, or the password, of 1 to 16. "
             "Otherwise as `password_file`.",
     .least = 1,
     .most = 4095},
};

inline constexpr Key bfd_keys[] = {
    {.name = "interval",
     .type = Type::duration,
     .help = "How often packets are sent, and how often the neighbor may send: the larger of what "
             "both ends say counts. `bfd: {}` switches BFD on with the defaults; needs "
             "`local_address`.",
     .fallback = "300ms",
     .least = 10,
     .most = 60 * second},
    {.name = "multiplier",
     .type = Type::integer,
     .help = "After so many intervals without a packet of ours the neighbor knows that this site "
             "is gone; at least 30 ms.",
     .fallback = "3",
     .least = 1,
     .most = 255},
    {.name = "multihop",
     .type = Type::integer,
     .help = "The neighbor is at most so many hops away (RFC 5883); packets that come from further "
             "are dropped. They are counted from a TTL of 255, with which not everybody sends: "
             "BIRD 2 needs `multihop: 255`, and better `auth` with it.",
     .otherwise = "directly connected",
     .least = 1,
     .most = 255},
    {.name = "strict",
     .type = Type::boolean,
     .help = "No BGP session is begun before BFD is up.",
     .fallback = "false"},
    {.name = "auth",
     .type = Type::map,
     .help = "Packets prove their sender.",
     .members = bfd_auth_keys},
};

inline constexpr Key mrt_keys[] = {
    {.name = "file",
     .type = Type::absolute_path,
     .required = true,
     .help = "All messages of the session are appended to this file (RFC 6396, "
             "BGP4MP_MESSAGE_AS4), for bgpdump and the like.",
     .least = 1,
     .most = 4095},
};

inline constexpr Key neighbor_keys[] = {
    {.name = "address",
     .type = Type::address,
     .help = "Address of the neighbor; names are not resolved. A link-local one needs `interface`.",
     .otherwise = "required, unless `range` is given"},
    {.name = "range",
     .type = Type::prefix,
     .help =
         "Instead of `address`: whoever calls from here is such a neighbor, unless its address is "
         "that of another one or lies in a longer range. It is never dialled; needs "
         "`bgp.listen`.",
     .otherwise = "none"},
    {.name = "range_limit",
     .type = Type::integer,
     .help = "How many neighbors of a `range` there may be at a time.",
     .fallback = "100",
     .least = 1,
     .most = 10'000},
    {.name = "interface",
     .type = Type::interface,
     .help = "Interface behind which a link-local `address` or `range` is.",
     .otherwise = "none"},
    {.name = "group",
     .type = Type::name,
     .help = "The group whose keys hold for this neighbor, too.",
     .otherwise = "none"},
    {.name = "port",
     .type = Type::integer,
     .help = "TCP port that is dialled.",
     .fallback = "179",
     .least = 1,
     .most = 65535},
    {.name = "remote_as",
     .type = Type::asn,
     .required = true,
     .help = "AS of the neighbor; equal to `local_as` makes the session iBGP."},
    {.name = "local_as",
     .type = Type::asn,
     .help = "AS that this session speaks for.",
     .otherwise = "that of the site"},
    {.name = "admin_down",
     .type = Type::boolean,
     .help = "No session with this neighbor: none is begun, and one that there is ends.",
     .fallback = "false"},
    {.name = "local_address",
     .type = Type::address,
     .help = "Source address of the session.",
     .otherwise = "chosen by the kernel"},
    {.name = "passive",
     .type = Type::boolean,
     .help = "Never dial, wait for the neighbor; needs `bgp.listen`.",
     .fallback = "false"},
    {.name = "multihop",
     .type = Type::integer,
     .help = "TTL of an eBGP session to a neighbor that is not directly connected.",
     .otherwise = "directly connected",
     .least = 2,
     .most = 255},
    {.name = "ttl_security",
     .type = Type::integer,
     .help = "The neighbor is at most so many hops away, and packets that come from further are "
             "dropped (RFC 5082, GTSM); ours leave with TTL 255. The neighbor must do the same.",
     .otherwise = "off",
     .least = 1,
     .most = 254},
    {.name = "password_file",
     .type = Type::path,
     .help = "File with the password of TCP-MD5 (RFC 2385): one line of 1 to 80 printable "
             "characters. Others than its owner and group must have no access to it, and the group "
             "must not write (`chmod 640`). It is read when the configuration is; a relative path "
             "starts at the directory of the configuration file.",
     .otherwise = "none",
     .least = 1,
     .most = 4095},
    {.name = "hold_time",
     .type = Type::whole_seconds,
     .help = "Hold time offered; keepalives come at a third of what is negotiated. `0s`: neither "
             "hold time nor keepalives, if the neighbor wants none either; a neighbor that died is "
             "then noticed late or never, unless `bfd` notices.",
     .fallback = "9s",
     .or_zero = true,
     .least = 3 * second,
     .most = 65535 * second},
    {.name = "connect_retry",
     .type = Type::duration,
     .help = "Pause before the next dial after one that found nobody, jittered to 75–100 %; after "
             "protocol errors 1 s, doubling up to 60 s.",
     .fallback = "5s",
     .least = 100,
     .most = hour},
    {.name = "description", .type = Type::text, .help = "Free text for people.", .most = 255},
    {.name = "families",
     .type = Type::choice,
     .list = true,
     .help = "Address families offered to the neighbor.",
     .otherwise = "that of `address`, those with an explicit `export.next_hop`, and ipv4 with "
                  "`extended_next_hop`",
     .choices = "ipv4|ipv6"},
    {.name = "services",
     .type = Type::name,
     .list = true,
     .help = "The services whose prefixes this neighbor is sent.",
     .otherwise = "all"},
    {.name = "export",
     .type = Type::map,
     .help = "What the routes sent to this neighbor carry.",
     .members = export_keys},
    {.name = "role",
     .type = Type::choice,
     .help = "What this site is to the neighbor (RFC 9234): usually the customer. A neighbor whose "
             "own role does not match is refused, and routes that would leak are marked.",
     .otherwise = "not told",
     .choices = "customer|provider|peer|route_server|route_server_client"},
    {.name = "role_strict",
     .type = Type::boolean,
     .help = "A neighbor that tells no role is refused.",
     .fallback = "false"},
    {.name = "prefix_limit",
     .type = Type::map,
     .help = "More routes than this end the session with Cease (RFC 4486, subcode 1).",
     .members = prefix_limit_keys},
    {.name = "extended_message",
     .type = Type::boolean,
     .help = "Take messages of up to 65535 octets (RFC 8654).",
     .fallback = "false"},
    {.name = "extended_next_hop",
     .type = Type::boolean,
     .help = "Offer IPv4 routes with an IPv6 next hop (RFC 8950); an IPv6 session then needs no "
             "address for `export.next_hop.ipv4`.",
     .fallback = "false"},
    {.name = "add_path",
     .type = Type::choice,
     .help =
         "Take several paths of a prefix (RFC 7911), so that other sites are seen while this one "
         "is the best.",
     .otherwise = "one path",
     .choices = "receive"},
    {.name = "graceful_restart",
     .type = Type::map,
     .help = "Planned restarts keep the routes (RFC 4724).",
     .members = graceful_restart_keys},
    {.name = "bfd",
     .type = Type::map,
     .help = "The end of the path to the neighbor is noticed in a fraction of a second (RFC 5880).",
     .members = bfd_keys},
    {.name = "mrt", .type = Type::map, .help = "A copy of all messages.", .members = mrt_keys},
    later("auth_password_file"),
    later("tcp_ao"),
    later("long_lived_graceful_restart"),
    later("llgr"),
    later("max_prefixes"),
    later("preset"),
    later("import"),
    later("enforce_first_as"),
};

/// What a group has no say in.
inline constexpr std::string_view of_one_neighbor[] = {"address", "range", "interface",
                                                       "description", "group"};

}  // namespace swerve::conf
