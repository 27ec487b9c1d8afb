// What neighbors see of a drain (RFC 8326).

#include "tests/speaker/rig.hpp"

namespace swerve::daemon::test {

namespace {

constexpr Community graceful_shutdown{0xffff0000};

std::string site(const std::string& notice) {
    return R"(
site: fra1
local_as: 64500
router_id: 192.0.2.1
owned: [198.51.100.0/23]
neighbors:
  upstream-a: {address: 192.0.2.254, remote_as: 64496}
  reflector: {address: 192.0.2.253, remote_as: 64500}
checks:
  web: {tcp: {endpoint: "192.0.2.1:80"}, rise: 2, fall: 2}
services:
  portal:
    prefixes: [198.51.100.0/24, 198.51.101.0/24]
    healthy_when: web
    announce: {communities: ["64500:200"], local_pref: 200}
    drain: {graceful_shutdown_for: )" +
           notice + "}\n";
}

struct Up : Rig {
    Up() : Rig(site("30s")) {
        begin();
        run_for(10s);
        REQUIRE(table("upstream-a").size() == 2);
        REQUIRE(table("reflector").size() == 2);
    }
    [[nodiscard]] const std::map<Prefix, std::shared_ptr<const bgp::PathAttributes>>& table(
        const std::string& name) {
        return router(name).table();
    }
    [[nodiscard]] bool leaving(const std::string& name) {
        return table(name).size() == 2 && std::ranges::all_of(table(name), [](const auto& each) {
                   return std::ranges::count(each.second->communities, graceful_shutdown) == 1;
               });
    }
    [[nodiscard]] bool full(const std::string& name) {
        return table(name).size() == 2 && std::ranges::all_of(table(name), [](const auto& each) {
                   return std::ranges::count(each.second->communities, graceful_shutdown) == 0;
               });
    }
    void drain() { set(failover::ServiceId{0}, failover::OverrideKind::drain); }
};

}  // namespace

TEST_CASE("speaker: a drain asks traffic to leave before it withdraws, and loses nothing between") {
    Up rig;
    (void)rig.router("upstream-a").take_lost();
    rig.drain();
    CHECK(rig.leaving("upstream-a"));
    CHECK(rig.leaving("reflector"));
    const auto& internal = *rig.table("reflector").begin()->second;
    CHECK(internal.local_pref == 0);
    CHECK(internal.communities.size() == 2);
    CHECK(rig.router("upstream-a").take_lost().empty());
    CHECK(rig.speaker.recorder().records().empty());
    const TimePoint drained = rig.at.now;
    rig.run_for(30s - 1ns);
    CHECK(rig.leaving("upstream-a"));
    rig.run_for(1ns);
    CHECK(rig.table("upstream-a").empty());
    CHECK(rig.table("reflector").empty());
    REQUIRE(rig.speaker.recorder().records().size() == 1);
    CHECK(rig.speaker.recorder().records()[0].verdict == drained + 30s);
    CHECK(rig.speaker.recorder().records()[0].neighbors.size() == 2);
    CHECK(rig.sessions["upstream-a"] == 1);  // a drain is no end of the session
}

TEST_CASE("speaker: a drain makes no route better than it was, nor than degraded ones are") {
    const auto path = [](Up& rig) {
        return rig.table("upstream-a").begin()->second->as_path.length();
    };
    Up rig;
    CHECK(path(rig) == 1);
    rig.drain();
    REQUIRE(rig.leaving("upstream-a"));
    CHECK(path(rig) == 3);  // prepend 2, where `degrade` says nothing
}

TEST_CASE("speaker: the end of a drain announces in full at once") {
    Up rig;
    rig.drain();
    rig.run_for(10s);
    rig.handle(failover::ClearOverrides{failover::ServiceId{0}, std::nullopt});
    CHECK(rig.full("upstream-a"));
    CHECK(*rig.table("reflector").begin()->second->local_pref == 200);
    rig.run_for(1min);
    CHECK(rig.full("upstream-a"));
    CHECK(rig.speaker.recorder().records().empty());
}

TEST_CASE("speaker: a session that comes up during a drain is told that the routes leave") {
    Up rig;
    rig.drain();
    rig.handle(CommandNeighbor{"upstream-a", NeighborCommand::reset, "root", ""});
    CHECK(rig.sessions["upstream-a"] == 2);
    CHECK(rig.leaving("upstream-a"));
}

TEST_CASE("speaker: a reload during a drain keeps its stage and counts its time from the drain") {
    Up longer;
    longer.drain();
    longer.run_for(20s);
    (void)longer.router("upstream-a").take_lost();
    (void)longer.reload(site("40s"));
    CHECK(longer.leaving("upstream-a"));
    CHECK(longer.router("upstream-a").take_lost().empty());
    longer.run_for(20s - 1ns);
    CHECK(longer.leaving("upstream-a"));
    longer.run_for(1ns);
    CHECK(longer.table("upstream-a").empty());

    Up shorter;
    shorter.drain();
    shorter.run_for(20s);
    (void)shorter.reload(site("10s"));
    CHECK(shorter.table("upstream-a").empty());
    CHECK(shorter.speaker.recorder().records().size() == 1);
}

TEST_CASE("speaker: neither a failing check nor the end of the daemon waits for a drain") {
    Up failing;
    failing.drain();
    failing.fails["web"] = true;
    failing.run_for(5s);
    CHECK(failing.table("upstream-a").empty());

    Up ending;
    ending.drain();
    ending.handle(failover::StopAnnouncing{"stopped by SIGTERM"});
    CHECK(ending.table("upstream-a").empty());
}

}  // namespace swerve::daemon::test
