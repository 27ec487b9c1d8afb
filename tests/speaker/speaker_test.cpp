#include "daemon/speaker/speaker.hpp"

#include "tests/speaker/rig.hpp"

namespace swerve::daemon::test {

namespace {

const std::string site = R"(
site: fra1
local_as: 64500
router_id: 192.0.2.1
owned: [198.51.100.0/23, 203.0.113.0/24]
neighbors:
  upstream-a: {address: 192.0.2.254, remote_as: 64496}
  upstream-b: {address: 192.0.2.253, remote_as: 64497}
checks:
  web: {tcp: {endpoint: "192.0.2.1:80"}, rise: 2, fall: 2}
services:
  portal: {prefixes: [198.51.100.0/24, 198.51.101.0/24], healthy_when: web}
)";

/// A site that announces.
struct Up : Rig {
    Up() : Rig(site) {
        begin();
        run_for(10s);
        REQUIRE(holds("upstream-a", "198.51.100.0/24"));
        REQUIRE(holds("upstream-b", "198.51.101.0/24"));
    }
};

}  // namespace

TEST_CASE("speaker: a verdict reaches every neighbor, and the record of a failover is complete") {
    Up rig;
    rig.fails["web"] = true;
    rig.run_for(5s);
    CHECK_FALSE(rig.holds("upstream-a", "198.51.100.0/24"));
    CHECK_FALSE(rig.holds("upstream-b", "198.51.100.0/24"));
    const failover::FailoverRecord& record = rig.speaker.recorder().records().front();
    REQUIRE(record.neighbors.size() == 2);
    CHECK(record.neighbors[0].name == "upstream-a");
    CHECK(record.neighbors[1].name == "upstream-b");
    CHECK(record.prefixes == 2);
    rig.handle(WithdrawalsWritten{record.neighbors[0].neighbor, rig.at.now});
    rig.handle(WithdrawalsWritten{record.neighbors[1].neighbor, rig.at.now});
    rig.handle(WithdrawalsAcknowledged{record.neighbors[0].neighbor, rig.at.now});
    CHECK(rig.told<FailoverCompleted>().empty());
    rig.handle(WithdrawalsAcknowledged{record.neighbors[1].neighbor, rig.at.now});
    CHECK(rig.told<FailoverCompleted>().size() == 1);
}

TEST_CASE("speaker: a disabled neighbor loses its session until it is enabled") {
    Up rig;
    rig.saved = false;
    rig.handle(CommandNeighbor{"upstream-a", NeighborCommand::disable, "root", "maintenance"});
    CHECK(rig.saved);
    CHECK(rig.speaker.saved(rig.at).disabled_neighbors == std::vector<std::string>{"upstream-a"});
    rig.run_for(2min);
    CHECK(rig.router("upstream-a").table().empty());
    CHECK(rig.router("upstream-a").last_words().find("maintenance") != std::string::npos);
    CHECK(rig.sessions["upstream-a"] == 1);
    CHECK(rig.sessions["upstream-b"] == 1);
    rig.handle(CommandNeighbor{"upstream-a", NeighborCommand::reset, "root", ""});
    rig.run_for(2min);
    CHECK(rig.sessions["upstream-a"] == 1);  // disabled is disabled
    rig.handle(CommandNeighbor{"upstream-a", NeighborCommand::enable, "root", ""});
    rig.run_for(10s);
    CHECK(rig.holds("upstream-a", "198.51.100.0/24"));
    CHECK(rig.sessions["upstream-a"] == 2);
    CHECK(rig.told<NeighborCommandEvent>().size() == 3);
}

TEST_CASE("speaker: a neighbor that is reset comes back at once") {
    Up rig;
    rig.handle(CommandNeighbor{"upstream-a", NeighborCommand::reset, "root", "new filters"});
    CHECK(rig.sessions["upstream-a"] == 2);
    CHECK(rig.holds("upstream-a", "198.51.100.0/24"));
    CHECK(rig.sessions["upstream-b"] == 1);
}

TEST_CASE("speaker: refresh sends everything once more and takes nothing away") {
    Up rig;
    (void)rig.router("upstream-a").take_lost();
    (void)rig.router("upstream-a").take_updates();
    rig.handle(CommandNeighbor{"upstream-a", NeighborCommand::refresh, "root", ""});
    CHECK(rig.router("upstream-a").take_updates() == 1);
    CHECK(rig.router("upstream-a").take_lost().empty());
    CHECK(rig.router("upstream-b").take_updates() == 1);  // of the beginning
    CHECK(rig.sessions["upstream-a"] == 1);
}

TEST_CASE("speaker: a command for a neighbor that does not exist changes nothing") {
    Up rig;
    rig.handle(CommandNeighbor{"upstream-c", NeighborCommand::reset, "root", ""});
    CHECK(rig.told<NeighborCommandEvent>().empty());
}

