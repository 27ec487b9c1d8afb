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

/// What the neighbor is to be sent of each service and of manual routes.
void set_exports(Neighbor& to, const conf::Config& config) {
    to.exports.clear();
    for (const conf::Service& service : config.services) {
        to.exports.push_back(std::make_shared<const bgp::RouteAttributes>(
            conf::merge(service.announce, to.config->attributes)));
    }
    to.manual_export =
        std::make_shared<const bgp::RouteAttributes>(conf::merge({}, to.config->attributes));
}

/// With which attributes a route goes to this neighbor; null: not at all.
const bgp::RouteRef* route_for(const Neighbor& neighbor, std::optional<failover::ServiceId> service,
                               Family family) {
    if (neighbor.config == nullptr) return nullptr;
    if (!service) return &neighbor.manual_export;
    if (!conf::carries(*neighbor.config, *service, family)) return nullptr;
    return &neighbor.exports[*service];
}

void note_holder(NeighborTable::Holders& holders, NeighborId id, const std::string& name) {
    const auto known =
        std::ranges::find(holders, id, &failover::FailoverRecord::Neighbor::neighbor);
    if (known == holders.end()) holders.push_back({.neighbor = id, .name = name});
}

}  // namespace

NeighborTable::NeighborTable(const conf::Config& config, std::uint64_t seed, TimePoint now)
    : seed_(seed) {
    for (const conf::Neighbor& neighbor : config.neighbors) add(config, neighbor, now);
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

std::optional<NeighborId> NeighborTable::at(const Address& address) const {
    const auto found = std::ranges::find_if(
        all_, [&](const auto& each) { return each.second->address == address; });
    return found == all_.end() ? std::nullopt : std::optional{found->first};
}

NeighborId NeighborTable::insert(std::unique_ptr<Neighbor> neighbor) {
    const NeighborId id = next_id_++;
    all_.emplace(id, std::move(neighbor));
    return id;
}

NeighborId NeighborTable::add(const conf::Config& config, const conf::Neighbor& neighbor,
                              TimePoint now) {
    auto made =
        std::make_unique<Neighbor>(neighbor.name, neighbor.address,
                                   conf::peer_config(config, neighbor, seed_ + next_id_), now);
    made->config = &neighbor;
    made->remote_as = neighbor.remote_as;
    set_exports(*made, config);
    return insert(std::move(made));
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
    changed.peer.reconfigure(conf::peer_config(config, neighbor, changed.peer.config().seed));
    set_exports(changed, config);
}

std::vector<NeighborId> NeighborTable::advertise(const failover::Advertise& action) {
    std::vector<NeighborId> cancelled;
    for (const auto& [id, neighbor] : all_) {
        const auto* route = route_for(*neighbor, action.service, action.block->family());
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

std::size_t NeighborTable::assign(const failover::Site& site, Holders& holders) {
    std::size_t most = 0;
    for (const auto& [id, neighbor] : all_) {
        std::vector<bgp::Desired> desired;
        site.for_each_announced([&](std::optional<failover::ServiceId> service,
                                    const bgp::BlockRef& block, bgp::IdRange range) {
            if (const auto* route = route_for(*neighbor, service, block->family())) {
                desired.push_back({block, range, *route});
            }
        });
        bgp::AdjRibOut& rib_out = neighbor->rib_out();
        const std::size_t before = rib_out.pending_withdrawals();
        rib_out.assign(desired);
        if (rib_out.pending_withdrawals() <= before) continue;
        note_holder(holders, id, neighbor->name);
        most = std::max(most, rib_out.pending_withdrawals() - before);
    }
    return most;
}

}  // namespace swerve::daemon
