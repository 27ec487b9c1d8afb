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
    /// Absent: the session's own address, which may be IPv6 where RFC 8950 was negotiated.
    std::optional<Address> next_hop_ipv4;
    std::optional<Address> next_hop_ipv6;  ///< absent: the session's own address if it is IPv6
    /// The neighbor's, which is never told as a next hop to it (RFC 4271 §5.1.3); absent: not
    /// known.
    std::optional<Address> remote_address{};
    bool shared_link = false;  ///< directly connected: a link-local next hop may go along
    /// No End-of-RIB is sent before release_end_of_rib() (RFC 4724 §4.1, after a planned restart).
    bool hold_end_of_rib = false;
    std::uint64_t seed = 0;  ///< of the jitter

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
/// Ends what there is with this NOTIFICATION and tries again after `idle` (RFC 4271 §8.1.2 events 8
/// and 13: a prefix limit, BFD); a neighbor that calls meanwhile is not admitted.
struct Halt {
    Notification notification;
    Duration idle;
};
/// Closes TCP without a NOTIFICATION and stays Idle: a planned restart (RFC 4724 §4.1).
struct Vanish {};
struct TcpConnected {
    Side side;
    Address local_address;
    /// Of the same interface, for the second half of a next hop (RFC 2545 §3).
    std::optional<Address> link_local{};
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
using PeerEvent =
    std::variant<Start, Stop, Halt, Vanish, TcpConnected, TcpFailed, BytesReceived, AskForRoutes>;

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
/// The neighbor has told all its routes of this family once more (RFC 7313 §4): what it did not
/// repeat since RefreshBegun is gone.
struct RefreshBegun {
    Family family;
};
struct RefreshEnded {
    Family family;
};
struct NotificationExchanged {
    bool sent;
    Notification notification;
};
using PeerAction = std::variant<Dial, CancelDial, CloseTcp, StateChanged, SessionUp, SessionDown,
                                UpdateReceived, RefreshBegun, RefreshEnded, NotificationExchanged>;
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
    /// End-of-RIB may be sent from now on (PeerConfig::hold_end_of_rib).
    void release_end_of_rib();
    void tick(TimePoint now, PeerActions& out);
    [[nodiscard]] std::optional<TimePoint> next_deadline() const;

    /// Asked when a TCP connection from this neighbor was accepted, before TcpConnected{accepted}:
    /// the NOTIFICATION to answer with when it cannot be admitted (RFC 4271 §6.8: an Established
    /// connection wins; one accepted connection at a time), else nothing. A peer in backoff admits,
    /// for the neighbor has just shown that it is there; one that is stopped or halted does not.
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
