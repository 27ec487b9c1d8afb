#include <doctest/doctest.h>

#include <string>

#include "swerve/conf/load.hpp"

namespace swerve::conf {
namespace {

const std::string text = R"(site: fra1
local_as: 64500
router_id: 192.0.2.1
owned: [10.0.0.0/8, "2001:db8::/32"]
neighbors:
  a: {address: 192.0.2.254, remote_as: 64496, hold_time: 30s, connect_retry: 2s, export: {next_hop: {ipv6: "2001:db8::1"}}}
  b: {address: 192.0.2.253, remote_as: 64500, passive: true, services: [q]}
bgp: {listen: ["192.0.2.1:179"]}
checks:
  web: {tcp: {endpoint: "10.0.0.1:80"}, rise: 2}
services:
  p: {prefixes: [10.2.0.0/16, "2001:db8:1::/48", 10.1.0.0/16], healthy_when: web}
  q: {prefixes: [10.3.0.0/16], healthy_when: web, drain: {graceful_shutdown_for: 0s}}
)";

Config example() {
    const auto loaded = load_text(text, "swerve.yaml");
    REQUIRE(loaded);
    return **loaded;
}

TEST_CASE("merge: lists add up, service first and each member once; the neighbor's scalars win") {
    const Community a{1};
    const Community b{2};
    const Community c{3};
    const ExportAttributes service{.prepend = 2,
                                   .med = 10,
                                   .local_pref = {},
                                   .communities = {b, a, b},
                                   .large_communities = {{1, 1, 1}}};
    const ExportAttributes neighbor{.prepend = 0,
                                    .med = {},
                                    .local_pref = 300,
                                    .communities = {c, a},
                                    .large_communities = {{1, 1, 1}, {1, 1, 2}}};
    const bgp::RouteAttributes merged = merge(example(), service, neighbor);
    CHECK(merged.origin == bgp::Origin::igp);
    CHECK(merged.prepend == 0);
    CHECK(merged.med == 10U);
    CHECK(merged.local_pref == 300U);
    CHECK(merged.communities == std::vector{b, a, c});
    CHECK(merged.large_communities == std::vector<LargeCommunity>{{1, 1, 1}, {1, 1, 2}});
    CHECK(merge(example(), {}, {}) == bgp::RouteAttributes{});
}

TEST_CASE("merge: a well-known name, its number and what both sides say are one community each") {
    const auto loaded = load_text(R"(site: fra1
local_as: 64500
router_id: 192.0.2.1
owned: [10.0.0.0/8]
neighbors:
  a:
    address: 192.0.2.254
    remote_as: 64496
    export:
      prepend: 0
      communities: ["65535:65281", "64500:1", graceful_shutdown, "64500:2"]
      large_communities: ["64500:2:2", "64500:1:1"]
services:
  p:
    prefixes: [10.1.0.0/16]
    healthy_when: always
    announce:
      prepend: 3
      med: 7
      communities: ["64500:2", no_export, "64500:2", "65535:0", "64500:3"]
      large_communities: ["64500:1:1", "64500:3:3"]
)",
                                  "swerve.yaml");
    REQUIRE(loaded);
    const bgp::RouteAttributes merged =
        merge(**loaded, (*loaded)->services[0].announce, (*loaded)->neighbors[0].attributes);
    std::string communities;
    for (const Community community : merged.communities) communities += community.to_string() + " ";
    // The service's in its order, then what only the neighbor has, in its own.
    CHECK(communities == "64500:2 no_export graceful_shutdown 64500:3 64500:1 ");
    CHECK(merged.large_communities ==
          std::vector<LargeCommunity>{{64500, 1, 1}, {64500, 3, 3}, {64500, 2, 2}});
    CHECK(merged.prepend == 0);
    CHECK(merged.med == 7U);
    CHECK_FALSE(merged.local_pref);
}

TEST_CASE("merge: the community of the site goes with every route; origin is a scalar") {
    Config config = example();
    config.site_community = LargeCommunity{64500, 1, 7};
    const ExportAttributes service{.origin = bgp::Origin::incomplete,
                                   .prepend = {},
                                   .med = {},
                                   .local_pref = {},
                                   .communities = {},
                                   .extended_communities = {{1}, {2}},
                                   .large_communities = {{1, 1, 1}}};
    ExportAttributes neighbor{.origin = bgp::Origin::egp,
                              .prepend = {},
                              .med = {},
                              .local_pref = {},
                              .communities = {},
                              .extended_communities = {{3}, {1}},
                              .large_communities = {{64500, 1, 7}}};
    const bgp::RouteAttributes both = merge(config, service, neighbor);
    CHECK(both.origin == bgp::Origin::egp);
    CHECK(both.extended_communities == std::vector<ExtendedCommunity>{{1}, {2}, {3}});
    CHECK(both.large_communities == std::vector<LargeCommunity>{{1, 1, 1}, {64500, 1, 7}});
    neighbor = {};
    CHECK(merge(config, service, neighbor).origin == bgp::Origin::incomplete);
    CHECK(merge(config, {}, {}).large_communities == std::vector<LargeCommunity>{{64500, 1, 7}});
}

