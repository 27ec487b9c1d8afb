// conf::compare by example: what it says about keys, sessions and routes.

#include "swerve/conf/change.hpp"

#include <doctest/doctest.h>

#include <chrono>

#include "swerve/conf/load.hpp"
#include "tests/support/config_maker.hpp"

namespace swerve::conf {
namespace {

using namespace std::chrono_literals;

const std::string text = R"(site: fra1
local_as: 64500
router_id: 192.0.2.1
owned: [10.0.0.0/8, "2001:db8::/32"]
neighbors:
  a: {address: 192.0.2.254, remote_as: 64496, export: {next_hop: {ipv6: "2001:db8::1"}}}
  b: {address: 192.0.2.253, remote_as: 64497, services: [portal]}
checks:
  web: {tcp: {endpoint: "10.0.0.1:80"}}
  app: {tcp: {endpoint: "10.0.0.1:81"}}
services:
  portal: {prefixes: [10.1.0.0/16, 10.2.0.0/16], healthy_when: web}
  shop: {prefixes: [10.3.0.0/16, "2001:db8:1::/48"], healthy_when: {all: [web, app]}}
)";

Config example() { return **load_text(text, "swerve.yaml"); }

Prefix prefix(std::string_view word) { return Prefix::parse(word).value(); }

Result<std::shared_ptr<const Change>, Diagnostics> compared(Config before, Config after) {
    return compare(std::make_shared<const Config>(std::move(before)),
                   std::make_shared<const Config>(std::move(after)));
}

/// The change that `edit` makes to the example.
std::shared_ptr<const Change> change_by(const auto& edit) {
    Config after = example();
    edit(after);
    const auto change = compared(example(), after);
    REQUIRE(change);
    CHECK(*(*change)->after == after);
    return *change;
}

std::string keys_of(const Change& change) {
    std::string out;
    for (const ChangedKey& key : change.keys) {
        out += key.path + ": " + key.before + " -> " + key.after + "\n";
    }
    return out;
}

TEST_CASE("change: a configuration and itself, loaded twice, differ in nothing") {
    const auto change = change_by([](Config&) {});
    CHECK(change->empty());
    CHECK(change->resets.empty());
    CHECK(change->routes.empty());
    CHECK(change->hand_overs.empty());
    CHECK(change->checks == std::vector<std::optional<failover::CheckId>>{0, 1});
    for (std::size_t id = 0; id < 2; ++id) {
        CHECK(change->after->services[id].prefixes == change->before->services[id].prefixes);
    }
}

TEST_CASE("change: keys come in the order of the file, with values as people write them") {
    const auto change = change_by([](Config& config) {
        config.site = "fra2";
        config.neighbors[0].attributes.communities = {Community{(64500U << 16U) + 1}};
        config.neighbors[0].multihop = 2;
        config.checks[1].timing.window_of = 20;
        config.checks[1].probe.fields["endpoint"] = {Endpoint::parse("10.0.0.1:82").value()};
        config.services[1].healthy_when = {health::Expression::Op::check, 1, 0, {}};
        test::ConfigMaker::remove_service(config, 0);
    });
    CHECK(keys_of(*change) ==
          "site: fra1 -> fra2\n"
          "neighbors.a.multihop:  -> 2\n"
          "neighbors.a.export.communities: [] -> [\"64500:1\"]\n"
          "neighbors.b.services: [portal] -> \n"
          "checks.app.tcp.endpoint: \"10.0.0.1:81\" -> \"10.0.0.1:82\"\n"
          "checks.app.window.of: 10 -> 20\n"
          "services.portal.prefixes: [10.1.0.0/16, 10.2.0.0/16] -> \n"
          "services.portal.healthy_when: web -> \n"
          "services.portal.announce.communities: [] -> \n"
          "services.portal.announce.extended_communities: [] -> \n"
          "services.portal.announce.large_communities: [] -> \n"
          "services.portal.degrade.prepend: 2 -> \n"
          "services.portal.degrade.communities: [] -> \n"
          "services.portal.degrade.extended_communities: [] -> \n"
          "services.portal.degrade.large_communities: [] -> \n"
          "services.portal.drain.degrade_for: 0s -> \n"
          "services.portal.drain.graceful_shutdown_for: 10s -> \n"
          "services.portal.return.degrade_for: 0s -> \n"
          "services.portal.damping.profile: cisco -> \n"
          "services.portal.damping.hold_down: 0s -> \n"
          "services.portal.damping.changes_per_hour: 12 -> \n"
          "services.shop.healthy_when: {all: [web, app]} -> app\n");
}

TEST_CASE("change: ids that shift are no change to what refers to them by name") {
    const auto change = change_by([](Config& config) {
        config.services.push_back(config.services[0]);
        config.services.back().name = "new";
        config.services.back().prefixes = blocks_of(std::vector{prefix("10.9.0.0/16")});
        test::ConfigMaker::swap_services(config, 0, 2);
        test::ConfigMaker::swap_services(config, 1, 2);
    });
    REQUIRE(change->after->services[1].name == "portal");
    for (const ChangedKey& key : change->keys) CHECK(key.path.starts_with("services.new."));
    REQUIRE(change->routes.size() == 1);
    CHECK(change->routes[0] == RouteChange{.service = "new", .added = 1});
}

TEST_CASE("change: another order of the same names is a change of the section") {
    const auto change =
        change_by([](Config& config) { std::swap(config.neighbors[0], config.neighbors[1]); });
    CHECK(keys_of(*change) == "neighbors: [a, b] -> [b, a]\n");
    CHECK(change->resets.empty());
}

TEST_CASE("change: a prefixes_file is told by how many prefixes it holds") {
    Config before = example();
    before.services[0].prefixes_file = "/etc/swerve/portal.txt";
    Config after = before;
    const auto keys_with = [&](const std::vector<Prefix>& prefixes) {
        after.services[0].prefixes = blocks_of(prefixes);
        return keys_of(**compared(before, after));
    };
    CHECK(keys_with({prefix("10.1.0.0/16"), prefix("10.2.0.0/16")}).empty());
    CHECK(keys_with({prefix("10.1.0.0/16")}) ==
          "services.portal.prefixes_file: 2 prefixes -> 1 prefix\n");
    CHECK(keys_with({prefix("10.1.0.0/16"), prefix("10.4.0.0/16")}) ==
          "services.portal.prefixes_file: 2 prefixes -> 2 prefixes, not the same\n");
}

TEST_CASE("change: a session is reset for what its OPEN or its connection settled, with reasons") {
    const auto change = change_by([](Config& config) {
        config.router_id = RouterId::parse("192.0.2.9").value();
        config.neighbors[0].hold_time = 30s;
        config.neighbors[0].multihop = 2;
        config.neighbors[0].families = {Family::ipv4};
        config.neighbors[0].next_hop_ipv6.reset();
        config.neighbors[0].description = "is live";
    });
    CHECK(change->resets ==
          std::vector<SessionReset>{
              {"a",
               "router_id changes from 192.0.2.1 to 192.0.2.9; multihop is set to 2; "
               "hold_time changes from 9s to 30s; families changes from [ipv4, ipv6] to [ipv4]"},
              {"b", "router_id changes from 192.0.2.1 to 192.0.2.9"}});
    const auto back = compared(*change->after, *change->before);
    CHECK((*back)->resets[0].reason.find("; multihop 2 is removed; ") != std::string::npos);
}

TEST_CASE("change: a neighbor that is gone loses its session, also to another name") {
    const auto removed =
        change_by([](Config& config) { config.neighbors.erase(config.neighbors.begin()); });
    CHECK(removed->resets == std::vector<SessionReset>{{"a", "is removed", true}});
    const auto renamed = change_by([](Config& config) { config.neighbors[0].name = "c"; });
    CHECK(renamed->resets ==
          std::vector<SessionReset>{{"a", "is removed; its address is now that of c", true}});
}

TEST_CASE("change: routes are told by service, and to whom the kept ones are told anew") {
    const auto change = change_by([](Config& config) {
        test::set_prefixes(config.services[0], {prefix("10.1.0.0/16"), prefix("10.4.0.0/16")});
        config.neighbors[1].attributes.med = 5;
        config.neighbors[0].next_hop_ipv6 = Address::parse("2001:db8::2");
    });
    CHECK(change->routes ==
          std::vector<RouteChange>{
              {.service = "portal", .added = 1, .removed = 1, .kept = 1, .attributes = {"b"}},
              {.service = "shop", .kept = 2, .attributes = {"a"}}});
    REQUIRE(change->hand_overs.size() == 1);
    CHECK(change->hand_overs[0].from == change->before->services[0].prefixes[0]);
    CHECK(change->hand_overs[0].to == change->after->services[0].prefixes[0]);
    CHECK(change->hand_overs[0].ranges == std::vector<bgp::CommonRange>{{{0, 1}, {0, 1}}});
}

TEST_CASE("change: attributes that come from elsewhere but stay the same are no news to anyone") {
    Config before = example();
    before.services[0].announce.med = 5;
    Config after = example();
    for (Neighbor& neighbor : after.neighbors) neighbor.attributes.med = 5;
    const auto change = compared(before, after);
    CHECK((*change)->routes ==
          std::vector<RouteChange>{{.service = "shop", .kept = 2, .attributes = {"a"}}});
}

TEST_CASE("change: who is sent a service that stays, and who no longer, is told") {
    const auto more = change_by([](Config& config) { config.neighbors[1].services.reset(); });
    const std::vector<RouteChange> expected{{.service = "shop", .kept = 2, .attributes = {"b"}}};
    CHECK(more->routes == expected);
    CHECK((*compared(*more->after, *more->before))->routes == expected);
}

TEST_CASE("change: a service under another name shares its blocks and is sent nothing for it") {
    const auto change = change_by([](Config& config) {
        config.services[0].name = "gate";
        config.services[0].prefixes = example().services[0].prefixes;
    });
    CHECK(change->after->services[0].prefixes == change->before->services[0].prefixes);
    CHECK(change->hand_overs.empty());
    CHECK(change->routes == std::vector<RouteChange>{{.service = "gate", .added = 2},
                                                     {.service = "portal", .removed = 2}});
}

TEST_CASE("change: evidence counts on for the same probe under the same name") {
    const auto change = change_by([](Config& config) {
        config.checks[0].timing.rise = 1;
        config.checks[1].probe.fields["endpoint"] = {Endpoint::parse("10.0.0.1:82").value()};
        config.checks.push_back(config.checks[0]);
        config.checks.back().name = "web2";
        std::swap(config.checks[0], config.checks[2]);
    });
    CHECK(change->checks ==
          std::vector<std::optional<failover::CheckId>>{std::nullopt, std::nullopt, 0});
}

TEST_CASE("change: what only a restart can change is refused, all of it at once") {
    Config after = example();
    after.state_dir = "/srv/swerve";
    after.control_socket = "/run/other.sock";
    const auto change = compared(example(), after);
    REQUIRE_FALSE(change);
    REQUIRE(change.error().size() == 2);
    CHECK(change.error()[0].to_string() ==
          "swerve.yaml: state_dir: cannot change from /var/lib/swerve to /srv/swerve while the "
          "daemon runs (hint: restart the daemon, or put the old value back and reload)");
    CHECK(change.error()[1].path == "control.socket");
}

TEST_CASE("change: a collector stays one, with the AS and the identifier that it has told") {
    Config collector = example();
    collector.neighbors.clear();
    collector.checks.clear();
    collector.services.clear();
    const Config nothing = collector;
    collector.collector = Collector{{prefix("127.0.0.0/8")}};
    const auto refused = [](const Config& before, const Config& after) {
        const auto change = compared(before, after);
        std::string paths;
        if (change) return paths;
        for (const Diagnostic& each : change.error()) paths += each.path + " ";
        return paths;
    };
    CHECK(refused(nothing, collector) == "collector.accept ");
    CHECK(refused(collector, nothing) == "collector.accept ");
    Config other = collector;
    other.collector->accept = {prefix("10.0.0.0/8")};
    other.local_as = Asn::from(64501).value();
    other.router_id = RouterId::parse("192.0.2.9").value();
    CHECK(refused(collector, other) == "local_as router_id collector.accept ");
    other = collector;
    other.http_listen = Endpoint::parse("127.0.0.1:9179");
    CHECK(refused(collector, other).empty());
}

TEST_CASE("fingerprint: moves with the probe and with the timing that passes were earned under") {
    const Check check = example().checks[0];
    // A value that was computed once and for all: it is saved by one process and read by another.
    CHECK(fingerprint(check) == 18412078383719602098U);
    const auto same = [&](const auto& edit) {
        Check other = check;
        edit(other);
        return fingerprint(other) == fingerprint(check);
    };
    CHECK(same([](Check& c) { c.name = "other"; }));
    CHECK(same([](Check& c) { c.timing.fast_interval = 1ms; }));
    CHECK(same([](Check& c) { c.timing.on_event = health::OnEvent::trust; }));
    CHECK_FALSE(same([](Check& c) { c.probe.type = "udp"; }));
    CHECK_FALSE(same([](Check& c) { c.probe.fields["more"] = {true}; }));
    CHECK_FALSE(same(
        [](Check& c) { c.probe.fields["endpoint"] = {Endpoint::parse("10.0.0.1:81").value()}; }));
    CHECK_FALSE(same([](Check& c) { c.timing.interval = 2s; }));
    CHECK_FALSE(same([](Check& c) { c.timing.timeout = 1ms; }));
    CHECK_FALSE(same([](Check& c) { c.timing.rise = 6; }));
    CHECK_FALSE(same([](Check& c) { c.timing.fall = 4; }));
    CHECK_FALSE(same([](Check& c) { c.timing.window_failures = 6; }));
    CHECK_FALSE(same([](Check& c) { c.timing.window_of = 11; }));
    Config config = example();
    CHECK(site_policy(config, 1).checks[0].fingerprint == fingerprint(check));
}

}  // namespace
}  // namespace swerve::conf
