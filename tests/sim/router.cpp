#include "tests/sim/router.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "swerve/base/overloaded.hpp"
#include "swerve/bgp/framer.hpp"

namespace swerve::sim {

using bgp::Side;

namespace {

constexpr std::array sides{Side::dialled, Side::accepted};

}  // namespace

struct Router::Session {
    Session(Link& to, std::string called, Address address, bgp::PeerConfig with)
        : link(to), site(std::move(called)), own(address), config(std::move(with)), peer(config) {}

    Link& link;
    std::string site;
    Address own;
    bgp::PeerConfig config;
    bgp::Peer peer;
    std::array<std::optional<Socket>, 2> sockets{};
    std::array<bool, 2> open{};
    std::set<Prefix> table{};
    std::optional<TimePoint> armed{};
    std::uint64_t arming = 0;
    std::uint64_t life = 0;  ///< counts restarts
    bool deaf = false;       ///< reads nothing
    std::optional<bfd::SessionConfig> bfd{};
    bool bfd_up = false;

    [[nodiscard]] std::optional<Socket>& socket(Side side) {
        return sockets[static_cast<std::size_t>(side)];
    }
    [[nodiscard]] bool& is_open(Side side) { return open[static_cast<std::size_t>(side)]; }
};

Router::Router(std::string name, Timeline& timeline, Network& network, Trace& trace, Random& random,
               BfdWitness& witness)
    : name_(std::move(name)),
      timeline_(timeline),
      network_(network),
      trace_(trace),
      bfd_(timeline, network, random, witness, *this) {}
Router::~Router() = default;

void Router::serve(Link& link, const std::string& site, Address own, bgp::PeerConfig config) {
    sessions_.push_back(std::make_unique<Session>(link, site, own, std::move(config)));
    handle(*sessions_.back(), bgp::Start{});
}

Router::Session& Router::session(const Link& link) const {
    return **std::ranges::find_if(sessions_,
                                  [&](const auto& each) { return &each->link == &link; });
}

void Router::handle(Session& session, const bgp::PeerEvent& event) {
    bgp::PeerActions actions;
    session.peer.handle(timeline_.now(), event, actions);
    perform(session, actions);
    flush(session);
}

void Router::perform(Session& session, const bgp::PeerActions& actions) {
    for (const bgp::PeerAction& action : actions) {
        std::visit(
            Overloaded{
                [&](const bgp::Dial&) {
                    forget(session, Side::dialled);
                    const Socket socket = network_.dial(session.link, *this);
                    session.socket(Side::dialled) = socket;
                    sockets_[socket] = {&session, Side::dialled};
                },
                [&](const bgp::CancelDial&) { forget(session, Side::dialled); },
                [&](const bgp::CloseTcp& order) {
                    const auto socket = std::exchange(session.socket(order.side), std::nullopt);
                    session.is_open(order.side) = false;
                    if (!socket) return;
                    sockets_.erase(*socket);
                    if (order.reset) {
                        network_.reset(*socket);
                    } else {
                        network_.close(*socket, order.last_words);
                    }
                },
                [&](const bgp::StateChanged& change) {
                    trace_.detail(timeline_.now(), "{}: {} {} -> {} {}", name_, session.site,
                                  to_string(change.from), to_string(change.to), change.reason);
                },
                [&](const bgp::SessionUp&) {
                    trace_.story(timeline_.now(), "{}: session with {} is up", name_, session.site);
                },
                [&](const bgp::SessionDown& down) {
                    trace_.story(timeline_.now(), "{}: session with {} is down, {} routes gone: {}",
                                 name_, session.site, session.table.size(), down.reason);
                    session.table.clear();
                },
                [&](const bgp::UpdateReceived& received) {
                    const bgp::Update& update = received.update;
                    if (update.consequence != bgp::Consequence::none) {
                        violate("S1", "{} finds an UPDATE of {} malformed: {}", name_, session.site,
                                update.fault);
                    }
                    for (const Prefix& prefix : update.withdrawn) {
                        session.table.erase(prefix);
                        trace_.detail(timeline_.now(), "{}: {} withdraws {}", name_, session.site,
                                      prefix.to_string());
                    }
                    for (const bgp::Reach& reach : update.reach) {
                        for (const Prefix& prefix : reach.prefixes) {
                            session.table.insert(prefix);
                            ++routes_learned_;
                            trace_.detail(timeline_.now(), "{}: {} announces {}", name_,
                                          session.site, prefix.to_string());
                        }
                    }
                },
                [](const bgp::RefreshBegun&) {},
                [](const bgp::RefreshEnded&) {},
                [&](const bgp::NotificationExchanged&) {},
            },
            action);
    }
}

void Router::forget(Session& session, Side side) {
    const auto socket = std::exchange(session.socket(side), std::nullopt);
    session.is_open(side) = false;
    if (!socket) return;
    sockets_.erase(*socket);
    network_.close(*socket);
}

void Router::accepted(Link& link, Socket socket) {
    if (paused_) return waiting_.push_back(socket);
    Session& to = session(link);
    // The end of the connection that this one replaces may have arrived already.
    for (const Side side : sides) {
        if (to.socket(side) && to.is_open(side)) read(*to.socket(side));
    }
    if (const auto refusal = to.peer.refuses_connection()) {
        return network_.close(socket, bgp::encode(*refusal));
    }
    forget(to, Side::accepted);
    to.socket(Side::accepted) = socket;
    to.is_open(Side::accepted) = true;
    sockets_[socket] = {&to, Side::accepted};
    handle(to, bgp::TcpConnected{Side::accepted, to.own});
}

void Router::connected(Socket socket) {
    const auto found = sockets_.find(socket);
    if (found == sockets_.end()) return;
    Session& session = *found->second.session;
    session.is_open(Side::dialled) = true;
    handle(session, bgp::TcpConnected{Side::dialled, session.own});
}

void Router::refused(Socket socket) {
    const auto found = sockets_.find(socket);
    if (found == sockets_.end()) return;
    Session& session = *found->second.session;
    sockets_.erase(found);
    session.socket(Side::dialled).reset();
    handle(session, bgp::TcpFailed{Side::dialled, "connection refused"});
}

void Router::readable(Socket socket) {
    if (!paused_) read(socket);
}

void Router::writable(Socket socket) {
    const auto found = sockets_.find(socket);
    if (found != sockets_.end() && !paused_) flush(*found->second.session);
}

void Router::read(Socket socket) {
    for (auto found = sockets_.find(socket); found != sockets_.end();
         found = sockets_.find(socket)) {
        const auto [session, side] = found->second;
        if (session->deaf || !network_.has_input(socket)) return;
        const auto got = network_.read(socket);
        if (!got.octets.empty()) {
            handle(*session, bgp::BytesReceived{side, got.octets});
        } else if (got.ended) {
            sockets_.erase(found);
            session->socket(side).reset();
            session->is_open(side) = false;
            return handle(*session, bgp::TcpFailed{side, got.reason});
        }
    }
}

void Router::read_all() {
    std::vector<Socket> all;
    for (const auto& [socket, at] : sockets_) all.push_back(socket);
    for (const Socket socket : all) {
        const auto found = sockets_.find(socket);
        if (found != sockets_.end() && found->second.session->is_open(found->second.side)) {
            read(socket);
        }
    }
}

void Router::flush(Session& session) {
    std::vector<ByteView> views;
    for (const Side side : sides) {
        while (session.socket(side) && session.is_open(side) && session.peer.wants_write(side)) {
            views.clear();
            session.peer.produce(timeline_.now(), side, 65'536, views);
            Bytes octets;
            for (const ByteView view : views) octets.insert(octets.end(), view.begin(), view.end());
            const std::size_t taken = network_.write(*session.socket(side), octets);
            if (taken == 0) break;
            session.peer.consumed(timeline_.now(), side, taken);
        }
    }
    arm(session);
}

void Router::arm(Session& session) {
    const auto next = session.peer.next_deadline();
    if (next == session.armed) return;
    session.armed = next;
    ++session.arming;
    if (!next) return;
    timeline_.at(*next, [this, &session, armed = session.arming] { tick(session, armed); });
}

void Router::tick(Session& session, std::uint64_t armed) {
    if (armed != session.arming) return;
    session.armed.reset();
    // A stuck input stands for a router whose timers wait behind it.
    if (paused_ || session.deaf || !up_) return;
    for (const Side side : sides) {
        if (session.socket(side) && session.is_open(side)) read(*session.socket(side));
    }
    bgp::PeerActions actions;
    session.peer.tick(timeline_.now(), actions);
    perform(session, actions);
    flush(session);
}

void Router::restart(Duration down_for, Ending ending) {
    if (!std::exchange(up_, false)) return;
    powered_ = ending != Ending::power;
    const auto leave = [&](Socket socket) {
        if (powered_) {
            network_.abandon(socket);
        } else {
            network_.vanish(socket);
        }
    };
    if (ending == Ending::clean) bfd_.say_farewell();
    bfd_.end();
    unheard_.clear();
    for (const Socket socket : std::exchange(waiting_, {})) leave(socket);
    for (const auto& each : sessions_) {
        Session& session = *each;
        if (ending == Ending::clean)
            handle(session, bgp::Stop{bgp::cease(bgp::subcode::administrative_shutdown)});
        for (const Side side : sides) {
            if (const auto socket = std::exchange(session.socket(side), std::nullopt)) {
                sockets_.erase(*socket);
                leave(*socket);
            }
            session.is_open(side) = false;
        }
        session.table.clear();
        ++session.life;
        ++session.arming;
        session.armed.reset();
        session.peer = bgp::Peer{session.config};
    }
    timeline_.after(down_for, [this] {
        up_ = true;
        powered_ = true;
        begin_bfd();
        for (const auto& each : sessions_) network_.release(each->link);
        for (const auto& each : sessions_) handle(*each, bgp::Start{});
    });
}

void Router::notify(Link& link) {
    if (!up_ || paused_) return;
    handle(session(link), bgp::Stop{bgp::cease(bgp::subcode::administrative_reset)});
    handle(session(link), bgp::Start{});
}

void Router::ask_for_routes(Link& link) {
    if (up_ && !paused_) handle(session(link), bgp::AskForRoutes{});
}

void Router::reset_tcp(Link& link) {
    Session& at = session(link);
    if (!up_ || paused_) return;
    for (const Side side : sides) {
        const auto socket = at.socket(side);
        if (!socket || !at.is_open(side)) continue;
        sockets_.erase(*socket);
        at.socket(side).reset();
        at.is_open(side) = false;
        network_.reset(*socket);
        handle(at, bgp::TcpFailed{side, "connection reset"});
    }
}

void Router::give_up_waiting(Link& link) {
    if (session(link).peer.state() == bgp::State::open_sent) reset_tcp(link);
}

void Router::pause(bool paused) {
    if (std::exchange(paused_, paused) == paused) return;
    if (!bfd_apart_) bfd_.pause(paused);
    if (paused || !up_) return;
    for (const Socket socket : std::exchange(waiting_, {})) {
        // It was accepted on this link; the station's callback is only late.
        for (const auto& each : sessions_) {
            if (network_.runs_over(socket, each->link)) accepted(each->link, socket);
        }
    }
    read_all();
    for (const bfd::Report& report : std::exchange(unheard_, {})) hear(report);
    for (const auto& each : sessions_) {
        each->armed.reset();
        flush(*each);
    }
}

void Router::stop_reading(Link& link, bool stopped) {
    Session& at = session(link);
    if (std::exchange(at.deaf, stopped) == stopped) return;
    ++at.life;
    if (stopped) return keep_alive(at, at.life);
    if (!up_ || paused_) return;
    read_all();
    at.armed.reset();
    flush(at);
}

/// What a router with a stuck input still sends.
void Router::keep_alive(Session& session, std::uint64_t life) {
    if (life != session.life || !session.deaf || !session.peer.negotiated()) return;
    for (const Side side : sides) {
        if (!session.socket(side) || !session.is_open(side) || paused_) continue;
        // Not into the middle of another message, nor half of it.
        if (session.peer.wants_write(side) || network_.unsent(*session.socket(side)) > 0) continue;
        network_.write(*session.socket(side), bgp::encode_keepalive());
    }
    timeline_.after(session.peer.negotiated()->keepalive,
                    [this, &session, life] { keep_alive(session, life); });
}

void Router::speak_bfd(Link& link, std::optional<bfd::SessionConfig> config) {
    Session& at = session(link);
    if (config && !bfd_.is_attached(link)) {
        bfd_.attach(link, fmt::format("{} {}", name_, at.site), config->key);
    }
    at.bfd = std::move(config);
    configure_bfd();
}

bool Router::speaks_bfd(const Link& link) const { return session(link).bfd.has_value(); }

void Router::begin_bfd() {
    bfd_.begin({}, {[this](const bfd::Report& report) {
                        if (paused_) {
                            unheard_.push_back(report);
                        } else {
                            hear(report);
                        }
                    },
                    [](const Link&, const bfd::SessionConfig&) {}});
    if (paused_ && !bfd_apart_) bfd_.pause(true);
    for (const auto& each : sessions_) each->bfd_up = false;
    configure_bfd();
}

void Router::configure_bfd() {
    std::vector<bfd::SessionConfig> wanted;
    for (std::uint32_t i = 0; i < sessions_.size(); ++i) {
        if (!sessions_[i]->bfd) continue;
        wanted.push_back(*sessions_[i]->bfd);
        wanted.back().owner = i;
    }
    bfd_.configure(std::move(wanted));
}

/// RFC 5882 §3.2: routes go with the path; that somebody has switched BFD off says nothing of it.
void Router::hear(const bfd::Report& report) {
    Session& at = *sessions_[report.owner];
    const bool was_up = std::exchange(at.bfd_up, report.state == bfd::State::up);
    if (!was_up || at.bfd_up || !up_ || at.peer.state() < bgp::State::open_sent) return;
    if (report.cause != bfd::Cause::detection_time_expired &&
        report.cause != bfd::Cause::neighbor_signaled_down) {
        return;
    }
    handle(at, bgp::Halt{bgp::cease(bgp::subcode::bfd_down), std::chrono::seconds{1}});
}

bool Router::established(const Link& link) const {
    return session(link).peer.state() == bgp::State::established;
}

std::vector<Prefix> Router::table(const Link& link) const {
    const Session& at = session(link);
    return {at.table.begin(), at.table.end()};
}

}  // namespace swerve::sim