TEST_CASE("carries: a family offered, and a service listed or no list at all") {
    const Config config = example();
    const Neighbor& a = config.neighbors[0];
    const Neighbor& b = config.neighbors[1];
    CHECK(carries(a, 0, Family::ipv4));
    CHECK(carries(a, 0, Family::ipv6));
    CHECK(carries(a, 1, Family::ipv4));
    CHECK_FALSE(carries(b, 0, Family::ipv4));
    CHECK(carries(b, 1, Family::ipv4));
    CHECK_FALSE(carries(b, 1, Family::ipv6));
}

TEST_CASE("site_policy: one block per family and service, in the order of the file") {
    const failover::SitePolicy policy = site_policy(example(), 7);
    CHECK(policy.site == "fra1");
    CHECK(policy.seed == 7);
    CHECK(policy.owned.size() == 2);
    CHECK(policy.neighbors == std::vector<std::string>{"a", "b"});
    REQUIRE(policy.checks.size() == 1);
    CHECK(policy.checks[0].name == "web");
    CHECK(policy.checks[0].tracker.rise == 2);
    REQUIRE(policy.services.size() == 2);
    REQUIRE(policy.services[0].prefixes.size() == 2);
    const bgp::PrefixBlock& ipv4 = *policy.services[0].prefixes[0];
    CHECK(ipv4.family() == Family::ipv4);
    REQUIRE(ipv4.size() == 2);
    CHECK(ipv4.at(0).to_string() == "10.1.0.0/16");
    CHECK(ipv4.at(1).to_string() == "10.2.0.0/16");
    CHECK(policy.services[0].prefixes[1]->family() == Family::ipv6);
    CHECK(policy.services[1].prefixes.size() == 1);
    CHECK(policy.services[0].graceful_shutdown_for == std::chrono::seconds{10});
    CHECK(policy.services[1].graceful_shutdown_for == std::chrono::seconds{0});
}

TEST_CASE("peer_config: what a session needs, and a seed of its own") {
    const Config config = example();
    const bgp::PeerConfig a = peer_config(config, config.neighbors[0], 7);
    CHECK(a.open.local_as.value() == 64500);
    CHECK(a.open.router_id.to_string() == "192.0.2.1");
    CHECK(a.open.remote_as == Asn::from(64496));
    CHECK(a.open.hold_time == std::chrono::seconds{30});
    CHECK(a.open.families == bgp::FamilySet{Family::ipv4, Family::ipv6});
    CHECK(a.connect_retry == std::chrono::seconds{2});
    CHECK_FALSE(a.passive);
    CHECK_FALSE(a.next_hop_ipv4);
    CHECK(a.next_hop_ipv6 == Address::parse("2001:db8::1"));
    const bgp::PeerConfig b = peer_config(config, config.neighbors[1], 7);
    CHECK(b.passive);
    CHECK(a.seed != b.seed);
    CHECK(a.seed == peer_config(config, config.neighbors[0], 7).seed);
    CHECK(a.seed != peer_config(config, config.neighbors[0], 8).seed);
}

TEST_CASE("peer_config: what the OPEN offers") {
    Config config = example();
    Neighbor& neighbor = config.neighbors[0];
    neighbor.local_as = Asn::from(64511);
    neighbor.extended_message = true;
    neighbor.extended_next_hop = true;
    neighbor.add_path_receive = true;
    neighbor.role = bgp::Role::customer;
    neighbor.role_strict = true;
    neighbor.restart_time = std::chrono::seconds{20};
    const bgp::OpenPolicy open = peer_config(config, neighbor, 7).open;
    CHECK(open.local_as == Asn::from(64511));
    CHECK(open.extended_message);
    CHECK(open.ipv4_over_ipv6);
    CHECK(open.add_path_receive);
    CHECK(open.role == bgp::Role::customer);
    CHECK(open.role_strict);
    CHECK(open.restart_time == std::chrono::seconds{20});
    CHECK_FALSE(open.restarting);
    const bgp::OpenPolicy plain = peer_config(config, config.neighbors[1], 7).open;
    CHECK(plain.local_as == Asn::from(64500));
    CHECK_FALSE(plain.extended_message);
    CHECK_FALSE(plain.ipv4_over_ipv6);
    CHECK_FALSE(plain.add_path_receive);
    CHECK_FALSE(plain.role);
    CHECK_FALSE(plain.restart_time);
}

