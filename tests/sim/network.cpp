#include "tests/sim/network.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace swerve::sim {
namespace {

constexpr std::size_t largest_segment = 1460;
/// What was lost comes again after at most this much, once the link carries again.
constexpr Duration longest_retransmission = std::chrono::milliseconds{1500};
/// By how much the delays of datagrams differ at the best of times.
constexpr Duration datagram_jitter = std::chrono::milliseconds{1};

Bytes take_front(std::deque<std::uint8_t>& from, std::size_t count) {
    const auto end = from.begin() + static_cast<std::ptrdiff_t>(count);
    Bytes out(from.begin(), end);
    from.erase(from.begin(), end);
    return out;
}

}  // namespace

Socket Network::dial(Link& link, Station& from) {
    const std::uint32_t id = next_++;
    const bool from_left = link.ends_[0] == &from;
    Connection made{&link, {}};
    made.halves[0] = {.phase = Half::Phase::opening, .station = &from};
    made.halves[1] = {.phase = Half::Phase::opening, .station = link.ends_[from_left ? 1 : 0]};
    connections_.emplace(id, std::move(made));
    const Socket socket{id, End::dialler};
    send(socket, {Packet::Kind::open});
    return socket;
}

Network::Read Network::read(Socket socket) {
    Half& own = half(socket);
    Link& link = *connections_.at(socket.connection).link;
    if (own.received.empty()) {
        Read out{{}, own.ended, own.reason};
        if (own.ended) close(socket);
        return out;
    }
    const std::size_t count =
        std::min<std::size_t>(own.received.size(), 1 + random_.below(link.piece));
    Read out{take_front(own.received, count)};
    pump({socket.connection, other(socket.end)});
    return out;
}

bool Network::has_input(Socket socket) const {
    const Half& own = half(socket);
    return !own.received.empty() || own.ended;
}

std::size_t Network::write(Socket socket, ByteView octets) {
    Half& own = half(socket);
    const std::size_t room = connections_.at(socket.connection).link->room;
    const std::size_t count = std::min(octets.size(), room - std::min(room, own.unsent.size()));
    own.unsent.insert(own.unsent.end(), octets.begin(),
                      octets.begin() + static_cast<std::ptrdiff_t>(count));
    own.written += count;
    pump(socket);
    return count;
}

std::size_t Network::unsent(Socket socket) const { return half(socket).unsent.size(); }
std::uint64_t Network::written(Socket socket) const { return half(socket).written; }
std::uint64_t Network::acknowledged(Socket socket) const { return half(socket).acknowledged; }

void Network::close(Socket socket, ByteView last_words) {
    if (!known(socket)) return;
    Half& own = half(socket);
    own.station = nullptr;
    if (own.phase != Half::Phase::open || own.ended) return forget(socket);
    own.phase = Half::Phase::lingering;
    own.received.clear();
    own.unsent.insert(own.unsent.end(), last_words.begin(), last_words.end());
    pump(socket);
}

void Network::reset(Socket socket) {
    if (!known(socket)) return;
    if (half(socket).phase == Half::Phase::open) send(socket, {Packet::Kind::reset});
    forget(socket);
}

void Network::abandon(Socket socket) {
    if (!known(socket)) return;
    if (half(socket).received.empty()) return close(socket);
    reset(socket);
}

void Network::vanish(Socket socket) {
    if (known(socket)) forget(socket);
}

void Network::forget(Socket socket) {
    Half& own = half(socket);
    own = {.last_arrival = own.last_arrival};
    const auto at = connections_.find(socket.connection);
    // A half that is still being dialled to belongs to nobody yet (the one that dials is its
    // station's, whatever has become of the other), and one that has said all it had to say waits
    // for nobody who is gone.
    const auto idle = [](const Half& each) {
        return each.phase == Half::Phase::gone || each.silent();
    };
    const auto& [dialler, acceptor] = at->second.halves;
    if (idle(dialler) && (idle(acceptor) || acceptor.phase == Half::Phase::opening)) {
        connections_.erase(at);
    }
}

bool Network::carries_octets() const {
    return std::ranges::any_of(connections_, [](const auto& each) {
        return std::ranges::any_of(each.second.halves, [](const Half& half) {
            return half.station != nullptr && (half.in_flight > 0 || !half.unsent.empty());
        });
    });
}

void Network::send(Socket from, Packet packet, Duration extra) {
    Link& link = *connections_.at(from.connection).link;
    Half& own = half(from);
    const Duration jitter{static_cast<Duration::rep>(
        random_.below(static_cast<std::uint64_t>(link.jitter.count()) + 1))};
    own.last_arrival = std::max(own.last_arrival, timeline_.now() + link.delay_ + jitter + extra);
    timeline_.at(own.last_arrival,
                 [this, to = Socket{from.connection, other(from.end)},
                  moved = std::move(packet)]() mutable { arrive(to, std::move(moved)); });
}

