#include "swerve/bgp/peer.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

#include "bgp/connection.hpp"
#include "bgp/refresh_answers.hpp"
#include "swerve/base/deadlines.hpp"
#include "swerve/base/overloaded.hpp"
#include "swerve/base/random.hpp"

namespace swerve::bgp {
namespace {

/// Backoff after errors: 1, 2, 4 … seconds up to this. Higher, and three quick errors are an outage
/// of their own.
constexpr Duration longest_idle_hold = std::chrono::seconds{60};
/// A session that lasted this long has proved itself; the next error starts the backoff anew.
constexpr Duration proven_session = std::chrono::minutes{5};

constexpr Duration backoff(unsigned failures) {
    const unsigned doublings = failures == 0 ? 0 : failures - 1;
    return std::min<Duration>(longest_idle_hold,
                              std::chrono::seconds{1} * (1U << std::min(doublings, 6U)));
}

/// RFC 4271 §6.8, RFC 6286 §2.3: the connection survives that was dialled by the speaker with the
/// higher identifier, at equal identifiers by the one with the larger AS number.
bool we_dominate(const OpenPolicy& ours, const Negotiated& theirs) {
    if (ours.router_id != theirs.remote_id) return ours.router_id > theirs.remote_id;
    return ours.local_as > theirs.remote_as;
}

/// RFC 5492 §3: what a neighbor answers that knows no capabilities.
bool refuses_capabilities(const Notification& answer) {
    return answer.code == static_cast<std::uint8_t>(ErrorCode::open_message) &&
           answer.subcode == subcode::unsupported_optional_parameter;
}

/// The side that a peer brings about by itself.
Side own_side(const PeerConfig& config) { return config.passive ? Side::accepted : Side::dialled; }

ConnectionConfig connection_config(Side side, const PeerConfig& config) {
    return {side, config.open, config.connect_retry, side == own_side(config),
            config.seed + static_cast<std::uint64_t>(side)};
}

}  // namespace

struct Peer::Parts {
    enum class Timer : std::uint8_t { idle_hold, count_ };
    /// One call from the driver.
    struct Turn {
        TimePoint now;
        PeerActions& out;
    };

    explicit Parts(const PeerConfig& given)
        : config(given),
          dialled(connection_config(Side::dialled, config), counters),
          accepted(connection_config(Side::accepted, config), counters),
          random(config.seed + 2),
          retry_delay(config.connect_retry) {
        rib.hold_end_of_rib(config.hold_end_of_rib);
    }
    Parts(const Parts&) = delete;
    Parts& operator=(const Parts&) = delete;
    ~Parts() = default;

    [[nodiscard]] Connection& at(Side side) { return side == Side::dialled ? dialled : accepted; }
    [[nodiscard]] const Connection& at(Side side) const {
        return side == Side::dialled ? dialled : accepted;
    }
    [[nodiscard]] Connection& other(const Connection& one) {
        return &one == &dialled ? accepted : dialled;
    }
    /// The one that a retry starts.
    [[nodiscard]] Connection& starter() { return at(own_side(config)); }

    [[nodiscard]] State state() const { return std::max(dialled.state(), accepted.state()); }
    [[nodiscard]] bool output_pending(const Connection& one) const {
        return !one.outbox().empty() || (session == one.side() && rib.pending());
    }
    [[nodiscard]] std::optional<Notification> refusal() const;
    /// Of the session.
    [[nodiscard]] std::optional<Address> next_hop(Family family) const;
    [[nodiscard]] std::optional<Address> link_local() const;

    void reconfigure(const PeerConfig& given);
    void start(Turn turn);
    void stop(const Stop& event, Turn turn);
    void halt(const Halt& event, Turn turn);
    void vanish(Turn turn);
    void connected(const TcpConnected& event, Turn turn);
    void received(const BytesReceived& event, Turn turn);
    void ask_for_routes();
    void tick(Turn turn);

