// Neighbors that come by themselves from a range that is configured.

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "daemon/speaker/speaker.hpp"
#include "swerve/conf/change.hpp"
#include "tests/speaker/rig.hpp"

namespace swerve::daemon::test {

namespace {

const std::string site = R"(
site: fra1
local_as: 64500
router_id: 192.0.2.1
owned: [198.51.100.0/23]
bgp: {listen: ["127.0.0.2:1179"]}
neighbors:
  fixed: {address: 10.1.0.9, remote_as: 64499, passive: true}
  wide: {range: 10.0.0.0/8, remote_as: 64496, range_limit: 2}
  narrow: {range: 10.1.0.0/16, remote_as: 64497, prefix_limit: {kept: 1, idle: 60s}}
services:
  portal: {prefixes: [198.51.100.0/24], healthy_when: always}
)";

/// A speaker, and who calls it.
class World {
public:
    explicit World(const failover::Restored& restored = {}) : speaker(load(site), 1, restored, at) {
        handle(failover::Begin{});
    }

    std::optional<NeighborId> admit(const std::string& address) {
        SpeakerOutput out;
        const auto id = speaker.admit(at, *Address::parse(address), {}, out);
        note(out);
        return id;
    }
    void handle(const SpeakerEvent& event) {
        SpeakerOutput out;
        speaker.handle(at, event, out);
        note(out);
    }
    void tick() {
        SpeakerOutput out;
        speaker.tick(at, out);
        note(out);
    }
    [[nodiscard]] std::string name_of(std::optional<NeighborId> id) const {
        const Neighbor* found = id ? speaker.neighbors().find(*id) : nullptr;
        return found == nullptr ? std::string{} : found->name;
    }
    [[nodiscard]] bool has(const std::string& name) const {
        return speaker.neighbors().find(name).has_value();
    }

    Moment at{TimePoint{1h}, WallTime{24h * 20000}};
    Speaker speaker;
    std::vector<NeighborId> added;
    std::vector<NeighborId> removed;
    std::vector<NeighborId> closed;

private:
    void note(SpeakerOutput& out) {
        added.insert(added.end(), out.added.begin(), out.added.end());
        removed.insert(removed.end(), out.removed.begin(), out.removed.end());
        for (const auto& [id, action] : out.connections) {
            if (std::holds_alternative<bgp::CloseTcp>(action)) closed.push_back(id);
        }
    }
};

/// A router that calls the speaker, and the session it gets.
class Caller {
public:
    Caller(World& to, NeighborId id, std::uint32_t as)
        : world_(to),
          id_(id),
          peer_({.open = {.local_as = *Asn::from(as),
                          .router_id = *RouterId::parse("10.0.0.1"),
                          .remote_as = *Asn::from(64500),
                          .hold_time = 9s,
                          .families = {Family::ipv4, Family::ipv6}}}) {
        at_caller(bgp::Start{});
        at_caller(bgp::TcpConnected{Side::dialled, *Address::parse("10.0.0.1")});
        at_speaker(bgp::TcpConnected{Side::accepted, *Address::parse("192.0.2.1")});
        exchange();
    }
    void tell(std::initializer_list<std::string_view> texts) {
        std::vector<Prefix> prefixes;
        for (const std::string_view text : texts) prefixes.push_back(*Prefix::parse(text));
        const auto block = std::make_shared<const bgp::PrefixBlock>(prefixes);
        peer_.rib_out().advertise(block, block->all(),
                                  std::make_shared<const bgp::RouteAttributes>());
        exchange();
    }
    void hang_up() { at_speaker(bgp::TcpFailed{Side::accepted, "connection closed"}); }
    [[nodiscard]] const std::vector<Prefix>& heard() const { return heard_; }

private:
    void at_caller(const bgp::PeerEvent& event) {
        bgp::PeerActions actions;
        peer_.handle(world_.at.now, event, actions);
        for (const bgp::PeerAction& action : actions) {
            const auto* received = std::get_if<bgp::UpdateReceived>(&action);
            if (received == nullptr) continue;
            for (const auto& reach : received->update.reach) {
                heard_.insert(heard_.end(), reach.prefixes.begin(), reach.prefixes.end());
            }
        }
    }
    void at_speaker(const bgp::PeerEvent& event) { world_.handle(PeerInput{id_, event}); }
    Bytes take(bgp::Peer& from, Side side) {
        std::vector<ByteView> views;
        from.produce(world_.at.now, side, 1U << 20U, views);
        Bytes octets;
        for (const ByteView view : views) octets.insert(octets.end(), view.begin(), view.end());
        if (!octets.empty()) from.consumed(world_.at.now, side, octets.size());
        return octets;
    }
    void exchange() {
        for (bool moved = true; moved;) {
            const Bytes theirs = take(peer_, Side::dialled);
            if (!theirs.empty()) at_speaker(bgp::BytesReceived{Side::accepted, theirs});
            const Bytes ours = take(world_.speaker.peer(id_), Side::accepted);
            if (!ours.empty()) at_caller(bgp::BytesReceived{Side::dialled, ours});
            moved = !theirs.empty() || !ours.empty();
        }
    }

