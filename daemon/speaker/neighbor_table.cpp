#include "daemon/speaker/neighbor_table.hpp"

#include <algorithm>
#include <utility>

namespace swerve::daemon {
namespace {

bgp::PeerConfig collector_peer(const conf::Config& config, std::uint64_t seed) {
    bgp::PeerConfig out{.open = {.local_as = config.local_as,
                                 .router_id = config.router_id,
                                 .remote_as = std::nullopt,
                                 .hold_time = std::chrono::seconds{9},
                                 .families = {Family::ipv4, Family::ipv6}}};
    out.passive = true;
    out.seed = seed;
    return out;
}

bgp::RouteRef shared(bgp::RouteAttributes attributes) {
    return std::make_shared<const bgp::RouteAttributes>(std::move(attributes));
}

/// One of a range is told apart from the others by its address, and calls.
bgp::PeerConfig peer_config(const conf::Config& config, const conf::Neighbor& from,
                            const Address& address, std::uint64_t seed) {
    bgp::PeerConfig out = conf::peer_config(config, from, seed);
    out.remote_address = address;
    out.passive = out.passive || from.range;
    return out;
}

Export make_export(const conf::Config& config, const conf::Service& service,
                   const conf::Neighbor& neighbor) {
    const auto full = conf::merge(config, service.announce, neighbor.attributes);
    const auto degraded = conf::degraded(full, service.degrade);
    // Whoever does not honor GRACEFUL_SHUTDOWN is drawn by it neither back to what has been
    // degraded for a while nor to what was degraded before.
    return {shared(full), shared(degraded), shared(conf::draining(degraded))};
}

/// What the neighbor is to be sent of each service and of manual routes.
void set_exports(Neighbor& to, const conf::Config& config) {
    to.exports.clear();
    for (const conf::Service& service : config.services) {
        to.exports.push_back(make_export(config, service, *to.config));
    }
    to.manual_export = make_export(config, conf::Service{}, *to.config);
}

/// With which attributes a route goes to this neighbor; null: not at all.
const bgp::RouteRef* route_for(const Neighbor& neighbor, const failover::Advertise& what) {
    if (neighbor.config == nullptr) return nullptr;
    if (what.service && !conf::carries(*neighbor.config, *what.service, what.block->family())) {
        return nullptr;
    }
    const Export& to = what.service ? neighbor.exports[*what.service] : neighbor.manual_export;
    switch (what.shown) {
        case failover::Shown::draining:
            return &to.draining;
        case failover::Shown::degraded:
            return &to.degraded;
        case failover::Shown::nothing:
        case failover::Shown::announced:
            break;
    }
    return &to.full;
}

std::vector<bgp::Desired> desired_of(const Neighbor& neighbor, const failover::Site& site) {
    std::vector<bgp::Desired> desired;
    site.for_each_announced([&](const failover::Advertise& what) {
        if (const auto* route = route_for(neighbor, what)) {
            desired.push_back({what.block, what.range, *route});
        }
    });
    return desired;
}

void note_holder(NeighborTable::Holders& holders, NeighborId id, const std::string& name) {
    const auto known =
        std::ranges::find(holders, id, &failover::FailoverRecord::Neighbor::neighbor);
    if (known == holders.end()) holders.push_back({.neighbor = id, .name = name});
}

}  // namespace

bool survives_restart(const Neighbor& neighbor) {
    const auto& session = neighbor.peer.negotiated();
    // One that has not taken a withdrawal yet would keep that route as well.
    return neighbor.config != nullptr && neighbor.config->restart_time && session &&
           session->remote_restart && neighbor.peer.rib_out().pending_withdrawals() == 0;
}

failover::Restored with_restart_time(failover::Restored restored, const conf::Config& config) {
    for (const conf::Neighbor& each : config.neighbors) {
        if (!each.restart_time) continue;
        restored.restart_time =
            std::min(*each.restart_time, restored.restart_time.value_or(*each.restart_time));
    }
    return restored;
}

NeighborTable::NeighborTable(const conf::Config& config, std::uint64_t seed, TimePoint now,
                             std::optional<TimePoint> vanished_at)
    : seed_(seed) {
    for (const conf::Neighbor& neighbor : config.neighbors) {
        if (neighbor.range) continue;
        const NeighborId id = add(config, neighbor, now);
        if (!vanished_at || !neighbor.restart_time) continue;
        if (now - *vanished_at >= *neighbor.restart_time) continue;  // it keeps nothing any more
        tell_restart(id, true);
    }
}

void NeighborTable::tell_restart(NeighborId id, bool hold_end_of_rib) {
    Neighbor& neighbor = *all_.at(id);
    bgp::PeerConfig restarting = neighbor.peer.config();
    restarting.open.restarting = true;
    restarting.hold_end_of_rib = hold_end_of_rib;
    neighbor.peer = bgp::Peer{restarting};
}

Neighbor* NeighborTable::find(NeighborId id) {
    const auto found = all_.find(id);
    return found == all_.end() ? nullptr : found->second.get();
}

const Neighbor* NeighborTable::find(NeighborId id) const {
    const auto found = all_.find(id);
    return found == all_.end() ? nullptr : found->second.get();
}

std::optional<NeighborId> NeighborTable::find(std::string_view name) const {
    const auto found =
        std::ranges::find_if(all_, [&](const auto& each) { return each.second->name == name; });
    return found == all_.end() ? std::nullopt : std::optional{found->first};
}

std::optional<NeighborId> NeighborTable::at(const Address& address,
                                            const std::string& interface) const {
    const bool link_local = address.is_ipv6_link_local();
    const auto found = std::ranges::find_if(all_, [&](const auto& each) {
        return each.second->address == address &&
               (!link_local || each.second->interface == interface);
    });
    return found == all_.end() ? std::nullopt : std::optional{found->first};
}

std::vector<NeighborId> NeighborTable::of_range(const conf::Neighbor& range) const {
    std::vector<NeighborId> out;
    for (const auto& [id, neighbor] : all_) {
        if (neighbor->config == &range) out.push_back(id);
    }
    return out;
}

NeighborId NeighborTable::insert(std::unique_ptr<Neighbor> neighbor) {
    const NeighborId id = next_id_++;
    all_.emplace(id, std::move(neighbor));
    return id;
}

NeighborId NeighborTable::add(const conf::Config& config, const conf::Neighbor& neighbor,
                              TimePoint now) {
    auto made = std::make_unique<Neighbor>(
        neighbor.name, neighbor.address,
        peer_config(config, neighbor, neighbor.address, seed_ + next_id_), now);
    made->interface = neighbor.interface;
    return insert(config, neighbor, std::move(made));
}

NeighborId NeighborTable::add_from_range(const conf::Config& config, const conf::Neighbor& range,
                                         const Address& address, const std::string& interface,
                                         TimePoint now) {
    auto made =
        std::make_unique<Neighbor>(range.name + "-" + address.to_string(), address,
                                   peer_config(config, range, address, seed_ + next_id_), now);
    made->interface = interface;
    return insert(config, range, std::move(made));
}

NeighborId NeighborTable::insert(const conf::Config& config, const conf::Neighbor& from,
                                 std::unique_ptr<Neighbor> neighbor) {
    neighbor->config = &from;
    neighbor->remote_as = from.remote_as;
    set_exports(*neighbor, config);
    return insert(std::move(neighbor));
}

NeighborId NeighborTable::add_collected(const conf::Config& config, const Address& address,
                                        TimePoint now) {
    return insert(std::make_unique<Neighbor>(address.to_string(), address,
                                             collector_peer(config, seed_ + next_id_), now));
}

void NeighborTable::reconfigure(NeighborId id, const conf::Config& config,
                                const conf::Neighbor& neighbor) {
    Neighbor& changed = *all_.at(id);
    changed.config = &neighbor;
    const bgp::PeerConfig& was = changed.peer.config();
    bgp::PeerConfig becomes = peer_config(config, neighbor, changed.address, was.seed);
    becomes.open.restarting = was.open.restarting;
    becomes.hold_end_of_rib = was.hold_end_of_rib;
    changed.peer.reconfigure(becomes);
    set_exports(changed, config);
}

std::vector<NeighborId> NeighborTable::advertise(const failover::Advertise& action) {
    std::vector<NeighborId> cancelled;
    for (const auto& [id, neighbor] : all_) {
        const auto* route = route_for(*neighbor, action);
        if (route == nullptr) continue;
        bgp::AdjRibOut& rib_out = neighbor->rib_out();
        const std::size_t before = rib_out.pending_withdrawals();
        rib_out.advertise(action.block, action.range, *route);
        if (before > 0 && rib_out.pending_withdrawals() == 0) cancelled.push_back(id);
    }
    return cancelled;
}

void NeighborTable::withdraw(const failover::Withdraw& action, Holders& holders) {
    for (const auto& [id, neighbor] : all_) {
        bgp::AdjRibOut& rib_out = neighbor->rib_out();
        const std::size_t before = rib_out.pending_withdrawals();
        rib_out.withdraw(action.block, action.range);
        if (rib_out.pending_withdrawals() > before) note_holder(holders, id, neighbor->name);
    }
}

void NeighborTable::hand_over(std::span<const bgp::Handover> hand_overs) {
    for (const auto& [id, neighbor] : all_) neighbor->rib_out().hand_over(hand_overs);
}

void NeighborTable::assign(NeighborId id, const failover::Site& site) {
    Neighbor& neighbor = *all_.at(id);
    neighbor.rib_out().assign(desired_of(neighbor, site));
}

std::size_t NeighborTable::assign(const failover::Site& site, Holders& holders) {
    std::size_t most = 0;
    for (const auto& [id, neighbor] : all_) {
        bgp::AdjRibOut& rib_out = neighbor->rib_out();
        const std::size_t before = rib_out.pending_withdrawals();
        rib_out.assign(desired_of(*neighbor, site));
        if (rib_out.pending_withdrawals() <= before) continue;
        note_holder(holders, id, neighbor->name);
        most = std::max(most, rib_out.pending_withdrawals() - before);
    }
    return most;
}

}  // namespace swerve::daemon
