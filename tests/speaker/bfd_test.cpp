// What BFD does to the sessions of BGP, and what it does not.

#include "tests/speaker/rig.hpp"

namespace swerve::daemon::test {

namespace {

std::string site(const std::string& bfd, const std::string& more = {}) {
    return R"(
site: fra1
local_as: 64500
router_id: 192.0.2.1
owned: [198.51.100.0/23]
neighbors:
  upstream-a: {address: 192.0.2.254, remote_as: 64496, local_address: 192.0.2.1)" +
           bfd + more + R"(}
  upstream-b: {address: 192.0.2.253, remote_as: 64497}
checks:
  web: {tcp: {endpoint: "192.0.2.1:80"}, rise: 1, fall: 1}
services:
  portal: {prefixes: [198.51.100.0/24], healthy_when: web}
)";
}

constexpr auto with_bfd = ", bfd: {}";
constexpr auto strict = ", bfd: {strict: true}";

struct Site : Rig {
    explicit Site(const std::string& text) : Rig(text) {
        begin();
        run_for(10s);
    }
    [[nodiscard]] NeighborId id(const std::string& name) const {
        return *speaker.neighbors().find(name);
    }
    [[nodiscard]] const Neighbor& neighbor(const std::string& name) const {
        return *speaker.neighbors().find(id(name));
    }
    [[nodiscard]] bool up(const std::string& name) const {
        return neighbor(name).peer.state() == bgp::State::established;
    }
    /// The bfd loop tells that the session with upstream-a is so.
    void report(bfd::State state, bfd::Cause cause, bool neighbor_admin_down = false) {
        handle(BfdReported{{.owner = id("upstream-a"),
                            .state = state,
                            .cause = cause,
                            .neighbor_diagnostic = bfd::Diagnostic::detection_time_expired,
                            .neighbor_admin_down = neighbor_admin_down,
                            .detection_time = 900ms}});
    }
    void come_up() {
        report(bfd::State::down, bfd::Cause::came_up);
        report(bfd::State::init, bfd::Cause::neighbor_agrees);
        report(bfd::State::up, bfd::Cause::came_up);
    }
};

}  // namespace

TEST_CASE("speaker bfd: a failure ends the session with Cease 6/10 in the same turn") {
    for (const auto cause :
         {bfd::Cause::detection_time_expired, bfd::Cause::neighbor_signaled_down}) {
        Site rig{site(with_bfd)};
        rig.come_up();
        REQUIRE(rig.holds("upstream-a", "198.51.100.0/24"));
        rig.events.clear();
        rig.report(bfd::State::down, cause);
        CHECK_FALSE(rig.up("upstream-a"));
        CHECK_FALSE(rig.holds("upstream-a", "198.51.100.0/24"));
        CHECK(rig.up("upstream-b"));
        const auto ended = rig.told<SessionEvent>();
        REQUIRE(ended.size() == 1);
        CHECK(ended[0].notification_sent);
        CHECK(ended[0].notification == bgp::cease(bgp::subcode::bfd_down));
        const auto told = rig.told<BfdEvent>();
        REQUIRE(told.size() == 1);
        CHECK(told[0].name == "upstream-a");
        CHECK(told[0].from == bfd::State::up);
        CHECK(told[0].to == bfd::State::down);
        CHECK(told[0].reason == (cause == bfd::Cause::detection_time_expired
                                     ? "nothing arrived for 900ms"
                                     : "the neighbor says Down: Control Detection Time Expired"));
        const auto& by = rig.neighbor("upstream-a").ended_by;
        REQUIRE(by.has_value());
        CHECK(by->notification == bgp::cease(bgp::subcode::bfd_down));
        // BGP does not wait for BFD.
        rig.run_for(10s);
        CHECK(rig.up("upstream-a"));
        CHECK_FALSE(rig.neighbor("upstream-a").ended_by);
        rig.handle(PeerInput{rig.id("upstream-a"), bgp::TcpFailed{bgp::Side::dialled, "gone"}});
        CHECK_FALSE(rig.neighbor("upstream-a").ended_by);
        CHECK(rig.sessions["upstream-a"] == 2);
    }
}

TEST_CASE("speaker bfd: what is no failure of the path leaves BGP alone") {
    for (const auto cause : {bfd::Cause::neighbor_admin_down, bfd::Cause::admin_down,
                             bfd::Cause::path_down, bfd::Cause::came_up}) {
        for (const auto* mode : {with_bfd, strict}) {
            Site rig{site(mode)};
            rig.come_up();
            rig.run_for(10s);
            REQUIRE(rig.up("upstream-a"));
            rig.report(bfd::State::down, cause);
            rig.run_for(1min);
            CHECK(rig.sessions["upstream-a"] == 1);
            CHECK(rig.up("upstream-a"));
        }
    }
}

