#pragma once
// From the configuration file to the configuration in force. For the operations loop alone.

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/operations/api.hpp"
#include "daemon/operations/api_error.hpp"
#include "daemon/operations/http_server.hpp"
#include "daemon/operations/reload_disabled.hpp"
#include "daemon/operations/reload_facts.hpp"
#include "swerve/base/result.hpp"
#include "swerve/conf/change.hpp"
#include "swerve/conf/diagnostic.hpp"

namespace swerve::daemon {

/// Why the configuration in force stays what it was.
struct ReloadFailure {
    ApiError code;
    std::string message;  ///< of `faults` the first
    std::string hint;
    conf::Diagnostics faults = {};  ///< of the file
};

class Reloader {
public:
    using Outcome = Result<std::shared_ptr<const conf::Change>, ReloadFailure>;

    /// `context` and `http` live as long.
    Reloader(ApiContext& context, HttpServer& http, const boost::asio::any_io_executor& executor);
    Reloader(const Reloader&) = delete;
    Reloader& operator=(const Reloader&) = delete;

    /// Loads the file and applies what changed. One at a time: who asks while one runs is answered
    /// by the next, which those who wait share, for the file may have changed since. A failure
    /// changes nothing and is an alarm.
    [[nodiscard]] boost::asio::awaitable<Outcome> reload();
    /// What reload() would do.
    [[nodiscard]] boost::asio::awaitable<Outcome> preview();

    /// Main has taken the change over; called in the order of its events, so that what it made
    /// under the old configuration has been seen.
    void in_force(const conf::Change& change);
    /// Gives up what is under way and answers all who wait.
    void stop();

private:
    /// An attempt that is asked for and has not begun.
    struct Round {
        boost::asio::steady_timer answered;  ///< never expires, only cancelled
        std::optional<Outcome> outcome = {};
    };

    boost::asio::awaitable<void> run();
    boost::asio::awaitable<Outcome> attempt();
    boost::asio::awaitable<Outcome> apply(std::shared_ptr<const conf::Change> change);
    [[nodiscard]] Result<void, std::string> prepare_http(const conf::Change& change);

    ApiContext& context_;
    HttpServer& http_;
    boost::asio::any_io_executor executor_;
    std::shared_ptr<boost::asio::steady_timer> pause_;
    std::shared_ptr<Round> next_;
    bool running_ = false;
    bool stopped_ = false;
    /// Bound before main is asked, serving once it has agreed; null: none from then on.
    std::optional<HttpServer::TcpListenerRef> next_http_;
    std::vector<Reenabled> reenabled_;  ///< by the change that main is asked to take over
};

}  // namespace swerve::daemon
