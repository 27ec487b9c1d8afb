#pragma once
// Hooks and webhooks on a loop of the test's own, which is run until something has come true.

#include <spdlog/sinks/ostream_sink.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <fstream>
#include <functional>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "daemon/actions/actions.hpp"
#include "swerve/base/clock.hpp"
#include "tests/support/snapshot.hpp"
#include "tests/support/temporary_directory.hpp"

namespace swerve::test {

/// The events of a service that goes up and down: announce, withdraw, announce, …
class ActionsBench {
public:
    explicit ActionsBench(conf::Config with) : config(std::move(with)) {
        logger_ = std::make_shared<spdlog::logger>(
            "test", std::make_shared<spdlog::sinks::ostream_sink_mt>(log));
        logger_->set_pattern("%l %v");
        actions = std::make_unique<daemon::Actions>(io.get_executor(), config, logger_);
    }

    void tell(failover::Intent to, const std::string& reason = "because",
              const std::string& service = "portal") {
        tell_of(daemon::IntentEvent{service, from_, to, reason});
        from_ = to;
    }
    template <class What>
    void tell_of(What what) {
        const daemon::Event event{sample_now, sample_wall, std::move(what)};
        actions->tell(event, daemon::view_of(event, config), config, next_id_++);
    }
    void tell_often(int times) {
        for (int i = 0; i < times; ++i) {
            tell(i % 2 == 0 ? failover::Intent::announce : failover::Intent::withdraw,
                 std::to_string(i));
        }
    }

    /// Whether it has come true before a time that is never reached unless it will not.
    bool run_until(const std::function<bool()>& is_true) {
        const TimePoint late = BootClock::now() + std::chrono::seconds{20};
        io.restart();
        while (!is_true()) {
            if (BootClock::now() > late) return false;
            io.run_one_for(std::chrono::milliseconds{5});
            if (io.stopped()) io.restart();
        }
        return true;
    }
    /// Everything that is under way has come to its end.
    void run_out() {
        io.restart();
        io.run();
    }

    [[nodiscard]] std::uint64_t runs(daemon::HookResult result, std::size_t hook = 0) const {
        return actions->counts().hooks.at(hook).runs[static_cast<std::size_t>(result)];
    }
    [[nodiscard]] std::uint64_t notices(daemon::WebhookResult result) const {
        return actions->counts().webhooks.at(0).notices[static_cast<std::size_t>(result)];
    }

    conf::Config config;
    boost::asio::io_context io{1};
    std::ostringstream log;
    std::unique_ptr<daemon::Actions> actions;

private:
    std::shared_ptr<spdlog::logger> logger_;
    failover::Intent from_ = failover::Intent::withdraw;
    std::uint64_t next_id_ = 1;
};

inline const std::set<conf::Occasion> every_occasion{
    conf::Occasion::announce, conf::Occasion::degrade, conf::Occasion::drain,
    conf::Occasion::withdraw, conf::Occasion::alarm};

[[nodiscard]] inline std::string content_of(const std::string& file) {
    std::ostringstream out;
    out << std::ifstream{file}.rdbuf();
    return out.str();
}

}  // namespace swerve::test