TEST_CASE("peer_config: a link is shared with who is directly connected over IPv6 (RFC 2545 §3)") {
    const auto shared = [](const std::string& keys) {
        const auto loaded = load_text(
            "site: a\nlocal_as: 64500\nrouter_id: 192.0.2.1\n"
            "owned: [10.0.0.0/8]\nneighbors:\n  a: {" +
                keys + "}\n",
            "swerve.yaml");
        REQUIRE(loaded);
        return peer_config(**loaded, (*loaded)->neighbors[0], 1).shared_link;
    };
    CHECK(shared("address: \"2001:db8::2\", remote_as: 64496"));
    CHECK(shared("address: \"2001:db8::2\", remote_as: 64496, ttl_security: 1"));
    CHECK(shared("address: \"2001:db8::2\", remote_as: 64500, local_as: 64501"));
    CHECK(shared("address: \"fe80::2\", interface: eth0, remote_as: 64500"));
    CHECK_FALSE(shared("address: 192.0.2.2, remote_as: 64496"));
    CHECK_FALSE(shared("address: \"2001:db8::2\", remote_as: 64500"));
    CHECK_FALSE(shared("address: \"2001:db8::2\", remote_as: 64496, multihop: 2"));
    CHECK_FALSE(shared("address: \"2001:db8::2\", remote_as: 64496, ttl_security: 2"));
}

TEST_CASE("config: equality leaves out where the file lay, and nothing else that is printed") {
    const Config config = example();
    Config other = config;
    other.file = "elsewhere.yaml";
    CHECK(config == other);
    other.services[0].announce.med = 1;
    CHECK_FALSE(config == other);
}

TEST_CASE("config: services are equal when their blocks hold the same prefixes") {
    const Config config = example();
    Config other = example();
    REQUIRE(config.services[0].prefixes[0] != other.services[0].prefixes[0]);
    CHECK(config == other);
    other.services[0].prefixes.pop_back();
    CHECK_FALSE(config == other);
    other.services[0].prefixes = other.services[1].prefixes;
    CHECK_FALSE(config == other);
    CHECK(count_prefixes(config.services[0]) == 3);
}

TEST_CASE("print: quotes stand only where YAML needs them") {
    Config config = example();
    config.neighbors[0].description = "rack 7: \"a\"";
    config.neighbors[1].description = "no";
    const std::string page = print(config);
    const auto has = [&](const std::string& line) { return page.find(line) != page.npos; };
    CHECK(has("router_id: 192.0.2.1\n"));
    CHECK(has("state_dir: /var/lib/swerve\n"));
    CHECK(has("  listen: [\"192.0.2.1:179\"]\n"));
    CHECK(has("    description: \"rack 7: \\\"a\\\"\"\n"));
    CHECK(has("    description: \"no\"\n"));
    CHECK(has("    prefixes: [10.1.0.0/16, 10.2.0.0/16, \"2001:db8:1::/48\"]\n"));
    CHECK(has("    tcp:\n      endpoint: \"10.0.0.1:80\"\n"));
    CHECK(has("      next_hop:\n        ipv6: \"2001:db8::1\"\n"));
}

TEST_CASE("print: decimal numbers load as they were") {
    for (const std::string number : {"-0.25", "0", "3", "0.000000000000001", "999999999999999.5"}) {
        const std::string probe = "tcp: {endpoint: \"10.0.0.1:80\"}";
        std::string with_number = text;
        with_number.replace(
            with_number.find(probe), probe.size(),
            "metric: {url: \"http://10.0.0.1/\", name: up, at_least: " + number + "}");
        const auto loaded = load_text(with_number, "swerve.yaml");
        REQUIRE(loaded);
        const std::string page = print(**loaded);
        CHECK(page.find("      at_least: " + number + "\n") != page.npos);
        const auto again = load_text(page, "swerve.yaml");
        REQUIRE(again);
        CHECK(**again == **loaded);
    }
}

}  // namespace
}  // namespace swerve::conf
