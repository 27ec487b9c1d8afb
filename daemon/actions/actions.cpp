#include "daemon/actions/actions.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <utility>

#include "swerve/base/clock.hpp"

namespace swerve::daemon {

namespace {

[[nodiscard]] std::uint64_t fresh_number() {
    std::random_device device;
    return (std::uint64_t{device()} << 32U) | device();
}

/// Keeps the couriers whose name is still there, makes those that are new, and moves the others
/// aside.
template <class Couriers, class Settings, class Make>
void replace(Couriers& couriers, const std::vector<Settings>& settings, const conf::Config& config,
             std::vector<std::shared_ptr<Courier>>& leaving, Make make) {
    Couriers before = std::exchange(couriers, {});
    for (const Settings& each : settings) {
        Audience audience{each.on, each.services, config};
        auto kept = before.extract(each.name);
        if (kept.empty()) {
            couriers.emplace(each.name, make(each, std::move(audience)));
            continue;
        }
        kept.mapped()->address(std::move(audience));
        kept.mapped()->change(each);
        couriers.insert(std::move(kept));
    }
    for (auto& [name, gone] : before) {
        gone->retire();
        leaving.push_back(std::move(gone));
    }
}

}  // namespace

Actions::Actions(const boost::asio::any_io_executor& executor, const conf::Config& config,
                 std::shared_ptr<spdlog::logger> logger)
    : executor_(executor),
      logger_(std::move(logger)),
      process_(fmt::format("{:016x}", fresh_number())),
      random_(fresh_number()),
      turns_(std::make_shared<health::Turns>(HookCourier::most_at_once)),
      grace_(std::make_shared<health::Timer>(executor)) {
    reconfigure(config);
}

template <class Visit>
void Actions::for_each(Visit visit) const {
    for (const auto& [name, courier] : hooks_) visit(*courier);
    for (const auto& [name, courier] : webhooks_) visit(*courier);
    for (const auto& courier : leaving_) visit(*courier);
}

void Actions::tell(const Event& event, const EventView& view, const conf::Config& config,
                   std::uint64_t id) {
    if (stopped_ || (hooks_.empty() && webhooks_.empty())) return;
    const auto notice = notice_of(event, view, config, fmt::format("{}-{}", process_, id));
    if (!notice) return;
    for (const auto& [name, hook] : hooks_) hook->offer(*notice);
    for (const auto& [name, webhook] : webhooks_) webhook->offer(*notice);
}

void Actions::reconfigure(const conf::Config& config) {
    std::erase_if(leaving_, [](const auto& courier) { return courier->is_idle(); });
    replace(hooks_, config.hooks, config, leaving_, [&](const conf::Hook& hook, Audience audience) {
        return std::make_shared<HookCourier>(executor_, std::move(audience), hook, turns_, logger_);
    });
    replace(webhooks_, config.webhooks, config, leaving_,
            [&](const conf::Webhook& webhook, Audience audience) {
                return std::make_shared<WebhookCourier>(executor_, std::move(audience), webhook,
                                                        random_.next(), logger_);
            });
}

void Actions::stop() {
    if (std::exchange(stopped_, true)) return;
    grace_->expires_after(last_grace);
    std::vector<std::shared_ptr<Courier>> busy;
    for_each([&](Courier& courier) {
        if (!courier.is_idle()) busy.push_back(courier.shared_from_this());
    });
    if (busy.empty()) return;
    grace_->async_wait([busy](const boost::system::error_code& error) {
        if (error) return;
        for (const auto& courier : busy) courier->abandon();
    });
    const auto left = std::make_shared<std::size_t>(busy.size());
    for (const auto& courier : busy) {
        courier->close([left, grace = grace_] {
            if (--*left == 0) grace->cancel();
        });
    }
}

ActionCounts Actions::counts() const {
    ActionCounts out;
    for (const auto& [name, courier] : hooks_) {
        ActionCounts::Hook hook{name, {}, courier->dropped()};
        for (std::size_t i = 0; i < hook.runs.size(); ++i) {
            hook.runs[i] = courier->runs(static_cast<HookResult>(i));
        }
        out.hooks.push_back(std::move(hook));
    }
    for (const auto& [name, courier] : webhooks_) {
        ActionCounts::Webhook webhook{name, {}, courier->waiting()};
        for (std::size_t i = 0; i < webhook.notices.size(); ++i) {
            webhook.notices[i] = courier->notices(static_cast<WebhookResult>(i));
        }
        out.webhooks.push_back(std::move(webhook));
    }
    return out;
}

}  // namespace swerve::daemon
