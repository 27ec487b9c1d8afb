#include "daemon/speaker/speaker.hpp"

#include <algorithm>
#include <utility>

#include "swerve/base/deadlines.hpp"
#include "swerve/base/overloaded.hpp"

namespace swerve::daemon {
namespace {

/// A collector remembers this many neighbors; more are not admitted.
constexpr std::size_t max_collected = 1000;
/// Best-path events of one UPDATE that are told one by one; a table dump would drown all others.
constexpr std::size_t max_best_path_events = 64;

}  // namespace

std::string_view to_string(NeighborCommand command) {
    switch (command) {
        case NeighborCommand::enable:
            return "enable";
        case NeighborCommand::disable:
            return "disable";
        case NeighborCommand::reset:
            return "reset";
        case NeighborCommand::refresh:
            break;
    }
    return "refresh";
}

struct Speaker::Parts {
    /// One call from outside.
    struct Turn {
        Moment at;
        SpeakerOutput& out;

        void tell(decltype(Event::what) what) const {
            out.events.push_back({at.now, at.wall, std::move(what)});
        }
    };

    Parts(std::shared_ptr<const conf::Config> with, std::uint64_t any_seed,
          const failover::Restored& from, Moment at)
        : config(std::move(with)),
          seed(any_seed),
          site(conf::site_policy(*config, seed), from),
          restored(from),
          table(*config, seed, at.now),
          rib_in(config->owned, config->collector.has_value(), config->local_as) {}

    void decide(const failover::SiteEvent& event, Turn turn);
    void tick(Turn turn);
    void peer_input(const PeerInput& input, Turn turn);
    void peer_tick(const PeerTick& tick, Turn turn);
    void command(const CommandNeighbor& command, Turn turn);
    void reload(const conf::Change& change, Turn turn);
    void end_sessions(const EndSessions& end, Turn turn);

    void carry_out(const failover::SiteActions& actions, Turn turn);
    void to_the_wire(const failover::SiteActions& actions, Turn turn);
    void replace_routes(const std::vector<bgp::Handover>& hand_overs, Turn turn);
    void tell(const failover::SiteActions& actions, Turn turn);
    void open_record(failover::FailoverRecord record, NeighborTable::Holders&& holders);
    void tell_completed(Turn turn);

    void handle(NeighborId id, const bgp::PeerEvent& event, Turn turn);
    void perform(NeighborId id, bgp::PeerActions& actions, Turn turn);
    void session_up(NeighborId id, Neighbor& neighbor, const bgp::SessionUp& up, Turn turn);
    void session_down(NeighborId id, Neighbor& neighbor, const bgp::SessionDown& down, Turn turn);
    void tell_best(const std::vector<bgp::BestChanged>& changes, Turn turn);
    void replace_neighbors(const conf::Change& change, std::vector<NeighborId>& fresh, Turn turn);
    void remove(NeighborId id, const std::string& reason, Turn turn);
    void look_at_pending(Turn turn);

