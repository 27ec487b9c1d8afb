#include <algorithm>
#include <utility>

#include "daemon/speaker/speaker_parts.hpp"
#include "swerve/base/bytes.hpp"
#include "swerve/base/overloaded.hpp"

namespace swerve::daemon {
namespace {

/// Best-path events of one UPDATE that are told one by one; a table dump would drown all others.
constexpr std::size_t max_best_path_events = 64;

/// The memory that the kept routes of a neighbor may take. One route may bring 64 KiB of attributes
/// (RFC 8654), so that a number of routes is no bound; whoever allows more of them than usual gets
/// room for theirs.
std::size_t most_octets(const conf::PrefixLimit& limit) {
    constexpr std::size_t least = std::size_t{64} << 20U;
    constexpr std::size_t each = 1024;
    return std::max(least, limit.kept * each);
}

/// RFC 4486 §4: the family and the limit that was reached.
bgp::Notification too_many_prefixes(Family family, std::size_t limit) {
    Bytes data;
    Writer out{data};
    out.u16(family == Family::ipv4 ? 1 : 2);
    out.u8(1);
    out.u32(static_cast<std::uint32_t>(limit));
    return {bgp::ErrorCode::cease, bgp::subcode::max_prefixes, std::move(data)};
}

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
                    if (change.to > bgp::State::active) return;
                    if (!change.reason.empty()) neighbor.last_error = change.reason;
                    if (neighbor.of_range()) {
                        ended.push_back(id);
                        forget_at = turn.at.now;
                    }
                },
                [&](const bgp::SessionUp& up) { session_up(id, neighbor, up, turn); },
                [&](const bgp::SessionDown& down) { session_down(id, neighbor, down, turn); },
                [&](const bgp::UpdateReceived& received) {
                    learn(id, neighbor, received.update, turn);
                },
                [&](const bgp::RefreshBegun& begun) { rib_in.refresh_begun(id, begun.family); },
                [&](const bgp::RefreshEnded& refreshed) {
                    std::vector<bgp::BestChanged> changes;
                    rib_in.refresh_ended(id, refreshed.family, changes);
                    tell_best(changes, turn);
                },
                [&](const bgp::NotificationExchanged& exchanged) {
                    neighbor.last_notification = {exchanged.sent, exchanged.notification,
                                                  turn.at.now};
                },
            },
            action);
        turn.out.connections.push_back({id, std::move(action)});
    }
    enforce_limit(id, turn);
    hold_for_bfd(id, turn);
}

void Speaker::Parts::session_up(NeighborId id, Neighbor& neighbor, const bgp::SessionUp& up,
                                Turn turn) {
    neighbor.remote_as = up.negotiated.remote_as;
    neighbor.local_address = up.local_address;
    neighbor.last_error.clear();
    neighbor.ended_by.reset();
    neighbor.end_of_rib = {};
    neighbor.over_limit = false;
    rib_in.neighbor_up(
        id, {.internal = up.negotiated.internal,
             .router_id = up.negotiated.remote_id,
             .address = neighbor.address,
             .local_as = neighbor.config != nullptr ? neighbor.config->local_as : std::nullopt,
             .remote_as = up.negotiated.remote_as,
             .role = up.negotiated.role});
    if (!look_again) look_again = turn.at.now + out_of_sync_after;
    turn.tell(SessionEvent{neighbor.name, true, {}, std::nullopt, false});
}

void Speaker::Parts::session_down(NeighborId id, Neighbor& neighbor, const bgp::SessionDown& down,
                                  Turn turn) {
    neighbor.local_address.reset();
    neighbor.last_error = down.reason;
    const std::optional<bgp::Notification>& words = down.sent ? down.sent : down.received;
    neighbor.ended_by.reset();
    if (words) neighbor.ended_by = {down.sent.has_value(), *words, turn.at.now};
    std::vector<bgp::BestChanged> changes;
    rib_in.neighbor_down(id, changes);
    recorder.session_lost(turn.at.now, id);
    turn.tell(SessionEvent{neighbor.name, false, down.reason, words, down.sent.has_value()});
    tell_best(changes, turn);
    tell_completed(turn);
}

