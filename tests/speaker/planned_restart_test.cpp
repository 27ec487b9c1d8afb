// A restart that was asked for in words (RFC 4724): neighbors that keep the routes hear nothing of
// it, and not of its end before it is known what is to be announced.

#include "tests/speaker/rig.hpp"

namespace swerve::daemon::test {

namespace {

const std::string site = R"(
site: fra1
local_as: 64500
router_id: 192.0.2.1
owned: [198.51.100.0/23]
neighbors:
  keeper:
    address: 192.0.2.254
    remote_as: 64496
    graceful_restart: {restart_time: 20s, with_health_checks: true}
  other: {address: 192.0.2.253, remote_as: 64497}
checks:
  web: {tcp: {endpoint: "192.0.2.1:80"}, interval: 1s, rise: 3, fall: 1}
services:
  portal: {prefixes: [198.51.100.0/24], healthy_when: web}
)";

failover::Restored after(Duration silence) {
    failover::Restored restored;
    restored.vanished_at = TimePoint{1h} - silence;  // the rig begins at 1 h
    return restored;
}

}  // namespace

TEST_CASE("planned restart: keepers hear nothing, the others are withdrawn from and told") {
    Rig rig{site};
    rig.begin();
    rig.run_for(10s);
    REQUIRE(rig.holds("keeper", "198.51.100.0/24"));
    CHECK_FALSE(rig.speaker.refuses_planned_restart().has_value());
    (void)rig.router("keeper").take_updates();
    rig.handle(VanishForRestart{});
    CHECK(rig.router("keeper").last_words().find("Cease") == std::string::npos);
    CHECK(rig.router("keeper").take_updates() == 0);
    CHECK(rig.router("other").table().size() == 1);
    rig.handle(failover::StopAnnouncing{"stopped by root: upgrade"});
    CHECK(rig.router("other").table().empty());
    const failover::SavedState saved = rig.speaker.saved(rig.at);
    REQUIRE(saved.damping.size() == 1);
    CHECK(saved.damping[0].shown == failover::Shown::announced);
    CHECK_FALSE(saved.damping[0].damping.withdrawn_at);
    REQUIRE(rig.speaker.recorder().records().size() == 1);
    CHECK(rig.speaker.recorder().records()[0].neighbors.size() == 1);
    rig.handle(EndSessions{"stopped by root: upgrade"});
    CHECK(rig.router("other").last_words().find("upgrade") != std::string::npos);
    CHECK(rig.router("keeper").last_words().find("upgrade") == std::string::npos);
    rig.run_for(1min);
    CHECK(rig.sessions["keeper"] == 1);
}

TEST_CASE("planned restart: refused where no neighbor would keep the routes") {
    Rig rig{site};
    rig.begin();
    rig.handle(CommandNeighbor{"keeper", NeighborCommand::disable, "root", ""});
    rig.run_for(10s);
    CHECK(rig.speaker.refuses_planned_restart()->starts_with("no session is established"));
    std::string plain = site;
    const auto at = plain.find("    graceful_restart");
    plain.erase(at, plain.find('\n', at) - at + 1);
    Rig without{plain};
    without.begin();
    without.run_for(10s);
    CHECK(without.speaker.refuses_planned_restart()->starts_with("no neighbor has"));
}

TEST_CASE("planned restart: the first OPEN says so, and End-of-RIB waits for the verdicts") {
    Rig rig{site, after(5s)};
    rig.begin();
    rig.run_for(500ms);
    const auto& theirs = rig.router("keeper").peer().negotiated();
    REQUIRE(theirs.has_value());
    REQUIRE(theirs->remote_restart.has_value());
    CHECK(theirs->remote_restart->restarting);
    CHECK_FALSE(theirs->remote_restart->notification);
    CHECK(rig.router("keeper").end_of_rib().empty());
    CHECK_FALSE(rig.router("other").end_of_rib().empty());
    rig.run_for(10s);
    CHECK(rig.holds("keeper", "198.51.100.0/24"));
    CHECK(rig.router("keeper").end_of_rib() == bgp::FamilySet{Family::ipv4});

    // Only once.
    rig.handle(CommandNeighbor{"keeper", NeighborCommand::reset, "root", ""});
    REQUIRE(rig.router("keeper").peer().negotiated()->remote_restart.has_value());
    CHECK_FALSE(rig.router("keeper").peer().negotiated()->remote_restart->restarting);
}

