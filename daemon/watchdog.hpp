#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "daemon/deadline_timer.hpp"
#include "daemon/heartbeats.hpp"
#include "daemon/snapshot.hpp"

namespace swerve::daemon {

/// Asks the watched loops for a sign of life. One that stops moving ends the process: the kernel
/// then closes the sessions and the neighbors drop the routes, while a hung speaker would keep a
/// dead site alive. It has a thread of its own, for any loop may hang, operations on a dead disk.
class Watchdog {
public:
    struct Watched {
        std::string name;
        boost::asio::io_context& io;
    };
    /// Both are called on the watchdog's thread.
    struct Hooks {
        std::function<void(const std::string&)> hung;  ///< gets the loop's name; ends the process
        std::function<void(std::vector<LoopView>)> lateness;  ///< at the start, and when it grows
    };
    struct Timing {
        Duration period = std::chrono::milliseconds{500};
        /// Well above any turn of a loop, well below the hold time a neighbor would need to notice.
        Duration limit = std::chrono::seconds{5};
    };

    /// The threads of the watched loops must have ended before it is destroyed.
    Watchdog(std::vector<Watched> watched, Hooks hooks, const Timing& timing);
    /// Stops.
    ~Watchdog() { stop(); }
    Watchdog(const Watchdog&) = delete;
    Watchdog& operator=(const Watchdog&) = delete;

    void start();
    /// After it no hook is called.
    void stop();

private:
    void round();
    void heard(std::size_t loop);
    [[nodiscard]] std::vector<LoopView> views() const;

    boost::asio::io_context io_{1};
    std::vector<Watched> watched_;
    Hooks hooks_;
    Duration period_;
    Heartbeats heartbeats_;
    DeadlineTimer timer_;
    std::jthread thread_;
};

}  // namespace swerve::daemon
