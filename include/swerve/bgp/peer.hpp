#pragma once
// One configured neighbor as a pure machine (RFC 4271 §8): at most two connections, one dialled and
// one accepted, the collision between them (§6.8), backoff, and the Adj-RIB-Out that feeds the
// established one.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "swerve/base/bytes.hpp"
#include "swerve/base/time.hpp"
#include "swerve/bgp/adj_rib_out.hpp"
#include "swerve/bgp/notification.hpp"
#include "swerve/bgp/open.hpp"
#include "swerve/bgp/update.hpp"

namespace swerve::bgp {

/// RFC 4271 §8.2.2.
enum class State : std::uint8_t { idle, connect, active, open_sent, open_confirm, established };
[[nodiscard]] std::string_view to_string(State state);  ///< "Idle", …, "Established"

struct PeerConfig {
    OpenPolicy open;
    bool passive = false;                             ///< never dial
    Duration connect_retry{std::chrono::seconds{5}};  ///< jittered to 75–100 %
    std::optional<Address> next_hop_ipv4;  ///< absent: the session's own address if it is IPv4
    std::optional<Address> next_hop_ipv6;  ///< absent: the session's own address if it is IPv6
    std::uint64_t seed = 0;                ///< of the jitter

    friend bool operator==(const PeerConfig&, const PeerConfig&) = default;
};

/// Which of the two TCP connections: the one we dialled or the one we accepted.
enum class Side : std::uint8_t { dialled, accepted };
[[nodiscard]] std::string_view to_string(Side side);

// Events, all from the driver. Of a connection that ended (CancelDial, CloseTcp, TcpFailed) the
// driver reports nothing more. Octets that are ready to be read are handed in before tick(), so
// that a stalled loop does not expire a session that lives.
struct Start {};
struct Stop {
    Notification notification;  ///< sent where a session exists, usually a Cease
};
struct TcpConnected {
    Side side;
    Address local_address;
};
/// The dial failed, or an open connection ended or broke.
struct TcpFailed {
    Side side;
    std::string reason;
};
struct BytesReceived {
    Side side;
    ByteView bytes;
};
/// Asks the neighbor for all its routes (RFC 2918), in every family of the session; nothing happens
/// without a session or where the neighbor has no route refresh.
struct AskForRoutes {};
using PeerEvent = std::variant<Start, Stop, TcpConnected, TcpFailed, BytesReceived, AskForRoutes>;

// Actions, for the driver.
struct Dial {};
struct CancelDial {};
/// Close this connection. `last_words` (the rest of a partly sent message and a NOTIFICATION) are
/// written first, within 1 s; then the sending side is shut down and the socket closed. With
/// `reset` the socket is closed by RST at once.
struct CloseTcp {
    Side side;
    Bytes last_words;
    bool reset = false;
};
/// Of the peer, whose state is that of its further advanced connection. Connect to Connect, once,
/// when a dial is not answered.
struct StateChanged {
    State from;
    State to;
    std::string reason;  ///< what happened; empty for a step of our own accord (a dial)
};
struct SessionUp {
    Negotiated negotiated;
    Side side;
    Address local_address;
};
/// Exactly one for every SessionUp.
struct SessionDown {
    std::string reason;
    std::optional<Notification> sent;
    std::optional<Notification> received;
};
struct UpdateReceived {
    Update update;
};
struct NotificationExchanged {
    bool sent;
    Notification notification;
};
using PeerAction = std::variant<Dial, CancelDial, CloseTcp, StateChanged, SessionUp, SessionDown,
                                UpdateReceived, NotificationExchanged>;
using PeerActions = std::vector<PeerAction>;

/// Counters since the daemon started; messages are indexed by MessageType (0 unused).
struct PeerCounters {
    std::array<std::uint64_t, 6> sent{};
    std::array<std::uint64_t, 6> received{};
    std::uint64_t established = 0;  ///< how often
};

class Connection;

class Peer {
public:
    explicit Peer(const PeerConfig& config);
    ~Peer();
    Peer(Peer&&) noexcept;
    Peer& operator=(Peer&&) noexcept;

    void handle(TimePoint now, const PeerEvent& event, PeerActions& out);
    /// Takes over what may change under a session that lives: the next hops at once, `passive` and
    /// `connect_retry` for the next attempt. `open` must be equal; with another one the caller
    /// makes a new Peer. next_deadline() may be another afterwards.
    void reconfigure(const PeerConfig& config);
    void tick(TimePoint now, PeerActions& out);
    [[nodiscard]] std::optional<TimePoint> next_deadline() const;

    /// Asked when a TCP connection from this neighbor was accepted, before TcpConnected{accepted}:
    /// the NOTIFICATION to answer with when it cannot be admitted (RFC 4271 §6.8: an Established
    /// connection wins; one accepted connection at a time), else nothing. A peer in backoff admits,
    /// for the neighbor has just shown that it is there.
    [[nodiscard]] std::optional<Notification> refuses_connection() const;

    /// Towards the wire, for one side: appends what to write now, at most about `budget` octets of
    /// routes, in the order rest of a partly sent message, due KEEPALIVE and other control
    /// messages, withdrawals, announcements, End-of-RIB. The views stay valid until the next
    /// non-const call.
    std::size_t produce(TimePoint now, Side side, std::size_t budget, std::vector<ByteView>& out);
    /// The socket took `count` octets of the last produce().
    void consumed(TimePoint now, Side side, std::size_t count);
    [[nodiscard]] bool wants_write(Side side) const;

    /// The further advanced of the two connections.
    [[nodiscard]] State state() const;
    [[nodiscard]] const std::optional<Negotiated>& negotiated()
        const;  ///< of the established session
    /// When the next dial comes, while waiting for it.
    [[nodiscard]] std::optional<TimePoint> next_retry() const;
    [[nodiscard]] const PeerCounters& counters() const;
    [[nodiscard]] const PeerConfig& config() const;

    [[nodiscard]] AdjRibOut& rib_out();
    [[nodiscard]] const AdjRibOut& rib_out() const;

private:
    struct Parts;
    std::unique_ptr<Parts> parts_;
};

}  // namespace swerve::bgp
