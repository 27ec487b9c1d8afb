#include "conf/schema.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "conf/check_keys.hpp"
#include "conf/neighbor_keys.hpp"
#include "conf/service_keys.hpp"
#include "conf/values.hpp"

namespace swerve::conf {

namespace {

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

constexpr Key file_bfd_keys[] = {
    {.name = "realtime",
     .type = Type::boolean,
     .help = "The thread of BFD runs before others (SCHED_RR), and its memory is locked, where the "
             "limits of the process allow it (LimitRTPRIO and LimitMEMLOCK of systemd).",
     .fallback = "false"},
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
    {.name = "bfd", .type = Type::map, .help = "BFD with any neighbor.", .members = file_bfd_keys},
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
    {.name = "templates",
     .type = Type::named_maps,
     .help =
         "What several checks have in common; each names its template in `template`. A template "
         "may "
         "have every key of a check but `template`, and of a probe what is common to them: what "
         "a check says itself counts before what its template says, and maps are completed key by "
         "key. The probe of a template is not taken over by a check that has another one. A "
         "configuration that is printed says with each check what holds for it, without "
         "templates."},
    {.name = "checks",
     .type = Type::named_maps,
     .help = "Health checks: exactly one probe each, and its timing.",
     .members = check_keys},
    {.name = "services",
     .type = Type::named_maps,
     .help = "Units of failover: prefixes that follow one verdict.",
     .members = service_keys},
    {.name = "damping",
     .type = Type::map,
     .help = "The same as `damping` of services, for those that do not say it themselves.",
     .members = file_damping_keys},
    {.name = "hooks",
     .type = Type::named_maps,
     .help = "Programs that are run when something has changed. They start after the network was "
             "told, and never delay a withdraw.",
     .members = hook_keys},
    {.name = "webhooks",
     .type = Type::named_maps,
     .help = "URLs to which changes are posted as JSON, likewise.",
     .members = webhook_keys},
    later("mode"),
    later("graceful_restart"),
    later("etcd"),
    later("peers"),
    later("guard"),
    later("actions"),
    later("audit"),
    later("log"),
    later("mrt"),
    later("rpki"),
};

constexpr std::string_view probes_to_come[] = {"mongodb", "cassandra"};

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

std::span<const Key> template_keys() {
    static const std::vector<Key> keys = [] {
        std::vector<Key> out;
        for (const Key& key : check_keys) {
            if (key.name != "template") out.push_back(key);
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
    static constexpr std::array<std::pair<health::FieldKind, Type>, 10> types{{
        {health::FieldKind::string, Type::text},
        {health::FieldKind::string_list, Type::text},
        {health::FieldKind::boolean, Type::boolean},
        {health::FieldKind::integer, Type::integer},
        {health::FieldKind::integer_list, Type::integer},
        {health::FieldKind::number, Type::number},
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
        case Type::number:
            return "decimal number";
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
        case Type::host:
            return "address with its full length";
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
