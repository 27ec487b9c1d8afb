#include "bgp/connection.hpp"

#include <algorithm>
#include <concepts>
#include <cstdlib>
#include <utility>

#include "bgp/route_refresh.hpp"
#include "bgp/transitions.hpp"
#include "swerve/base/overloaded.hpp"

// Deviation (ADR-0012): from RFC 4271 §8.2.2 in five places.
// 1. A failed dial leads from Connect to Active, not to Idle: it says nothing bad about the
//    neighbor and is repeated after the connect retry time, without backoff.
// 2. A header error is answered with its own NOTIFICATION (§6.1) in Established as well, not with
//    an FSM error.
// 3. An OPEN in OpenConfirm is answered with FSM error/2 (RFC 6608) whatever it says.
// 4. A NOTIFICATION in OpenSent ends the connection without an answer, for none may be answered
//    (§6.4).
// 5. A due KEEPALIVE waits until an earlier one that the socket has not begun to take is gone.

namespace swerve::bgp {
namespace {

/// RFC 4271 §4.4: KEEPALIVEs are never sent more often than once a second.
constexpr Duration shortest_keepalive = std::chrono::seconds{1};

/// Names the events that a state answers in one way: a list, not a default.
template <class T, class... Listed>
concept OneOf = (std::same_as<T, Listed> || ...);

}  // namespace

Connection::Connection(const ConnectionConfig& config, PeerCounters& counters)
    : config_(config), counters_(counters), random_(config_.seed), offered_(config_.open) {}

void Connection::handle(TimePoint now, const ConnectionEvent& event, ConnectionActions& out) {
    const Turn turn{now, out};
    switch (state_) {
        case State::idle:
            return in_idle(event, turn);
        case State::connect:
            return in_connect(event, turn);
        case State::active:
            return in_active(event, turn);
        case State::open_sent:
            return in_open_sent(event, turn);
        case State::open_confirm:
            return in_open_confirm(event, turn);
        case State::established:
            return in_established(event, turn);
    }
}

void Connection::tick(TimePoint now, ConnectionActions& out) {
    if (deadlines_.take_expired(Timer::connect_retry, now)) handle(now, ConnectRetryExpired{}, out);
    if (deadlines_.take_expired(Timer::hold, now)) handle(now, HoldExpired{}, out);
    if (deadlines_.take_expired(Timer::send_hold, now)) handle(now, SendHoldExpired{}, out);
    if (deadlines_.take_expired(Timer::keepalive, now)) handle(now, KeepaliveExpired{}, out);
}

// Idle has no TCP connection and wants none; one that turns up is closed, not kept.
void Connection::in_idle(const ConnectionEvent& event, Turn turn) {
    std::visit(Overloaded{
                   [&](const StartDialling&) { dial({}, turn); },
                   [&](const StartListening&) { enter(State::active, {}, turn); },
                   [&](const TcpUp&) { turn.out.emplace_back(CloseTcp{config_.side, {}}); },
                   [](const OneOf<Stop, Vanish, CollisionDump, TcpDown, ConnectRetryExpired,
                                  HoldExpired, KeepaliveExpired, SendHoldExpired, HeaderError,
                                  OpenMessage, UpdateMessage, NotificationMessage, KeepaliveMessage,
                                  RouteRefreshMessage> auto&) {},
               },
               event);
}

void Connection::in_connect(const ConnectionEvent& event, Turn turn) {
    std::visit(
        Overloaded{
            [](const OneOf<StartDialling, StartListening> auto&) {},
            [&](const OneOf<Stop, Vanish> auto&) {
                cancel_dial(Ended::Cause::stopped, "stopped", turn);
            },
            [&](const CollisionDump&) {
                cancel_dial(Ended::Cause::collision, "the other connection was preferred", turn);
            },
            [&](const TcpUp& up) { connected(up, turn); },
            [&](const TcpDown& down) { came_to_nothing(down, turn); },
            [&](const ConnectRetryExpired&) { dial_unanswered(turn); },
            [&](const OneOf<HoldExpired, KeepaliveExpired, SendHoldExpired, HeaderError,
                            OpenMessage, UpdateMessage, NotificationMessage, KeepaliveMessage,
                            RouteRefreshMessage> auto&) {
                cancel_dial(Ended::Cause::error, "unexpected event", turn);
            },
        },
        event);
}

void Connection::in_active(const ConnectionEvent& event, Turn turn) {
    std::visit(
        Overloaded{
            [](const OneOf<StartDialling, StartListening> auto&) {},
            [&](const OneOf<Stop, Vanish> auto&) {
                finish({Ended::Cause::stopped, "stopped", {}, {}}, turn);
            },
            [&](const CollisionDump&) {
                finish({Ended::Cause::collision, "the other connection was preferred", {}, {}},
                       turn);
            },
            [&](const TcpUp& up) { connected(up, turn); },
            [&](const TcpDown& down) { tcp_lost(Ended::Cause::error, down, turn); },
            [&](const ConnectRetryExpired&) {
                if (config_.persists) return dial({}, turn);
                finish({Ended::Cause::stopped, "dials no more", {}, {}}, turn);
            },
            [&](const OneOf<HoldExpired, KeepaliveExpired, SendHoldExpired, HeaderError,
                            OpenMessage, UpdateMessage, NotificationMessage, KeepaliveMessage,
                            RouteRefreshMessage> auto&) {
                finish({Ended::Cause::error, "unexpected event", {}, {}}, turn);
            },
        },
        event);
}

void Connection::in_open_sent(const ConnectionEvent& event, Turn turn) {
    std::visit(
        Overloaded{
            [](const OneOf<StartDialling, StartListening, TcpUp> auto&) {},
            [&](const Stop& order) { stop(order, turn); },
            [&](const Vanish&) { vanish(turn); },
            [&](const CollisionDump&) { dump(turn); },
            [&](const TcpDown& down) { came_to_nothing(down, turn); },
            [&](const HoldExpired&) { hold_expired(turn); },
            [&](const OneOf<ConnectRetryExpired, KeepaliveExpired, SendHoldExpired> auto&) {
                fsm_error(turn);
            },
            [&](const HeaderError& error) { header_error(error, turn); },
            [&](const OpenMessage& open) { open_received(open.body, turn); },
            [&](const NotificationMessage& message) { notified(message, turn); },
            [&](const KeepaliveMessage&) { unexpected(MessageType::keepalive, turn); },
            [&](const UpdateMessage&) { unexpected(MessageType::update, turn); },
            [&](const RouteRefreshMessage&) { unexpected(MessageType::route_refresh, turn); },
        },
        event);
}

void Connection::in_open_confirm(const ConnectionEvent& event, Turn turn) {
    std::visit(
        Overloaded{
            [](const OneOf<StartDialling, StartListening, TcpUp> auto&) {},
            [&](const Stop& order) { stop(order, turn); },
            [&](const Vanish&) { vanish(turn); },
            [&](const CollisionDump&) { dump(turn); },
            [&](const TcpDown& down) { tcp_lost(Ended::Cause::error, down, turn); },
            [&](const HoldExpired&) { hold_expired(turn); },
            [&](const KeepaliveExpired&) { send_keepalive(turn.now); },
            [&](const OneOf<ConnectRetryExpired, SendHoldExpired> auto&) { fsm_error(turn); },
            [&](const HeaderError& error) { header_error(error, turn); },
            [&](const OpenMessage&) { unexpected(MessageType::open, turn); },
            [&](const NotificationMessage& message) { notified(message, turn); },
            [&](const KeepaliveMessage&) {
                enter(State::established, "KEEPALIVE received", turn);
                turn.out.emplace_back(SessionEstablished{});
            },
            [&](const UpdateMessage&) { unexpected(MessageType::update, turn); },
            [&](const RouteRefreshMessage&) { unexpected(MessageType::route_refresh, turn); },
        },
        event);
}

void Connection::in_established(const ConnectionEvent& event, Turn turn) {
    std::visit(
        Overloaded{
            [](const OneOf<StartDialling, StartListening, TcpUp> auto&) {},
            [&](const Stop& order) { stop(order, turn); },
            [&](const Vanish&) { vanish(turn); },
            [&](const CollisionDump&) { dump(turn); },
            [&](const TcpDown& down) { tcp_lost(Ended::Cause::lost, down, turn); },
            [&](const HoldExpired&) { hold_expired(turn); },
            [&](const KeepaliveExpired&) { send_keepalive(turn.now); },
            [&](const SendHoldExpired&) { send_hold_expired(turn); },
            [&](const ConnectRetryExpired&) { fsm_error(turn); },
            [&](const HeaderError& error) { header_error(error, turn); },
            [&](const OpenMessage&) { unexpected(MessageType::open, turn); },
            [&](const NotificationMessage& message) { notified(message, turn); },
            [&](const KeepaliveMessage&) { restart_hold(turn.now); },
            [&](const UpdateMessage& update) { update_received(update.body, turn); },
            [&](const RouteRefreshMessage& message) { refresh_received(message.body, turn); },
        },
        event);
}

/// The one door between states.
void Connection::enter(State to, std::string reason, Turn turn) {
    if (!allowed(state_, to)) std::abort();  // our own mistake; no event leads here
    state_ = to;
    reason_ = std::move(reason);
    deadlines_.clear_all();
    arm(to, turn.now);
}

void Connection::arm(State state, TimePoint now) {
    switch (state) {
        case State::idle:
            outbox_.clear();
            return;
        case State::connect:
            deadlines_.set(Timer::connect_retry, now + random_.shortened(config_.connect_retry));
            return;
        case State::active:
            outbox_.clear();
            if (config_.side == Side::accepted) return;
            deadlines_.set(Timer::connect_retry, now + random_.shortened(config_.connect_retry));
            return;
        case State::open_sent:
            // Not earlier, for the octets of the last message may still be looked at while the
            // connection that brought them ends.
            begin_session();
            deadlines_.set(Timer::hold, now + open_sent_hold_time);
            return;
        case State::open_confirm:
        case State::established:
            if (state == State::open_confirm)
                send_keepalive(now);
            else
                update_sent(now);
            restart_hold(now);
            return;
    }
}

void Connection::begin_session() {
    offered_ = config_.open;
    const Open open = make_open(offered_);
    // RFC 8654 §4: our own word decides what we must take.
    framer_ = Framer{open.capabilities.extended_message ? max_extended_size : max_message_size};
    negotiated_.reset();
    told_ = {};
    being_refreshed_ = {};
    outbox_.clear();
    outbox_.push(MessageType::open, encode(open));
}

void Connection::connected(const TcpUp& event, Turn turn) {
    tcp_ = event;
    enter(State::open_sent, "TCP connected", turn);
}

void Connection::dial(std::string reason, Turn turn) {
    turn.out.emplace_back(Dial{});
    enter(State::connect, std::move(reason), turn);
}

void Connection::dial_unanswered(Turn turn) {
    const std::string reason = "no answer to the dial";
    if (!config_.persists) return cancel_dial(Ended::Cause::stopped, reason, turn);
    turn.out.emplace_back(CancelDial{});
    dial(reason, turn);
}

void Connection::cancel_dial(Ended::Cause cause, std::string reason, Turn turn) {
    turn.out.emplace_back(CancelDial{});
    finish({cause, std::move(reason), {}, {}}, turn);
}

void Connection::finish(Ended ended, Turn turn) {
    enter(State::idle, ended.reason, turn);
    turn.out.emplace_back(std::move(ended));
}

/// Ends the connection with a NOTIFICATION, behind which nothing is ever sent.
void Connection::close(Ended::Cause cause, Notification words, std::string reason, Turn turn) {
    Bytes last_words = outbox_.rest();
    const Bytes message = encode(words);
    last_words.insert(last_words.end(), message.begin(), message.end());
    ++counters_.sent[static_cast<std::size_t>(MessageType::notification)];
    turn.out.emplace_back(CloseTcp{config_.side, std::move(last_words)});
    turn.out.emplace_back(NotificationExchanged{true, words});
    finish({cause, std::move(reason), std::move(words), {}}, turn);
}

void Connection::stop(const Stop& event, Turn turn) {
    close(Ended::Cause::stopped, event.notification, "sent " + describe(event.notification), turn);
}

/// RFC 4724 §4.1: a NOTIFICATION would make the neighbor drop our routes. A message that stands
/// half on the wire is finished, for it may be a withdraw.
void Connection::vanish(Turn turn) {
    turn.out.emplace_back(CloseTcp{config_.side, outbox_.rest()});
    finish({Ended::Cause::stopped, "closed without a NOTIFICATION", {}, {}}, turn);
}

void Connection::dump(Turn turn) {
    Notification words = cease(subcode::connection_collision);
    std::string reason = "sent " + describe(words);
    close(Ended::Cause::collision, std::move(words), std::move(reason), turn);
}

void Connection::fail(Notification answer, Turn turn) {
    std::string reason = "sent " + describe(answer);
    close(Ended::Cause::error, std::move(answer), std::move(reason), turn);
}

// RFC 4271 §6.4: not even a NOTIFICATION that cannot be read is answered with another.
void Connection::header_error(const HeaderError& event, Turn turn) {
    if (event.answerable) return fail(event.answer, turn);
    turn.out.emplace_back(CloseTcp{config_.side, {}});
    finish({Ended::Cause::error, "peer sent a malformed NOTIFICATION", {}, {}}, turn);
}

// RFC 6608 §4: the subcode names the state, the data the type of the message.
void Connection::unexpected(MessageType type, Turn turn) {
    const std::uint8_t sub = state_ == State::open_sent      ? subcode::unexpected_in_open_sent
                             : state_ == State::open_confirm ? subcode::unexpected_in_open_confirm
                                                             : subcode::unexpected_in_established;
    fail(Notification{ErrorCode::fsm, sub, {static_cast<std::uint8_t>(type)}}, turn);
}

void Connection::fsm_error(Turn turn) {
    fail(Notification{ErrorCode::fsm, subcode::unspecific}, turn);
}

void Connection::hold_expired(Turn turn) {
    close(Ended::Cause::error, Notification{ErrorCode::hold_timer_expired, subcode::unspecific},
          "hold timer expired", turn);
}

// RFC 9687 §3.2: the neighbor takes no octets, so a NOTIFICATION behind half a message would never
// be understood; TCP is reset, so that its kernel learns at once.
void Connection::send_hold_expired(Turn turn) {
    const std::string reason = "send hold timer expired";
    if (outbox_.begun()) {
        turn.out.emplace_back(CloseTcp{config_.side, {}, true});
        return finish({Ended::Cause::error, reason, {}, {}}, turn);
    }
    Notification words{ErrorCode::send_hold_timer_expired, subcode::unspecific};
    ++counters_.sent[static_cast<std::size_t>(MessageType::notification)];
    turn.out.emplace_back(CloseTcp{config_.side, encode(words), true});
    turn.out.emplace_back(NotificationExchanged{true, words});
    finish({Ended::Cause::error, reason, std::move(words), {}}, turn);
}

void Connection::tcp_lost(Ended::Cause cause, const TcpDown& event, Turn turn) {
    finish({cause, event.reason, {}, {}}, turn);
}

/// No session was there to lose.
void Connection::came_to_nothing(const TcpDown& event, Turn turn) {
    if (config_.persists) return enter(State::active, event.reason, turn);
    tcp_lost(Ended::Cause::lost, event, turn);
}

// RFC 4271 §6.4: a NOTIFICATION is never answered.
void Connection::notified(const NotificationMessage& event, Turn turn) {
    turn.out.emplace_back(CloseTcp{config_.side, {}});
    turn.out.emplace_back(NotificationExchanged{false, event.notification});
    finish(
        {Ended::Cause::error, "peer sent " + describe(event.notification), {}, event.notification},
        turn);
}

void Connection::open_received(ByteView body, Turn turn) {
    auto theirs = decode_open(body);
    if (!theirs) return fail(std::move(theirs.error()), turn);
    auto agreed = negotiate(offered_, *theirs);
    if (!agreed) return fail(std::move(agreed.error()), turn);
    negotiated_ = *agreed;
    enter(State::open_confirm, "OPEN received", turn);
}

void Connection::update_received(ByteView body, Turn turn) {
    const UpdateContext context{{negotiated_->four_octet_as, negotiated_->internal},
                                negotiated_->families,
                                negotiated_->add_path,
                                negotiated_->ipv4_over_ipv6};
    auto update = decode_update(body, context);
    if (!update) return fail(std::move(update.error()), turn);
    restart_hold(turn.now);
    if (update->end_of_rib) told_.insert(*update->end_of_rib);
    turn.out.emplace_back(UpdateReceived{std::move(*update)});
}

// RFC 2918 §4: a family that was not negotiated is ignored.
void Connection::refresh_received(ByteView body, Turn turn) {
    auto message = decode_route_refresh(body, negotiated_->enhanced_route_refresh);
    if (!message) return fail(std::move(message.error()), turn);
    if (!*message || !negotiated_->families.contains((*message)->family)) return;
    const Family family = (*message)->family;
    switch ((*message)->subtype) {
        case RefreshSubtype::request:
            turn.out.emplace_back(RefreshRequested{family});
            return;
        case RefreshSubtype::begin:
            // RFC 7313 §4: with graceful restart none counts before the first End-of-RIB.
            if (negotiated_->remote_restart && !told_.contains(family)) return;
            being_refreshed_.insert(family);
            turn.out.emplace_back(RefreshBegun{family});
            return;
        case RefreshSubtype::end:
            if (being_refreshed_.contains(family)) turn.out.emplace_back(RefreshEnded{family});
            being_refreshed_.remove(family);
            return;
    }
}

// RFC 4271 §4.2: a hold time of 0 starts neither this timer nor that of KEEPALIVEs. What keeps an
// attempt from lasting for ever is another matter.
void Connection::restart_hold(TimePoint now) {
    if (negotiated_->hold_time != Duration{0}) {
        deadlines_.set(Timer::hold, now + negotiated_->hold_time);
    } else if (state_ == State::open_confirm) {
        deadlines_.set(Timer::hold, now + open_sent_hold_time);
    }
}

void Connection::send_keepalive(TimePoint now) {
    outbox_.push(MessageType::keepalive, encode_keepalive());
    update_sent(now);
}

void Connection::update_sent(TimePoint now) {
    if (negotiated_->keepalive == Duration{0}) return;
    const Duration jittered = random_.shortened(negotiated_->keepalive);
    deadlines_.set(Timer::keepalive, now + std::max(jittered, shortest_keepalive));
}

// RFC 9687 §3: runs while the neighbor owes us the room for what is pending; not with hold time 0.
void Connection::watch_output(TimePoint now, bool pending, bool progress) {
    if (state_ != State::established || negotiated_->hold_time == Duration{0}) return;
    if (!pending) {
        deadlines_.clear(Timer::send_hold);
    } else if (progress || !deadlines_.armed(Timer::send_hold)) {
        deadlines_.set(Timer::send_hold, now + 2 * negotiated_->hold_time);
    }
}

void Connection::ask_for_routes() {
    if (!negotiated_->route_refresh) return;
    for (const Family family : all_families) {
        if (negotiated_->families.contains(family)) {
            outbox_.push(MessageType::route_refresh, encode_route_refresh(family));
        }
    }
}

void Connection::reconfigure(Duration connect_retry, bool persists) {
    config_.connect_retry = connect_retry;
    config_.persists = persists;
}

void Connection::receive(ByteView bytes) {
    if (state_ < State::open_sent) return;
    framer_.feed(bytes);
    segment_ = bytes;
}

std::optional<ConnectionEvent> Connection::next_event() {
    if (state_ < State::open_sent) return std::nullopt;
    auto next = framer_.next();
    if (!next) {
        const bool answerable = !header_fault_in_notification(next.error());
        return HeaderError{std::move(next.error()), answerable};
    }
    if (!*next) return std::nullopt;
    const Frame& frame = **next;
    ++counters_.received[static_cast<std::size_t>(frame.type)];
    switch (frame.type) {
        case MessageType::open:
            return OpenMessage{frame.body};
        case MessageType::update:
            return UpdateMessage{frame.body};
        case MessageType::notification:
            return NotificationMessage{decode_notification(frame.body)};
        case MessageType::keepalive:
            return KeepaliveMessage{};
        case MessageType::route_refresh:
            return RouteRefreshMessage{frame.body};
    }
    std::unreachable();
}

/// Only a length can be wrong of a message that is known to be a NOTIFICATION. A header is judged
/// as soon as it is whole, so its last octet, the type, lies in the segment that came last.
bool Connection::header_fault_in_notification(const Notification& fault) const {
    if (fault.subcode != subcode::bad_message_length) return false;
    const std::size_t behind_type = framer_.buffered() - header_size;
    const std::uint8_t type = segment_[segment_.size() - behind_type - 1];
    return type == static_cast<std::uint8_t>(MessageType::notification);
}

std::optional<TimePoint> Connection::next_dial() const {
    return state_ == State::active ? deadlines_.get(Timer::connect_retry) : std::nullopt;
}

}  // namespace swerve::bgp
