// One line per key of the schema: what a reload does when this key alone changes. A key that has
// no line here has not been thought about, and fails.

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "conf/schema.hpp"
#include "swerve/conf/change.hpp"
#include "swerve/conf/load.hpp"

namespace swerve::conf {
namespace {

using namespace std::chrono_literals;

const std::string text = R"(site: fra1
local_as: 64500
router_id: 192.0.2.1
owned: [10.0.0.0/8]
http: {listen: "127.0.0.1:9179"}
bgp: {listen: ["192.0.2.1:179"]}
neighbors:
  a: {address: 192.0.2.254, remote_as: 64496}
  b: {address: 192.0.2.253, remote_as: 64497}
  restarting: {address: 192.0.2.252, remote_as: 64496, graceful_restart: {restart_time: 10s, with_health_checks: true}}
  ranged: {range: 192.0.2.64/26, remote_as: 64496}
  watched: {address: 192.0.2.251, remote_as: 64496, local_address: 192.0.2.1, bfd: {}}
checks:
  web: {process: {pid_file: /run/web.pid}}
  db: {process: {pid_file: /run/db.pid}}
services:
  p: {prefixes: [10.1.0.0/16], healthy_when: web, addresses: {add: [10.1.0.1/32]}}
  q: {prefixes: [10.2.0.0/16], healthy_when: web}
hooks:
  h: {run: [/bin/true], on: [alarm]}
webhooks:
  w: {url: "http://192.0.2.7/", on: [alarm]}
)";

enum class Effect : std::uint8_t {
    live,     ///< no session is reset
    reset,    ///< the session of this neighbor is
    resets,   ///< all sessions are
    refused,  ///< only a restart can do it
    filled    ///< is filled in where it holds, and told there
};

struct Row {
    std::string_view key;  ///< names of objects are *
    Effect effect;
    void (*edit)(Config&);
};

Address address(std::string_view word) { return Address::parse(word).value(); }
std::vector<Prefix> prefixes(std::string_view word) { return {Prefix::parse(word).value()}; }
Neighbor& neighbor(Config& config) { return config.neighbors[0]; }
Neighbor& restarting(Config& config) { return config.neighbors[2]; }
Bfd& watched(Config& config) { return *config.neighbors[4].bfd; }
void authenticate(Config& config) {
    watched(config).authentication = {
        .type = bfd::AuthType::meticulous_keyed_sha1, .key_id = 1, .secret = "x"};
    watched(config).key_file = "/etc/swerve/bfd.key";
}
Neighbor& ranged(Config& config) { return config.neighbors[3]; }
ExportAttributes& exported(Config& config) { return neighbor(config).attributes; }
health::TrackerPolicy& timing(Config& config) { return config.checks[0].timing; }
Service& service(Config& config) { return config.services[0]; }
ExportAttributes& degraded(Config& config) { return service(config).degrade; }
ExportAttributes& announced(Config& config) { return service(config).announce; }

const Row rows[] = {
    {"site", Effect::live, [](Config& c) { c.site = "fra2"; }},
    {"local_as", Effect::resets, [](Config& c) { c.local_as = Asn::from(1).value(); }},
    {"router_id", Effect::resets,
     [](Config& c) { c.router_id = RouterId::parse("192.0.2.9").value(); }},
    {"owned", Effect::live, [](Config& c) { c.owned = prefixes("10.0.0.0/9"); }},
    {"site_community", Effect::live, [](Config& c) { c.site_community = {64500, 1, 7}; }},
    {"state_dir", Effect::refused, [](Config& c) { c.state_dir = "/srv"; }},
    {"control.socket", Effect::refused, [](Config& c) { c.control_socket = "/run/x"; }},
    {"http.listen", Effect::live, [](Config& c) { c.http_listen.reset(); }},
    {"bgp.listen", Effect::live, [](Config& c) { c.bgp_listen.clear(); }},
    {"bfd.realtime", Effect::live, [](Config& c) { c.bfd_realtime = true; }},
    {"collector.accept", Effect::refused,
     [](Config& c) { c.collector = Collector{prefixes("10.0.0.0/8")}; }},
    {"neighbors.*.address", Effect::reset,
     [](Config& c) { neighbor(c).address = address("192.0.2.252"); }},
    {"neighbors.*.range", Effect::reset,
     [](Config& c) { ranged(c).range = prefixes("192.0.2.64/27")[0]; }},
    {"neighbors.*.range_limit", Effect::live, [](Config& c) { ranged(c).range_limit = 1; }},
    {"neighbors.*.interface", Effect::reset, [](Config& c) { neighbor(c).interface = "eth0"; }},
    {"neighbors.*.group", Effect::live, [](Config& c) { neighbor(c).group = "transit"; }},
    {"neighbors.*.port", Effect::live, [](Config& c) { neighbor(c).port = 1790; }},
    {"neighbors.*.remote_as", Effect::reset,
     [](Config& c) { neighbor(c).remote_as = Asn::from(1).value(); }},
    {"neighbors.*.local_as", Effect::reset,
     [](Config& c) { neighbor(c).local_as = Asn::from(64511).value(); }},
    {"neighbors.*.admin_down", Effect::reset, [](Config& c) { neighbor(c).admin_down = true; }},
    {"neighbors.*.local_address", Effect::reset,
     [](Config& c) { neighbor(c).local_address = address("192.0.2.1"); }},
    {"neighbors.*.passive", Effect::live, [](Config& c) { neighbor(c).passive = true; }},
    {"neighbors.*.multihop", Effect::reset, [](Config& c) { neighbor(c).multihop = 2; }},
    {"neighbors.*.ttl_security", Effect::live, [](Config& c) { neighbor(c).ttl_security = 1; }},
    {"neighbors.*.password_file", Effect::live,
     [](Config& c) {
         neighbor(c).password_file = "/etc/swerve/key";
         neighbor(c).password = "x";
     }},
    {"neighbors.*.hold_time", Effect::reset, [](Config& c) { neighbor(c).hold_time = 30s; }},
    {"neighbors.*.connect_retry", Effect::live, [](Config& c) { neighbor(c).connect_retry = 1s; }},
    {"neighbors.*.description", Effect::live, [](Config& c) { neighbor(c).description = "x"; }},
    {"neighbors.*.families", Effect::reset,
     [](Config& c) { neighbor(c).families.insert(Family::ipv6); }},
    {"neighbors.*.role", Effect::reset, [](Config& c) { neighbor(c).role = bgp::Role::peer; }},
    {"neighbors.*.role_strict", Effect::reset, [](Config& c) { neighbor(c).role_strict = true; }},
    {"neighbors.*.prefix_limit.kept", Effect::live,
     [](Config& c) { neighbor(c).prefix_limit.kept = 1; }},
    {"neighbors.*.prefix_limit.received", Effect::live,
     [](Config& c) { neighbor(c).prefix_limit.received = 1; }},
    {"neighbors.*.prefix_limit.idle", Effect::live,
     [](Config& c) { neighbor(c).prefix_limit.idle = 1s; }},
    {"neighbors.*.extended_message", Effect::reset,
     [](Config& c) { neighbor(c).extended_message = true; }},
    {"neighbors.*.extended_next_hop", Effect::reset,
     [](Config& c) { neighbor(c).extended_next_hop = true; }},
    {"neighbors.*.add_path", Effect::reset, [](Config& c) { neighbor(c).add_path_receive = true; }},
    {"neighbors.*.graceful_restart.restart_time", Effect::reset,
     [](Config& c) { restarting(c).restart_time = 20s; }},
    {"neighbors.*.graceful_restart.with_health_checks", Effect::live,
     [](Config& c) { restarting(c).restart_with_checks = false; }},
    {"neighbors.*.bfd.interval", Effect::live,
     [](Config& c) {
         watched(c).timing.min_tx = 50ms;
         watched(c).timing.min_rx = 50ms;
     }},
    {"neighbors.*.bfd.multiplier", Effect::live,
     [](Config& c) { watched(c).timing.multiplier = 5; }},
    {"neighbors.*.bfd.multihop", Effect::live, [](Config& c) { watched(c).multihop = 2; }},
    {"neighbors.*.bfd.strict", Effect::live, [](Config& c) { watched(c).strict = true; }},
    {"neighbors.*.bfd.auth.type", Effect::live, authenticate},
    {"neighbors.*.bfd.auth.key_id", Effect::live, authenticate},
    {"neighbors.*.bfd.auth.key_file", Effect::live, authenticate},
    {"neighbors.*.mrt.file", Effect::live, [](Config& c) { neighbor(c).mrt_file = "/tmp/a.mrt"; }},
    {"neighbors.*.services", Effect::live, [](Config& c) { neighbor(c).services = {0}; }},
    {"neighbors.*.export.prepend", Effect::live, [](Config& c) { exported(c).prepend = 1; }},
    {"neighbors.*.export.med", Effect::live, [](Config& c) { exported(c).med = 1; }},
    {"neighbors.*.export.local_pref", Effect::live, [](Config& c) { exported(c).local_pref = 1; }},
    {"neighbors.*.export.communities", Effect::live,
     [](Config& c) { exported(c).communities = {Community{1}}; }},
    {"neighbors.*.export.origin", Effect::live,
     [](Config& c) { exported(c).origin = bgp::Origin::egp; }},
    {"neighbors.*.export.extended_communities", Effect::live,
     [](Config& c) { exported(c).extended_communities = {{1}}; }},
    {"neighbors.*.export.large_communities", Effect::live,
     [](Config& c) { exported(c).large_communities = {{1, 1, 1}}; }},
    {"neighbors.*.export.next_hop.ipv4", Effect::live,
     [](Config& c) { neighbor(c).next_hop_ipv4 = address("192.0.2.2"); }},
    {"neighbors.*.export.next_hop.ipv6", Effect::live,
     [](Config& c) { neighbor(c).next_hop_ipv6 = address("2001:db8::2"); }},
    {"checks.*.template", Effect::filled, nullptr},
    {"checks.*.scope", Effect::live,
     [](Config& c) { c.checks[0].scope = failover::Scope::shared; }},
    {"checks.*.effect", Effect::live,
     [](Config& c) { c.checks[0].effect = failover::Effect::gate; }},
    {"checks.*.on_unknown", Effect::live,
     [](Config& c) { timing(c).on_unknown = health::OnUnknown::hold; }},
    {"checks.*.unknown_hold", Effect::live, [](Config& c) { timing(c).hold_unknown = 1s; }},
    {"checks.*.only_if", Effect::live, [](Config& c) { c.checks[0].only_if = 1; }},
    {"checks.*.interval", Effect::live, [](Config& c) { timing(c).interval = 2s; }},
    {"checks.*.fast_interval", Effect::live, [](Config& c) { timing(c).fast_interval = 10ms; }},
    {"checks.*.timeout", Effect::live, [](Config& c) { timing(c).timeout = 10ms; }},
    {"checks.*.rise", Effect::live, [](Config& c) { timing(c).rise = 1; }},
    {"checks.*.fall", Effect::live, [](Config& c) { timing(c).fall = 1; }},
    {"checks.*.window.failures", Effect::live, [](Config& c) { timing(c).window_failures = 2; }},
    {"checks.*.window.of", Effect::live, [](Config& c) { timing(c).window_of = 20; }},
    {"checks.*.on_event", Effect::live,
     [](Config& c) { timing(c).on_event = health::OnEvent::trust; }},
    {"services.*.prefixes", Effect::live,
     [](Config& c) { service(c).prefixes = blocks_of(prefixes("10.3.0.0/16")); }},
    {"services.*.prefixes_file", Effect::live,
     [](Config& c) { service(c).prefixes_file = "/etc/swerve/p.txt"; }},
    {"services.*.healthy_when", Effect::live,
     [](Config& c) {
         service(c).healthy_when = {health::Expression::Op::any, 0, 0, {service(c).healthy_when}};
     }},
    {"services.*.announce.prepend", Effect::live, [](Config& c) { announced(c).prepend = 1; }},
    {"services.*.announce.med", Effect::live, [](Config& c) { announced(c).med = 1; }},
    {"services.*.announce.local_pref", Effect::live,
     [](Config& c) { announced(c).local_pref = 1; }},
    {"services.*.announce.communities", Effect::live,
     [](Config& c) { announced(c).communities = {Community{1}}; }},
    {"services.*.announce.origin", Effect::live,
     [](Config& c) { announced(c).origin = bgp::Origin::egp; }},
    {"services.*.announce.extended_communities", Effect::live,
     [](Config& c) { announced(c).extended_communities = {{1}}; }},
    {"services.*.drain.graceful_shutdown_for", Effect::live,
     [](Config& c) { service(c).graceful_shutdown_for = 0s; }},
    {"services.*.degraded_when", Effect::live,
     [](Config& c) { service(c).degraded_when = service(c).healthy_when; }},
    {"services.*.degrade.prepend", Effect::live, [](Config& c) { degraded(c).prepend = 1; }},
    {"services.*.degrade.med", Effect::live, [](Config& c) { degraded(c).med = 1; }},
    {"services.*.degrade.local_pref", Effect::live, [](Config& c) { degraded(c).local_pref = 1; }},
    {"services.*.degrade.origin", Effect::live,
     [](Config& c) { degraded(c).origin = bgp::Origin::egp; }},
    {"services.*.degrade.communities", Effect::live,
     [](Config& c) { degraded(c).communities = {Community{1}}; }},
    {"services.*.degrade.extended_communities", Effect::live,
     [](Config& c) { degraded(c).extended_communities = {{1}}; }},
    {"services.*.degrade.large_communities", Effect::live,
     [](Config& c) { degraded(c).large_communities = {{1, 1, 1}}; }},
    {"services.*.drain.degrade_for", Effect::live,
     [](Config& c) { service(c).drain_degraded_for = 1s; }},
    {"services.*.return.degrade_for", Effect::live,
     [](Config& c) { service(c).return_degraded_for = 1s; }},
    {"services.*.damping.profile", Effect::live,
     [](Config& c) { service(c).damping.profile = failover::DampingProfile::junos; }},
    {"services.*.damping.hold_down", Effect::live,
     [](Config& c) { service(c).damping.hold_down = 1s; }},
    {"services.*.damping.changes_per_hour", Effect::live,
     [](Config& c) { service(c).damping.changes_per_hour = 1; }},
    {"damping.profile", Effect::filled, nullptr},
    {"damping.hold_down", Effect::filled, nullptr},
    {"damping.changes_per_hour", Effect::filled, nullptr},
    {"services.*.rto", Effect::live, [](Config& c) { service(c).rto = 1s; }},
    {"services.*.addresses.interface", Effect::live,
     [](Config& c) { service(c).addresses->interface = "dum0"; }},
    {"services.*.addresses.add", Effect::live,
     [](Config& c) { service(c).addresses->add = prefixes("10.1.0.2/32"); }},
    {"services.*.addresses.grace", Effect::live,
     [](Config& c) { service(c).addresses->grace = 2s; }},
    {"hooks.*.run", Effect::live, [](Config& c) { c.hooks[0].argv = {"/bin/false"}; }},
    {"hooks.*.on", Effect::live, [](Config& c) { c.hooks[0].on = {Occasion::drain}; }},
    {"hooks.*.services", Effect::live, [](Config& c) { c.hooks[0].services = {{0}}; }},
    {"hooks.*.timeout", Effect::live, [](Config& c) { c.hooks[0].timeout = 1s; }},
    {"webhooks.*.url", Effect::live, [](Config& c) { c.webhooks[0].url = "http://192.0.2.8/"; }},
    {"webhooks.*.url_file", Effect::live,
     [](Config& c) { c.webhooks[0].url_file = "/etc/swerve/hook"; }},
    {"webhooks.*.on", Effect::live, [](Config& c) { c.webhooks[0].on = {Occasion::drain}; }},
    {"webhooks.*.services", Effect::live, [](Config& c) { c.webhooks[0].services = {{0}}; }},
    {"webhooks.*.timeout", Effect::live, [](Config& c) { c.webhooks[0].timeout = 1s; }},
    {"webhooks.*.attempts", Effect::live, [](Config& c) { c.webhooks[0].attempts = 1; }},
    {"webhooks.*.bearer_file", Effect::live,
     [](Config& c) { c.webhooks[0].bearer_file = "/etc/swerve/token"; }},
    {"services.*.announce.large_communities", Effect::live,
     [](Config& c) { announced(c).large_communities = {{1, 1, 1}}; }},
};

/// Whole paths of all keys that hold a value.
void collect(std::span<const Key> keys, const std::string& above, std::set<std::string>& out) {
    for (const Key& key : keys) {
        const std::string path = above + std::string{key.name};
        if (key.type == Type::map) {
            collect(key.members, path + ".", out);
        } else if (key.type == Type::named_maps) {
            collect(key.members, path + ".*.", out);
        } else if (key.type != Type::not_yet) {
            out.insert(path);
        }
    }
}

TEST_CASE("change: every key of the schema has decided what a reload does with it") {
    std::set<std::string> keys;
    collect(schema(), "", keys);
    for (const Row& row : rows) {
        INFO(row.key);
        CHECK(keys.erase(std::string{row.key}) == 1);
    }
    for (const std::string& key : keys) FAIL_CHECK("no line for " << key);
}

TEST_CASE("change: one key alone is told as this key, and does what its line says") {
    const auto before = load_text(text, "swerve.yaml").value();
    for (const Row& row : rows) {
        if (row.effect == Effect::filled) continue;
        INFO(row.key);
        std::string path{row.key};
        const std::string name = path.find(".range") != path.npos             ? "ranged"
                                 : path.find("graceful_restart") != path.npos ? "restarting"
                                 : path.find(".bfd.") != path.npos            ? "watched"
                                 : path.starts_with("neighbors")              ? "a"
                                 : path.starts_with("checks")                 ? "web"
                                 : path.starts_with("hooks")                  ? "h"
                                 : path.starts_with("webhooks")               ? "w"
                                                                              : "p";
        if (const auto star = path.find('*'); star != std::string::npos) {
            path.replace(star, 1, name);
        }
        Config after = *before;
        row.edit(after);
        const auto change = compare(before, std::make_shared<const Config>(after));
        REQUIRE(change.has_value() == (row.effect != Effect::refused));
        if (!change) {
            REQUIRE(change.error().size() == 1);
            CHECK(change.error()[0].path == path);
            continue;
        }
        CHECK(std::ranges::count((*change)->keys, path, &ChangedKey::path) == 1);
        // A value and the file that it is read from stand for each other; a key of BFD has all
        // three keys of its map.
        CHECK((*change)->keys.size() ==
              (path.find(".auth.") != path.npos                                ? 3
               : path.ends_with("prefixes_file") || path.ends_with("url_file") ? 2
                                                                               : 1));
        std::vector<std::string> resets;
        for (const SessionReset& each : (*change)->resets) resets.push_back(each.neighbor);
        const std::vector<std::string> expected =
            row.effect == Effect::live ? std::vector<std::string>{}
            : row.effect == Effect::reset
                ? std::vector<std::string>{name}
                : std::vector<std::string>{"a", "b", "restarting", "ranged", "watched"};
        CHECK(resets == expected);
    }
}

}  // namespace
}  // namespace swerve::conf
