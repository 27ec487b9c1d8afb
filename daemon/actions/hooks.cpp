#include "daemon/actions/hooks.hpp"

#include <fmt/format.h>

#include <boost/asio/this_coro.hpp>
#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "daemon/operations/json_text.hpp"
#include "swerve/base/clock.hpp"
#include "swerve/base/escape.hpp"

namespace swerve::daemon {

namespace asio = boost::asio;
using health::ExecChild;
using health::Turns;

namespace {

/// What the program finds in its environment. Texts come from peers, probes and operators.
[[nodiscard]] std::vector<std::string> environment_of(const Notice& notice) {
    return {"SWERVE_ID=" + notice.id,
            "SWERVE_SITE=" + notice.site,
            "SWERVE_SERVICE=" + notice.service,
            "SWERVE_EVENT=" + std::string{conf::to_string(notice.occasion)},
            "SWERVE_FROM=" + notice.from,
            "SWERVE_TO=" + notice.to,
            "SWERVE_REASON=" + escape(notice.reason),
            "SWERVE_PREFIX_COUNT=" + std::to_string(notice.prefix_count),
            "SWERVE_TIME=" + rfc3339(notice.time)};
}

}  // namespace

std::string_view to_string(HookResult result) {
    switch (result) {
        case HookResult::success:
            return "success";
        case HookResult::failure:
            return "failure";
        case HookResult::timeout:
            return "timeout";
        case HookResult::not_started:
            break;
    }
    return "not_started";
}

HookCourier::HookCourier(const asio::any_io_executor& executor, Audience audience, conf::Hook hook,
                         std::shared_ptr<Turns> turns, std::shared_ptr<spdlog::logger> logger)
    : Courier(executor, std::move(audience), queue_limit),
      hook_(std::move(hook)),
      own_turn_(std::make_shared<Turns>(1)),
      turns_(std::move(turns)),
      logger_(std::move(logger)) {}

/// A run that cannot be killed, stuck in the kernel, keeps its turns: the hook waits for it and
/// does not fill the machine with more of them. Empty: cancelled.
asio::awaitable<std::vector<Turns::Turn>> HookCourier::take_turns() {
    const TimePoint never = BootClock::now() + std::chrono::hours{24 * 365};
    std::vector<Turns::Turn> out;
    for (std::size_t i = 0; i < 2; ++i) {
        const std::shared_ptr<Turns>& turns = i == 0 ? own_turn_ : turns_;
        out.push_back(co_await Turns::take(turns, never));
        const auto state = co_await asio::this_coro::cancellation_state;
        if (out.back() && state.cancelled() == asio::cancellation_type::none) continue;
        out.clear();
        break;
    }
    co_return out;
}

asio::awaitable<void> HookCourier::carry(Notice notice) {
    std::vector<Turns::Turn> turns = co_await take_turns();
    if (turns.empty()) {
        ended(notice, HookResult::not_started, "the daemon ended first", {});
        co_return;
    }
    const conf::Hook hook = hook_;  // a reload may change it meanwhile
    const std::string& file = hook.argv.front();
    if (const auto why = health::refuses_to_run(file)) {
        ended(notice, HookResult::not_started, escape(file) + ": " + *why, {});
        co_return;
    }
    const auto child =
        ExecChild::start(executor(), file, hook.argv, std::move(turns), environment_of(notice));
    if (!child) {
        ended(notice, HookResult::not_started, escape(file) + ": " + child.error(), {});
        co_return;
    }
    const TimePoint until = BootClock::now() + hook.timeout;
    const auto end = co_await (*child)->ended(until);
    const std::string_view output = (*child)->output();
    if (!end && BootClock::now() >= until) {
        ended(notice, HookResult::timeout,
              fmt::format("killed after {:g} s", seconds(hook.timeout)), output);
    } else if (!end) {
        ended(notice, HookResult::failure, "killed: " + end.error(), output);
    } else if (end->by_signal) {
        ended(notice, HookResult::failure, fmt::format("signal {}", end->number), output);
    } else {
        const bool good = end->number == 0;
        ended(notice, good ? HookResult::success : HookResult::failure,
              fmt::format("exit code {}", end->number), output);
    }
}

void HookCourier::ended(const Notice& notice, HookResult result, const std::string& how,
                        std::string_view output) {
    ++runs_[static_cast<std::size_t>(result)];
    logger_->log(result == HookResult::success ? spdlog::level::info : spdlog::level::warn,
                 "event=hook hook={} on={} service={} result={} text={} output={}",
                 quoted(hook_.name), conf::to_string(notice.occasion), quoted(notice.service),
                 to_string(result), quoted(how), quoted(output, ExecChild::output_kept));
}

/// In the log and not as an alarm, which could be what the hook is run for.
void HookCourier::dropped(std::size_t count, bool first, Loss why) {
    dropped_ += count;
    if (!first) return;
    logger_->warn(
        "event=hook hook={} text={}", quoted(hook_.name),
        quoted(why == Loss::end ? fmt::format("the daemon ends: {} are not delivered", count)
                                : "more waits than it keeps up with: what is oldest is dropped"));
}

void HookCourier::broke_off() {
    logger_->critical("event=hook hook={} text=\"a run broke off\"", quoted(hook_.name));
}

}  // namespace swerve::daemon
