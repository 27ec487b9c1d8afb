// Neighbors that are kept down, told too much, speak with another AS of ours, or say why they go.

#include "tests/speaker/rig.hpp"

namespace swerve::daemon::test {

namespace {

std::string site(const std::string& upstream_a) {
    return R"(
site: fra1
local_as: 64500
router_id: 192.0.2.1
owned: [198.51.100.0/23]
neighbors:
  upstream-a: {address: 192.0.2.254, remote_as: 64496)" +
           upstream_a + R"(}
  upstream-b: {address: 192.0.2.253, remote_as: 64497}
checks:
  web: {tcp: {endpoint: "192.0.2.1:80"}, rise: 1, fall: 1}
services:
  portal: {prefixes: [198.51.100.0/24], healthy_when: web}
)";
}

struct Site : Rig {
    explicit Site(const std::string& upstream_a) : Rig(site(upstream_a)) {
        begin();
        run_for(10s);
    }
    [[nodiscard]] const Neighbor& neighbor(const std::string& name) const {
        return *speaker.neighbors().find(*speaker.neighbors().find(name));
    }
    [[nodiscard]] bool up(const std::string& name) const {
        return neighbor(name).peer.state() == bgp::State::established;
    }
};

}  // namespace

TEST_CASE("speaker: admin_down is lifted by the configuration alone") {
    Site rig{", admin_down: true"};
    CHECK_FALSE(rig.up("upstream-a"));
    CHECK(rig.up("upstream-b"));
    for (const auto command : {NeighborCommand::enable, NeighborCommand::reset}) {
        rig.handle(CommandNeighbor{"upstream-a", command, "root", ""});
        rig.run_for(1min);
        CHECK(rig.sessions["upstream-a"] == 0);
    }
    (void)rig.reload(site(""));
    rig.run_for(10s);
    CHECK(rig.up("upstream-a"));
    CHECK(rig.holds("upstream-a", "198.51.100.0/24"));
    (void)rig.reload(site(", admin_down: true"));
    rig.run_for(1min);
    CHECK_FALSE(rig.up("upstream-a"));
    CHECK(rig.sessions["upstream-a"] == 1);
    CHECK(rig.sessions["upstream-b"] == 1);
}

TEST_CASE("speaker: what an operator disabled stays so when admin_down is lifted") {
    Site rig{", admin_down: true"};
    rig.handle(CommandNeighbor{"upstream-a", NeighborCommand::disable, "root", ""});
    (void)rig.reload(site(""));
    rig.run_for(1min);
    CHECK(rig.sessions["upstream-a"] == 0);
    CHECK(rig.speaker.saved(rig.at).disabled_neighbors == std::vector<std::string>{"upstream-a"});
}

TEST_CASE("speaker: kept routes may take so many octets, however few they are") {
    std::string text = site(", prefix_limit: {kept: 60000, idle: 60s}");
    text.replace(text.find("198.51.100.0/23"), 15, "198.51.0.0/16");
    Rig rig{text};
    rig.begin();
    rig.run_for(1s);
    bgp::RouteAttributes large;
    for (std::uint32_t i = 0; i < 300; ++i) large.large_communities.push_back({1, 2, i});
    const auto route = std::make_shared<const bgp::RouteAttributes>(large);
    const auto tell = [&](std::uint32_t first, std::uint32_t count) {
        std::vector<Prefix> prefixes;
        for (std::uint32_t i = first; i < first + count; ++i) {
            prefixes.push_back(*Prefix::masked(Address::v4(0xc6330000U + i), 32));
        }
        const auto block = std::make_shared<const bgp::PrefixBlock>(prefixes);
        rig.router("upstream-a").peer().rib_out().advertise(block, block->all(), route);
        rig.settle();
    };
    const NeighborId id = *rig.speaker.neighbors().find("upstream-a");
    tell(0, 1000);
    const std::size_t each = rig.speaker.rib_in().kept_octets(id) / 1000;
    REQUIRE(each > 300 * 12);
    const auto most = static_cast<std::uint32_t>((std::size_t{64} << 20U) / each);
    tell(1000, most - 1000);
    CHECK(rig.told<PrefixLimitEvent>().empty());
    tell(most, 1);
    const auto events = rig.told<PrefixLimitEvent>();
    REQUIRE(events.size() == 1);
    CHECK(events[0].of == PrefixLimitEvent::Of::kept_octets);
    CHECK(events[0].told == (most + 1) * each);
    CHECK(events[0].limit == std::size_t{64} << 20U);
    const Neighbor& neighbor = *rig.speaker.neighbors().find(id);
    CHECK(neighbor.over_limit);
    CHECK(neighbor.peer.state() == bgp::State::idle);
    CHECK(neighbor.last_notification->notification == bgp::cease(bgp::subcode::max_prefixes));
}

