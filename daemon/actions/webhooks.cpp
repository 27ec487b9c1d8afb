#include "daemon/actions/webhooks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/object.hpp>
#include <chrono>
#include <utility>

#include "daemon/operations/json_text.hpp"
#include "swerve/base/clock.hpp"

namespace swerve::daemon {

namespace asio = boost::asio;
namespace json = boost::json;

std::string webhook_body(const Notice& notice) {
    const auto text_or_null = [](const std::string& text) {
        return text.empty() ? json::value(nullptr) : json_string(text);
    };
    return to_text(json::object{{"schema", "swerve.webhook/1"},
                                {"id", json_string(notice.id)},
                                {"site", json_string(notice.site)},
                                {"service", text_or_null(notice.service)},
                                {"event", json_string(conf::to_string(notice.occasion))},
                                {"from", text_or_null(notice.from)},
                                {"to", text_or_null(notice.to)},
                                {"reason", json_string(notice.reason)},
                                {"time", json_string(rfc3339(notice.time))}});
}

std::string_view to_string(WebhookResult result) {
    switch (result) {
        case WebhookResult::delivered:
            return "delivered";
        case WebhookResult::refused:
            return "refused";
        case WebhookResult::given_up:
            return "given_up";
        case WebhookResult::dropped:
            break;
    }
    return "dropped";
}

std::optional<WebhookResult> judge(unsigned status) {
    if (status / 100 == 2) return WebhookResult::delivered;
    if (status == 408 || status == 429 || status / 100 == 5) return std::nullopt;
    return WebhookResult::refused;
}

Duration pause_after(unsigned attempt) {
    constexpr unsigned longest = 60;
    const unsigned doublings = std::min(attempt - 1, 6U);
    return std::chrono::seconds{std::min(1U << doublings, longest)};
}

WebhookCourier::WebhookCourier(const asio::any_io_executor& executor, Audience audience,
                               conf::Webhook webhook, std::uint64_t seed,
                               std::shared_ptr<spdlog::logger> logger)
    : Courier(executor, std::move(audience), queue_limit),
      webhook_(std::move(webhook)),
      pause_(executor),
      leaving_(executor),
      random_(seed),
      logger_(std::move(logger)) {}

asio::awaitable<void> WebhookCourier::carry(Notice notice) {
    const std::string body = webhook_body(notice);
    std::string how;
    unsigned attempt = 0;
    for (bool again = true; again;) {
        ++attempt;
        const Duration timeout = webhook_.timeout;
        WebhookPost what{
            .url = webhook_.url, .id = notice.id, .bearer = webhook_.bearer, .body = body};
        const auto status = co_await client_.post(std::move(what), timeout);
        how = status ? fmt::format("HTTP {}", *status) : status.error();
        if (!status && abandoned()) how = "cut short, for nobody waits any longer: " + how;
        if (status) {
            if (const auto result = judge(*status)) co_return ended(notice, *result, attempt, how);
        }
        again = co_await pause(attempt);
    }
    ended(notice, WebhookResult::given_up, attempt, how);
}

asio::awaitable<bool> WebhookCourier::pause(unsigned attempt) {
    if (closing() || attempt >= webhook_.attempts) co_return false;
    // Many sites may have failed at the same moment.
    pause_.expires_after(random_.shortened(pause_after(attempt), 50));
    co_await pause_.async_wait(asio::as_tuple(asio::use_awaitable));
    const auto state = co_await asio::this_coro::cancellation_state;
    co_return !closing() && state.cancelled() == asio::cancellation_type::none;
}

void WebhookCourier::close(std::function<void()> idle) {
    Courier::close(std::move(idle));
    pause_.cancel();
}

void WebhookCourier::retire() {
    Courier::retire();
    if (is_idle()) return;
    last_attempt();
    pause_.cancel();
    leaving_.expires_after(last_patience);
    leaving_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
        if (!error) self->abandon();
    });
}

void WebhookCourier::ended(const Notice& notice, WebhookResult result, unsigned attempts,
                           const std::string& how) {
    ++notices_[static_cast<std::size_t>(result)];
    logger_->log(result == WebhookResult::delivered ? spdlog::level::info : spdlog::level::warn,
                 "event=webhook webhook={} on={} service={} result={} attempts={} text={}",
                 quoted(webhook_.name), conf::to_string(notice.occasion), quoted(notice.service),
                 to_string(result), attempts, quoted(how));
}

/// In the log and not as an alarm, which could be what the webhook is told of.
void WebhookCourier::dropped(std::size_t count, bool first, Loss why) {
    notices_[static_cast<std::size_t>(WebhookResult::dropped)] += count;
    if (!first) return;
    logger_->warn(
        "event=webhook webhook={} text={}", quoted(webhook_.name),
        quoted(why == Loss::end ? fmt::format("the daemon ends: {} are not delivered", count)
                                : "more waits than is delivered: what is oldest is dropped"));
}

void WebhookCourier::broke_off() {
    logger_->critical("event=webhook webhook={} text=\"a delivery broke off\"",
                      quoted(webhook_.name));
}

}  // namespace swerve::daemon