    void apply(Connection& one, const ConnectionEvent& event, Turn turn);
    void perform(Connection& one, ConnectionActions& actions, Turn turn);
    void session_up(const Connection& one, Turn turn);
    void offer();
    [[nodiscard]] RefreshAnswers::Session answering() {
        return {rib, at(*session).outbox(), *negotiated};
    }
    void ended(const Connection& one, Ended& end, Turn turn);
    void settle(const Connection& newest, Turn turn);
    void schedule_retry(TimePoint now);
    void publish(const Connection& newest, Turn turn);
    void watch_output(TimePoint now);

    PeerConfig config;
    PeerCounters counters;
    Connection dialled;
    Connection accepted;
    AdjRibOut rib;
    Random random;
    Deadlines<Timer> deadlines;
    State published = State::idle;
    std::string published_reason;
    bool started = false;
    bool halted = false;  ///< until the idle hold is over nobody is let in
    bool plain = false;   ///< the next OPEN carries no capabilities
    unsigned failures = 0;
    Duration retry_delay;  ///< until the next attempt, as the last ending decided
    std::optional<Side> session;
    std::optional<Negotiated> negotiated;
    RefreshAnswers refreshes;
    TimePoint established_at;
    TimePoint latest;  ///< when the driver called last
};

std::optional<Notification> Peer::Parts::refusal() const {
    if (!started || halted) return cease(subcode::connection_rejected);
    if (session || accepted.state() >= State::open_sent) {
        return cease(subcode::connection_collision);
    }
    return std::nullopt;
}

std::optional<Address> Peer::Parts::next_hop(Family family) const {
    const auto& given = family == Family::ipv4 ? config.next_hop_ipv4 : config.next_hop_ipv6;
    const Address own = given.value_or(at(*session).tcp()->local_address);
    // RFC 4271 §5.1.3: a router takes no route that leads to itself.
    if (own == config.remote_address) return std::nullopt;
    if (given) return given;
    // RFC 8950 §4: an IPv6 address leads to IPv4 prefixes where both sides said so.
    const bool leads_there =
        own.family() == family || (family == Family::ipv4 && negotiated->ipv4_over_ipv6);
    return leads_there ? std::optional{own} : std::nullopt;
}

/// RFC 2545 §3: only a neighbor on the same link can use it, and it is that of whom the global
/// address names: another's we do not know.
std::optional<Address> Peer::Parts::link_local() const {
    if (!config.shared_link || config.next_hop_ipv6) return std::nullopt;
    const TcpUp& tcp = *at(*session).tcp();
    if (tcp.link_local) return tcp.link_local;
    return tcp.local_address.is_ipv6_link_local() ? std::optional{tcp.local_address} : std::nullopt;
}

void Peer::Parts::reconfigure(const PeerConfig& given) {
    assert(given.open == config.open);
    config = given;
    for (Connection* one : {&dialled, &accepted}) {
        one->reconfigure(config.connect_retry, one == &starter());
    }
    if (failures == 0) retry_delay = config.connect_retry;
    if (session) rib.set_next_hops(next_hop(Family::ipv4), next_hop(Family::ipv6));
    // A peer that waited for its neighbor has no timer yet that would make it dial.
    schedule_retry(latest);
}

void Peer::Parts::start(Turn turn) {
    if (config.passive) return apply(accepted, StartListening{}, turn);
    // Left over from when the peer was passive; the neighbor may call at any time without it.
    if (accepted.state() == State::active) {
        ConnectionActions none;
        accepted.handle(turn.now, CollisionDump{}, none);
    }
    apply(dialled, StartDialling{}, turn);
}

void Peer::Parts::stop(const Stop& event, Turn turn) {
    started = false;
    halted = false;
    plain = false;
    failures = 0;
    offer();
    apply(dialled, event, turn);
    apply(accepted, event, turn);
}

void Peer::Parts::halt(const Halt& event, Turn turn) {
    if (!started) return;
    halted = true;
    deadlines.set(Timer::idle_hold, turn.now + event.idle);
    apply(dialled, Stop{event.notification}, turn);
    apply(accepted, Stop{event.notification}, turn);
}

void Peer::Parts::vanish(Turn turn) {
    started = false;
    halted = false;
    apply(dialled, Vanish{}, turn);
    apply(accepted, Vanish{}, turn);
}

void Peer::Parts::connected(const TcpConnected& event, Turn turn) {
    if (event.side == Side::accepted) {
        // An accepted connection that is there already cannot be told from this one any more.
        if (accepted.state() >= State::open_sent) return;
        if (const auto answer = refusal()) {
            ++counters.sent[static_cast<std::size_t>(MessageType::notification)];
            turn.out.emplace_back(CloseTcp{Side::accepted, encode(*answer)});
            turn.out.emplace_back(NotificationExchanged{true, *answer});
            return;
        }
        // A neighbor that calls is there: neither backoff nor a dial of our own keeps it out.
        if (accepted.state() == State::idle) {
            ConnectionActions none;
            accepted.handle(turn.now, StartListening{}, none);
        }
    }
    apply(at(event.side), TcpUp{event.local_address, event.link_local}, turn);
}

void Peer::Parts::received(const BytesReceived& event, Turn turn) {
    Connection& one = at(event.side);
    one.receive(event.bytes);
    while (const auto message = one.next_event()) apply(one, *message, turn);
}

void Peer::Parts::ask_for_routes() {
    if (session) at(*session).ask_for_routes();
}

void Peer::Parts::tick(Turn turn) {
    for (Connection* one : {&dialled, &accepted}) {
        ConnectionActions actions;
        one->tick(turn.now, actions);
        perform(*one, actions, turn);
    }
    if (session) refreshes.tick(turn.now, answering());
    if (deadlines.take_expired(Timer::idle_hold, turn.now)) {
        halted = false;
        start(turn);
    }
}

void Peer::Parts::apply(Connection& one, const ConnectionEvent& event, Turn turn) {
    ConnectionActions actions;
    one.handle(turn.now, event, actions);
    perform(one, actions, turn);
}

void Peer::Parts::perform(Connection& one, ConnectionActions& actions, Turn turn) {
    for (ConnectionAction& action : actions) {
        std::visit(Overloaded{
                       [&](Dial& dial) { turn.out.emplace_back(dial); },
                       [&](CancelDial& cancel) { turn.out.emplace_back(cancel); },
                       [&](CloseTcp& close) { turn.out.emplace_back(std::move(close)); },
                       [&](NotificationExchanged& exchanged) {
                           turn.out.emplace_back(std::move(exchanged));
                       },
                       [&](UpdateReceived& update) { turn.out.emplace_back(std::move(update)); },
                       [&](RefreshBegun& begun) { turn.out.emplace_back(begun); },
                       [&](RefreshEnded& over) { turn.out.emplace_back(over); },
                       [&](RefreshRequested& request) {
                           refreshes.asked(turn.now, request.family, answering());
                       },
                       [&](SessionEstablished&) { session_up(one, turn); },
                       [&](Ended& end) { ended(one, end, turn); },
                   },
                   action);
    }
    publish(one, turn);
    settle(one, turn);
}

void Peer::Parts::session_up(const Connection& one, Turn turn) {
    session = one.side();
    negotiated = one.negotiated();
    established_at = turn.now;
    ++counters.established;
    rib.session_up(
        {.local_as = config.open.local_as,
         .attributes = {negotiated->four_octet_as, negotiated->internal},
         .families = negotiated->families,
         .next_hop_ipv4 = next_hop(Family::ipv4),
         .next_hop_ipv6 = next_hop(Family::ipv6),
         .next_hop_link_local = link_local(),
         .ipv4_over_ipv6 = negotiated->ipv4_over_ipv6,
         .largest_message = negotiated->send_extended ? max_extended_size : max_message_size,
         .role = negotiated->role});
    turn.out.emplace_back(SessionUp{*negotiated, one.side(), one.tcp()->local_address});
    plain = false;
    offer();
}

/// What the next OPENs say. The restart is over with the first session after it: until then no
/// OPEN has told the neighbor of it for good, for its connection may have lost a collision.
void Peer::Parts::offer() {
    OpenPolicy next = config.open;
    next.restarting = next.restarting && counters.established == 0;
    next.plain = next.plain || plain;
    for (Connection* one : {&dialled, &accepted}) one->offer(next);
}

/// The single exit of a session, and what every end of a connection means for the next attempt.
void Peer::Parts::ended(const Connection& one, Ended& end, Turn turn) {
    const bool was_session = session == one.side();
    const bool refused = !was_session && end.received && refuses_capabilities(*end.received);
    if (was_session) {
        session.reset();
        negotiated.reset();
        refreshes = {};
        rib.session_down();
        if (turn.now - established_at >= proven_session) failures = 0;
        turn.out.emplace_back(
            SessionDown{end.reason, std::move(end.sent), std::move(end.received)});
    }
    if (end.cause != Ended::Cause::error && !(was_session && end.cause == Ended::Cause::lost)) {
        return;
    }
    // RFC 5492 §3: once more without capabilities, at the shortest delay; if that comes to nothing
    // either, with them again and with backoff. Nothing but IPv4 unicast can be had that way.
    plain = refused && !one.offered().plain && config.open.families.contains(Family::ipv4);
    offer();
    if (plain) {
        retry_delay = random.shortened(backoff(1));
        return;
    }
    // While the other connection makes its way, this one's end is no failure of the neighbor.
    if (other(one).state() < State::open_sent) ++failures;
    const Duration hold = backoff(failures);
    // Lost without a word is a restart more often than not, but not if it comes in a row.
    const bool lost = end.cause == Ended::Cause::lost;
    retry_delay = random.shortened(lost ? std::max(config.connect_retry, hold) : hold);
}

// RFC 4271 §6.8 in three rules:
// 1. An Established connection wins over any other.
// 2. Of two connections in OpenConfirm the one survives that the dominant speaker dialled.
// 3. Once one of them has the neighbor's OPEN, no further dial is needed.
void Peer::Parts::settle(const Connection& newest, Turn turn) {
    for (Connection* one : {&dialled, &accepted}) {
        Connection& rival = other(*one);
        if (one->state() < State::open_confirm || rival.state() == State::idle) continue;
        const bool dial_pending = &rival == &dialled && rival.state() <= State::active;
        if (session == one->side() || dial_pending) {
            return apply(rival, CollisionDump{}, turn);
        }
        if (rival.state() == State::open_confirm) {
            const bool keep_dialled = we_dominate(config.open, *newest.negotiated());
            return apply(keep_dialled ? accepted : dialled, CollisionDump{}, turn);
        }
    }
    schedule_retry(turn.now);
}

/// A hold that runs is not prolonged by what happens meanwhile, or a stray caller could keep us
/// from dialling for ever.
void Peer::Parts::schedule_retry(TimePoint now) {
    if (halted) return;
    const bool wanted = started && starter().state() == State::idle &&
                        other(starter()).state() < State::open_confirm;
    if (!wanted)
        deadlines.clear(Timer::idle_hold);
    else if (!deadlines.armed(Timer::idle_hold))
        deadlines.set(Timer::idle_hold, now + retry_delay);
}

void Peer::Parts::publish(const Connection& newest, Turn turn) {
    const State reached = state();
    // A dial that is not answered changes no state, but somebody will want to know.
    const bool unanswered = reached == State::connect && newest.state() == reached &&
                            !newest.reason().empty() && newest.reason() != published_reason;
    if (reached == published && !unanswered) return;
    turn.out.emplace_back(StateChanged{published, reached, newest.reason()});
    published = reached;
    published_reason = newest.reason();
}

void Peer::Parts::watch_output(TimePoint now) {
    for (Connection* one : {&dialled, &accepted}) {
        one->watch_output(now, output_pending(*one), false);
    }
}

Peer::Peer(const PeerConfig& config) : parts_(std::make_unique<Parts>(config)) {}
Peer::~Peer() = default;
Peer::Peer(Peer&&) noexcept = default;
Peer& Peer::operator=(Peer&&) noexcept = default;

void Peer::handle(TimePoint now, const PeerEvent& event, PeerActions& out) {
    const Parts::Turn turn{now, out};
    parts_->latest = now;
    std::visit(Overloaded{
                   [&](const Start&) {
                       if (!std::exchange(parts_->started, true)) parts_->start(turn);
                   },
                   [&](const Stop& stop) { parts_->stop(stop, turn); },
                   [&](const Halt& halt) { parts_->halt(halt, turn); },
                   [&](const Vanish&) { parts_->vanish(turn); },
                   [&](const TcpConnected& connected) { parts_->connected(connected, turn); },
                   [&](const TcpFailed& failed) {
                       parts_->apply(parts_->at(failed.side), TcpDown{failed.reason}, turn);
                   },
                   [&](const BytesReceived& received) { parts_->received(received, turn); },
                   [&](const AskForRoutes&) { parts_->ask_for_routes(); },
               },
               event);
    parts_->watch_output(now);
}

void Peer::release_end_of_rib() { parts_->rib.hold_end_of_rib(false); }

void Peer::reconfigure(const PeerConfig& config) { parts_->reconfigure(config); }

void Peer::tick(TimePoint now, PeerActions& out) {
    parts_->latest = now;
    parts_->tick({now, out});
    parts_->watch_output(now);
}

std::optional<TimePoint> Peer::next_deadline() const {
    return earlier(earlier(parts_->deadlines.next(), parts_->refreshes.next_deadline()),
                   earlier(parts_->dialled.next_deadline(), parts_->accepted.next_deadline()));
}

std::optional<Notification> Peer::refuses_connection() const { return parts_->refusal(); }

std::size_t Peer::produce(TimePoint now, Side side, std::size_t budget,
                          std::vector<ByteView>& out) {
    Connection& one = parts_->at(side);
    std::size_t size = one.outbox().produce(out);
    if (parts_->session == side) size += parts_->rib.produce(budget, out);
    one.watch_output(now, size > 0, false);
    return size;
}

void Peer::consumed(TimePoint now, Side side, std::size_t count) {
    Connection& one = parts_->at(side);
    const std::size_t of_routes = one.outbox().consumed(count, parts_->counters);
    if (parts_->session == side) {
        const std::uint64_t before = parts_->rib.updates_sent();
        one.outbox().push_rest(parts_->rib.consumed(of_routes));
        const std::uint64_t sent = parts_->rib.updates_sent() - before;
        parts_->counters.sent[static_cast<std::size_t>(MessageType::update)] += sent;
        if (sent > 0) one.update_sent(now);
        parts_->refreshes.sent(parts_->answering());
    }
    one.watch_output(now, parts_->output_pending(one), count > 0);
}

bool Peer::wants_write(Side side) const { return parts_->output_pending(parts_->at(side)); }

State Peer::state() const { return parts_->state(); }

const std::optional<Negotiated>& Peer::negotiated() const { return parts_->negotiated; }

std::optional<TimePoint> Peer::next_retry() const {
    if (parts_->config.passive) return std::nullopt;
    return earlier(parts_->deadlines.get(Parts::Timer::idle_hold), parts_->dialled.next_dial());
}

const PeerCounters& Peer::counters() const { return parts_->counters; }
const PeerConfig& Peer::config() const { return parts_->config; }
AdjRibOut& Peer::rib_out() { return parts_->rib; }
const AdjRibOut& Peer::rib_out() const { return parts_->rib; }

}  // namespace swerve::bgp
