#include "daemon/describe.hpp"

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

namespace swerve::daemon {
namespace {

NeighborView view(const Speaker& speaker, NeighborId id, const Neighbor& neighbor) {
    const bgp::Peer& peer = neighbor.peer;
    const bgp::AdjRibOut& rib_out = peer.rib_out();
    NeighborView out{
        .name = neighbor.name,
        .description = neighbor.config != nullptr ? neighbor.config->description : std::string{},
        .address = neighbor.address,
        .port = neighbor.config != nullptr ? neighbor.config->port : std::uint16_t{0},
        .remote_as = neighbor.remote_as,
        .passive = peer.config().passive,
        .disabled = neighbor.disabled,
        .out_of_sync = neighbor.out_of_sync,
        .state = peer.state(),
        .since = neighbor.state_since,
        .negotiated = peer.negotiated(),
        .local_address = neighbor.local_address,
        .next_retry = peer.next_retry(),
        .last_error = neighbor.last_error,
        .counters = peer.counters(),
        .advertised = {rib_out.advertised(Family::ipv4), rib_out.advertised(Family::ipv6)},
        .pending_withdrawals = rib_out.pending_withdrawals(),
        .pending_announcements = rib_out.pending_announcements(),
        .unsent_octets = 0,
        .kept = speaker.rib_in().kept(id),
        .kept_octets = speaker.rib_in().kept_octets(id),
        .received = speaker.rib_in().received(id),
        .updates_sent = rib_out.updates_sent(),
        .sent = {},
        .id = id,
        .config = neighbor.config,
        .interface = neighbor.interface,
        .offered = peer.config().open,
        .end_of_rib = neighbor.end_of_rib,
        .over_limit = neighbor.over_limit,
        .last_notification = neighbor.last_notification,
        .ended_by = neighbor.ended_by,
        .bfd = neighbor.bfd,
        .waits_for_bfd =
            neighbor.waits_for_bfd() && neighbor.peer.state() != bgp::State::established,
    };
    rib_out.for_each_sent([&](const bgp::BlockRef& block, bgp::IdRange range) {
        out.sent.push_back({block, range});
    });
    return out;
}

/// In the order of the configuration, which a reload may have changed; the neighbors of a range
/// stand in its place, by address.
void describe_neighbors(const Speaker& speaker, Snapshot& out) {
    for (const auto& [id, neighbor] : speaker.neighbors()) {
        out.neighbors.push_back(view(speaker, id, *neighbor));
    }
    if (speaker.config()->neighbors.empty()) return;  // a collector's in order of arrival
    const conf::Neighbor* first = speaker.config()->neighbors.data();
    std::ranges::sort(out.neighbors, {}, [&](const NeighborView& each) {
        return std::pair{each.config - first, each.address};
    });
}

void describe_received(const Speaker& speaker, const SnapshotRequest& request, Snapshot& out) {
    const bgp::RibIn::Visit add = [&](const Prefix& prefix, const bgp::ReceivedRoute& route,
                                      bool best) {
        if (out.received.size() >= request.received_limit) {
            out.received_cut = true;
            return;
        }
        out.received.push_back(
            {prefix, speaker.neighbors().find(route.neighbor)->name, route, best});
    };
    if (request.prefix) return speaker.rib_in().for_each_overlapping(*request.prefix, add);
    speaker.rib_in().for_each(add);
}

void describe_adj_out(const Speaker& speaker, const SnapshotRequest& request, Snapshot& out) {
    for (const auto& [id, neighbor] : speaker.neighbors()) {
        if (request.adj_out_neighbor && *request.adj_out_neighbor != neighbor->name) continue;
        const bgp::AdjRibOut& rib_out = neighbor->peer.rib_out();
        rib_out.for_each(
            [&](const Prefix& prefix, const bgp::RouteRef& desired, const bgp::RouteRef& sent) {
                if (request.prefix && !request.prefix->overlaps(prefix)) return;
                if (out.adj_out.size() >= request.adj_out_limit) {
                    out.adj_out_cut = true;
                    return;
                }
                const bool withheld = desired && rib_out.withholds(desired, prefix.family());
                out.adj_out.push_back({prefix, neighbor->name, desired, sent, withheld});
            });
    }
}

/// The site's own prefixes, of its services first.
std::vector<Prefix> own_prefixes(const SnapshotRequest& request, Snapshot& out) {
    std::vector<Prefix> own;
    const auto add = [&](const Prefix& prefix) {
        if (request.prefix && !request.prefix->overlaps(prefix)) return true;
        if (own.size() >= request.observed_limit) {
            out.observed_cut = true;
            return false;
        }
        own.push_back(prefix);
        return true;
    };
    for (const auto& service : out.site.services) {
        for (const bgp::BlockRef& block : service.prefixes) {
            for (std::uint32_t id = 0; id < block->size(); ++id) {
                if (!add(block->at(id))) return own;
            }
        }
    }
    for (const Prefix& prefix : out.site.manual_routes) {
        if (!add(prefix)) break;
    }
    return own;
}

void describe_observed(const Speaker& speaker, const SnapshotRequest& request, Snapshot& out) {
    const std::vector<Prefix> own = own_prefixes(request, out);
    if (out.observed_cut && request.observed_whole) return;
    std::vector<bgp::Observer> observers;
    std::map<NeighborId, const NeighborView*> views;
    for (const NeighborView& each : out.neighbors) {
        views.emplace(each.id, &each);
        if (each.state != bgp::State::established || !each.negotiated) continue;
        observers.push_back({each.id, each.end_of_rib, each.negotiated->add_path});
    }
    const auto is_sent = [&](NeighborId id, const Prefix& prefix) {
        return std::ranges::any_of(views.at(id)->sent, [&](const SentRange& sent) {
            if (sent.block->family() != prefix.family()) return false;
            const auto at = sent.block->find(prefix);
            return at && sent.range.begin <= *at && *at < sent.range.end;
        });
    };
    out.observed = bgp::observe(own, {.rib = speaker.rib_in(),
                                      .observers = observers,
                                      .is_sent = is_sent,
                                      .site_community = speaker.config()->site_community});
}

void describe_history(const Speaker& speaker, const SnapshotRequest& request, Snapshot& out) {
    const auto& checks = speaker.site().policy().checks;
    const auto found = std::ranges::find(checks, request.history_of, &failover::CheckPolicy::name);
    if (found == checks.end()) return;
    out.history_of = found->name;
    out.history = speaker.site().history(static_cast<failover::CheckId>(found - checks.begin()));
}

}  // namespace

void describe(const Speaker& speaker, const SnapshotRequest& request, Snapshot& out) {
    out.config = speaker.config();
    out.site = speaker.site().view();
    describe_neighbors(speaker, out);
    out.failovers = speaker.recorder().records();
    if (request.received) describe_received(speaker, request, out);
    if (request.adj_out) describe_adj_out(speaker, request, out);
    if (request.observed) describe_observed(speaker, request, out);
    if (!request.history_of.empty()) describe_history(speaker, request, out);
}

}  // namespace swerve::daemon
