#include "daemon/speaker/speaker.hpp"

#include <algorithm>
#include <utility>

#include "daemon/speaker/speaker_parts.hpp"
#include "swerve/base/deadlines.hpp"
#include "swerve/base/overloaded.hpp"

namespace swerve::daemon {

void Speaker::Parts::decide(const failover::SiteEvent& event, Turn turn) {
    if (std::holds_alternative<failover::Begin>(event)) begin(turn);
    failover::SiteActions actions;
    site.handle(turn.at.now, event, actions);
    carry_out(actions, turn);
}

void Speaker::Parts::begin(Turn turn) {
    for (const std::string& alarm : restored.alarms) {
        turn.tell(DaemonEvent{DaemonEvent::Kind::alarm, alarm});
    }
    for (const std::string& name : restored.disabled_neighbors) {
        if (const auto id = table.find(name)) {
            table.find(*id)->disabled = true;
        } else if (std::ranges::any_of(config->neighbors, [&](const conf::Neighbor& each) {
                       return each.range && name.starts_with(each.name + "-");
                   })) {
            disabled_elsewhere.push_back(name);
        }
    }
    for (const auto& [id, neighbor] : table) start(id, turn);
    settle_bfd(turn);
    restored = {};
    turn.out.save = true;
}

void Speaker::Parts::tick(Turn turn) {
    failover::SiteActions actions;
    site.tick(turn.at.now, actions);
    carry_out(actions, turn);
    if (look_again && *look_again <= turn.at.now) look_at_pending(turn);
    if (forget_at && *forget_at <= turn.at.now) forget_ended(turn);
    if (const auto leave = next_bfd_leave(); leave && *leave <= turn.at.now) settle_bfd(turn);
}

std::optional<TimePoint> Speaker::Parts::next_deadline() const {
    std::optional<TimePoint> next = earlier(site.next_deadline(), look_again);
    if (!held_end_of_ribs.empty()) next = earlier(next, held_end_of_ribs.begin()->first);
    return earlier(earlier(next, forget_at), next_bfd_leave());
}

void Speaker::Parts::carry_out(const failover::SiteActions& actions, Turn turn) {
    to_the_wire(actions, turn);
    release_end_of_ribs(turn);
    tell(actions, turn);
    tell_completed(turn);
}

void Speaker::Parts::to_the_wire(const failover::SiteActions& actions, Turn turn) {
    std::optional<failover::FailoverRecord> record;
    NeighborTable::Holders holders;
    const auto close_record = [&] {
        if (record) open_record(std::move(*record), std::move(holders));
        record.reset();
        holders.clear();
    };
    for (const failover::SiteAction& action : actions) {
        if (const auto* began = std::get_if<failover::FailoverBegan>(&action)) {
            close_record();
            record = failover::FailoverRecord{.subject = began->subject,
                                              .reason = began->reason,
                                              .wall = turn.at.wall,
                                              .first_evidence = began->first_evidence,
                                              .verdict = began->verdict};
        } else if (const auto* withdraw = std::get_if<failover::Withdraw>(&action)) {
            table.withdraw(*withdraw, holders);
            if (record) record->prefixes += withdraw->range.size();
            turn.out.routes_changed = true;
        } else if (const auto* advertise = std::get_if<failover::Advertise>(&action)) {
            for (const NeighborId id : table.advertise(*advertise)) recorder.cancelled(id);
            turn.out.routes_changed = true;
        } else if (const auto* replaced = std::get_if<failover::RoutesReplaced>(&action)) {
            replace_routes(replaced->hand_overs, turn);
        }
    }
    close_record();
    if (turn.out.routes_changed && !look_again) look_again = turn.at.now + out_of_sync_after;
}

/// Every neighbor is brought to what the site announces now, whatever it was before.
void Speaker::Parts::replace_routes(const std::vector<bgp::Handover>& hand_overs, Turn turn) {
    table.hand_over(std::exchange(pending_hand_overs, {}));
    table.hand_over(hand_overs);
    NeighborTable::Holders holders;
    const std::size_t prefixes = table.assign(site, holders);
    open_record({.subject = "configuration",
                 .prefixes = static_cast<std::uint32_t>(prefixes),
                 .reason = "the configuration changed",
                 .wall = turn.at.wall,
                 .first_evidence = turn.at.now,
                 .verdict = turn.at.now},
                std::move(holders));
    turn.out.routes_changed = true;
}

/// After a planned restart a neighbor drops what it was not told again when End-of-RIB comes, so
/// that it waits until it is known what is to be announced (RFC 4724 §4.1).
void Speaker::Parts::release_end_of_ribs(Turn turn) {
    while (!held_end_of_ribs.empty()) {
        const auto [until, id] = *held_end_of_ribs.begin();
        if (until > turn.at.now && !site.decided()) return;
        held_end_of_ribs.erase(held_end_of_ribs.begin());
        if (Neighbor* neighbor = table.find(id)) neighbor->peer.release_end_of_rib();
        turn.out.routes_changed = true;
    }
}

void Speaker::Parts::open_record(failover::FailoverRecord record,
                                 NeighborTable::Holders&& holders) {
    if (holders.empty()) return;
    record.neighbors = std::move(holders);
    recorder.open(std::move(record));
}

void Speaker::Parts::tell(const failover::SiteActions& actions, Turn turn) {
    const auto check = [&](failover::CheckId id) { return site.policy().checks[id].name; };
    const auto service = [&](failover::ServiceId id) { return site.policy().services[id].name; };
    for (const failover::SiteAction& action : actions) {
        std::visit(
            Overloaded{
                [&](const failover::StartProbe& start) { turn.out.probes.push_back(start); },
                // What upstreams were shown is what damping counts.
                [&](const failover::Advertise&) { turn.out.save = true; },
                [&](const failover::Withdraw&) { turn.out.save = true; },
                [](const failover::FailoverBegan&) {},
                [&](const failover::RoutesReplaced&) { turn.out.save = true; },
                [&](const failover::CheckChanged& what) {
                    turn.tell(CheckEvent{check(what.check), what.from, what.to, what.reason});
                    turn.out.save = true;
                },
                [&](const failover::EvidenceLost& what) {
                    turn.tell(EvidenceEvent{check(what.check), what.reason, what.until, what.then});
                },
                [&](const failover::CheckAlarm& what) {
                    const bool dropped = !what.dropped.empty();
                    turn.tell(CheckAlarmEvent{dropped ? what.dropped : check(what.check),
                                              what.raised, what.reason});
                },
                [&](const failover::VerdictChanged& what) {
                    turn.tell(VerdictEvent{service(what.service), what.from, what.to, what.reason});
                },
                [&](const failover::IntentChanged& what) {
                    turn.tell(IntentEvent{service(what.service), what.from, what.to, what.reason});
                },
                [&](const failover::DampingChanged& what) {
                    turn.tell(DampingEvent{service(what.service), what.wait, what.reason});
                },
                [&](const failover::OverrideChanged& what) {
                    turn.tell(what);
                    turn.out.save = true;
                },
            },
            action);
    }
}

void Speaker::Parts::tell_completed(Turn turn) {
    for (const std::uint64_t id : recorder.take_completed()) {
        if (const auto* record = recorder.find(id)) turn.tell(FailoverCompleted{*record});
    }
}

/// A difference that is seen now and again after a while is one that the neighbor does not take.
void Speaker::Parts::look_at_pending(Turn turn) {
    look_again.reset();
    for (const auto& [id, neighbor] : table) {
        const bgp::AdjRibOut& rib_out = neighbor->rib_out();
        const bool pending = rib_out.session_is_up() && rib_out.pending();
        if (!pending) {
            neighbor->pending_since.reset();
        } else {
            if (!neighbor->pending_since) neighbor->pending_since = turn.at.now;
            look_again = turn.at.now + out_of_sync_after;
        }
        const bool lasting = pending && turn.at.now - *neighbor->pending_since >= out_of_sync_after;
        if (std::exchange(neighbor->out_of_sync, lasting) == lasting) continue;
        turn.tell(OutOfSyncEvent{neighbor->name, lasting, rib_out.pending_withdrawals(),
                                 rib_out.pending_announcements()});
    }
}

Speaker::Speaker(std::shared_ptr<const conf::Config> config, std::uint64_t seed,
                 const failover::Restored& restored, Moment at)
    : parts_(std::make_unique<Parts>(std::move(config), seed, restored, at)) {}
Speaker::~Speaker() = default;

void Speaker::handle(Moment at, const SpeakerEvent& event, SpeakerOutput& out) {
    const Parts::Turn turn{at, out};
    std::visit(Overloaded{
                   [&](const failover::SiteEvent& what) { parts_->decide(what, turn); },
                   [&](const PeerInput& what) { parts_->peer_input(what, turn); },
                   [&](const PeerTick& what) { parts_->peer_tick(what, turn); },
                   [&](const WithdrawalsWritten& what) {
                       parts_->recorder.written(what.written_at, what.neighbor);
                   },
                   [&](const WithdrawalsAcknowledged& what) {
                       parts_->recorder.acknowledged(at.now, what.neighbor, what.written_at);
                       parts_->tell_completed(turn);
                   },
                   [&](const BfdReported& what) { parts_->bfd_reported(what.report, turn); },
                   [&](const CommandNeighbor& what) { parts_->command(what, turn); },
                   [&](const Reload& what) {
                       parts_->reload(*what.change, turn);
                       turn.tell(Reloaded{what.change});
                   },
                   [&](const VanishForRestart&) { parts_->vanish(turn); },
                   [&](const EndSessions& what) { parts_->end_sessions(what, turn); },
               },
               event);
}

void Speaker::tick(Moment at, SpeakerOutput& out) { parts_->tick({at, out}); }

std::optional<TimePoint> Speaker::next_deadline() const { return parts_->next_deadline(); }

const NeighborTable& Speaker::neighbors() const { return parts_->table; }

bgp::Peer& Speaker::peer(NeighborId neighbor) { return parts_->table.find(neighbor)->peer; }

std::optional<NeighborId> Speaker::admit(Moment at, const Address& address,
                                         const std::string& interface, SpeakerOutput& out) {
    return parts_->admit(address, interface, {at, out});
}

std::optional<std::string> Speaker::refuses_planned_restart() const {
    if (std::ranges::none_of(parts_->config->neighbors, [](const conf::Neighbor& neighbor) {
            return neighbor.restart_time.has_value();
        })) {
        return "no neighbor has graceful_restart, so that none would keep the routes";
    }
    if (std::ranges::none_of(parts_->table,
                             [](const auto& each) { return survives_restart(*each.second); })) {
        return "no session is established with a neighbor that would keep the routes (RFC 4724)";
    }
    return std::nullopt;
}

const failover::Site& Speaker::site() const { return parts_->site; }
const std::shared_ptr<const conf::Config>& Speaker::config() const { return parts_->config; }
const failover::Recorder& Speaker::recorder() const { return parts_->recorder; }
const bgp::RibIn& Speaker::rib_in() const { return parts_->rib_in; }

failover::SavedState Speaker::saved(Moment at) const {
    failover::SavedState out{.saved_at = at.now, .saved_wall = at.wall};
    parts_->site.save(at.now, at.wall, out);
    if (parts_->vanished_with) out.damping = *parts_->vanished_with;
    out.disabled_neighbors = parts_->disabled_elsewhere;
    for (const auto& [id, neighbor] : parts_->table) {
        if (neighbor->disabled) out.disabled_neighbors.push_back(neighbor->name);
    }
    return out;
}

}  // namespace swerve::daemon
