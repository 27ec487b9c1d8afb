#include <algorithm>
#include <string_view>
#include <utility>

#include "daemon/speaker/speaker_parts.hpp"

namespace swerve::daemon {
namespace {

/// A collector remembers this many neighbors; more are not admitted.
constexpr std::size_t max_collected = 1000;

/// The longest of the ranges that have the address; null where none has.
const conf::Neighbor* range_of(const conf::Config& config, const Address& address,
                               const std::string& interface) {
    const conf::Neighbor* best = nullptr;
    for (const conf::Neighbor& each : config.neighbors) {
        if (!each.range || !each.range->contains(address)) continue;
        if (!each.interface.empty() && each.interface != interface) continue;
        if (best == nullptr || each.range->length() > best->range->length()) best = &each;
    }
    return best;
}

/// Under which entry of a configuration a neighbor goes on; null: none.
const conf::Neighbor* entry_of(const conf::Config& config, const Neighbor& neighbor) {
    const auto at_its_address = std::ranges::find_if(config.neighbors, [&](const auto& each) {
        return !each.range && each.address == neighbor.address &&
               each.interface == neighbor.interface;
    });
    const bool taken = at_its_address != config.neighbors.end();
    if (neighbor.of_range()) {
        return taken ? nullptr : range_of(config, neighbor.address, neighbor.interface);
    }
    const auto named = std::ranges::find(config.neighbors, neighbor.name, &conf::Neighbor::name);
    return named == config.neighbors.end() ? nullptr : &*named;
}

}  // namespace

void Speaker::Parts::reload(const conf::Change& change, Turn turn) {
    const std::shared_ptr<const conf::Config> before = std::exchange(config, change.after);
    const std::vector<NeighborId> added = replace_neighbors(change, turn);
    std::vector<bgp::BestChanged> best;
    rib_in.reconfigure(config->owned, config->local_as, best);
    tell_best(best, turn);
    pending_hand_overs = change.hand_overs;
    decide(failover::Reconfigure{conf::site_policy(*config, seed), change.checks}, turn);
    for (const NeighborId id : added) {
        start(id, turn);
    }
    for (const auto& [id, neighbor] : table) enforce_limit(id, turn);
    if (config->owned != before->owned) {
        // What did not concern us before was not kept.
        for (const auto& [id, neighbor] : table) handle(id, bgp::AskForRoutes{}, turn);
    }
    turn.out.save = true;
    settle_bfd(turn);
}

std::vector<NeighborId> Speaker::Parts::replace_neighbors(const conf::Change& change, Turn turn) {
    std::vector<NeighborId> existing;
    for (const auto& [id, neighbor] : table) {
        if (neighbor->config != nullptr)
            existing.push_back(id);  // a collector's OPEN cannot change
    }
    std::vector<std::string> disabled;
    std::vector<UntoldRestart> untold;
    std::vector<BfdState> bfd_states;
    for (const NeighborId id : existing) {
        Neighbor& neighbor = *table.find(id);
        const conf::Neighbor* becomes = entry_of(*change.after, neighbor);
        const bool same = becomes != nullptr && becomes->name == neighbor.config->name;
        const auto reset =
            std::ranges::find(change.resets, neighbor.config->name, &conf::SessionReset::neighbor);
        if (same && reset == change.resets.end()) {
            keep_neighbor(id, *change.after, *becomes, turn);
            continue;
        }
        const bool removed = !same || reset->removed;
        // One of a range comes by itself, and finds there what was said of it.
        if (neighbor.disabled && becomes != nullptr && becomes->range) {
            disabled_elsewhere.push_back(neighbor.name);
        } else if (neighbor.disabled) {
            disabled.push_back(neighbor.name);
        }
        if (auto restart = untold_restart(id)) untold.push_back(*std::move(restart));
        if (neighbor.bfd) bfd_states.push_back({bfd_key(neighbor), *neighbor.bfd});
        const bool shut = !removed && becomes->admin_down;
        remove(id,
               removed ? bgp::subcode::peer_deconfigured
               : shut  ? bgp::subcode::administrative_shutdown
                       : bgp::subcode::other_configuration_change,
               turn);
    }
    std::vector<NeighborId> added;
    for (const conf::Neighbor& neighbor : change.after->neighbors) {
        if (neighbor.range || table.find(neighbor.name)) continue;
        const NeighborId id = table.add(*change.after, neighbor, turn.at.now);
        turn.out.added.push_back(id);
        added.push_back(id);
        Neighbor& made = *table.find(id);
        made.disabled = std::ranges::find(disabled, neighbor.name) != disabled.end();
        // Its BFD session goes on, whatever became of the one of BGP.
        const auto known = std::ranges::find_if(bfd_states, [&](const BfdState& each) {
            return made.wants_bfd() && each.key == bfd_key(made);
        });
        if (known != bfd_states.end()) made.bfd = known->report;
        const auto restart = std::ranges::find_if(untold, [&](const UntoldRestart& each) {
            return each.address == neighbor.address && each.interface == neighbor.interface;
        });
        if (restart == untold.end() || !neighbor.restart_time) continue;
        table.tell_restart(id, restart->held_until.has_value());
        if (restart->held_until) held_end_of_ribs.emplace(*restart->held_until, id);
    }
    return added;
}

std::optional<Speaker::Parts::UntoldRestart> Speaker::Parts::untold_restart(NeighborId id) const {
    const Neighbor& neighbor = *table.find(id);
    const bgp::Peer& peer = neighbor.peer;
    if (!peer.config().open.restarting || peer.counters().established > 0) return std::nullopt;
    UntoldRestart out{neighbor.address, neighbor.interface, std::nullopt};
    for (const auto& [until, held] : held_end_of_ribs) {
        if (held == id) out.held_until = until;
    }
    return out;
}

void Speaker::Parts::keep_neighbor(NeighborId id, const conf::Config& next,
                                   const conf::Neighbor& becomes, Turn turn) {
    Neighbor& neighbor = *table.find(id);
    const bool other_limit = neighbor.config->prefix_limit != becomes.prefix_limit;
    const bool waited = neighbor.waits_for_bfd();
    table.reconfigure(id, next, becomes);
    if (!neighbor.wants_bfd()) neighbor.bfd.reset();
    if (waited) start(id, turn);
    hold_for_bfd(id, turn);
    if (!neighbor.over_limit || !other_limit || neighbor.kept_down()) return;
    // Whoever raises the limit does not mean to wait for the old one.
    neighbor.over_limit = false;
    handle(id, bgp::Stop{bgp::cease(bgp::subcode::other_configuration_change)}, turn);
    start(id, turn);
}

void Speaker::Parts::remove(NeighborId id, std::uint8_t subcode, Turn turn) {
    const bool shut = subcode == bgp::subcode::administrative_shutdown;
    handle(id, bgp::Stop{bgp::cease(subcode, shut ? "admin_down in the configuration" : "")}, turn);
    turn.out.removed.push_back(id);
    table.remove(id);
}

std::optional<NeighborId> Speaker::Parts::admit(const Address& address,
                                                const std::string& interface, Turn turn) {
    if (const auto known = table.at(address, interface)) return known;
    const conf::Neighbor* range = range_of(*config, address, interface);
    if (range != nullptr) return add_from_range(*range, address, interface, turn);
    const bool collected = config->collector &&
                           std::ranges::any_of(config->collector->accept, [&](const Prefix& from) {
                               return from.contains(address);
                           });
    if (!collected || table.size() >= max_collected) return std::nullopt;
    const NeighborId id = table.add_collected(*config, address, turn.at.now);
    turn.out.added.push_back(id);
    handle(id, bgp::Start{}, turn);
    return id;
}

std::optional<NeighborId> Speaker::Parts::add_from_range(const conf::Neighbor& range,
                                                         const Address& address,
                                                         const std::string& interface, Turn turn) {
    if (range.admin_down) return std::nullopt;
    const std::vector<NeighborId> others = table.of_range(range);
    if (others.size() >= range.range_limit) {
        // One that has no connection may go.
        const auto idle = std::ranges::find_if(others, [this](NeighborId id) {
            const Neighbor& neighbor = *table.find(id);
            return neighbor.peer.state() <= bgp::State::active && !neighbor.disabled &&
                   !neighbor.over_limit;
        });
        if (idle == others.end()) return std::nullopt;
        remove(*idle, bgp::subcode::peer_deconfigured, turn);
    }
    const NeighborId id = table.add_from_range(*config, range, address, interface, turn.at.now);
    turn.out.added.push_back(id);
    Neighbor& neighbor = *table.find(id);
    neighbor.disabled = std::erase(disabled_elsewhere, neighbor.name) > 0;
    table.assign(id, site);
    if (!neighbor.disabled) handle(id, bgp::Start{}, turn);
    return id;
}

void Speaker::Parts::forget_ended(Turn turn) {
    forget_at.reset();
    for (const NeighborId id : std::exchange(ended, {})) {
        const Neighbor* neighbor = table.find(id);
        if (neighbor == nullptr || neighbor->disabled) continue;
        const bgp::State state = neighbor->peer.state();
        const bool waits = neighbor->over_limit && state == bgp::State::idle;
        if (state > bgp::State::active || waits) continue;
        remove(id, bgp::subcode::peer_deconfigured, turn);
    }
}

}  // namespace swerve::daemon
