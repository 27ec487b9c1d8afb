#pragma once
// All neighbors of the site: their drivers, the listeners they connect to, what each is to be sent,
// and what was heard from them.

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/peer_driver.hpp"
#include "daemon/snapshot.hpp"
#include "daemon/speaker/event.hpp"
#include "swerve/base/result.hpp"
#include "swerve/bgp/rib_in.hpp"
#include "swerve/conf/config.hpp"
#include "swerve/failover/record.hpp"

namespace swerve::daemon {

/// Who hears what happened; called after the wire was served.
class EventSink {
public:
    EventSink() = default;
    EventSink(const EventSink&) = delete;
    EventSink& operator=(const EventSink&) = delete;
    virtual ~EventSink() = default;
    virtual void publish(Event event) = 0;
};

class Neighbors final : private PeerListener {
public:
    Neighbors(boost::asio::io_context& io, const conf::Config& config, EventSink& events,
              std::uint64_t seed);
    ~Neighbors() override;

    /// Binds the listeners. The error is a sentence; nothing has been started then.
    [[nodiscard]] Result<void, std::string> listen();
    void start();
    /// Ends all sessions with this NOTIFICATION, accepts and dials no more.
    void stop(const bgp::Notification& notification);

    /// Changes what the neighbors are to be told; flush() writes it.
    void advertise(std::optional<failover::ServiceId> service, const bgp::BlockRef& block,
                   bgp::IdRange range);
    /// The neighbors that hold a route of this range are added to `holders`.
    void withdraw(const bgp::BlockRef& block, bgp::IdRange range,
                  std::vector<failover::NeighborId>& holders);
    void flush();

    void open_record(failover::FailoverRecord record,
                     const std::vector<failover::NeighborId>& holders);
    /// Events for the records that became complete.
    void publish_completed();

    /// Calls `settled` once, when every neighbor's TCP has acknowledged what was withdrawn; at once
    /// if that is so already.
    void when_settled(std::function<void()> settled);

    void describe(const SnapshotRequest& request, Snapshot& out) const;

private:
    struct Known;

    void session_up(failover::NeighborId id, const bgp::SessionUp& up) override;
    void session_down(failover::NeighborId id, const bgp::SessionDown& down) override;
    void update(failover::NeighborId id, const bgp::Update& update) override;
    void withdrawals_written(failover::NeighborId id, TimePoint now) override;
    void withdrawals_acknowledged(failover::NeighborId id, TimePoint now,
                                  TimePoint written_at) override;

    void tell_settled();
    struct Listener {
        boost::asio::ip::tcp::acceptor acceptor;
        boost::asio::steady_timer pause;  ///< after an error of our own, such as no descriptors
    };

    void accept(Listener& listener);
    void admit(boost::asio::ip::tcp::socket socket);
    [[nodiscard]] Known* collected(const Address& address);
    void publish_best(const std::vector<bgp::BestChanged>& changes);
    void publish(decltype(Event::what) what);
    [[nodiscard]] NeighborView view(const Known& known) const;

    boost::asio::io_context& io_;
    const conf::Config& config_;
    EventSink& events_;
    std::uint64_t seed_;
    bgp::RibIn rib_in_;
    failover::Recorder recorder_;
    std::vector<std::unique_ptr<Known>> known_;  ///< by NeighborId
    std::vector<Listener> listeners_;
    std::function<void()> settled_;
};

}  // namespace swerve::daemon
