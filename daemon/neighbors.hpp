#pragma once
// The sockets of all neighbors: one driver each, and the listeners they connect to. What there is
// to decide the speaker decides.

#include <boost/asio/io_context.hpp>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "daemon/listeners.hpp"
#include "daemon/peer_driver.hpp"
#include "daemon/snapshot.hpp"
#include "daemon/speaker/speaker.hpp"
#include "swerve/base/result.hpp"

namespace swerve::daemon {

class Neighbors final {
public:
    /// A turn of the main loop, which carries out what comes of it before it returns.
    using TakeTurn = std::function<void(const std::function<void(Moment, SpeakerOutput&)>&)>;

    Neighbors(boost::asio::io_context& io, Speaker& speaker, TakeTurn turn,
              std::function<void(std::string)> alarm);
    ~Neighbors();
    Neighbors(const Neighbors&) = delete;
    Neighbors& operator=(const Neighbors&) = delete;

    /// See Listeners::bind().
    [[nodiscard]] Result<void, std::string> listen(const std::vector<Endpoint>& endpoints) {
        return listeners_.bind(endpoints);
    }
    void start() { listeners_.start(); }
    void stop_listening() { listeners_.close(); }

    /// Carries out what a turn asks of connections and of the wire.
    void carry_out(SpeakerOutput& out);
    /// Brings drivers to where their neighbors are now, after a change of the configuration.
    void retarget();

    /// Calls `settled` once, when every neighbor's TCP has acknowledged what was withdrawn; at once
    /// if that is so already.
    void when_settled(std::function<void()> settled);

    void describe(const SnapshotRequest& request, Snapshot& out) const;

private:
    void admit(boost::asio::ip::tcp::socket socket);
    void add(NeighborId id);
    void tell_settled();
    void describe_received(const SnapshotRequest& request, Snapshot& out) const;
    void describe_adj_out(const SnapshotRequest& request, Snapshot& out) const;
    [[nodiscard]] NeighborView view(NeighborId id, const Neighbor& neighbor) const;

    boost::asio::io_context& io_;
    Speaker& speaker_;
    TakeTurn turn_;
    Listeners listeners_;
    std::map<NeighborId, std::unique_ptr<PeerDriver>> drivers_;
    std::function<void()> settled_;
};

}  // namespace swerve::daemon