TEST_CASE("speaker: what a neighbor does not take for long is an alarm, until it takes it") {
    Up rig;
    const NeighborId id = *rig.speaker.neighbors().find("upstream-a");
    SpeakerOutput out;
    const auto look = [&] {
        rig.at.now = *rig.speaker.next_deadline();
        rig.speaker.tick(rig.at, out);
    };
    const auto told = [&] {
        std::vector<OutOfSyncEvent> found;
        for (const Event& event : out.events) {
            if (const auto* what = std::get_if<OutOfSyncEvent>(&event.what)) found.push_back(*what);
        }
        return found;
    };
    rig.speaker.handle(rig.at,
                       failover::SetOverride{failover::ServiceId{0},
                                             {failover::OverrideKind::drain, "", "root", {}, {}}},
                       out);
    const TimePoint began = rig.at.now;
    while (told().empty()) look();
    CHECK(rig.at.now - began >= out_of_sync_after);
    CHECK(rig.at.now - began <= 3 * out_of_sync_after);
    CHECK(told()[0].out_of_sync);
    CHECK(told()[0].pending_withdrawals == 2);
    CHECK(rig.speaker.neighbors().find(id)->out_of_sync);
    std::vector<ByteView> views;
    for (const auto& name : {"upstream-a", "upstream-b"}) {
        bgp::Peer& peer = rig.speaker.peer(*rig.speaker.neighbors().find(name));
        views.clear();
        const std::size_t offered = peer.produce(rig.at.now, Side::dialled, 4096, views);
        peer.consumed(rig.at.now, Side::dialled, offered);
    }
    out.events.clear();
    while (told().size() < 2) look();
    CHECK_FALSE(told()[0].out_of_sync);
    CHECK_FALSE(rig.speaker.neighbors().find(id)->out_of_sync);
}

TEST_CASE("speaker: the end says goodbye with the reason to every neighbor") {
    Up rig;
    rig.handle(failover::StopAnnouncing{"stopped by SIGTERM"});
    CHECK(rig.router("upstream-a").table().empty());
    rig.handle(EndSessions{"stopped by SIGTERM"});
    CHECK(rig.router("upstream-a").last_words().find("fra1: stopped by SIGTERM") !=
          std::string::npos);
    rig.run_for(5min);
    CHECK(rig.sessions["upstream-a"] == 1);
}

TEST_CASE("speaker: begins with what was restored") {
    failover::Restored restored;
    restored.overrides.push_back(
        {std::string{"portal"}, {failover::OverrideKind::drain, "works", "root", {}, {}}});
    restored.overrides.push_back(
        {std::string{"gone"}, {failover::OverrideKind::drain, "works", "root", {}, {}}});
    restored.disabled_neighbors = {"upstream-b"};
    restored.alarms = {"the state file was damaged"};
    Rig rig(site, restored);
    rig.begin();
    rig.run_for(1min);
    CHECK(rig.router("upstream-a").table().empty());
    CHECK(rig.sessions["upstream-a"] == 1);
    CHECK(rig.sessions["upstream-b"] == 0);
    CHECK(rig.told<DaemonEvent>().front().text == "the state file was damaged");
    const auto overrides = rig.told<failover::OverrideChanged>();
    REQUIRE(overrides.size() == 2);
    CHECK(overrides[0].value.has_value());
    CHECK(overrides[1].subject == "gone");
    CHECK(overrides[1].why == "there is no such service any more");
    CHECK(rig.speaker.saved(rig.at).overrides.size() == 1);
    rig.handle(failover::ClearOverrides{failover::ServiceId{0}, std::nullopt});
    CHECK(rig.holds("upstream-a", "198.51.100.0/24"));
}

TEST_CASE(
    "speaker: one pass is enough for a check whose rise was earned, and only if it is the same") {
    Rig first(site);
    const std::uint64_t fingerprint = first.speaker.site().policy().checks[0].fingerprint;
    for (const bool same : {true, false}) {
        failover::Restored restored;
        restored.earned = {{"web", same ? fingerprint : fingerprint + 1, health::CheckState::pass}};
        Rig rig(site, restored);
        rig.begin();
        rig.run_for(500ms);
        CHECK(rig.holds("upstream-a", "198.51.100.0/24") == same);
        rig.run_for(5s);
        CHECK(rig.holds("upstream-a", "198.51.100.0/24"));
    }
}

TEST_CASE("speaker: after a series of crashes no verdict announces before the wait is over") {
    failover::Restored restored;
    Rig probe(site);
    restored.hold_until = probe.at.now + 30s;
    Rig rig(site, restored);
    rig.begin();
    rig.run_for(30s - 1ns);
    CHECK(rig.router("upstream-a").table().empty());
    CHECK(rig.speaker.site().view().services[0].verdict == failover::Verdict::up);
    rig.set(*Prefix::parse("203.0.113.0/24"), failover::OverrideKind::announce);
    CHECK(rig.holds("upstream-a", "203.0.113.0/24"));  // an operator may
    rig.run_for(1ns);
    CHECK(rig.holds("upstream-a", "198.51.100.0/24"));
}

}  // namespace swerve::daemon::test
