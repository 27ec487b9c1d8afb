#pragma once
// One TCP connection to a neighbor as a pure machine: the states of RFC 4271 §8.2.2, their timers
// and the messages that are not routes. It knows nothing of the other connection that the same
// neighbor may have; Peer settles between the two.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "bgp/outbox.hpp"
#include "swerve/base/bytes.hpp"
#include "swerve/base/deadlines.hpp"
#include "swerve/base/random.hpp"
#include "swerve/base/time.hpp"
#include "swerve/bgp/framer.hpp"
#include "swerve/bgp/notification.hpp"
#include "swerve/bgp/open.hpp"
#include "swerve/bgp/peer.hpp"

namespace swerve::bgp {

/// RFC 4271 §8.2.2: "a large value" while the OPEN of the other side is awaited.
inline constexpr Duration open_sent_hold_time = std::chrono::minutes{4};

// Events, with their numbers in RFC 4271 §8.1.
struct StartDialling {};        ///< 1, 3
struct StartListening {};       ///< 4, 5
struct CollisionDump {};        ///< 23
struct ConnectRetryExpired {};  ///< 9
struct HoldExpired {};          ///< 10
struct KeepaliveExpired {};     ///< 11
struct SendHoldExpired {};      ///< 29 (RFC 9687 §3.1)
struct TcpUp {                  ///< 16, 17
    Address local_address;
    std::optional<Address> link_local{};  ///< as in TcpConnected
};
struct TcpDown {  ///< 18
    std::string reason;
};
struct HeaderError {  ///< 21
    Notification answer;
    bool answerable;  ///< not when the message was itself a NOTIFICATION
};
struct OpenMessage {  ///< 19, or 22 when it turns out to be wrong
    ByteView body;
};
struct NotificationMessage {  ///< 24, 25
    Notification notification;
};
struct KeepaliveMessage {};  ///< 26
struct UpdateMessage {       ///< 27, or 28 when it turns out to be wrong
    ByteView body;
};
struct RouteRefreshMessage {  ///< RFC 2918, RFC 7313
    ByteView body;
};
/// Stop (2, 8) and Vanish are the peer's own events.
using ConnectionEvent =
    std::variant<StartDialling, StartListening, Stop, Vanish, CollisionDump, TcpUp, TcpDown,
                 ConnectRetryExpired, HoldExpired, KeepaliveExpired, SendHoldExpired, HeaderError,
                 OpenMessage, UpdateMessage, NotificationMessage, KeepaliveMessage,
                 RouteRefreshMessage>;

// Actions beyond those that the peer hands on as they are.
struct RefreshRequested {
    Family family;
};
struct SessionEstablished {};
/// The connection went to Idle.
struct Ended {
    enum class Cause : std::uint8_t {
        stopped,    ///< our own wish
        collision,  ///< the other connection was preferred
        lost,       ///< TCP ended under it without a word
        error,      ///< anything else
    };
    Cause cause;
    std::string reason;
    std::optional<Notification> sent;
    std::optional<Notification> received;
};
using ConnectionAction =
    std::variant<Dial, CancelDial, CloseTcp, NotificationExchanged, UpdateReceived, RefreshBegun,
                 RefreshEnded, RefreshRequested, SessionEstablished, Ended>;
using ConnectionActions = std::vector<ConnectionAction>;

struct ConnectionConfig {
    Side side;
    OpenPolicy open;
    Duration connect_retry;
    /// Tries again by itself when an attempt comes to nothing: dials, or waits for the neighbor.
    bool persists;
    std::uint64_t seed;
};

class Connection {
public:
    /// `counters` must outlive the connection.
    Connection(const ConnectionConfig& config, PeerCounters& counters);

    void handle(TimePoint now, const ConnectionEvent& event, ConnectionActions& out);
    void tick(TimePoint now, ConnectionActions& out);
    [[nodiscard]] std::optional<TimePoint> next_deadline() const { return deadlines_.next(); }

    /// Takes octets from the socket; next_event() cuts them into messages, one at a time, because a
    /// message may change what becomes of the ones behind it. Nothing comes any more once the
    /// connection has ended. The octets must stay valid until next_event() has returned nothing.
    void receive(ByteView bytes);
    [[nodiscard]] std::optional<ConnectionEvent> next_event();

