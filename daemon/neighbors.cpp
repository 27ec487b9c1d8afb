#include "daemon/neighbors.hpp"

#include <algorithm>
#include <utility>

namespace swerve::daemon {
namespace {

using boost::asio::ip::tcp;
using boost::system::error_code;

/// RFC 4271 §5.1.3 and common practice: a directly connected external peer is one hop away;
/// internal peers may be anywhere.
unsigned hop_limit(const conf::Config& config, const conf::Neighbor& neighbor) {
    if (neighbor.remote_as == config.local_as) return 255;
    return neighbor.multihop.value_or(1);
}

PeerTarget target_of(const conf::Config& config, const Neighbor& neighbor) {
    // A collector's neighbor is never dialled and may be anywhere.
    if (neighbor.config == nullptr) return {{neighbor.address, 0}, {std::nullopt, 255}};
    return {{neighbor.address, neighbor.config->port},
            {neighbor.config->local_address, hop_limit(config, *neighbor.config)}};
}

}  // namespace

Neighbors::Neighbors(boost::asio::io_context& io, Speaker& speaker, TakeTurn turn,
                     std::function<void(std::string)> alarm)
    : io_(io),
      speaker_(speaker),
      turn_(std::move(turn)),
      listeners_(io, {.accepted = [this](tcp::socket socket) { admit(std::move(socket)); },
                      .alarm = std::move(alarm)}) {
    for (const auto& [id, neighbor] : speaker_.neighbors()) add(id);
}

Neighbors::~Neighbors() = default;

void Neighbors::add(NeighborId id) {
    const Neighbor& neighbor = *speaker_.neighbors().find(id);
    drivers_.emplace(id, std::make_unique<PeerDriver>(
                             io_, id, speaker_.peer(id), target_of(*speaker_.config(), neighbor),
                             PeerDriver::Hooks{.tell =
                                                   [this](const SpeakerEvent& event) {
                                                       turn_([&](Moment at, SpeakerOutput& out) {
                                                           speaker_.handle(at, event, out);
                                                       });
                                                   },
                                               .settled = [this] { tell_settled(); }}));
}

void Neighbors::carry_out(SpeakerOutput& out) {
    for (const NeighborId id : out.added) add(id);
    for (const auto& [id, action] : out.connections) drivers_.at(id)->perform(action);
    for (const NeighborId id : out.removed) drivers_.erase(id);
    if (out.routes_changed) {
        for (const auto& [id, driver] : drivers_) driver->flush();
        return;
    }
    for (const auto& [id, action] : out.connections) {
        if (const auto driver = drivers_.find(id); driver != drivers_.end()) {
            driver->second->flush();
        }
    }
}

void Neighbors::retarget() {
    for (const auto& [id, neighbor] : speaker_.neighbors()) {
        drivers_.at(id)->retarget(target_of(*speaker_.config(), *neighbor));
    }
}

void Neighbors::admit(tcp::socket socket) {
    error_code error;
    const auto remote = socket.remote_endpoint(error);
    if (error) return;
    const Address address = from_asio(remote.address());
    std::optional<NeighborId> id = speaker_.neighbors().at(address);
    const auto& collector = speaker_.config()->collector;
    if (!id && collector && std::ranges::any_of(collector->accept, [&](const Prefix& from) {
            return from.contains(address);
        })) {
        turn_([&](Moment at, SpeakerOutput& out) { id = speaker_.collected(at, address, out); });
    }
    // Whoever is not configured is not answered, and costs nothing but the accept.
    if (id) drivers_.at(*id)->accepted(std::move(socket));
}

void Neighbors::when_settled(std::function<void()> settled) {
    settled_ = std::move(settled);
    tell_settled();
}

void Neighbors::tell_settled() {
    if (!settled_) return;
    const bool all = std::ranges::all_of(
        drivers_, [](const auto& each) { return each.second->withdrawals_settled(); });
    if (all) std::exchange(settled_, nullptr)();
}

NeighborView Neighbors::view(NeighborId id, const Neighbor& neighbor) const {
    const PeerDriver& driver = *drivers_.at(id);
    const bgp::Peer& peer = neighbor.peer;
    const bgp::AdjRibOut& rib_out = peer.rib_out();
    NeighborView out{
        .name = neighbor.name,
        .description = neighbor.config != nullptr ? neighbor.config->description : std::string{},
        .address = neighbor.address,
        .port = driver.target().remote.port,
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
        .unsent_octets = driver.unsent_octets(),
        .received = speaker_.rib_in().received(id),
        .updates_sent = rib_out.updates_sent(),
    };
    rib_out.for_each_sent([&](const bgp::BlockRef& block, bgp::IdRange range) {
        out.sent.push_back({block, range});
    });
    return out;
}

void Neighbors::describe(const SnapshotRequest& request, Snapshot& out) const {
    const NeighborTable& table = speaker_.neighbors();
    for (const auto& [id, neighbor] : table) out.neighbors.push_back(view(id, *neighbor));
    if (const auto& configured = speaker_.config()->neighbors; !configured.empty()) {
        // In the order of the configuration, which a reload may have changed.
        std::map<std::string_view, std::size_t> place;
        for (const conf::Neighbor& each : configured) place.emplace(each.name, place.size());
        std::ranges::sort(out.neighbors, {},
                          [&](const NeighborView& each) { return place.at(each.name); });
    }
    out.failovers = speaker_.recorder().records();
    if (request.received) describe_received(request, out);
    if (request.adj_out) describe_adj_out(request, out);
}

void Neighbors::describe_received(const SnapshotRequest& request, Snapshot& out) const {
    speaker_.rib_in().for_each(
        [&](const Prefix& prefix, const bgp::ReceivedRoute& route, bool best) {
            if (request.prefix && !request.prefix->overlaps(prefix)) return;
            if (out.received.size() >= request.received_limit) {
                out.received_cut = true;
                return;
            }
            out.received.push_back(
                {prefix, speaker_.neighbors().find(route.neighbor)->name, route, best});
        });
}

void Neighbors::describe_adj_out(const SnapshotRequest& request, Snapshot& out) const {
    for (const auto& [id, neighbor] : speaker_.neighbors()) {
        if (request.adj_out_neighbor && *request.adj_out_neighbor != neighbor->name) continue;
        neighbor->peer.rib_out().for_each(
            [&](const Prefix& prefix, const bgp::RouteRef& desired, const bgp::RouteRef& sent) {
                if (request.prefix && !request.prefix->overlaps(prefix)) return;
                if (out.adj_out.size() >= request.adj_out_limit) {
                    out.adj_out_cut = true;
                    return;
                }
                out.adj_out.push_back({prefix, neighbor->name, desired, sent});
            });
    }
}

}  // namespace swerve::daemon
