#pragma once
// A speaker whose neighbors are real peers at the other end of a wire without length, and whose
// probes find what the test says. Time is the test's.

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "daemon/speaker/speaker.hpp"
#include "swerve/conf/change.hpp"
#include "swerve/conf/load.hpp"

namespace swerve::daemon::test {

using namespace std::chrono_literals;
using bgp::Side;

inline std::shared_ptr<const conf::Config> load(const std::string& text) {
    const auto loaded = conf::load_text(text, "/etc/swerve/test.yaml");
    if (!loaded) {
        for (const auto& fault : loaded.error()) MESSAGE(fault.to_string());
        FAIL("the configuration is not valid");
    }
    return *loaded;
}

/// A router at the other end of one neighbor's session.
class Router {
public:
    explicit Router(const conf::Config& config, const conf::Neighbor& neighbor)
        : ours(neighbor.range ? Side::accepted : Side::dialled), peer_(peer(config, neighbor)) {}

    /// What the connection is to the speaker. A router of a range dials, any other is dialled.
    const Side ours;
    [[nodiscard]] Side theirs() const {
        return ours == Side::dialled ? Side::accepted : Side::dialled;
    }

    [[nodiscard]] const std::map<Prefix, std::shared_ptr<const bgp::PathAttributes>>& table()
        const {
        return table_;
    }
    [[nodiscard]] bgp::Peer& peer() { return peer_; }
    /// Prefixes that were lost since the last call, also those that came back.
    [[nodiscard]] std::set<Prefix> take_lost() { return std::exchange(lost_, {}); }
    /// Octets of UPDATE messages since the last call.
    [[nodiscard]] std::uint64_t take_updates() { return std::exchange(updates_, 0); }
    [[nodiscard]] const std::string& last_words() const { return last_words_; }
    /// Families of which this session has told that all was sent.
    [[nodiscard]] const bgp::FamilySet& end_of_rib() const { return end_of_rib_; }
    /// Tells these of its own from now on.
    void tell(std::initializer_list<std::string_view> texts) {
        std::vector<Prefix> prefixes;
        for (const std::string_view text : texts) prefixes.push_back(*Prefix::parse(text));
        std::ranges::sort(prefixes);
        const auto block = std::make_shared<const bgp::PrefixBlock>(prefixes);
        peer_.rib_out().advertise(block, block->all(),
                                  std::make_shared<const bgp::RouteAttributes>());
    }

    void note(const bgp::PeerAction& action) {
        if (const auto* down = std::get_if<bgp::SessionDown>(&action)) {
            last_words_ = down->reason;
            for (const auto& [prefix, route] : table_) lost_.insert(prefix);
            table_.clear();
            end_of_rib_ = {};
        }
        const auto* received = std::get_if<bgp::UpdateReceived>(&action);
        if (received == nullptr) return;
        const bgp::Update& update = received->update;
        if (update.end_of_rib) end_of_rib_.insert(*update.end_of_rib);
        if (!update.withdrawn.empty() || !update.reach.empty()) ++updates_;
        for (const Prefix& prefix : update.withdrawn) {
            CHECK_MESSAGE(table_.erase(prefix) == 1, prefix.to_string(), " was not there");
            lost_.insert(prefix);
        }
        for (const auto& reach : update.reach) {
            for (const Prefix& prefix : reach.prefixes) table_[prefix] = update.attributes;
        }
    }

private:
    static bgp::PeerConfig peer(const conf::Config& config, const conf::Neighbor& neighbor) {
        bgp::PeerConfig out{.open = {.local_as = neighbor.remote_as,
                                     .router_id = *RouterId::parse("192.0.2.254"),
                                     .remote_as = conf::local_as(config, neighbor),
                                     .hold_time = 9s,
                                     .families = {Family::ipv4, Family::ipv6}}};
        out.passive = !neighbor.range.has_value();
        out.open.restart_time = neighbor.restart_time;
        return out;
    }

    bgp::Peer peer_;
    std::map<Prefix, std::shared_ptr<const bgp::PathAttributes>> table_;
    std::set<Prefix> lost_;
    std::uint64_t updates_ = 0;
    std::string last_words_;
    bgp::FamilySet end_of_rib_;
};

class Rig {
public:
    explicit Rig(const std::string& text, const failover::Restored& restored = {})
        : speaker(load(text), 1, restored, at) {
        for (const auto& [id, neighbor] : speaker.neighbors()) connect(id);
    }

