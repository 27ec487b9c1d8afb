#pragma once
// What is done elsewhere when something has changed here: hooks and webhooks. They are told after
// the wire was served (ADR-0018). For the operations loop alone.

#include <spdlog/logger.h>

#include <array>
#include <boost/asio/any_io_executor.hpp>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "daemon/actions/hooks.hpp"
#include "daemon/actions/webhooks.hpp"
#include "daemon/speaker/event.hpp"
#include "health/probes/runtime.hpp"
#include "swerve/base/random.hpp"
#include "swerve/conf/config.hpp"

namespace swerve::daemon {

/// For metrics.
struct ActionCounts {
    struct Hook {
        std::string name;
        std::array<std::uint64_t, 4> runs;  ///< by HookResult
        std::uint64_t dropped;
    };
    struct Webhook {
        std::string name;
        std::array<std::uint64_t, 4> notices;  ///< by WebhookResult
        std::size_t waiting;
    };
    std::vector<Hook> hooks;
    std::vector<Webhook> webhooks;
};

class Actions {
public:
    /// What is under way when the daemon ends has this long.
    static constexpr Duration last_grace = std::chrono::seconds{2};

    Actions(const boost::asio::any_io_executor& executor, const conf::Config& config,
            std::shared_ptr<spdlog::logger> logger);

    /// `id`: of the event, in this process.
    void tell(const Event& event, const EventView& view, const conf::Config& config,
              std::uint64_t id);
    /// Another configuration is in force: who is still there keeps what waits for it.
    void reconfigure(const conf::Config& config);
    /// Nothing more is told. What is under way or waits gets `last_grace`, all together; after that
    /// nothing is left on the loop.
    void stop();

    [[nodiscard]] ActionCounts counts() const;

private:
    template <class Visit>
    void for_each(Visit visit) const;

    boost::asio::any_io_executor executor_;
    std::shared_ptr<spdlog::logger> logger_;
    std::string process_;  ///< stands before the id of an event
    Random random_;
    std::shared_ptr<health::Turns> turns_;
    std::map<std::string, std::shared_ptr<HookCourier>> hooks_;
    std::map<std::string, std::shared_ptr<WebhookCourier>> webhooks_;
    /// Of listeners that a reload removed; they have something under way.
    std::vector<std::shared_ptr<Courier>> leaving_;
    std::shared_ptr<health::Timer> grace_;
    bool stopped_ = false;
};

}  // namespace swerve::daemon