TEST_CASE("speaker bfd: a session that never was Up fails nothing") {
    Site rig{site(with_bfd)};
    rig.report(bfd::State::down, bfd::Cause::came_up);
    rig.report(bfd::State::init, bfd::Cause::neighbor_agrees);
    rig.report(bfd::State::down, bfd::Cause::detection_time_expired);
    rig.run_for(1min);
    CHECK(rig.up("upstream-a"));
    CHECK(rig.sessions["upstream-a"] == 1);
}

TEST_CASE("speaker bfd: strict waits for Up, at the beginning and after a failure") {
    Site rig{site(strict)};
    CHECK(rig.sessions["upstream-a"] == 0);
    CHECK(rig.neighbor("upstream-a").waits_for_bfd());
    CHECK(rig.up("upstream-b"));
    for (const auto command : {NeighborCommand::enable, NeighborCommand::reset}) {
        rig.handle(CommandNeighbor{"upstream-a", command, "root", ""});
        rig.run_for(10s);
        CHECK(rig.sessions["upstream-a"] == 0);
    }
    rig.come_up();
    rig.run_for(10s);
    CHECK(rig.up("upstream-a"));
    rig.report(bfd::State::down, bfd::Cause::detection_time_expired);
    CHECK_FALSE(rig.up("upstream-a"));
    rig.run_for(5min);
    CHECK(rig.sessions["upstream-a"] == 1);
    rig.come_up();
    rig.run_for(10s);
    CHECK(rig.up("upstream-a"));
    CHECK(rig.sessions["upstream-a"] == 2);
}

TEST_CASE("speaker bfd: strict does not wait for a neighbor that has switched BFD off") {
    Site rig{site(strict)};
    rig.report(bfd::State::down, bfd::Cause::came_up, true);
    rig.run_for(10s);
    CHECK(rig.up("upstream-a"));
}

TEST_CASE("speaker bfd: strict waits with a session that would begin again by itself") {
    Site rig{site(strict)};
    rig.report(bfd::State::down, bfd::Cause::came_up, true);
    rig.run_for(10s);
    REQUIRE(rig.up("upstream-a"));
    // It speaks BFD again, and its session stands; what follows that one waits.
    rig.report(bfd::State::down, bfd::Cause::came_up);
    rig.run_for(10s);
    CHECK(rig.up("upstream-a"));
    rig.handle(PeerInput{rig.id("upstream-a"), bgp::TcpFailed{bgp::Side::dialled, "gone"}});
    CHECK_FALSE(rig.up("upstream-a"));
    rig.run_for(5min);
    CHECK(rig.sessions["upstream-a"] == 1);
    rig.come_up();
    rig.run_for(10s);
    CHECK(rig.sessions["upstream-a"] == 2);
}

TEST_CASE("speaker bfd: whoever is not strict any more begins at once") {
    Site rig{site(strict)};
    REQUIRE(rig.sessions["upstream-a"] == 0);
    (void)rig.reload(site(with_bfd));
    rig.run_for(10s);
    CHECK(rig.up("upstream-a"));
    // To become so ends nothing.
    (void)rig.reload(site(strict));
    rig.run_for(1min);
    CHECK(rig.sessions["upstream-a"] == 1);
}

TEST_CASE("speaker bfd: the sessions that are wanted follow neighbors, commands and reloads") {
    Site rig{site(", bfd: {interval: 50ms, multihop: 3}")};
    const auto wanted = [&] { return rig.speaker.bfd_sessions(); };
    REQUIRE(wanted().size() == 1);
    CHECK(wanted()[0].owner == rig.id("upstream-a"));
    CHECK(wanted()[0].key ==
          bfd::SessionKey{*Address::parse("192.0.2.1"), *Address::parse("192.0.2.254"), "", true});
    CHECK(wanted()[0].hops == 3);
    CHECK(wanted()[0].timing == bfd::Timing{50ms, 50ms, 3});
    const auto command = [&](NeighborCommand what) {
        rig.handle(CommandNeighbor{"upstream-a", what, "root", ""});
    };
    // Each end leaves the BGP session's last words a second to arrive, and tells nobody anything.
    const auto leaves = [&] {
        REQUIRE(wanted().size() == 1);
        CHECK_FALSE(rig.speaker.neighbors().find(wanted()[0].owner));
        rig.run_for(999ms);
        CHECK(wanted().size() == 1);
        rig.run_for(1ms);
        CHECK(wanted().empty());
    };
    command(NeighborCommand::disable);
    leaves();
    command(NeighborCommand::enable);
    CHECK(wanted().size() == 1);
    command(NeighborCommand::disable);
    command(NeighborCommand::enable);
    CHECK(wanted()[0].owner == rig.id("upstream-a"));
    rig.run_for(10s);
    CHECK(wanted().size() == 1);
    (void)rig.reload(site(", bfd: {interval: 50ms, multihop: 3}", ", admin_down: true"));
    leaves();
    (void)rig.reload(site(""));
    CHECK(wanted().empty());
    (void)rig.reload(site(with_bfd));
    CHECK(wanted().size() == 1);
    // One of another kind takes its place at once.
    (void)rig.reload(site(", bfd: {multihop: 3}"));
    REQUIRE(wanted().size() == 2);
    CHECK(wanted()[0].owner == rig.id("upstream-a"));
    CHECK(wanted()[0].key.multihop);
    rig.run_for(1s);
    CHECK(wanted().size() == 1);
}