    World& world_;
    NeighborId id_;
    bgp::Peer peer_;
    std::vector<Prefix> heard_;
};

}  // namespace

TEST_CASE("range: the longest one that has the address admits, after the configured neighbors") {
    World world;
    CHECK(world.speaker.neighbors().size() == 1);  // a range itself is no neighbor
    CHECK(world.name_of(world.admit("10.1.0.9")) == "fixed");
    CHECK(world.name_of(world.admit("10.1.0.8")) == "narrow-10.1.0.8");
    CHECK(world.name_of(world.admit("10.2.0.8")) == "wide-10.2.0.8");
    CHECK_FALSE(world.admit("192.0.2.77").has_value());
    const auto once = world.admit("10.1.0.8");
    CHECK(world.admit("10.1.0.8") == once);
    CHECK(world.added.size() == 2);
}

TEST_CASE("range: a neighbor of it gets the routes, and is forgotten when its session has ended") {
    World world;
    const auto id = world.admit("10.1.0.8");
    REQUIRE(id.has_value());
    Caller caller{world, *id, 64497};
    CHECK(world.speaker.peer(*id).state() == bgp::State::established);
    CHECK(caller.heard() == std::vector{*Prefix::parse("198.51.100.0/24")});
    world.tick();
    CHECK(world.has("narrow-10.1.0.8"));
    caller.hang_up();
    CHECK(world.has("narrow-10.1.0.8"));  // whoever told of the end still works with it
    REQUIRE(world.speaker.next_deadline().has_value());
    CHECK(*world.speaker.next_deadline() <= world.at.now);
    world.tick();
    CHECK_FALSE(world.has("narrow-10.1.0.8"));
    CHECK(world.removed == std::vector{*id});
    const auto again = world.admit("10.1.0.8");
    CHECK(again.has_value());
    CHECK(again != id);
}

TEST_CASE("range: its limit counts sessions; a neighbor without one makes room") {
    World world;
    const auto first = world.admit("10.2.0.1");
    const auto second = world.admit("10.2.0.2");
    REQUIRE(second.has_value());
    const Caller one{world, *first, 64496};
    // The second has no connection yet.
    const auto third = world.admit("10.2.0.3");
    REQUIRE(third.has_value());
    CHECK(world.removed == std::vector{*second});
    CHECK(world.speaker.peer(*third).config().remote_address == *Address::parse("10.2.0.3"));
    const Caller three{world, *third, 64496};
    CHECK_FALSE(world.admit("10.2.0.4").has_value());
    CHECK(world.admit("10.1.0.4").has_value());  // of the other range
}

