#pragma once
// The bfd loop: the sockets and the one timer of a site's BFD sessions, on a thread of their own,
// so that neither a table of routes nor a check makes a neighbor believe that this site is dead.

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "daemon/lateness.hpp"
#include "daemon/snapshot.hpp"
#include "swerve/bfd/table.hpp"

namespace swerve::daemon {

/// What the loop is to do.
struct BfdWanted {
    std::vector<bfd::SessionConfig> sessions;
    bool realtime = false;  ///< conf::Config::bfd_realtime
};

class BfdLoop {
public:
    /// Called on the bfd loop.
    struct Hooks {
        std::function<void(bfd::Report)> report;
        std::function<void(std::string)> alarm;  ///< a sentence
    };

    BfdLoop(boost::asio::io_context& io, Hooks hooks, std::uint64_t seed);
    /// Its thread must have ended.
    ~BfdLoop();
    BfdLoop(const BfdLoop&) = delete;
    BfdLoop& operator=(const BfdLoop&) = delete;

    // From any thread.

    void configure(BfdWanted wanted);
    /// Says AdminDown for every session and runs out of work; nothing follows.
    void stop();
    /// Path Down to every neighbor. Returns once the packets were handed to the kernel, or after
    /// 100 ms: for the watchdog, which then ends the process.
    void hold_down();
    /// `done` is called on the bfd loop.
    void describe(std::function<void(BfdSnapshot)> done);

private:
    struct Parts;
    std::unique_ptr<Parts> parts_;
};

}  // namespace swerve::daemon