void Speaker::Parts::learn(NeighborId id, Neighbor& neighbor, const bgp::Update& update,
                           Turn turn) {
    if (excess(id, neighbor)) return;  // of the same octets; the session ends behind them
    if (update.end_of_rib) neighbor.end_of_rib.insert(*update.end_of_rib);
    std::vector<bgp::BestChanged> changes;
    rib_in.update(turn.at.now, id, update, changes);
    tell_best(changes, turn);
}

std::optional<PrefixLimitEvent> Speaker::Parts::excess(NeighborId id,
                                                       const Neighbor& neighbor) const {
    if (neighbor.config == nullptr) return std::nullopt;
    using Of = PrefixLimitEvent::Of;
    const conf::PrefixLimit& limit = neighbor.config->prefix_limit;
    if (const std::size_t kept = rib_in.kept(id); kept > limit.kept) {
        return PrefixLimitEvent{neighbor.name, Of::kept, kept, limit.kept, limit.idle};
    }
    const std::size_t most = most_octets(limit);
    if (const std::size_t octets = rib_in.kept_octets(id); octets > most) {
        return PrefixLimitEvent{neighbor.name, Of::kept_octets, octets, most, limit.idle};
    }
    if (!limit.received) return std::nullopt;
    const std::size_t received = rib_in.received(id);
    if (received <= *limit.received) return std::nullopt;
    return PrefixLimitEvent{neighbor.name, Of::received, received, *limit.received, limit.idle};
}

void Speaker::Parts::enforce_limit(NeighborId id, Turn turn) {
    Neighbor& neighbor = *table.find(id);
    if (neighbor.over_limit || !neighbor.peer.negotiated()) return;
    const auto found = excess(id, neighbor);
    if (!found) return;
    neighbor.over_limit = true;
    // RFC 4486 §4: the data names a family and a number of prefixes, and the limit is on all
    // families together, or on what they take.
    const bgp::FamilySet& families = neighbor.peer.negotiated()->families;
    bgp::Notification words = bgp::cease(bgp::subcode::max_prefixes);
    for (const Family family : bgp::all_families) {
        if (found->of == PrefixLimitEvent::Of::kept_octets) break;
        if (families == bgp::FamilySet{family}) words = too_many_prefixes(family, found->limit);
    }
    handle(id, bgp::Halt{words, found->idle}, turn);
    turn.tell(*found);
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
            if (std::exchange(neighbor.disabled, false)) start(*id, turn);
            turn.out.save = true;
            settle_bfd(turn);
            break;
        case NeighborCommand::disable:
            if (!std::exchange(neighbor.disabled, true)) {
                stop(bgp::subcode::administrative_shutdown);
            }
            turn.out.save = true;
            settle_bfd(turn);
            break;
        case NeighborCommand::reset:
            if (neighbor.kept_down()) break;
            stop(bgp::subcode::administrative_reset);
            start(*id, turn);
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

void Speaker::Parts::vanish(Turn turn) {
    ending = true;
    // What is withdrawn from now on stands with neighbors that keep it.
    failover::SavedState stands{};
    site.save(turn.at.now, turn.at.wall, stands);
    vanished_with = std::move(stands.damping);
    for (const auto& [id, neighbor] : table) {
        if (survives_restart(*neighbor)) handle(id, bgp::Vanish{}, turn);
    }
}

void Speaker::Parts::end_sessions(const EndSessions& end, Turn turn) {
    ending = true;
    const auto goodbye =
        bgp::cease(bgp::subcode::administrative_shutdown, config->site + ": " + end.reason);
    for (const auto& [id, neighbor] : table) handle(id, bgp::Stop{goodbye}, turn);
    // Every driver is to look, for a peer without a connection says nothing of its lost deadline.
    turn.out.routes_changed = true;
}

}  // namespace swerve::daemon