void Network::arrive(Socket at, Packet packet) {
    const auto found = connections_.find(at.connection);
    if (found == connections_.end()) return;
    Link& link = *found->second.link;
    const bool dark = !link.ends_[0]->powered() || !link.ends_[1]->powered();
    if (link.cut || dark) {
        link.held_.emplace_back(at, std::move(packet));
        return;
    }
    Half& own = half(at);
    switch (packet.kind) {
        case Packet::Kind::open:
            return opened(at);
        case Packet::Kind::opened:
            if (own.phase != Half::Phase::opening) return send(at, {Packet::Kind::reset});
            own.phase = Half::Phase::open;
            return own.station->connected(at);
        case Packet::Kind::refused: {
            Station* const station = own.station;
            if (own.phase != Half::Phase::opening) return;
            forget(at);
            return station->refused(at);
        }
        case Packet::Kind::data:
        case Packet::Kind::end:
        case Packet::Kind::reset:
            return take(at, packet);
        case Packet::Kind::ack:
            if (own.phase == Half::Phase::gone) return;
            own.in_flight -= packet.count;
            own.acknowledged += packet.count;
            Station* const station = own.station;
            pump(at);
            if (station == nullptr) return;
            station->acknowledged(at);
            if (connections_.contains(at.connection) && half(at).station == station) {
                station->writable(at);
            }
            return;
    }
}

void Network::opened(Socket at) {
    Half& own = half(at);
    Station& station = *own.station;
    const Socket dialler{at.connection, End::dialler};
    if (half(dialler).phase == Half::Phase::gone) return forget(at);
    if (!station.listens()) {
        send(at, {Packet::Kind::refused});
        return;
    }
    own.phase = Half::Phase::open;
    send(at, {Packet::Kind::opened});
    station.accepted(*connections_.at(at.connection).link, at);
}

void Network::take(Socket at, Packet& packet) {
    Half& own = half(at);
    if (own.phase == Half::Phase::gone || own.phase == Half::Phase::opening) {
        // Whoever sends to a connection that is not there is told so.
        if (packet.kind != Packet::Kind::reset) send(at, {Packet::Kind::reset});
        return;
    }
    if (packet.kind == Packet::Kind::data) {
        octets_ += packet.octets.size();
        send(at, {Packet::Kind::ack, {}, packet.octets.size()});
        if (own.phase == Half::Phase::lingering) return;
        own.received.insert(own.received.end(), packet.octets.begin(), packet.octets.end());
    } else {
        own.ended = true;
        if (own.phase == Half::Phase::lingering) {
            return packet.kind == Packet::Kind::reset ? forget(at) : pump(at);
        }
        own.reason = packet.kind == Packet::Kind::reset ? "connection reset by peer"
                                                        : "the peer closed the connection";
    }
    own.station->readable(at);
}

void Network::pump(Socket socket) {
    const auto found = connections_.find(socket.connection);
    if (found == connections_.end()) return;
    Half& own = half(socket);
    if (own.phase != Half::Phase::open && own.phase != Half::Phase::lingering) return;
    const Half& peer = half({socket.connection, other(socket.end)});
    const std::size_t window = found->second.link->window;
    while (!own.unsent.empty() && own.in_flight + peer.received.size() < window) {
        const std::size_t count = std::min(
            {own.unsent.size(), largest_segment, window - own.in_flight - peer.received.size()});
        own.in_flight += count;
        send(socket, {Packet::Kind::data, take_front(own.unsent, count)});
    }
    if (own.phase != Half::Phase::lingering || !own.unsent.empty()) return;
    if (!std::exchange(own.end_sent, true)) send(socket, {Packet::Kind::end});
    if (own.silent() && (own.ended || peer.phase == Half::Phase::gone)) forget(socket);
}

void Network::post(Link& link, const Station& from, Bytes octets) {
    const std::size_t side = link.side_of(from);
    Link::Loss& loss = link.loss[side];
    if (loss.left == 0 && loss.percent > 0 && !std::exchange(loss.spared, false) &&
        random_.below(100) < loss.percent) {
        loss.left = 1 + static_cast<unsigned>(random_.below(loss.longest));
    }
    if (loss.left > 0) {
        loss.spared = --loss.left == 0;
        return;
    }
    if (loss.all || link.cut) return;
    const Duration jitter{static_cast<Duration::rep>(
        random_.below(static_cast<std::uint64_t>((link.jitter + datagram_jitter).count()) + 1))};
    deliver(link, 1 - side, {std::move(octets), link.ttl}, link.delay_ + jitter);
}

void Network::deliver(Link& link, std::size_t to, Letter letter, Duration after) {
    timeline_.after(after, [&link, to, moved = std::move(letter)]() mutable {
        if (link.cut || !link.ends_[0]->powered() || !link.ends_[1]->powered()) return;
        link.ends_[to]->datagram(link, std::move(moved));
    });
}

void Network::release(Link& link) {
    if (link.cut) return;
    const Duration late{static_cast<Duration::rep>(
        random_.below(static_cast<std::uint64_t>(longest_retransmission.count())))};
    for (auto& [to, packet] : std::exchange(link.held_, {})) {
        if (!connections_.contains(to.connection)) continue;
        send({to.connection, other(to.end)}, std::move(packet), late);
    }
}

}  // namespace swerve::sim