    void begin() { handle(failover::Begin{}); }
    /// Hands over what is ready to be written, in both directions, until there is nothing.
    void settle() { pump(); }

    void handle(const SpeakerEvent& event) {
        SpeakerOutput out;
        speaker.handle(at, event, out);
        carry_out(out);
        pump();
    }
    /// A router at an address of a range calls, unless its session is up. Nothing comes of it where
    /// it is not admitted.
    void call(const std::string& address) {
        SpeakerOutput out;
        const auto id = speaker.admit(at, *Address::parse(address), {}, out);
        carry_out(out);
        if (!id || speaker.peer(*id).state() == bgp::State::established) return;
        meet(*id);
        pump();
    }
    /// Applies another text, as the daemon does.
    std::shared_ptr<const conf::Change> reload(const std::string& text) {
        const auto change = conf::compare(speaker.config(), load(text));
        REQUIRE(change.has_value());
        handle(Reload{*change});
        return *change;
    }
    void run_for(Duration span) {
        const TimePoint end = at.now + span;
        while (true) {
            const auto next = next_event();
            if (!next || *next > end) break;
            advance(std::max(*next, at.now));
            step();
        }
        advance(end);
    }

    void set(const std::variant<failover::ServiceId, Prefix>& subject, failover::OverrideKind kind,
             std::optional<Duration> lasting = std::nullopt) {
        failover::Override value{kind, "maintenance", "root", at.wall, std::nullopt};
        if (lasting) value.expires = at.now + *lasting;
        handle(failover::SetOverride{subject, value});
    }

    [[nodiscard]] Router& router(const std::string& name) {
        return routers_.at(*speaker.neighbors().find(name));
    }
    [[nodiscard]] bool holds(const std::string& name, std::string_view prefix) {
        return router(name).table().contains(*Prefix::parse(prefix));
    }
    template <class What>
    [[nodiscard]] std::vector<What> told() const {
        std::vector<What> found;
        for (const Event& event : events) {
            if (const auto* what = std::get_if<What>(&event.what)) found.push_back(*what);
        }
        return found;
    }

    Moment at{TimePoint{1h}, WallTime{24h * 20000}};
    std::map<std::string, bool> fails;         ///< what the probes find, by name of the check
    std::map<std::string, unsigned> sessions;  ///< how many came up, by name of the neighbor
    std::vector<Event> events;
    bool saved = false;
    unsigned attempts = 0;
    Speaker speaker;

private:
    struct Answer {
        failover::CheckId check;
        std::uint64_t attempt;
        std::string name;
    };

    void advance(TimePoint to) {
        at.wall += to - at.now;
        at.now = to;
    }
    [[nodiscard]] std::optional<TimePoint> next_event() {
        std::optional<TimePoint> next = speaker.next_deadline();
        for (const auto& [id, neighbor] : speaker.neighbors()) {
            next = earlier(next, neighbor->peer.next_deadline());
        }
        for (auto& [id, router] : routers_) next = earlier(next, router.peer().next_deadline());
        if (!answers_.empty()) next = earlier(next, answers_.begin()->first);
        return next;
    }
    static std::optional<TimePoint> earlier(std::optional<TimePoint> a,
                                            std::optional<TimePoint> b) {
        if (!a || !b) return a ? a : b;
        return std::min(*a, *b);
    }
    void step() {
        while (!answers_.empty() && answers_.begin()->first <= at.now) {
            const Answer answer = answers_.begin()->second;
            answers_.erase(answers_.begin());
            // Like the runner of the daemon, which knows its checks again after a reload.
            const auto& checks = speaker.site().policy().checks;
            const auto now = std::ranges::find(checks, answer.name, &failover::CheckPolicy::name);
            if (now == checks.end()) continue;
            const bool failed = fails[answer.name];
            handle(failover::ProbeFinished{
                static_cast<failover::CheckId>(now - checks.begin()),
                answer.attempt,
                {failed ? health::ProbeResult::fail : health::ProbeResult::pass,
                 failed ? "HTTP 503" : "HTTP 200", at.now, at.now}});
        }
        if (const auto due = speaker.next_deadline(); due && *due <= at.now) {
            SpeakerOutput out;
            speaker.tick(at, out);
            carry_out(out);
        }
        std::vector<NeighborId> due;
        for (const auto& [id, neighbor] : speaker.neighbors()) {
            const auto when = neighbor->peer.next_deadline();
            if (when && *when <= at.now) due.push_back(id);
        }
        for (const NeighborId id : due) handle(PeerTick{id});
        for (auto& [id, router] : routers_) {
            const auto when = router.peer().next_deadline();
            if (!when || *when > at.now) continue;
            bgp::PeerActions actions;
            router.peer().tick(at.now, actions);
            note(id, actions);
        }
        pump();
    }

