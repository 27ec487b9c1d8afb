#pragma once
// One neighbor's machine with its sockets and its timer. No policy: what the machine says is done,
// what the sockets say is told to the machine.

#include <array>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "daemon/deadline_timer.hpp"
#include "daemon/mrt_tap.hpp"
#include "daemon/session_socket.hpp"
#include "daemon/speaker/speaker.hpp"
#include "swerve/bgp/peer.hpp"

namespace swerve::daemon {

/// Where a neighbor is and how to reach it.
struct PeerTarget {
    Endpoint remote;
    SocketOptions socket;
    std::optional<MrtTarget> mrt{};  ///< where its messages are dumped
};

class PeerDriver {
public:
    struct Hooks {
        /// Hands an event to the machine and carries out what comes of it before it returns.
        std::function<void(const SpeakerEvent&)> tell;
        /// Everything that was to be settled may be so now.
        std::function<void()> settled;
        MrtTap::Sink dump;
        /// A connection could not be made as it must be; a sentence.
        std::function<void(std::string)> alarm;
    };

    /// `peer` is the machine of this neighbor and lives longer.
    PeerDriver(boost::asio::io_context& io, NeighborId id, bgp::Peer& peer, PeerTarget target,
               Hooks hooks);
    ~PeerDriver();
    PeerDriver(const PeerDriver&) = delete;
    PeerDriver& operator=(const PeerDriver&) = delete;

    /// Where to dial from now on. A connection that is there stays and gets the new options, among
    /// them a changed key; it ends where they cannot be set.
    void retarget(const PeerTarget& target);
    /// The neighbor is gone and its machine with it; what is still under way does nothing.
    void retire();
    /// A connection from this neighbor was accepted; it may be answered with a Cease at once.
    void accepted(boost::asio::ip::tcp::socket socket);
    /// Does what the machine asks of connections.
    void perform(const bgp::PeerAction& action);
    /// Writes what is pending, as far as the kernel takes it, before it returns.
    void flush();

    [[nodiscard]] const PeerTarget& target() const { return target_; }
    /// Nothing is left that the neighbor's TCP has not acknowledged.
    [[nodiscard]] bool withdrawals_settled() const;
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
    void dial();
    void fail_dial(std::string reason);
    void connected(const LinkPtr& link);
    void refuse(const LinkPtr& link, const std::string& reason);
    void tap(Link& link, bool from_start);
    void wait_readable(const LinkPtr& link);
    void wait_error(const LinkPtr& link);
    void wait_writable(const LinkPtr& link);
    /// At most so many octets.
    void read(const LinkPtr& link, std::size_t budget);
    void flush(bgp::Side side);
    void note_acknowledgements(const LinkPtr& link);
    void close(const bgp::CloseTcp& order);
    void say_farewell(boost::asio::ip::tcp::socket socket, Bytes last_words);
    /// The connection on this side is not ours any more.
    LinkPtr forget(bgp::Side side);
    /// Forgets a connection and closes it; its pending operations end without effect.
    void drop(bgp::Side side);

    boost::asio::io_context& io_;
    NeighborId id_;
    bgp::Peer& peer_;
    PeerTarget target_;
    Hooks hooks_;
    DeadlineTimer timer_;
    std::array<LinkPtr, 2> links_;
    std::array<std::uint8_t, std::size_t{64} << 10U> buffer_{};
    std::optional<bgp::Side> session_side_;  ///< of the established session
    /// Connections that are being told why they end; shared with their farewells.
    std::shared_ptr<unsigned> farewells_ = std::make_shared<unsigned>(0);
    std::shared_ptr<void> alive_ = std::make_shared<char>();  ///< null: retired
    std::string last_alarm_;
    bool withdrawals_open_ = false;  ///< some were pending and not all are handed over yet
};

}  // namespace swerve::daemon