TEST_CASE("speaker: too many prefixes end the session with Cease 6/1 and a pause (RFC 4486)") {
    for (const std::string limit : {"kept: 2", "received: 2"}) {
        CAPTURE(limit);
        Site rig{", prefix_limit: {" + limit + ", idle: 60s}"};
        rig.router("upstream-a").tell({"198.51.100.0/25", "198.51.100.128/25"});
        rig.settle();
        CHECK(rig.up("upstream-a"));  // as many as it may
        rig.router("upstream-a").tell({"198.51.101.0/25"});
        rig.settle();
        CHECK_FALSE(rig.up("upstream-a"));
        CHECK(rig.up("upstream-b"));
        const auto events = rig.told<PrefixLimitEvent>();
        REQUIRE(events.size() == 1);
        CHECK(events[0].name == "upstream-a");
        CHECK((events[0].of == PrefixLimitEvent::Of::kept) == limit.starts_with("kept"));
        CHECK(events[0].told == 3);
        CHECK(events[0].limit == 2);
        const auto& last = rig.neighbor("upstream-a").last_notification;
        REQUIRE(last.has_value());
        CHECK(last->sent);
        // Cease/Maximum Number of Prefixes Reached: AFI 1, SAFI 1, limit 2.
        CHECK(last->notification ==
              bgp::Notification{bgp::ErrorCode::cease, 1, Bytes{0, 1, 1, 0, 0, 0, 2}});
        CHECK(rig.neighbor("upstream-a").over_limit);
        rig.run_for(59s);
        CHECK(rig.sessions["upstream-a"] == 1);
        rig.run_for(20s);
        CHECK(rig.sessions["upstream-a"] >= 2);  // it tells as much again, and ends again
        CHECK(rig.told<PrefixLimitEvent>().size() >= 2);
    }
}

TEST_CASE("speaker: routes that do not concern us count as received, and not as kept") {
    Site rig{", prefix_limit: {kept: 1}"};
    rig.router("upstream-a").tell({"203.0.113.0/24", "192.0.2.0/24", "198.51.100.0/25"});
    rig.settle();
    CHECK(rig.up("upstream-a"));
    const NeighborId id = *rig.speaker.neighbors().find("upstream-a");
    CHECK(rig.speaker.rib_in().kept(id) == 1);
    CHECK(rig.speaker.rib_in().received(id) == 3);
}

TEST_CASE("speaker: another limit holds at once, and ends the pause of the old one") {
    Site rig{", prefix_limit: {kept: 5}"};
    rig.router("upstream-a").tell({"198.51.100.0/25", "198.51.100.128/25"});
    rig.settle();
    CHECK(rig.up("upstream-a"));
    (void)rig.reload(site(", prefix_limit: {kept: 1, idle: 1h}"));
    CHECK_FALSE(rig.up("upstream-a"));
    rig.run_for(1min);
    CHECK(rig.sessions["upstream-a"] == 1);
    (void)rig.reload(site(", prefix_limit: {kept: 2}"));
    rig.run_for(10s);
    CHECK(rig.up("upstream-a"));
    CHECK(rig.sessions["upstream-a"] == 2);
}

TEST_CASE("speaker: a session speaks for the AS its neighbor is configured with") {
    Site external{", local_as: 65010"};
    CHECK(external.router("upstream-a").peer().negotiated()->remote_as == *Asn::from(65010));
    CHECK(external.router("upstream-b").peer().negotiated()->remote_as == *Asn::from(64500));
    const auto& route = *external.router("upstream-a").table().begin()->second;
    CHECK(route.as_path.first() == *Asn::from(65010));

    Site internal{", local_as: 64496"};
    CHECK(internal.router("upstream-a").peer().negotiated()->internal);
    CHECK(internal.router("upstream-a").table().begin()->second->local_pref.has_value());
}

TEST_CASE("speaker: the words of the last NOTIFICATION are kept, of both sides (RFC 9003)") {
    Site rig{""};
    rig.handle(CommandNeighbor{"upstream-a", NeighborCommand::reset, "root", "new filters"});
    const auto& sent = rig.neighbor("upstream-a").last_notification;
    REQUIRE(sent.has_value());
    CHECK(sent->sent);
    CHECK(bgp::shutdown_communication(sent->notification) == "new filters");
    CHECK(rig.router("upstream-a").last_words().find("new filters") != std::string::npos);

    const NeighborId id = *rig.speaker.neighbors().find("upstream-b");
    rig.handle(
        PeerInput{id, bgp::BytesReceived{Side::dialled, bgp::encode(bgp::cease(2, "bye\x07"))}});
    const auto& received = rig.neighbor("upstream-b").last_notification;
    REQUIRE(received.has_value());
    CHECK_FALSE(received->sent);
    CHECK(bgp::shutdown_communication(received->notification) == "bye\\x07");
}

TEST_CASE("speaker: End-of-RIB of a neighbor is remembered for its session") {
    Site rig{""};
    CHECK(rig.neighbor("upstream-a").end_of_rib == bgp::FamilySet{Family::ipv4});
    rig.handle(CommandNeighbor{"upstream-a", NeighborCommand::disable, "root", ""});
    rig.handle(CommandNeighbor{"upstream-a", NeighborCommand::enable, "root", ""});
    rig.run_for(10s);
    CHECK(rig.neighbor("upstream-a").end_of_rib == bgp::FamilySet{Family::ipv4});
}

}  // namespace swerve::daemon::test
