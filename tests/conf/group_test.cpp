#include <doctest/doctest.h>

#include <chrono>

#include "tests/conf/rig.hpp"

namespace swerve::conf {
namespace {

using namespace std::chrono_literals;

/// The neighbor `a`, alone.
Neighbor member(const std::string& group, const std::string& keys,
                const std::string& listen = "bgp: {listen: [\"192.0.2.1:179\"]}\n") {
    return config_of(head + listen + "groups:\n  g: {" + group + "}\nneighbors:\n  a: {group: g, " +
                     keys + "}\n")
        .neighbors.at(0);
}

TEST_CASE("groups: what the neighbor says itself counts before what its group says") {
    const std::string group = "remote_as: 64496, hold_time: 30s, role: customer, families: [ipv4]";
    const Neighbor quiet = member(group, "address: 192.0.2.2");
    CHECK(quiet.group == "g");
    CHECK(quiet.remote_as == Asn::from(64496));
    CHECK(quiet.hold_time == 30s);
    CHECK(quiet.role == bgp::Role::customer);
    const Neighbor own = member(group, "address: 192.0.2.2, remote_as: 7, hold_time: 9s");
    CHECK(own.remote_as == Asn::from(7));
    CHECK(own.hold_time == 9s);
    CHECK(own.role == bgp::Role::customer);
}

TEST_CASE("groups: maps are completed key by key, at every depth") {
    const Neighbor a = member(
        "remote_as: 64496, prefix_limit: {kept: 5, idle: 1h}, export: {prepend: 2, med: 7, "
        "next_hop: {ipv4: 192.0.2.7, ipv6: \"2001:db8::7\"}}",
        "address: 192.0.2.2, prefix_limit: {kept: 6}, export: {med: 0, next_hop: {ipv4: "
        "self}}");
    CHECK(a.prefix_limit == PrefixLimit{.kept = 6, .received = {}, .idle = 1h});
    CHECK(a.attributes.prepend == 2U);
    CHECK(a.attributes.med == 0U);
    CHECK_FALSE(a.next_hop_ipv4);
    CHECK(a.next_hop_ipv6 == Address::parse("2001:db8::7"));
    CHECK(a.families == bgp::FamilySet{Family::ipv4, Family::ipv6});
}

TEST_CASE("groups: lists of communities add up, those of the group first; other lists do not") {
    const std::string group =
        "remote_as: 64496, families: [ipv6], export: {communities: [\"1:1\", \"1:2\"], "
        "extended_communities: [\"rt:1:1\"], large_communities: [\"1:1:1\"], "
        "next_hop: {ipv4: 192.0.2.7, ipv6: \"2001:db8::7\"}}";
    const Neighbor a = member(group,
                              "address: 192.0.2.2, families: [ipv4, ipv6], export: {communities: "
                              "[\"1:3\", \"1:1\"], extended_communities: [\"rt:1:2\"]}");
    CHECK(a.attributes.communities ==
          std::vector{Community{0x10001}, Community{0x10002}, Community{0x10003}});
    CHECK(a.attributes.extended_communities.size() == 2);
    CHECK(a.attributes.extended_communities.front() == ExtendedCommunity::parse("rt:1:1"));
    CHECK(a.attributes.large_communities == std::vector<LargeCommunity>{{1, 1, 1}});
    CHECK(a.families == bgp::FamilySet{Family::ipv4, Family::ipv6});
}

TEST_CASE("groups: what a neighbor has no use for is not taken over") {
    const std::string group =
        "remote_as: 64496, port: 1179, passive: false, local_address: 192.0.2.1, connect_retry: "
        "1s, range_limit: 3, ttl_security: 1";
    const Neighbor range = member(group, "range: 192.0.2.128/25");
    CHECK(range.passive);
    CHECK(range.range_limit == 3);
    CHECK_FALSE(range.local_address);
    CHECK(range.ttl_security == 1U);
    const Neighbor far = member(group, "address: 192.0.2.2, multihop: 3");
    CHECK(far.port == 1179);
    CHECK(far.multihop == 3U);
    CHECK_FALSE(far.ttl_security);
    const Neighbor near = member("remote_as: 64496, multihop: 3",
                                 "address: 192.0.2.2, "
                                 "ttl_security: 1");
    CHECK_FALSE(near.multihop);
}

TEST_CASE("groups: a fault is told once, whoever and however many belong to the group") {
    const auto told = [](const std::string& group, const std::string& member_keys) {
        std::string text = head + "groups:\n  g: {" + group + "}\nneighbors:\n";
        for (char name = 'a'; name < 'k'; ++name) {
            text += std::string("  ") + name + ": {group: g, address: 192.0.2." +
                    std::to_string(name - 'a' + 10) + member_keys + "}\n";
        }
        return faults_of(text);
    };
    for (const std::string group :
         {"hold_time: 1s", "remote_as: 0", "remote_sa: 1", "export: 5", "export: {med: x}",
          "export: {communities: [x]}", "families: [x]", "families: ipv4", "services: [x]",
          "llgr: {}", "bfd: 5", "bfd: {interval: 9ms}", "bfd: {auth: x}", "address: 192.0.2.9",
          "mrt: {}", "graceful_restart: {restart_time: 0s}", "password_file: /nonexistent/key",
          "export: {next_hop: {ipv4: x}}"}) {
        CAPTURE(group);
        const std::string own = group.starts_with("remote") ? "" : ", remote_as: 64496";
        const Diagnostics faults = told(group, own);
        CAPTURE(joined(faults));
        CHECK(faults.size() == 1);
        if (!faults.empty()) CHECK(faults[0].path.starts_with("groups.g"));
    }
    // What every member lacks is told of every member.
    CHECK(told("hold_time: 9s", "").size() == 10);
}

TEST_CASE("groups: the page names them, and says with each neighbor what holds") {
    const Config config =
        config_of(head + "groups:\n  g: {remote_as: 64496, hold_time: 30s}\n  h: {}\n" +
                  "neighbors:\n  a: {group: g, address: 192.0.2.2}\n  b: {address: 192.0.2.3, "
                  "remote_as: 7}\n");
    const std::string page = print(config);
    CHECK(page.find("    hold_time: 30s\n") != page.npos);
    CHECK(page.find("    group: g\n") != page.npos);
    CHECK(page.ends_with("groups:\n  g: {}\n"));
    CHECK(config_of(page) == config);
}

}  // namespace
}  // namespace swerve::conf