TEST_CASE("planned restart: End-of-RIB waits no longer than the neighbor keeps the routes") {
    std::string slow = site;
    slow.replace(slow.find("rise: 3"), 7, "rise: 99");
    Rig rig{slow, after(5s)};
    rig.begin();
    rig.run_for(19s);
    CHECK(rig.router("keeper").end_of_rib().empty());
    rig.run_for(1s);
    CHECK_FALSE(rig.router("keeper").end_of_rib().empty());
    CHECK(rig.router("keeper").table().empty());
}

TEST_CASE("planned restart: too late it is a start like any other, and so is one after a crash") {
    for (const auto& restored : {after(20s), failover::Restored{}}) {
        Rig rig{site, restored};
        rig.begin();
        rig.run_for(500ms);
        REQUIRE(rig.router("keeper").peer().negotiated().has_value());
        CHECK_FALSE(rig.router("keeper").peer().negotiated()->remote_restart->restarting);
        CHECK_FALSE(rig.router("keeper").end_of_rib().empty());
    }
}

TEST_CASE("planned restart: what is kept does not wait for upstreams that damp; too late it does") {
    for (const Duration silence : {5s, 20s}) {
        failover::Restored restored = after(silence);
        const TimePoint vanished = *restored.vanished_at;
        restored.damping.push_back(
            {"portal", {.penalty = 1500, .at = vanished}, failover::Shown::announced});
        Rig rig{site, restored};
        rig.begin();
        rig.run_for(10s);
        CHECK(rig.holds("keeper", "198.51.100.0/24") == (silence < 20s));
    }
}

TEST_CASE("planned restart: a reload before the end of it resets no session") {
    Rig rig{site, after(5s)};
    rig.begin();
    rig.run_for(500ms);
    std::string changed = site;
    changed.replace(changed.find("interval: 1s"), 12, "interval: 2s");
    (void)rig.reload(changed);
    CHECK(rig.router("keeper").end_of_rib().empty());
    rig.run_for(19s);
    CHECK(rig.sessions["keeper"] == 1);
    CHECK_FALSE(rig.router("keeper").end_of_rib().empty());
}

TEST_CASE("planned restart: a reload that resets a neighbor before its first session keeps it") {
    const auto restarted = [](const std::string& from, const std::string& to) {
        auto restored = after(5s);
        restored.disabled_neighbors = {"keeper"};
        Rig rig{site, restored};
        rig.begin();
        rig.run_for(500ms);
        std::string changed = site;
        changed.replace(changed.find(from), from.size(), to);
        (void)rig.reload(changed);
        const std::string name = to.ends_with(':') ? to.substr(0, to.size() - 1) : "keeper";
        rig.handle(CommandNeighbor{name, NeighborCommand::enable, "root", ""});
        rig.run_for(100ms);
        REQUIRE(rig.router(name).peer().negotiated().has_value());
        const bool told = rig.router(name).peer().negotiated()->remote_restart->restarting;
        CHECK(rig.router(name).end_of_rib().empty() == told);
        rig.run_for(10s);
        CHECK(rig.holds(name, "198.51.100.0/24"));
        CHECK_FALSE(rig.router(name).end_of_rib().empty());
        return told;
    };
    CHECK(restarted("restart_time: 20s", "restart_time: 30s"));
    CHECK(restarted("keeper:", "renamed:"));
    // It is another router that answers there.
    CHECK_FALSE(restarted("192.0.2.254", "192.0.2.252"));
}

TEST_CASE("planned restart: a reload that resets a neighbor after its first session ends it") {
    Rig rig{site, after(5s)};
    rig.begin();
    rig.run_for(500ms);
    CHECK(rig.router("keeper").end_of_rib().empty());
    std::string changed = site;
    changed.replace(changed.find("restart_time: 20s"), 17, "restart_time: 30s");
    (void)rig.reload(changed);
    rig.run_for(100ms);
    REQUIRE(rig.router("keeper").peer().negotiated().has_value());
    CHECK_FALSE(rig.router("keeper").peer().negotiated()->remote_restart->restarting);
    CHECK_FALSE(rig.router("keeper").end_of_rib().empty());
}

}  // namespace swerve::daemon::test
