// From the speaker to what operations and clients see of neighbors and observed routes.

#include "daemon/describe.hpp"

#include <boost/json/object.hpp>

#include "daemon/operations/observed_view.hpp"
#include "daemon/operations/views.hpp"
#include "tests/speaker/rig.hpp"

namespace swerve::daemon::test {

namespace {

namespace json = boost::json;

const std::string site = R"(
site: fra1
local_as: 64500
router_id: 192.0.2.1
owned: [198.51.100.0/23]
site_community: "64500:1:10"
groups:
  transit: {prefix_limit: {kept: 100, received: 1000}}
neighbors:
  upstream-a:
    {group: transit, address: 192.0.2.254, remote_as: 64496, role: customer}
  upstream-b: {address: 192.0.2.253, remote_as: 64497, admin_down: true}
  clients: {range: 10.0.0.0/8, remote_as: 64498}
bgp: {listen: ["127.0.0.2:1179"]}
checks:
  web: {tcp: {endpoint: "192.0.2.1:80"}, rise: 1, fall: 1}
services:
  portal: {prefixes: [198.51.100.0/24, 198.51.101.0/24], healthy_when: web}
)";

struct Site : Rig {
    explicit Site(const std::string& text = site) : Rig(text) {
        begin();
        run_for(10s);
    }
    [[nodiscard]] Snapshot snapshot(SnapshotRequest request = {}) {
        Snapshot out;
        out.now = at.now;
        out.wall = at.wall;
        describe(speaker, request, out);
        return out;
    }
    [[nodiscard]] json::object neighbor(const std::string& name) {
        return views::neighbors(snapshot(), name).at(0).as_object();
    }
    [[nodiscard]] json::object observed(const std::string& prefix) {
        SnapshotRequest request;
        request.observed = true;
        request.prefix = *Prefix::parse(prefix);
        return views::observed(snapshot(request)).at("observed").as_array().at(0).as_object();
    }
};

}  // namespace

TEST_CASE("describe: a neighbor with what is configured, offered and agreed") {
    Site rig;
    const json::object up = rig.neighbor("upstream-a");
    CHECK(up.at("group") == "transit");
    CHECK(up.at("range").is_null());
    CHECK(up.at("local_as") == 64500);
    CHECK(up.at("admin_down") == false);
    CHECK(up.at("over_limit") == false);
    const json::object limit{{"kept", 100}, {"received", 1000}, {"idle_s", 900.0}};
    CHECK(up.at("prefix_limit") == limit);
    CHECK(up.at("offered").as_object().at("role") == "customer");
    const json::object agreed = up.at("negotiated").as_object();
    CHECK(agreed.at("role") == "customer");
    CHECK(agreed.at("remote_role").is_null());
    CHECK(agreed.at("four_octet_as") == true);
    CHECK(agreed.at("remote_restart").is_null());
    CHECK(up.at("end_of_rib") == json::array{"ipv4"});
    CHECK(up.at("last_notification").is_null());
    const json::object down = rig.neighbor("upstream-b");
    CHECK(down.at("admin_down") == true);
    CHECK(down.at("negotiated").is_null());
    CHECK(down.at("end_of_rib") == json::array{});
}

TEST_CASE("describe: a neighbor with what BFD reported, and whether it waits for it") {
    Site rig{R"(
site: fra1
local_as: 64500
router_id: 192.0.2.1
owned: [198.51.100.0/24]
neighbors:
  upstream-a:
    {address: 192.0.2.254, local_address: 192.0.2.1, remote_as: 64496, bfd: {strict: true}}
bgp: {listen: ["127.0.0.2:1179"]}
)"};
    const NeighborId id = *rig.speaker.neighbors().find("upstream-a");
    CHECK_FALSE(rig.snapshot().neighbors[0].bfd);
    CHECK(rig.snapshot().neighbors[0].waits_for_bfd);
    CHECK(rig.neighbor("upstream-a").at("bfd").at("waits") == true);
    const bfd::Report up{.owner = id, .state = bfd::State::up};
    rig.handle(BfdReported{{.owner = id, .state = bfd::State::init}});
    rig.handle(BfdReported{up});
    CHECK(rig.snapshot().neighbors[0].bfd == up);
    CHECK_FALSE(rig.snapshot().neighbors[0].waits_for_bfd);
    CHECK(rig.neighbor("upstream-a").at("bfd").at("state") == "up");
    // The step on the way up was none to tell of.
    const auto told = rig.told<BfdEvent>();
    REQUIRE(told.size() == 1);
    CHECK(told[0].to == bfd::State::up);
}

TEST_CASE("describe: the words of a NOTIFICATION, made safe") {
    Site rig;
    const NeighborId id = *rig.speaker.neighbors().find("upstream-a");
    rig.handle(PeerInput{
        id, bgp::BytesReceived{Side::dialled, bgp::encode(bgp::cease(2, "back at 18:00\x1b"))}});
    rig.at.now += 2s;
    const json::object last = rig.neighbor("upstream-a").at("last_notification").as_object();
    CHECK(last.at("direction") == "received");
    CHECK(last.at("code") == 6);
    CHECK(last.at("subcode") == 2);
    CHECK(last.at("shutdown_communication") == "back at 18:00\\x1b");
    CHECK(last.at("age_s") == 2.0);
}

TEST_CASE("describe: neighbors of a range stand where their range is configured") {
    Site rig;
    SpeakerOutput out;
    for (const char* address : {"10.0.0.2", "10.0.0.1"}) {
        REQUIRE(rig.speaker.admit(rig.at, *Address::parse(address), {}, out).has_value());
    }
    const Snapshot snapshot = rig.snapshot();
    std::vector<std::string> names;
    for (const NeighborView& each : snapshot.neighbors) names.push_back(each.name);
    CHECK(names == std::vector<std::string>{"upstream-a", "upstream-b", "clients-10.0.0.1",
                                            "clients-10.0.0.2"});
    CHECK(rig.neighbor("clients-10.0.0.1").at("range") == "clients");
}

TEST_CASE("describe: what neighbors say about our prefixes (BGP.md 1.1)") {
    Site rig;
    // The neighbor holds the prefix from us and would not tell another route.
    CHECK(rig.observed("198.51.100.0/24").at("visibility") == "not_observable");
    rig.fails["web"] = true;
    rig.run_for(5s);
    CHECK(rig.observed("198.51.100.0/24").at("visibility") == "not_seen");
    rig.router("upstream-a").tell({"198.51.100.0/24", "198.51.101.128/25"});
    rig.settle();
    const json::object seen = rig.observed("198.51.100.0/24");
    CHECK(seen.at("visibility") == "seen");
    const json::object route = seen.at("routes").as_array().at(0).as_object();
    CHECK(route.at("neighbor") == "upstream-a");
    CHECK(route.at("as_path") == "64496");
    CHECK(route.at("site").is_null());
    const json::object other = rig.observed("198.51.101.0/24");
    CHECK(other.at("visibility") == "not_seen");
    CHECK(other.at("inside").as_array().size() == 1);
}

TEST_CASE("describe: the limit on observed prefixes cuts the rest off") {
    Site rig;
    SnapshotRequest request;
    request.observed = true;
    request.observed_limit = 1;
    const Snapshot cut = rig.snapshot(request);
    CHECK(cut.observed.size() == 1);
    CHECK(cut.observed_cut);
    request.observed_limit = 2;
    CHECK_FALSE(rig.snapshot(request).observed_cut);
    CHECK(rig.snapshot().observed.empty());
}

}  // namespace swerve::daemon::test