TEST_CASE("speaker bfd: what was Up when a neighbor was switched off is so no more") {
    for (const bool by_command : {true, false}) {
        Site rig{site(strict)};
        rig.come_up();
        rig.run_for(10s);
        REQUIRE(rig.up("upstream-a"));
        rig.events.clear();
        if (by_command) {
            rig.handle(CommandNeighbor{"upstream-a", NeighborCommand::disable, "root", ""});
        } else {
            (void)rig.reload(site(strict, ", admin_down: true"));
        }
        rig.run_for(2s);
        CHECK_FALSE(rig.neighbor("upstream-a").bfd);
        const auto told = rig.told<BfdEvent>();
        REQUIRE(told.size() == 1);
        CHECK(told[0].from == bfd::State::up);
        CHECK(told[0].reason == "switched off here");
        if (by_command) {
            rig.handle(CommandNeighbor{"upstream-a", NeighborCommand::enable, "root", ""});
        } else {
            (void)rig.reload(site(strict));
        }
        rig.run_for(10s);
        CHECK(rig.sessions["upstream-a"] == 1);
        CHECK(rig.neighbor("upstream-a").waits_for_bfd());
        rig.come_up();
        rig.run_for(10s);
        CHECK(rig.sessions["upstream-a"] == 2);
    }
}

TEST_CASE("speaker bfd: strict cuts no pause short that a limit of prefixes asked for") {
    const std::string limit = ", prefix_limit: {received: 1, idle: 15m}";
    Site rig{site(strict, limit)};
    rig.come_up();
    rig.run_for(10s);
    REQUIRE(rig.up("upstream-a"));
    rig.router("upstream-a").tell({"203.0.113.0/25", "203.0.113.128/25"});
    rig.settle();
    REQUIRE_FALSE(rig.up("upstream-a"));
    // The neighbor begins its BFD anew with every session of BGP.
    rig.report(bfd::State::down, bfd::Cause::neighbor_signaled_down);
    rig.come_up();
    rig.run_for(14min);
    CHECK(rig.sessions["upstream-a"] == 1);
    rig.run_for(2min);
    CHECK(rig.sessions["upstream-a"] == 2);
}

TEST_CASE("speaker bfd: a daemon that ends begins nothing that strict had held back") {
    const std::string keeps = ", graceful_restart: {restart_time: 60s, with_health_checks: true}";
    for (const SpeakerEvent& end :
         {SpeakerEvent{VanishForRestart{}}, SpeakerEvent{EndSessions{"stopped"}}}) {
        Site rig{site(strict, keeps)};
        rig.handle(end);
        rig.come_up();
        rig.run_for(10s);
        CHECK(rig.sessions["upstream-a"] == 0);
    }
}

TEST_CASE("speaker bfd: a session of BGP that a reload ends leaves that of BFD alone") {
    Site rig{site(strict)};
    rig.come_up();
    rig.run_for(10s);
    const NeighborId before = rig.id("upstream-a");
    rig.events.clear();
    (void)rig.reload(site(strict, ", hold_time: 30s"));
    const NeighborId after = rig.id("upstream-a");
    REQUIRE(before != after);
    CHECK(rig.speaker.bfd_sessions()[0].owner == after);
    // Known at once, so that strict waits for nothing; the loop says it again to the new owner.
    rig.report(bfd::State::up, bfd::Cause::came_up);
    CHECK(rig.told<BfdEvent>().empty());
    rig.run_for(10s);
    CHECK(rig.up("upstream-a"));
    CHECK(rig.sessions["upstream-a"] == 2);
}

TEST_CASE("speaker bfd: a planned restart leaves BFD to the end of the process") {
    // AdminDown before the neighbor knows that the session is over is a failure to some.
    Site rig{site(with_bfd, ", graceful_restart: {restart_time: 60s, with_health_checks: true}")};
    rig.come_up();
    rig.handle(VanishForRestart{});
    CHECK_FALSE(rig.up("upstream-a"));
    CHECK(rig.speaker.bfd_sessions().size() == 1);
    // What the neighbor's BFD makes of it begins nothing.
    rig.report(bfd::State::down, bfd::Cause::neighbor_signaled_down);
    rig.run_for(1min);
    CHECK(rig.sessions["upstream-a"] == 1);
}

TEST_CASE("speaker bfd: what the loop tells of nobody does nothing") {
    Site rig{site(with_bfd)};
    rig.come_up();
    rig.events.clear();
    rig.handle(BfdReported{{.owner = 4711, .state = bfd::State::up}});
    rig.handle(BfdReported{{.owner = rig.id("upstream-b"), .state = bfd::State::up}});
    CHECK(rig.told<BfdEvent>().empty());
    CHECK_FALSE(rig.neighbor("upstream-b").bfd);
    CHECK(rig.up("upstream-b"));
}

}  // namespace swerve::daemon::test