TEST_CASE("range: who told too much is not forgotten before its pause is over") {
    World world;
    const auto id = world.admit("10.1.0.8");
    Caller caller{world, *id, 64497};
    caller.tell({"198.51.100.0/25", "198.51.100.128/25"});
    CHECK(world.speaker.peer(*id).state() == bgp::State::idle);
    world.tick();
    REQUIRE(world.has("narrow-10.1.0.8"));
    CHECK(world.speaker.peer(*id).refuses_connection().has_value());
    world.at.now += 61s;
    world.handle(PeerTick{*id});
    world.tick();
    CHECK_FALSE(world.has("narrow-10.1.0.8"));
}

TEST_CASE("range: a neighbor of it that was disabled stays so, restarts included") {
    World world;
    const auto id = world.admit("10.1.0.8");
    const Caller caller{world, *id, 64497};
    world.handle(CommandNeighbor{"narrow-10.1.0.8", NeighborCommand::disable, "root", ""});
    world.tick();
    CHECK(world.has("narrow-10.1.0.8"));
    failover::Restored restored;
    restored.disabled_neighbors = world.speaker.saved(world.at).disabled_neighbors;
    REQUIRE(restored.disabled_neighbors.size() == 1);
    restored.disabled_neighbors.push_back("gone");
    World next{restored};
    CHECK(next.speaker.saved(next.at).disabled_neighbors ==
          std::vector<std::string>{"narrow-10.1.0.8"});
    const auto there = next.admit("10.1.0.8");
    REQUIRE(there.has_value());
    CHECK(next.speaker.peer(*there).refuses_connection().has_value());
    CHECK(next.speaker.saved(next.at).disabled_neighbors.size() == 1);
}

TEST_CASE("range: a neighbor of it that was disabled stays so when a reload resets the range") {
    World world;
    REQUIRE(world.admit("10.1.0.8").has_value());
    world.handle(CommandNeighbor{"narrow-10.1.0.8", NeighborCommand::disable, "root", ""});
    const auto at = site.find("remote_as: 64497");
    REQUIRE(at != std::string::npos);
    const auto change =
        conf::compare(world.speaker.config(),
                      load(std::string{site}.replace(at, 16, "remote_as: 64497, hold_time: 30s")));
    REQUIRE(change.has_value());
    world.handle(Reload{*change});
    CHECK_FALSE(world.has("narrow-10.1.0.8"));
    CHECK(world.speaker.saved(world.at).disabled_neighbors ==
          std::vector<std::string>{"narrow-10.1.0.8"});
    const auto again = world.admit("10.1.0.8");
    REQUIRE(again.has_value());
    CHECK(world.speaker.peer(*again).refuses_connection().has_value());
}

TEST_CASE("range: a reload keeps its sessions, and ends those that have no range any more") {
    World world;
    const auto kept = world.admit("10.2.0.1");
    const auto moved = world.admit("10.1.0.8");
    const Caller one{world, *kept, 64496};
    const Caller two{world, *moved, 64497};
    const auto reload = [&](const std::string& text) {
        const auto change = conf::compare(world.speaker.config(), load(text));
        REQUIRE(change.has_value());
        world.handle(Reload{*change});
    };
    std::string text = site;
    text.replace(text.find("range_limit: 2"), 14, "range_limit: 9");
    reload(text);
    CHECK(world.removed.empty());
    CHECK(world.speaker.peer(*kept).state() == bgp::State::established);
    const auto at = text.find("  narrow");
    text.erase(at, text.find('\n', at) - at + 1);
    reload(text);
    CHECK(world.removed == std::vector{*moved});
    CHECK(world.speaker.peer(*kept).state() == bgp::State::established);
    CHECK(world.name_of(world.admit("10.1.0.8")) == "wide-10.1.0.8");
    // A neighbor of its own takes the address over.
    text.replace(text.find("  wide:"), 7,
                 "  own: {address: 10.2.0.1, remote_as: 64496, passive: true}\n  wide:");
    reload(text);
    CHECK_FALSE(world.has("wide-10.2.0.1"));
    CHECK(world.name_of(world.admit("10.2.0.1")) == "own");
}

}  // namespace swerve::daemon::test
