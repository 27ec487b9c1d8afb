#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <string>
#include <vector>

#include "daemon/deadline_timer.hpp"
#include "daemon/heartbeats.hpp"
#include "daemon/snapshot.hpp"

namespace swerve::daemon {

/// Asks the watched loops for a sign of life from the operations loop. One that stops moving ends
/// the process: the kernel then closes the sessions and the neighbors drop the routes, while a hung
/// speaker would keep a dead site alive.
class Watchdog {
public:
    struct Watched {
        std::string name;
        boost::asio::io_context& io;
    };
    /// `hung` is called with the loop's name and must end the process.
    Watchdog(boost::asio::io_context& own, std::vector<Watched> watched,
             std::function<void(const std::string&)> hung);

    void start();
    void stop() { timer_.arm(std::nullopt); }
    [[nodiscard]] std::vector<LoopView> view() const;

private:
    void round();

    boost::asio::io_context& own_;
    std::vector<Watched> watched_;
    std::function<void(const std::string&)> hung_;
    Heartbeats heartbeats_;
    DeadlineTimer timer_;
};

}  // namespace swerve::daemon
