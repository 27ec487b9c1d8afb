#include "conf/schema.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "conf/neighbor_keys.hpp"
#include "conf/values.hpp"

namespace swerve::conf {

namespace {

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

constexpr Key drain_keys[] = {
    {.name = "graceful_shutdown_for",
     .type = Type::duration,
     .help =
         "How long a drain announces the routes with the community graceful_shutdown (RFC 8326) "
         "and LOCAL_PREF 0 before it withdraws them; `0s`: it withdraws them at once.",
     .fallback = "10s",
     .least = 0,
     .most = hour},
    later("degrade_for"),
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
    {.name = "drain",
     .type = Type::map,
     .help = "How an operator's drain goes.",
     .members = drain_keys},
    later("degraded_when"),
    later("min_uplinks"),
    later("rto"),
    later("degrade"),
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
    {.name = "site_community",
     .type = Type::large_community,
     .help =
         "Large community that all routes carry, `AS:SITES:NUMBER`. A route heard with the same "
         "first two parts and another number is told apart as another site's.",
     .otherwise = "none"},
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
    {.name = "groups",
     .type = Type::named_maps,
     .help =
         "What several neighbors have in common; each names its group in `group`. A group may "
         "have every key of a neighbor but those that are about one alone: `address`, `range`, "
         "`interface`, `description` and `group`. What the neighbor says itself counts before "
         "what its group says; only the lists of communities in `export` add up. A key that "
         "the neighbor has no use for, such as `port` beside `range`, or `multihop` beside its "
         "own `ttl_security`, is not taken over. A configuration that is printed says with each "
         "neighbor what holds for it, and leaves the groups empty."},
    {.name = "neighbors", .type = Type::named_maps, .help = "BGP peers.", .members = neighbor_keys},
    {.name = "checks",
     .type = Type::named_maps,
     .help = "Health checks: exactly one probe each, and its timing.",
     .members = check_keys},
    {.name = "services",
     .type = Type::named_maps,
     .help = "Units of failover: prefixes that follow one verdict.",
     .members = service_keys},
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
    return (key.or_zero ? " (0s, " : " (") + format_duration(milliseconds{key.least}) + ".." +
           format_duration(milliseconds{key.most}) + ")";
}

}  // namespace

std::span<const Key> schema() { return file_keys; }

std::span<const Key> group_keys() {
    static const std::vector<Key> keys = [] {
        std::vector<Key> out;
        for (Key key : neighbor_keys) {
            if (std::ranges::find(of_one_neighbor, key.name) != std::end(of_one_neighbor)) continue;
            key.required = false;
            out.push_back(key);
        }
        return out;
    }();
    return keys;
}

std::span<const std::string_view> keys_of_one_neighbor() { return of_one_neighbor; }

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
        case Type::extended_community:
            return "extended community";
        case Type::interface:
            return "name of an interface";
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
