#include "daemon/neighbors.hpp"

#include <algorithm>
#include <boost/asio/ip/v6_only.hpp>
#include <utility>

namespace swerve::daemon {
namespace {

using boost::asio::ip::tcp;
using boost::system::error_code;
using failover::NeighborId;

/// A collector remembers this many neighbors; more are not admitted.
constexpr std::size_t max_collected = 1000;
/// Between two attempts to accept while that fails.
constexpr auto accept_pause = std::chrono::seconds{1};
/// Best-path events of one UPDATE that are told one by one; a table dump would drown all others.
constexpr std::size_t max_best_path_events = 64;

/// RFC 4271 §5.1.3 and common practice: a directly connected external peer is one hop away;
/// internal peers may be anywhere.
unsigned hop_limit(const conf::Config& config, const conf::Neighbor& neighbor) {
    if (neighbor.remote_as == config.local_as) return 255;
    return neighbor.multihop.value_or(1);
}

PeerTarget target_of(const conf::Config& config, const conf::Neighbor& neighbor) {
    return {{neighbor.address, neighbor.port},
            {neighbor.local_address, hop_limit(config, neighbor)}};
}

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

}  // namespace

/// One neighbor with what it is to be sent of each service.
struct Neighbors::Known {
    std::string name;
    const conf::Neighbor* config = nullptr;  ///< null: a collector's
    std::optional<Asn> remote_as;
    std::vector<bgp::RouteRef>
        exports;                  ///< by ServiceId; null where the neighbor does not carry it
    bgp::RouteRef manual_export;  ///< of routes without a service
    std::unique_ptr<PeerDriver> driver;
};

Neighbors::Neighbors(boost::asio::io_context& io, const conf::Config& config, EventSink& events,
                     std::uint64_t seed)
    : io_(io),
      config_(config),
      events_(events),
      seed_(seed),
      rib_in_(config.owned, config.collector.has_value(), config.local_as) {
    for (const conf::Neighbor& neighbor : config.neighbors) {
        const auto id = static_cast<NeighborId>(known_.size());
        auto known = std::make_unique<Known>();
        known->name = neighbor.name;
        known->config = &neighbor;
        known->remote_as = neighbor.remote_as;
        for (const conf::Service& service : config.services) {
            known->exports.push_back(std::make_shared<const bgp::RouteAttributes>(
                conf::merge(service.announce, neighbor.attributes)));
        }
        known->manual_export =
            std::make_shared<const bgp::RouteAttributes>(conf::merge({}, neighbor.attributes));
        known->driver = std::make_unique<PeerDriver>(
            io, id, conf::peer_config(config, neighbor, seed + id), target_of(config, neighbor),
            static_cast<PeerListener&>(*this));
        known_.push_back(std::move(known));
    }
}

Neighbors::~Neighbors() = default;

Result<void, std::string> Neighbors::listen() {
    for (const Endpoint& endpoint : config_.bgp_listen) {
        const tcp::endpoint local = to_asio(endpoint);
        tcp::acceptor acceptor{io_};
        error_code error;
        const auto step = [&](auto&& what) {
            if (!error) what();
        };
        step([&] { acceptor.open(local.protocol(), error); });
        step([&] { acceptor.set_option(tcp::acceptor::reuse_address(true), error); });
        step([&] {
            if (local.address().is_v6()) {
                acceptor.set_option(boost::asio::ip::v6_only(true), error);
            }
        });
        step([&] { acceptor.bind(local, error); });
        step([&] { acceptor.listen(tcp::acceptor::max_listen_connections, error); });
        if (error) {
            return fail("cannot listen for BGP on " + endpoint.to_string() + ": " +
                        error.message());
        }
        listeners_.push_back({std::move(acceptor), boost::asio::steady_timer{io_}});
    }
    return {};
}

void Neighbors::start() {
    for (Listener& listener : listeners_) accept(listener);
    for (const auto& known : known_) known->driver->start();
}

void Neighbors::stop(const bgp::Notification& notification) {
    error_code ignored;
    for (Listener& listener : listeners_) {
        listener.acceptor.close(ignored);
        listener.pause.cancel();
    }
    for (const auto& known : known_) known->driver->stop(notification);
}

void Neighbors::accept(Listener& listener) {
    listener.acceptor.async_accept([this, &listener](const error_code& error, tcp::socket socket) {
        if (!listener.acceptor.is_open()) return;
        if (!error) {
            admit(std::move(socket));
            return accept(listener);
        }
        // Most likely no descriptors are left: asking again at once would only spin.
        publish(DaemonEvent{DaemonEvent::Kind::alarm,
                            "cannot accept a BGP connection: " + error.message()});
        listener.pause.expires_after(accept_pause);
        listener.pause.async_wait([this, &listener](const error_code& cancelled) {
            if (!cancelled) accept(listener);
        });
    });
}

void Neighbors::admit(tcp::socket socket) {
    error_code error;
    const auto remote = socket.remote_endpoint(error);
    if (error) return;
    const Address address = from_asio(remote.address());
    const auto configured = std::ranges::find_if(known_, [&](const auto& known) {
        return known->driver->target().remote.address == address;
    });
    Known* known = configured != known_.end() ? configured->get() : collected(address);
    // Whoever is not configured is not answered, and costs nothing but the accept.
    if (known != nullptr) known->driver->accepted(std::move(socket));
}

Neighbors::Known* Neighbors::collected(const Address& address) {
    if (!config_.collector || known_.size() >= max_collected) return nullptr;
    const auto& accept = config_.collector->accept;
    if (std::ranges::none_of(accept, [&](const Prefix& from) { return from.contains(address); })) {
        return nullptr;
    }
    const auto id = static_cast<NeighborId>(known_.size());
    auto known = std::make_unique<Known>();
    known->name = address.to_string();
    known->driver = std::make_unique<PeerDriver>(io_, id, collector_peer(config_, seed_ + id),
                                                 PeerTarget{{address, 0}, {std::nullopt, 255}},
                                                 static_cast<PeerListener&>(*this));
    known_.push_back(std::move(known));
    known_.back()->driver->start();
    return known_.back().get();
}

void Neighbors::advertise(std::optional<failover::ServiceId> service, const bgp::BlockRef& block,
                          bgp::IdRange range) {
    for (const auto& known : known_) {
        if (known->config == nullptr) continue;
        if (service && !conf::carries(*known->config, *service, block->family())) continue;
        known->driver->rib_out().advertise(
            block, range, service ? known->exports[*service] : known->manual_export);
    }
}

void Neighbors::withdraw(const bgp::BlockRef& block, bgp::IdRange range,
                         std::vector<NeighborId>& holders) {
    for (std::size_t id = 0; id < known_.size(); ++id) {
        bgp::AdjRibOut& rib_out = known_[id]->driver->rib_out();
        const std::size_t before = rib_out.pending_withdrawals();
        rib_out.withdraw(block, range);
        const auto neighbor = static_cast<NeighborId>(id);
        if (rib_out.pending_withdrawals() > before &&
            std::ranges::find(holders, neighbor) == holders.end()) {
            holders.push_back(neighbor);
        }
    }
}

void Neighbors::flush() {
    for (const auto& known : known_) known->driver->flush();
}

void Neighbors::open_record(failover::FailoverRecord record,
                            const std::vector<NeighborId>& holders) {
    if (!holders.empty()) recorder_.open(std::move(record), holders);
}

void Neighbors::publish_completed() {
    for (const std::uint64_t id : recorder_.take_completed()) {
        if (const auto* record = recorder_.find(id)) publish(FailoverCompleted{*record});
    }
}

void Neighbors::session_up(NeighborId id, const bgp::SessionUp& up) {
    Known& known = *known_[id];
    known.remote_as = up.negotiated.remote_as;
    rib_in_.neighbor_up(id, {.internal = up.negotiated.internal,
                             .router_id = up.negotiated.remote_id,
                             .address = known.driver->target().remote.address});
    publish(SessionEvent{id, known.name, true, {}, std::nullopt, false});
}

void Neighbors::session_down(NeighborId id, const bgp::SessionDown& down) {
    std::vector<bgp::BestChanged> changes;
    rib_in_.neighbor_down(id, changes);
    recorder_.session_lost(id);
    publish(SessionEvent{id, known_[id]->name, false, down.reason,
                         down.sent ? down.sent : down.received, down.sent.has_value()});
    publish_best(changes);
    publish_completed();
    tell_settled();
}

void Neighbors::update(NeighborId id, const bgp::Update& update) {
    std::vector<bgp::BestChanged> changes;
    rib_in_.update(BootClock::now(), id, update, changes);
    publish_best(changes);
}

void Neighbors::withdrawals_written(NeighborId id, TimePoint now) { recorder_.written(now, id); }

void Neighbors::withdrawals_acknowledged(NeighborId id, TimePoint now, TimePoint written_at) {
    recorder_.acknowledged(now, id, written_at);
    publish_completed();
    tell_settled();
}

void Neighbors::when_settled(std::function<void()> settled) {
    settled_ = std::move(settled);
    tell_settled();
}

void Neighbors::tell_settled() {
    if (!settled_) return;
    const bool all = std::ranges::all_of(
        known_, [](const auto& known) { return known->driver->withdrawals_settled(); });
    if (all) std::exchange(settled_, nullptr)();
}

void Neighbors::publish_best(const std::vector<bgp::BestChanged>& changes) {
    if (!config_.collector) return;
    const auto name_of = [this](std::optional<NeighborId> id) {
        return id ? known_[*id]->name : std::string{};
    };
    for (std::size_t i = 0; i < std::min(changes.size(), max_best_path_events); ++i) {
        const bgp::BestChanged& change = changes[i];
        publish(BestPathEvent{change.prefix, name_of(change.from), name_of(change.to)});
    }
}

void Neighbors::publish(decltype(Event::what) what) {
    events_.publish({BootClock::now(), wall_now(), std::move(what)});
}

NeighborView Neighbors::view(const Known& known) const {
    const PeerDriver& driver = *known.driver;
    const bgp::Peer& peer = driver.peer();
    const bgp::AdjRibOut& rib_out = peer.rib_out();
    const auto id = static_cast<NeighborId>(
        std::ranges::find_if(known_, [&](const auto& each) { return each.get() == &known; }) -
        known_.begin());
    NeighborView out{
        .name = known.name,
        .description = known.config != nullptr ? known.config->description : std::string{},
        .address = driver.target().remote.address,
        .port = driver.target().remote.port,
        .remote_as = known.remote_as,
        .passive = peer.config().passive,
        .state = peer.state(),
        .since = driver.state_since(),
        .negotiated = peer.negotiated(),
        .local_address = driver.local_address(),
        .next_retry = peer.next_retry(),
        .last_error = driver.last_error(),
        .counters = peer.counters(),
        .advertised = {rib_out.advertised(Family::ipv4), rib_out.advertised(Family::ipv6)},
        .pending_withdrawals = rib_out.pending_withdrawals(),
        .pending_announcements = rib_out.pending_announcements(),
        .unsent_octets = driver.unsent_octets(),
        .received = rib_in_.received(id),
        .updates_sent = rib_out.updates_sent(),
    };
    rib_out.for_each_sent([&](const bgp::BlockRef& block, bgp::IdRange range) {
        out.sent.push_back({block, range});
    });
    return out;
}

void Neighbors::describe(const SnapshotRequest& request, Snapshot& out) const {
    for (const auto& known : known_) out.neighbors.push_back(view(*known));
    out.failovers = recorder_.records();
    if (!request.received) return;
    rib_in_.for_each([&](const Prefix& prefix, const bgp::ReceivedRoute& route, bool best) {
        if (request.prefix && !request.prefix->overlaps(prefix)) return;
        if (out.received.size() >= request.received_limit) {
            out.received_cut = true;
            return;
        }
        out.received.push_back({prefix, known_[route.neighbor]->name, route, best});
    });
}

}  // namespace swerve::daemon
