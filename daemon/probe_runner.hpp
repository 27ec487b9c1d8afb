#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "swerve/base/result.hpp"
#include "swerve/conf/config.hpp"
#include "swerve/failover/policy.hpp"
#include "swerve/health/probe.hpp"

namespace swerve::daemon {

/// Runs attempts and event sources on the probes loop and hands what they find to main. Holds no
/// verdict: the trackers live on main, so that a probes loop that hangs shows as stale evidence.
class ProbeRunner {
public:
    struct Hooks {
        /// Both are called on the main loop.
        std::function<void(failover::CheckId, std::uint64_t attempt, health::Outcome)> finished;
        std::function<void(failover::CheckId, health::Outcome)> event;
    };
    ProbeRunner(boost::asio::io_context& probes, boost::asio::io_context& main,
                const conf::Config& config, Hooks hooks);

    /// Starts the event sources.
    void start();
    /// Starts one attempt; called on the main loop.
    void attempt(failover::CheckId check, std::uint64_t attempt, Duration timeout);
    /// Ends what runs and starts nothing more; the probes loop then runs out of work. From any
    /// thread.
    void stop();

private:
    using Signals = std::list<boost::asio::cancellation_signal>;

    /// Runs a coroutine of a probe so that stop() can end it; `done` is its completion handler.
    template <class Result, class Done>
    void spawn(boost::asio::awaitable<Result> work, Done done);

    boost::asio::io_context& probes_io_;
    boost::asio::io_context& main_;
    Hooks hooks_;
    health::ProbeContext context_;
    std::vector<std::string> names_;
    std::vector<std::unique_ptr<health::Probe>> probes_;
    Signals running_;       ///< one for each coroutine; touched on the probes loop only
    bool stopped_ = false;  ///< likewise
};

}  // namespace swerve::daemon
