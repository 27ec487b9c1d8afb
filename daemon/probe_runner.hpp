#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <vector>

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
    /// Goes on with the checks of another configuration; `from` as in failover::Reconfigure. What
    /// runs for a check that stays is not disturbed. Called on the main loop.
    void reconfigure(const conf::Config& config,
                     const std::vector<std::optional<failover::CheckId>>& from);
    /// Ends what runs and starts nothing more; the probes loop then runs out of work. From any
    /// thread.
    void stop();

private:
    /// Names a probe for good; the number of its check may change with the configuration.
    using Token = std::uint64_t;
    using ProbePtr = std::shared_ptr<health::Probe>;
    struct Running {
        Token token;
        boost::asio::cancellation_signal signal;
    };

    [[nodiscard]] Token add(const conf::Check& check);
    void watch(Token token, const ProbePtr& probe);
    void end(const std::function<bool(Token)>& which);
    [[nodiscard]] std::optional<failover::CheckId> check_of(Token token) const;

    /// Runs a coroutine of a probe so that stop() can end it; `done` is its completion handler.
    template <class Result, class Done>
    void spawn(Token token, boost::asio::awaitable<Result> work, Done done);

    boost::asio::io_context& probes_io_;
    boost::asio::io_context& main_;
    Hooks hooks_;

    // Of the main loop.
    std::vector<Token> tokens_;         ///< by CheckId
    std::map<Token, ProbePtr> probes_;  ///< those of checks that exist
    Token next_token_ = 0;

    // Of the probes loop.
    health::ProbeContext context_;
    std::list<Running> running_;
    bool stopped_ = false;
};

}  // namespace swerve::daemon
