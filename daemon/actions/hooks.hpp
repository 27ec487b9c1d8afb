#pragma once
// Programs that are run when something has changed.

#include <spdlog/logger.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>

#include "daemon/actions/courier.hpp"
#include "health/probes/exec_child.hpp"

namespace swerve::daemon {

/// How a run of a hook ended.
enum class HookResult : std::uint8_t { success, failure, timeout, not_started };
[[nodiscard]] std::string_view to_string(HookResult result);

/// One hook. Its runs follow each other; `turns` bounds those of all hooks together.
class HookCourier final : public Courier {
public:
    static constexpr std::size_t queue_limit = 100;
    static constexpr std::size_t most_at_once = 8;  ///< of all hooks

    HookCourier(const boost::asio::any_io_executor& executor, Audience audience, conf::Hook hook,
                std::shared_ptr<health::Turns> turns, std::shared_ptr<spdlog::logger> logger);

    /// Runs that begin from now on are of this hook.
    void change(conf::Hook hook) { hook_ = std::move(hook); }

    [[nodiscard]] std::uint64_t runs(HookResult result) const {
        return runs_[static_cast<std::size_t>(result)];
    }
    [[nodiscard]] std::uint64_t dropped() const { return dropped_; }

private:
    boost::asio::awaitable<void> carry(Notice notice) override;
    void dropped(std::size_t count, bool first, Loss why) override;
    void broke_off() override;
    [[nodiscard]] boost::asio::awaitable<std::vector<health::Turns::Turn>> take_turns();
    void ended(const Notice& notice, HookResult result, const std::string& how,
               std::string_view output);

    conf::Hook hook_;
    std::shared_ptr<health::Turns> own_turn_;
    std::shared_ptr<health::Turns> turns_;
    std::shared_ptr<spdlog::logger> logger_;
    std::array<std::uint64_t, 4> runs_{};
    std::uint64_t dropped_ = 0;
};

}  // namespace swerve::daemon