    [[nodiscard]] Outbox& outbox() { return outbox_; }
    [[nodiscard]] const Outbox& outbox() const { return outbox_; }
    /// To be told of output after every call that may have changed it: `progress` when the socket
    /// took octets, `pending` when some are left (RFC 9687).
    void watch_output(TimePoint now, bool pending, bool progress);
    /// An UPDATE was sent, which spares a KEEPALIVE.
    void update_sent(TimePoint now);
    /// RFC 2918, in Established: nothing happens where the neighbor has not the capability.
    void ask_for_routes();
    /// Counts from the next attempt on.
    void reconfigure(Duration connect_retry, bool persists);
    /// What the next OPEN says.
    void offer(const OpenPolicy& open) { config_.open = open; }

    [[nodiscard]] Side side() const { return config_.side; }
    [[nodiscard]] State state() const { return state_; }
    /// Of the last change; empty when it was a step of our own accord.
    [[nodiscard]] const std::string& reason() const { return reason_; }
    /// Set from OpenConfirm on.
    [[nodiscard]] const std::optional<Negotiated>& negotiated() const { return negotiated_; }
    /// What our last OPEN said.
    [[nodiscard]] const OpenPolicy& offered() const { return offered_; }
    /// Set from OpenSent on.
    [[nodiscard]] const std::optional<TcpUp>& tcp() const { return tcp_; }
    /// When it dials again, in Active.
    [[nodiscard]] std::optional<TimePoint> next_dial() const;

private:
    enum class Timer : std::uint8_t { connect_retry, hold, keepalive, send_hold, count_ };
    struct Turn {
        TimePoint now;
        ConnectionActions& out;
    };

    void in_idle(const ConnectionEvent& event, Turn turn);
    void in_connect(const ConnectionEvent& event, Turn turn);
    void in_active(const ConnectionEvent& event, Turn turn);
    void in_open_sent(const ConnectionEvent& event, Turn turn);
    void in_open_confirm(const ConnectionEvent& event, Turn turn);
    void in_established(const ConnectionEvent& event, Turn turn);

    void enter(State to, std::string reason, Turn turn);
    void arm(State state, TimePoint now);
    void dial(std::string reason, Turn turn);
    void dial_unanswered(Turn turn);
    void cancel_dial(Ended::Cause cause, std::string reason, Turn turn);
    void close(Ended::Cause cause, Notification words, std::string reason, Turn turn);
    void stop(const Stop& event, Turn turn);
    void vanish(Turn turn);
    void connected(const TcpUp& event, Turn turn);
    void dump(Turn turn);
    void fail(Notification answer, Turn turn);
    void header_error(const HeaderError& event, Turn turn);
    [[nodiscard]] bool header_fault_in_notification(const Notification& fault) const;
    void unexpected(MessageType type, Turn turn);
    void fsm_error(Turn turn);
    void hold_expired(Turn turn);
    void send_hold_expired(Turn turn);
    void tcp_lost(Ended::Cause cause, const TcpDown& event, Turn turn);
    void came_to_nothing(const TcpDown& event, Turn turn);
    void notified(const NotificationMessage& event, Turn turn);
    void open_received(ByteView body, Turn turn);
    void update_received(ByteView body, Turn turn);
    void refresh_received(ByteView body, Turn turn);
    void begin_session();
    void restart_hold(TimePoint now);
    void send_keepalive(TimePoint now);
    void finish(Ended ended, Turn turn);

    ConnectionConfig config_;
    PeerCounters& counters_;
    Random random_;
    State state_ = State::idle;
    std::string reason_;
    Deadlines<Timer> deadlines_;
    Framer framer_;
    ByteView segment_;  ///< of the last receive()
    Outbox outbox_;
    OpenPolicy offered_;
    std::optional<Negotiated> negotiated_;
    std::optional<TcpUp> tcp_;
    FamilySet told_;             ///< families whose first End-of-RIB has come
    FamilySet being_refreshed_;  ///< families between BoRR and EoRR
};

}  // namespace swerve::bgp
