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
#include <string>
#include <vector>

#include "daemon/lateness.hpp"
#include "swerve/conf/config.hpp"
#include "swerve/failover/policy.hpp"
#include "swerve/health/probe.hpp"

namespace swerve::daemon {

/// What an attempt said it had done, so long after it began.
struct ProbeStep {
    Duration at;
    std::string text;
};
/// One attempt made by hand (`probe run NAME`).
struct ProbeTrial {
    health::Outcome outcome;
    std::vector<ProbeStep> steps;
};

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
    /// Starts one attempt that was due at `due`; called on the main loop.
    void attempt(failover::CheckId check, std::uint64_t attempt, Duration timeout, TimePoint due);
    /// How late attempts have begun. From any thread.
    [[nodiscard]] const LatenessCounts& lateness() const { return lateness_; }
    /// One attempt by a probe of its own, which no tracker hears of and which disturbs nothing that
    /// runs. `done` is posted to `answer_on`, once, within the check's timeout and a little; the
    /// attempt goes on whatever a reload does meanwhile. From any thread.
    void run_once(const conf::Check& check, boost::asio::io_context& answer_on,
                  std::function<void(ProbeTrial)> done);
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
    struct Known {
        ProbePtr probe;
        failover::CheckId check;
    };
    struct Running {
        Token token;
        boost::asio::cancellation_signal signal;
    };

    [[nodiscard]] Token add(const conf::Check& check, failover::CheckId id);
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
    std::vector<Token> tokens_;      ///< by CheckId
    std::map<Token, Known> probes_;  ///< those of checks that exist
    Token next_token_ = 0;

    // Of the probes loop.
    health::ProbeContext context_;
    std::list<Running> running_;
    bool stopped_ = false;
    LatenessCounts lateness_;
};

}  // namespace swerve::daemon