    std::shared_ptr<const conf::Config> config;
    std::uint64_t seed;
    failover::Site site;
    failover::Restored restored;  ///< until Begin
    NeighborTable table;
    bgp::RibIn rib_in;
    failover::Recorder recorder;
    std::vector<bgp::Handover> pending_hand_overs;  ///< of the reload that is under way
    std::optional<TimePoint> look_again;            ///< at what neighbors have not taken
};

void Speaker::Parts::decide(const failover::SiteEvent& event, Turn turn) {
    if (std::holds_alternative<failover::Begin>(event)) {
        for (const std::string& alarm : restored.alarms) {
            turn.tell(DaemonEvent{DaemonEvent::Kind::alarm, alarm});
        }
        for (const auto& [id, neighbor] : table) {
            neighbor->disabled = std::ranges::find(restored.disabled_neighbors, neighbor->name) !=
                                 restored.disabled_neighbors.end();
            if (!neighbor->disabled) handle(id, bgp::Start{}, turn);
        }
        restored = {};
        turn.out.save = true;
    }
    failover::SiteActions actions;
    site.handle(turn.at.now, event, actions);
    carry_out(actions, turn);
}

void Speaker::Parts::tick(Turn turn) {
    failover::SiteActions actions;
    site.tick(turn.at.now, actions);
    carry_out(actions, turn);
    if (look_again && *look_again <= turn.at.now) look_at_pending(turn);
}

void Speaker::Parts::carry_out(const failover::SiteActions& actions, Turn turn) {
    to_the_wire(actions, turn);
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
                [](const failover::Advertise&) {},
                [](const failover::Withdraw&) {},
                [](const failover::FailoverBegan&) {},
                [](const failover::RoutesReplaced&) {},
                [&](const failover::CheckChanged& what) {
                    turn.tell(CheckEvent{check(what.check), what.from, what.to, what.reason});
                    turn.out.save = true;
                },
                [&](const failover::EvidenceLost& what) {
                    turn.tell(EvidenceEvent{check(what.check), what.reason, what.until});
                },
                [&](const failover::VerdictChanged& what) {
                    turn.tell(VerdictEvent{service(what.service), what.from, what.to, what.reason});
                },
                [&](const failover::IntentChanged& what) {
                    turn.tell(IntentEvent{service(what.service), what.from, what.to, what.reason});
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

void Speaker::Parts::peer_input(const PeerInput& input, Turn turn) {
    if (table.find(input.neighbor) != nullptr) handle(input.neighbor, input.event, turn);
}

void Speaker::Parts::peer_tick(const PeerTick& tick, Turn turn) {
    Neighbor* neighbor = table.find(tick.neighbor);
    if (neighbor == nullptr) return;
    bgp::PeerActions actions;
    neighbor->peer.tick(turn.at.now, actions);
    perform(tick.neighbor, actions, turn);
}

void Speaker::Parts::handle(NeighborId id, const bgp::PeerEvent& event, Turn turn) {
    bgp::PeerActions actions;
    table.find(id)->peer.handle(turn.at.now, event, actions);
    perform(id, actions, turn);
}

void Speaker::Parts::perform(NeighborId id, bgp::PeerActions& actions, Turn turn) {
    Neighbor& neighbor = *table.find(id);
    for (bgp::PeerAction& action : actions) {
        std::visit(
            Overloaded{
                [](const bgp::Dial&) {},
                [](const bgp::CancelDial&) {},
                [](const bgp::CloseTcp&) {},
                [&](const bgp::StateChanged& change) {
                    neighbor.state_since = turn.at.now;
                    if (change.to <= bgp::State::active && !change.reason.empty()) {
                        neighbor.last_error = change.reason;
                    }
                },
                [&](const bgp::SessionUp& up) { session_up(id, neighbor, up, turn); },
                [&](const bgp::SessionDown& down) { session_down(id, neighbor, down, turn); },
                [&](const bgp::UpdateReceived& received) {
                    std::vector<bgp::BestChanged> changes;
                    rib_in.update(turn.at.now, id, received.update, changes);
                    tell_best(changes, turn);
                },
                [](const bgp::RefreshBegun&) {},
                [](const bgp::RefreshEnded&) {},
                [](const bgp::NotificationExchanged&) {},
            },
            action);
        turn.out.connections.push_back({id, std::move(action)});
    }
}

void Speaker::Parts::session_up(NeighborId id, Neighbor& neighbor, const bgp::SessionUp& up,
                                Turn turn) {
    neighbor.remote_as = up.negotiated.remote_as;
    neighbor.local_address = up.local_address;
    neighbor.last_error.clear();
    rib_in.neighbor_up(id, {.internal = up.negotiated.internal,
                            .router_id = up.negotiated.remote_id,
                            .address = neighbor.address});
    if (!look_again) look_again = turn.at.now + out_of_sync_after;
    turn.tell(SessionEvent{neighbor.name, true, {}, std::nullopt, false});
}

void Speaker::Parts::session_down(NeighborId id, Neighbor& neighbor, const bgp::SessionDown& down,
                                  Turn turn) {
    neighbor.local_address.reset();
    neighbor.last_error = down.reason;
    std::vector<bgp::BestChanged> changes;
    rib_in.neighbor_down(id, changes);
    recorder.session_lost(id);
    turn.tell(SessionEvent{neighbor.name, false, down.reason, down.sent ? down.sent : down.received,
                           down.sent.has_value()});
    tell_best(changes, turn);
    tell_completed(turn);
}

void Speaker::Parts::tell_best(const std::vector<bgp::BestChanged>& changes, Turn turn) {
    if (!config->collector) return;
    const auto name_of = [this](std::optional<NeighborId> id) {
        const Neighbor* known = id ? table.find(*id) : nullptr;
        return known == nullptr ? std::string{} : known->name;
    };
    for (std::size_t i = 0; i < std::min(changes.size(), max_best_path_events); ++i) {
        const bgp::BestChanged& change = changes[i];
        turn.tell(BestPathEvent{change.prefix, name_of(change.from), name_of(change.to)});
    }
}

void Speaker::Parts::command(const CommandNeighbor& command, Turn turn) {
    const auto id = table.find(command.name);
    if (!id) return;
    Neighbor& neighbor = *table.find(*id);
    const auto stop = [&](std::uint8_t subcode) {
        handle(*id, bgp::Stop{bgp::cease(subcode, command.reason)}, turn);
    };
    switch (command.command) {
        case NeighborCommand::enable:
            if (std::exchange(neighbor.disabled, false)) handle(*id, bgp::Start{}, turn);
            turn.out.save = true;
            break;
        case NeighborCommand::disable:
            if (!std::exchange(neighbor.disabled, true)) {
                stop(bgp::subcode::administrative_shutdown);
            }
            turn.out.save = true;
            break;
        case NeighborCommand::reset:
            if (neighbor.disabled) break;
            stop(bgp::subcode::administrative_reset);
            handle(*id, bgp::Start{}, turn);
            break;
        case NeighborCommand::refresh:
            for (const Family family : bgp::all_families) neighbor.rib_out().refresh(family);
            handle(*id, bgp::AskForRoutes{}, turn);
            turn.out.routes_changed = true;
            break;
    }
    turn.tell(NeighborCommandEvent{command.name, std::string{to_string(command.command)},
                                   command.who, command.reason});
}

void Speaker::Parts::end_sessions(const EndSessions& end, Turn turn) {
    const auto goodbye =
        bgp::cease(bgp::subcode::administrative_shutdown, config->site + ": " + end.reason);
    for (const auto& [id, neighbor] : table) handle(id, bgp::Stop{goodbye}, turn);
}

void Speaker::Parts::reload(const conf::Change& change, Turn turn) {
    const std::shared_ptr<const conf::Config> before = std::exchange(config, change.after);
    std::vector<NeighborId> fresh;
    replace_neighbors(change, fresh, turn);
    std::vector<bgp::BestChanged> best;
    rib_in.reconfigure(config->owned, config->local_as, best);
    tell_best(best, turn);
    pending_hand_overs = change.hand_overs;
    decide(failover::Reconfigure{conf::site_policy(*config, seed), change.checks}, turn);
    for (const NeighborId id : fresh) handle(id, bgp::Start{}, turn);
    if (config->owned != before->owned) {
        // What did not concern us before was not kept.
        for (const auto& [id, neighbor] : table) handle(id, bgp::AskForRoutes{}, turn);
    }
    turn.out.save = true;
}

void Speaker::Parts::replace_neighbors(const conf::Change& change, std::vector<NeighborId>& fresh,
                                       Turn turn) {
    std::map<std::string_view, const conf::Neighbor*> next;
    for (const conf::Neighbor& neighbor : change.after->neighbors) {
        next.emplace(neighbor.name, &neighbor);
    }
    std::vector<NeighborId> existing;
    for (const auto& [id, neighbor] : table) existing.push_back(id);
    std::vector<std::string> disabled;
    for (const NeighborId id : existing) {
        const Neighbor& neighbor = *table.find(id);
        if (neighbor.config == nullptr) continue;  // of a collector, whose OPEN cannot change
        const auto reset =
            std::ranges::find(change.resets, neighbor.name, &conf::SessionReset::neighbor);
        if (reset == change.resets.end()) {
            const auto becomes = next.find(neighbor.name);
            table.reconfigure(id, *change.after, *becomes->second);
            next.erase(becomes);
            continue;
        }
        if (neighbor.disabled) disabled.push_back(neighbor.name);
        remove(id, reset->removed ? "removed from the configuration" : reset->reason, turn);
    }
    for (const conf::Neighbor& neighbor : change.after->neighbors) {
        if (!next.contains(neighbor.name)) continue;
        const NeighborId id = table.add(*change.after, neighbor, turn.at.now);
        turn.out.added.push_back(id);
        table.find(id)->disabled = std::ranges::find(disabled, neighbor.name) != disabled.end();
        if (!table.find(id)->disabled) fresh.push_back(id);
    }
}

void Speaker::Parts::remove(NeighborId id, const std::string& reason, Turn turn) {
    handle(id, bgp::Stop{bgp::cease(bgp::subcode::other_configuration_change, reason)}, turn);
    turn.out.removed.push_back(id);
    table.remove(id);
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
                   [&](const CommandNeighbor& what) { parts_->command(what, turn); },
                   [&](const Reload& what) {
                       parts_->reload(*what.change, turn);
                       turn.tell(Reloaded{what.change});
                   },
                   [&](const EndSessions& what) { parts_->end_sessions(what, turn); },
               },
               event);
}

void Speaker::tick(Moment at, SpeakerOutput& out) { parts_->tick({at, out}); }

std::optional<TimePoint> Speaker::next_deadline() const {
    return earlier(parts_->site.next_deadline(), parts_->look_again);
}

const NeighborTable& Speaker::neighbors() const { return parts_->table; }

bgp::Peer& Speaker::peer(NeighborId neighbor) { return parts_->table.find(neighbor)->peer; }

std::optional<NeighborId> Speaker::collected(Moment at, const Address& address,
                                             SpeakerOutput& out) {
    if (const auto known = parts_->table.at(address)) return known;
    if (parts_->table.size() >= max_collected) return std::nullopt;
    const NeighborId id = parts_->table.add_collected(*parts_->config, address, at.now);
    out.added.push_back(id);
    parts_->handle(id, bgp::Start{}, {at, out});
    return id;
}

const failover::Site& Speaker::site() const { return parts_->site; }
const std::shared_ptr<const conf::Config>& Speaker::config() const { return parts_->config; }
const failover::Recorder& Speaker::recorder() const { return parts_->recorder; }
const bgp::RibIn& Speaker::rib_in() const { return parts_->rib_in; }

failover::SavedState Speaker::saved(Moment at) const {
    failover::SavedState out{.saved_at = at.now, .saved_wall = at.wall};
    parts_->site.save(at.now, at.wall, out);
    for (const auto& [id, neighbor] : parts_->table) {
        if (neighbor->disabled) out.disabled_neighbors.push_back(neighbor->name);
    }
    return out;
}

}  // namespace swerve::daemon