    void connect(NeighborId id) {
        const Neighbor& neighbor = *speaker.neighbors().find(id);
        const auto router = routers_.try_emplace(id, *speaker.config(), *neighbor.config).first;
        bgp::PeerActions actions;
        router->second.peer().handle(at.now, bgp::Start{}, actions);
    }
    void carry_out(SpeakerOutput& out) {
        for (const NeighborId id : out.added) connect(id);
        for (const auto& [id, action] : out.connections) perform(id, action);
        for (const NeighborId id : out.removed) routers_.erase(id);
        for (const failover::StartProbe& start : out.probes) {
            ++attempts;
            answers_.emplace(at.now + 1ms,
                             Answer{start.check, start.attempt,
                                    speaker.site().policy().checks[start.check].name});
        }
        for (Event& event : out.events) {
            if (const auto* session = std::get_if<SessionEvent>(&event.what)) {
                sessions[session->name] += session->up ? 1 : 0;
            }
            events.push_back(std::move(event));
        }
        saved = saved || out.save;
    }
    void perform(NeighborId id, const bgp::PeerAction& action) {
        if (std::holds_alternative<bgp::Dial>(action)) dials_.push_back(id);
        const auto* close = std::get_if<bgp::CloseTcp>(&action);
        if (close == nullptr) return;
        const Side side = routers_.at(id).theirs();
        at_router(id, bgp::BytesReceived{side, close->last_words});
        at_router(id, bgp::TcpFailed{side, "closed"});
    }
    void at_router(NeighborId id, const bgp::PeerEvent& event) {
        bgp::PeerActions actions;
        routers_.at(id).peer().handle(at.now, event, actions);
        note(id, actions);
    }
    void note(NeighborId id, const bgp::PeerActions& actions) {
        for (const bgp::PeerAction& action : actions) routers_.at(id).note(action);
    }
    void pump() {
        for (const NeighborId id : std::exchange(dials_, {})) {
            if (routers_.contains(id)) meet(id);
        }
        for (bool moved = true; moved;) {
            moved = false;
            std::vector<NeighborId> ids;
            for (const auto& [id, router] : routers_) ids.push_back(id);
            for (const NeighborId id : ids) moved = exchange_octets(id) || moved;
        }
    }
    /// The connection is there, at both ends.
    void meet(NeighborId id) {
        const Router& router = routers_.at(id);
        at_router(id, bgp::TcpConnected{router.theirs(), *Address::parse("192.0.2.254")});
        handle_quietly(PeerInput{id, bgp::TcpConnected{router.ours, *Address::parse("192.0.2.1")}});
    }
    bool exchange_octets(NeighborId id) {
        const Side side = routers_.at(id).ours;
        const Bytes ours = take(speaker.peer(id), side);
        if (!ours.empty()) at_router(id, bgp::BytesReceived{routers_.at(id).theirs(), ours});
        const Bytes theirs = take(routers_.at(id).peer(), routers_.at(id).theirs());
        if (!theirs.empty()) handle_quietly(PeerInput{id, bgp::BytesReceived{side, theirs}});
        return !ours.empty() || !theirs.empty();
    }
    void handle_quietly(const SpeakerEvent& event) {
        SpeakerOutput out;
        speaker.handle(at, event, out);
        carry_out(out);
    }
    Bytes take(bgp::Peer& from, Side side) {
        std::vector<ByteView> views;
        from.produce(at.now, side, 1U << 20U, views);
        Bytes octets;
        for (const ByteView view : views) octets.insert(octets.end(), view.begin(), view.end());
        if (!octets.empty()) from.consumed(at.now, side, octets.size());
        return octets;
    }

    std::map<NeighborId, Router> routers_;
    std::vector<NeighborId> dials_;
    std::multimap<TimePoint, Answer> answers_;
};

}  // namespace swerve::daemon::test
