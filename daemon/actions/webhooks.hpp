#pragma once
// URLs to which changes are posted as JSON.

#include <spdlog/logger.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "daemon/actions/courier.hpp"
#include "daemon/actions/webhook_post.hpp"
#include "health/probes/runtime.hpp"
#include "swerve/base/random.hpp"

namespace swerve::daemon {

/// `swerve.webhook/1` (docs/api.md), one line.
[[nodiscard]] std::string webhook_body(const Notice& notice);

/// What became of a notice. `refused`: by a status that says that trying again is of no use.
enum class WebhookResult : std::uint8_t { delivered, refused, given_up, dropped };
[[nodiscard]] std::string_view to_string(WebhookResult result);

/// Whether a status ends the attempts: 2xx delivers; 408, 429 and 5xx may pass; anything else
/// would be the same the next time (a redirect is not followed).
[[nodiscard]] std::optional<WebhookResult> judge(unsigned status);

/// Between an attempt, the first being 1, and the next one: 1 s doubling, at most 1 min.
[[nodiscard]] Duration pause_after(unsigned attempt);

/// One webhook, with one request under way at most. An attempt that fails is repeated before the
/// next notice has its turn.
class WebhookCourier final : public Courier {
public:
    static constexpr std::size_t queue_limit = 1000;
    static constexpr Duration last_patience = std::chrono::seconds{2};

    WebhookCourier(const boost::asio::any_io_executor& executor, Audience audience,
                   conf::Webhook webhook, std::uint64_t seed,
                   std::shared_ptr<spdlog::logger> logger);

    /// Attempts that begin from now on are of this webhook.
    void change(conf::Webhook webhook) { webhook_ = std::move(webhook); }
    void close(std::function<void()> idle) override;
    /// The attempt under way is the last one and has `last_patience`.
    void retire() override;

    [[nodiscard]] std::uint64_t notices(WebhookResult result) const {
        return notices_[static_cast<std::size_t>(result)];
    }

private:
    boost::asio::awaitable<void> carry(Notice notice) override;
    void dropped(std::size_t count, bool first, Loss why) override;
    void idle() override { leaving_.cancel(); }
    void broke_off() override;
    /// Waits before the next attempt; false: there is to be none.
    [[nodiscard]] boost::asio::awaitable<bool> pause(unsigned attempt);
    void ended(const Notice& notice, WebhookResult result, unsigned attempts,
               const std::string& how);

    conf::Webhook webhook_;
    WebhookClient client_;
    health::Timer pause_;
    health::Timer leaving_;
    Random random_;
    std::shared_ptr<spdlog::logger> logger_;
    std::array<std::uint64_t, 4> notices_{};
};

}  // namespace swerve::daemon
