#include "daemon/neighbors.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "daemon/operations/mrt_file.hpp"

namespace swerve::daemon {
namespace {

using boost::asio::ip::tcp;

/// RFC 5082 §3 where it is asked for. Else, by RFC 4271 §5.1.3 and common practice, a directly
/// connected external peer is one hop away; internal peers may be anywhere.
unsigned hop_limit(const conf::Config& config, const conf::Neighbor& neighbor) {
    if (neighbor.ttl_security || neighbor.remote_as == conf::local_as(config, neighbor)) return 255;
    return neighbor.multihop.value_or(1);
}

PeerTarget target_of(const conf::Config& config, const Neighbor& neighbor) {
    // A collector's neighbor is never dialled and may be anywhere.
    if (neighbor.config == nullptr) {
        return {{neighbor.address, 0}, {.local_address = std::nullopt, .hop_limit = 255}};
    }
    const conf::Neighbor& with = *neighbor.config;
    PeerTarget out{{neighbor.address, with.port},
                   {.local_address = with.local_address,
                    .hop_limit = hop_limit(config, with),
                    .interface = neighbor.interface,
                    .md5_key = with.password}};
    if (with.ttl_security) out.socket.least_hops = 256 - *with.ttl_security;
    if (!with.mrt_file.empty()) {
        out.mrt = MrtTarget{with.mrt_file, conf::local_as(config, with), with.remote_as};
    }
    return out;
}

}  // namespace

Neighbors::Neighbors(boost::asio::io_context& io, boost::asio::io_context& operations,
                     Speaker& speaker, TakeTurn turn, std::function<void(std::string)> alarm)
    : io_(io),
      speaker_(speaker),
      turn_(std::move(turn)),
      alarm_(std::move(alarm)),
      listeners_(
          io, {.admit = [this](const Address& address,
                               const std::string& interface) { return admit(address, interface); },
               .accepted =
                   [this](NeighborId id, tcp::socket socket) {
                       // Admitting it may have ended others, and itself.
                       const auto driver = drivers_.find(id);
                       if (driver == drivers_.end()) return;
                       driver->second->accepted(std::move(socket));
                   },
               .alarm = alarm_}),
      mrt_(
          io, operations,
          [files = std::make_shared<MrtFiles>()](const MrtRecord& record) {
              return files->append(record);
          },
          alarm_) {
    for (const auto& [id, neighbor] : speaker_.neighbors()) add(id);
}

Neighbors::~Neighbors() = default;

Result<void, std::string> Neighbors::listen(const conf::Config& config) {
    if (config.bgp_listen.empty()) return listeners_.bind({}, {});
    auto keys = listener_keys(config);
    if (!keys) return fail(keys.error());
    return listeners_.bind(config.bgp_listen, std::move(*keys));
}

void Neighbors::add(NeighborId id) {
    const Neighbor& neighbor = *speaker_.neighbors().find(id);
    PeerDriver::Hooks hooks{
        .tell =
            [this](const SpeakerEvent& event) {
                turn_([&](Moment at, SpeakerOutput& out) { speaker_.handle(at, event, out); });
            },
        .settled = [this] { tell_settled(); },
        .dump = [this](MrtRecord record) { mrt_.push(std::move(record)); },
        .alarm = [this, name = neighbor.name](
                     const std::string& what) { alarm_("neighbor " + name + ": " + what); },
    };
    drivers_.emplace(id, std::make_unique<PeerDriver>(io_, id, speaker_.peer(id),
                                                      target_of(*speaker_.config(), neighbor),
                                                      std::move(hooks)));
}

void Neighbors::carry_out(SpeakerOutput& out) {
    for (const NeighborId id : out.added) add(id);
    for (const auto& [id, action] : out.connections) {
        // The end of one session may be the end of the daemon, and so of others, at once.
        if (const auto driver = drivers_.find(id); driver != drivers_.end()) {
            driver->second->perform(action);
        }
    }
    for (const NeighborId id : out.removed) remove(id);
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

/// A neighbor of a range goes while its driver is telling of its end, so that the driver itself
/// goes a turn later.
void Neighbors::remove(NeighborId id) {
    const auto driver = drivers_.extract(id);
    if (driver.empty()) return;
    driver.mapped()->retire();
    boost::asio::post(io_, [gone = std::shared_ptr<PeerDriver>{std::move(driver.mapped())}] {});
}

void Neighbors::retarget() {
    std::vector<NeighborId> all;
    for (const auto& [id, driver] : drivers_) all.push_back(id);
    for (const NeighborId id : all) {
        // A connection that cannot follow ends, and its neighbor may go with it.
        const Neighbor* neighbor = speaker_.neighbors().find(id);
        const auto driver = drivers_.find(id);
        if (neighbor == nullptr || driver == drivers_.end()) continue;
        driver->second->retarget(target_of(*speaker_.config(), *neighbor));
    }
}

std::optional<NeighborId> Neighbors::admit(const Address& address, const std::string& interface) {
    std::optional<NeighborId> id;
    turn_([&](Moment at, SpeakerOutput& out) { id = speaker_.admit(at, address, interface, out); });
    return id;
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
