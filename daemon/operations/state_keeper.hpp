#pragma once
// Keeps on disk what must survive (DESIGN.md §4.7): asks main for it, adds what the process knows
// of itself, and writes, one at a time. For the operations loop alone.

#include <spdlog/logger.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "daemon/main_port.hpp"
#include "swerve/base/result.hpp"
#include "swerve/base/time.hpp"

namespace swerve::daemon {

struct ProcessState;

struct StateKeeperTiming {
    Duration gather = std::chrono::milliseconds{100};  ///< from a change until it is written
    Duration retry = std::chrono::seconds{5};          ///< after a write that failed
    Duration sign_of_life = std::chrono::seconds{10};
    Duration main_deadline = std::chrono::seconds{2};  ///< for main to answer
};

class StateKeeper {
public:
    /// `process.store` was loaded and, like `main`, lives longer.
    StateKeeper(const boost::asio::any_io_executor& executor, MainPort& main,
                const ProcessState& process, std::shared_ptr<spdlog::logger> logger,
                const StateKeeperTiming& timing = {});
    /// Stops.
    ~StateKeeper();
    StateKeeper(const StateKeeper&) = delete;
    StateKeeper& operator=(const StateKeeper&) = delete;

    /// Saves at once, so that an early end of this process is counted, and begins to give signs of
    /// life.
    void start();

    /// When it returns, what main knew at the call is on stable storage. The error is a sentence;
    /// writing is then tried again without being asked. Callers that wait together share one write.
    [[nodiscard]] boost::asio::awaitable<Result<void, std::string>> save();

    /// Something changed that nobody waits for; it is written soon, together with what follows.
    void mark_dirty();

    /// Writes what main said last once more, as the last words of a process that has said goodbye
    /// to its neighbors, or has left them the routes for a planned restart, and stops.
    [[nodiscard]] Result<void, std::string> end_clean(bool planned_restart = false);

    /// Writes nothing more and answers all who wait; leaves no work on the loop.
    void stop();

    /// Why the last write failed.
    [[nodiscard]] const std::optional<std::string>& fault() const;

private:
    struct Parts;
    std::shared_ptr<Parts> parts_;
};

}  // namespace swerve::daemon
