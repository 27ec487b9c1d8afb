#include "conf/schema.hpp"

#include <array>
#include <limits>
#include <utility>

#include "conf/values.hpp"

namespace swerve::conf {

namespace {

constexpr std::int64_t max_u32 = std::numeric_limits<std::uint32_t>::max();
constexpr std::int64_t second = 1000;
constexpr std::int64_t hour = 3600 * second;

constexpr Key later(std::string_view name) { return {.name = name, .type = Type::not_yet}; }

// A community is 4 or 12 octets of at most 4096 of a message; two lists of this length still leave
// room for the path and the prefixes.
constexpr std::int64_t max_communities = 64;

constexpr Key prepend{.name = "prepend",
                      .type = Type::integer,
                      .help =
                          "How often the local AS is put in front of the path beyond the one "
                          "time that eBGP requires.",
                      .otherwise = "0",
                      .least = 0,
                      .most = 32};
constexpr Key med{.name = "med",
                  .type = Type::integer,
                  .help = "MULTI_EXIT_DISC; the neighbor prefers the lower one.",
                  .otherwise = "not sent",
                  .least = 0,
                  .most = max_u32};
constexpr Key local_pref{.name = "local_pref",
                         .type = Type::integer,
                         .help = "LOCAL_PREF, sent to iBGP neighbors only.",
                         .otherwise = "100",
                         .least = 0,
                         .most = max_u32};
constexpr Key communities{.name = "communities",
                          .type = Type::community,
                          .list = true,
                          .help = "Communities (RFC 1997) that the routes carry.",
                          .otherwise = "none",
                          .most = max_communities};
constexpr Key large_communities{.name = "large_communities",
                                .type = Type::large_community,
                                .list = true,
                                .help = "Large communities (RFC 8092) that the routes carry.",
                                .otherwise = "none",
                                .most = max_communities};

constexpr Key next_hop_keys[] = {
    {.name = "ipv4",
     .type = Type::next_hop,
     .help = "Next hop of IPv4 routes; `self` is the session's own address.",
     .otherwise = "self"},
    {.name = "ipv6",
     .type = Type::next_hop,
     .help = "Next hop of IPv6 routes; `self` is the session's own address.",
     .otherwise = "self"},
};

constexpr Key export_keys[] = {
    prepend,
    med,
    local_pref,
    communities,
    large_communities,
    {.name = "next_hop",
     .type = Type::map,
     .help = "Next hop of the routes sent to this neighbor, per family.",
     .members = next_hop_keys},
    later("extended_communities"),
    later("origin"),
};

constexpr Key announce_keys[] = {
    prepend,         med, local_pref, communities, large_communities, later("extended_communities"),
    later("origin"),
};

constexpr Key neighbor_keys[] = {
    {.name = "address",
     .type = Type::address,
     .required = true,
     .help = "Address of the neighbor; names are not resolved."},
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
    {.name = "hold_time",
     .type = Type::whole_seconds,
     .help = "Hold time offered; keepalives come at a third of what is negotiated.",
     .fallback = "9s",
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
     .otherwise = "that of `address`, and those with an explicit `export.next_hop`",
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
    later("group"),
    later("ttl_security"),
    later("password_file"),
    later("auth_password_file"),
    later("bfd"),
    later("graceful_restart"),
    later("local_as"),
    later("role"),
    later("prefix_limit"),
    later("max_prefixes"),
    later("admin_down"),
    later("preset"),
    later("import"),
    later("enforce_first_as"),
    later("add_path"),
    later("range"),
    later("interface"),
    later("mrt"),
};

constexpr Key window_keys[] = {
    {.name = "failures",
     .type = Type::integer,
     .help = "This many failures …",
     .fallback = "5",
     .least = 1,
     .most = 64},
    {.name = "of",
     .type = Type::integer,
     .help = "… among this many results, whatever their order, make the check fail.",
     .fallback = "10",
     .least = 1,
     .most = 64},
};

constexpr Key check_keys[] = {
    {.name = "interval",
     .type = Type::duration,
     .help = "From the start of one attempt to the start of the next.",
     .fallback = "1s",
     .least = 10,
     .most = hour},
    {.name = "fast_interval",
     .type = Type::duration,
     .help = "The same from a first failure until the check flips or its window is clean; at most "
             "`interval`.",
     .otherwise = "the smaller of 200ms and `interval`",
     .least = 10,
     .most = hour},
    {.name = "timeout",
     .type = Type::duration,
     .help = "Limit of one attempt as a whole.",
     .fallback = "800ms",
     .least = 10,
     .most = hour},
    {.name = "rise",
     .type = Type::integer,
     .help =
         "Passes in a row that make the check pass, once fewer than `window.failures` of the last "
         "`window.of` results failed.",
     .fallback = "5",
     .least = 1,
     .most = 100},
    {.name = "fall",
     .type = Type::integer,
     .help = "Failures in a row that make the check fail.",
     .fallback = "3",
     .least = 1,
     .most = 100},
    {.name = "window",
     .type = Type::map,
     .help = "Makes the check fail when many results fail, though not in a row.",
     .members = window_keys},
    {.name = "on_event",
     .type = Type::choice,
     .help = "What an event between attempts means: `confirm` starts an attempt whose failure "
             "flips the check, `trust` flips it at once.",
     .otherwise = "confirm",
     .choices = "confirm|trust"},
    {.name = "scope",
     .type = Type::choice,
     .help =
         "Whether a failure means that this site alone is broken (`local`), or may mean something "
         "that strikes other sites at the same time (`shared`, not in this version). Required "
         "where a probe says so.",
     .otherwise = "local",
     .choices = "local|shared"},
    later("effect"),
    later("on_unknown"),
    later("unknown_hold"),
    later("only_if"),
    later("template"),
};

constexpr Key service_keys[] = {
    {.name = "prefixes",
     .type = Type::prefix,
     .list = true,
     .help =
         "The prefixes whose announcement follows this service; each within `owned`, and of one "
         "service only."},
    {.name = "prefixes_file",
     .type = Type::path,
     .help = "Instead of `prefixes`: a text file with one prefix per line, at most 2000000 in all "
             "services and 64 MiB. `#` starts a comment; blank lines and Windows line ends do not "
             "matter. A relative path starts at the directory of the configuration file.",
     .least = 1,
     .most = 4095},
    {.name = "healthy_when",
     .type = Type::expression,
     .required = true,
     .help = "Which checks must pass: NAME, or `{all: […]}`, `{any: […]}`, `{not: …}`, "
             "`{at_least: {count: N, of: […]}}`, nested as needed; or `always`, which needs "
             "none."},
    {.name = "announce",
     .type = Type::map,
     .help = "What the routes of this service carry; lists add up with those of the neighbor, of "
             "single values the neighbor's wins.",
     .members = announce_keys},
    later("degraded_when"),
    later("min_uplinks"),
    later("rto"),
    later("degrade"),
    later("drain"),
    later("addresses"),
    later("mode"),
    later("guard"),
    later("min_sites"),
    later("damping"),
    later("hooks"),
    later("failback"),
};

constexpr Key control_keys[] = {
    {.name = "socket",
     .type = Type::absolute_path,
     .help = "Unix socket of the control API.",
     .fallback = "/run/swerve/control.sock",
     .least = 1,
     .most = 107},  // sun_path holds 108 octets with its final zero
};

constexpr Key http_keys[] = {
    {.name = "listen",
     .type = Type::endpoint,
     .required = true,
     .help = "Where metrics and health of the daemon are served, read-only."},
    later("tls"),
};

constexpr Key bgp_keys[] = {
    {.name = "listen",
     .type = Type::endpoint,
     .list = true,
     .required = true,
     .help = "Where connections of neighbors are accepted.",
     .most = 64},
};

constexpr Key collector_keys[] = {
    {.name = "accept",
     .type = Type::prefix,
     .list = true,
     .required = true,
     .help = "Where neighbors may come from."},
};

constexpr Key file_keys[] = {
    {.name = "site",
     .type = Type::name,
     .required = true,
     .help = "Name of the place that this daemon speaks for."},
    {.name = "local_as", .type = Type::asn, .required = true, .help = "AS of this site."},
    {.name = "router_id",
     .type = Type::router_id,
     .required = true,
     .help = "BGP Identifier, unique within the AS (RFC 6286)."},
    {.name = "owned",
     .type = Type::prefix,
     .list = true,
     .help = "The operator's prefixes; nothing outside them can ever be announced. Required unless "
             "`collector` is given."},
    {.name = "state_dir",
     .type = Type::absolute_path,
     .help = "Directory of what must survive a restart; one daemon runs per directory.",
     .fallback = "/var/lib/swerve",
     .least = 1,
     .most = 4000},
    {.name = "control", .type = Type::map, .help = "The control API.", .members = control_keys},
    {.name = "http",
     .type = Type::map,
     .help = "The read-only TCP listener.",
     .otherwise = "off",
     .members = http_keys},
    {.name = "bgp",
     .type = Type::map,
     .help = "The BGP listener.",
     .otherwise = "dial only",
     .members = bgp_keys},
    {.name = "collector",
     .type = Type::map,
     .help = "Instead of `neighbors`: accept any AS, keep all routes, announce nothing.",
     .members = collector_keys},
    {.name = "neighbors", .type = Type::named_maps, .help = "BGP peers.", .members = neighbor_keys},
    {.name = "checks",
     .type = Type::named_maps,
     .help = "Health checks: exactly one probe each, and its timing.",
     .members = check_keys},
    {.name = "services",
     .type = Type::named_maps,
     .help = "Units of failover: prefixes that follow one verdict.",
     .members = service_keys},
    later("groups"),
    later("mode"),
    later("graceful_restart"),
    later("etcd"),
    later("peers"),
    later("guard"),
    later("damping"),
    later("hooks"),
    later("webhooks"),
    later("actions"),
    later("templates"),
    later("audit"),
    later("log"),
    later("mrt"),
    later("rpki"),
};

constexpr std::string_view probes_to_come[] = {
    "udp",     "dns",      "icmp",       "grpc",     "tls",       "http_json", "metric",
    "systemd", "file",     "link",       "address",  "route",     "disk",      "pressure",
    "clock",   "postgres", "redis",      "sentinel", "rabbitmq",  "etcd",      "ceph",
    "vault",   "consul",   "kubernetes", "cilium",   "wireguard", "mongodb",   "cassandra",
};

std::string range(const Key& key) {
    return " (" + std::to_string(key.least) + ".." + std::to_string(key.most) + ")";
}

std::string duration_range(const Key& key) {
    if (key.most == 0) return {};
    using std::chrono::milliseconds;
    return " (" + format_duration(milliseconds{key.least}) + ".." +
           format_duration(milliseconds{key.most}) + ")";
}

}  // namespace

std::span<const Key> schema() { return file_keys; }

std::span<const std::string_view> later_probes() { return probes_to_come; }

const Key* find_key(std::span<const Key> keys, std::string_view name) {
    for (const Key& key : keys) {
        if (key.name == name) return &key;
    }
    return nullptr;
}

std::vector<Key> keys_of(std::span<const health::Field> fields) {
    static constexpr std::array<std::pair<health::FieldKind, Type>, 9> types{{
        {health::FieldKind::string, Type::text},
        {health::FieldKind::string_list, Type::text},
        {health::FieldKind::boolean, Type::boolean},
        {health::FieldKind::integer, Type::integer},
        {health::FieldKind::integer_list, Type::integer},
        {health::FieldKind::duration, Type::duration},
        {health::FieldKind::endpoint, Type::endpoint},
        {health::FieldKind::absolute_path, Type::absolute_path},
        {health::FieldKind::group, Type::map},
    }};
    std::vector<Key> keys;
    for (const health::Field& field : fields) {
        keys.push_back({.name = field.name,
                        .type = types[static_cast<std::size_t>(field.kind)].second,
                        .list = field.kind == health::FieldKind::integer_list ||
                                field.kind == health::FieldKind::string_list,
                        .required = field.required,
                        .help = field.help,
                        .fallback = field.fallback,
                        .least = field.least,
                        .most = field.most});
    }
    return keys;
}

std::string describe(const Key& key) {
    switch (key.type) {
        case Type::text:
            return "text";
        case Type::name:
            return "name";
        case Type::path:
            return "path";
        case Type::absolute_path:
            return "absolute path";
        case Type::choice: {
            std::string words{key.choices};
            for (auto at = words.find('|'); at != std::string::npos; at = words.find('|', at)) {
                words.replace(at, 1, " or ");
            }
            return words;
        }
        case Type::boolean:
            return "true or false";
        case Type::integer:
            return "integer" + range(key);
        case Type::asn:
            return "AS number (1..4294967295)";
        case Type::duration:
            return "duration" + duration_range(key);
        case Type::whole_seconds:
            return "duration in whole seconds" + duration_range(key);
        case Type::router_id:
            return "router id (four octets, dotted, not 0.0.0.0)";
        case Type::address:
            return "IPv4 or IPv6 address";
        case Type::prefix:
            return "prefix";
        case Type::endpoint:
            return "ADDRESS:PORT";
        case Type::community:
            return "community";
        case Type::large_community:
            return "large community";
        case Type::next_hop:
            return "address or self";
        case Type::expression:
            return "expression";
        case Type::map:
        case Type::named_maps:
            return "map";
        case Type::not_yet:
            break;
    }
    return "nothing yet";
}

}  // namespace swerve::conf
