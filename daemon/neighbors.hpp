#pragma once
// The sockets of all neighbors: one driver each, and the listeners they connect to. What there is
// to decide the speaker decides.

#include <boost/asio/io_context.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/listeners.hpp"
#include "daemon/mrt_tap.hpp"
#include "daemon/peer_driver.hpp"
#include "daemon/snapshot.hpp"
#include "daemon/speaker/speaker.hpp"
#include "swerve/base/result.hpp"

namespace swerve::daemon {

class Neighbors final {
public:
    /// A turn of the main loop, which carries out what comes of it before it returns.
    using TakeTurn = std::function<void(const std::function<void(Moment, SpeakerOutput&)>&)>;

    /// Dumps of messages are written on `operations`; all else happens on `io`.
    Neighbors(boost::asio::io_context& io, boost::asio::io_context& operations, Speaker& speaker,
              TakeTurn turn, std::function<void(std::string)> alarm);
    ~Neighbors();
    Neighbors(const Neighbors&) = delete;
    Neighbors& operator=(const Neighbors&) = delete;

    /// Listens where this configuration says, with the keys of its neighbors. The error is a
    /// sentence; everything is as it was then.
    [[nodiscard]] Result<void, std::string> listen(const conf::Config& config);
    void start() { listeners_.start(); }
    void stop_listening() { listeners_.close(); }

    /// Carries out what a turn asks of connections and of the wire.
    void carry_out(SpeakerOutput& out);
    /// Brings drivers to where their neighbors are now, after a change of the configuration.
    void retarget();

    /// Calls each `settled` once, when every neighbor's TCP has acknowledged what was withdrawn; at
    /// once if that is so already.
    void when_settled(std::function<void()> settled);

    /// See daemon/describe.hpp.
    void describe(const SnapshotRequest& request, Snapshot& out) const;

private:
    [[nodiscard]] std::optional<NeighborId> admit(const Address& address,
                                                  const std::string& interface);
    void add(NeighborId id);
    void remove(NeighborId id);
    void tell_settled();

    boost::asio::io_context& io_;
    Speaker& speaker_;
    TakeTurn turn_;
    std::function<void(std::string)> alarm_;
    Listeners listeners_;
    MrtQueue mrt_;
    std::map<NeighborId, std::unique_ptr<PeerDriver>> drivers_;
    std::vector<std::function<void()>> settled_;
};

}  // namespace swerve::daemon
