#pragma once
// One neighbor's machine with its sockets and its timer. No policy: what the machine says is done,
// what the sockets say is told to the machine.

#include <array>
#include <boost/asio/io_context.hpp>
#include <memory>
#include <optional>
#include <string>

#include "daemon/deadline_timer.hpp"
#include "daemon/session_socket.hpp"
#include "swerve/bgp/peer.hpp"
#include "swerve/failover/policy.hpp"

namespace swerve::daemon {

/// Who hears what a neighbor's session does.
class PeerListener {
public:
    PeerListener() = default;
    PeerListener(const PeerListener&) = delete;
    PeerListener& operator=(const PeerListener&) = delete;
    virtual ~PeerListener() = default;

    virtual void session_up(failover::NeighborId id, const bgp::SessionUp& up) = 0;
    virtual void session_down(failover::NeighborId id, const bgp::SessionDown& down) = 0;
    virtual void update(failover::NeighborId id, const bgp::Update& update) = 0;
    /// Every withdrawal that was pending has been handed to the kernel.
    virtual void withdrawals_written(failover::NeighborId id, TimePoint now) = 0;
    /// What withdrawals_written() reported up to `written_at` was acknowledged by the neighbor's
    /// TCP.
    virtual void withdrawals_acknowledged(failover::NeighborId id, TimePoint now,
                                          TimePoint written_at) = 0;
};

/// Where a neighbor is and how to reach it.
struct PeerTarget {
    Endpoint remote;
    SocketOptions socket;
};

class PeerDriver {
public:
    PeerDriver(boost::asio::io_context& io, failover::NeighborId id, bgp::PeerConfig config,
               PeerTarget target, PeerListener& listener);
    ~PeerDriver();
    PeerDriver(const PeerDriver&) = delete;
    PeerDriver& operator=(const PeerDriver&) = delete;

    void start();
    /// Ends every session with this NOTIFICATION and dials no more.
    void stop(bgp::Notification notification);
    /// A connection from this neighbor was accepted; it may be answered with a Cease at once.
    void accepted(boost::asio::ip::tcp::socket socket);
    /// Writes what is pending, as far as the kernel takes it, before it returns.
    void flush();

    [[nodiscard]] bgp::AdjRibOut& rib_out() { return peer_.rib_out(); }
    [[nodiscard]] const bgp::Peer& peer() const { return peer_; }
    [[nodiscard]] const PeerTarget& target() const { return target_; }
    /// Nothing is left that the neighbor's TCP has not acknowledged.
    [[nodiscard]] bool withdrawals_settled() const;

    [[nodiscard]] TimePoint state_since() const { return state_since_; }
    [[nodiscard]] const std::string& last_error() const { return last_error_; }
    [[nodiscard]] std::optional<Address> local_address() const { return local_address_; }
    [[nodiscard]] std::size_t unsent_octets() const;

private:
    struct Link;
    using LinkPtr = std::shared_ptr<Link>;

    [[nodiscard]] LinkPtr& link(bgp::Side side) { return links_[static_cast<std::size_t>(side)]; }
    [[nodiscard]] const LinkPtr& link(bgp::Side side) const {
        return links_[static_cast<std::size_t>(side)];
    }

    void deliver(const bgp::PeerEvent& event);
    void tick();
    void perform(const bgp::PeerActions& actions);
    void dial();
    void connected(const LinkPtr& link);
    void wait_readable(const LinkPtr& link);
    void wait_error(const LinkPtr& link);
    void wait_writable(const LinkPtr& link);
    void read(const LinkPtr& link);
    void flush(bgp::Side side);
    void note_acknowledgements(const LinkPtr& link);
    void close(const bgp::CloseTcp& order);
    /// Forgets a connection; its pending operations end without effect.
    void drop(bgp::Side side);

    boost::asio::io_context& io_;
    failover::NeighborId id_;
    PeerTarget target_;
    PeerListener& listener_;
    bgp::Peer peer_;
    DeadlineTimer timer_;
    std::array<LinkPtr, 2> links_;
    std::array<std::uint8_t, std::size_t{64} << 10U> buffer_{};
    std::optional<bgp::Side> session_side_;  ///< of the established session
    unsigned refusals_ = 0;                  ///< connections being told that they are not admitted
    bool withdrawals_open_ = false;          ///< some were pending and not all are handed over yet
    TimePoint state_since_;
    std::string last_error_;
    std::optional<Address> local_address_;
};

}  // namespace swerve::daemon
