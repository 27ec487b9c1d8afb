#pragma once
// What is really the case behind a check, whatever anybody believes.

#include <cstdint>
#include <optional>
#include <string_view>

#include "swerve/base/random.hpp"
#include "swerve/health/outcome.hpp"
#include "tests/sim/draw.hpp"

namespace swerve::sim {

enum class Condition : std::uint8_t {
    serving,
    dead,       ///< refuses at once
    hanging,    ///< never answers
    brown_out,  ///< fails now and then
    mute,       ///< answers, but what it says proves nothing
};
[[nodiscard]] constexpr std::string_view to_string(Condition condition) {
    constexpr std::string_view names[] = {"serving", "dead", "hanging", "brown-out", "mute"};
    return names[static_cast<std::size_t>(condition)];
}

class RealService {
public:
    [[nodiscard]] Condition condition() const { return condition_; }
    [[nodiscard]] TimePoint since() const { return since_; }
    [[nodiscard]] bool works() const { return condition_ == Condition::serving; }
    [[nodiscard]] bool is_down() const {
        return condition_ == Condition::dead || condition_ == Condition::hanging;
    }
    /// Since when it works, or is down, without a break; a death that hangs first is one death.
    [[nodiscard]] std::optional<TimePoint> good_since() const {
        return works() ? std::optional{since_} : std::nullopt;
    }
    [[nodiscard]] std::optional<TimePoint> down_since() const {
        return is_down() ? std::optional{since_} : std::nullopt;
    }

    void become(TimePoint now, Condition condition, unsigned failing_percent = 0) {
        if (condition == condition_) return;
        const bool was_down = is_down();
        condition_ = condition;
        failing_percent_ = failing_percent;
        if (!was_down || !is_down()) since_ = now;
    }

    /// What an attempt finds that began while it was `at_start`, looked at again when it would be
    /// answered; nothing: no answer ever comes.
    [[nodiscard]] std::optional<health::ProbeResult> answer(Condition at_start,
                                                            Random& random) const {
        if (at_start == Condition::hanging || condition_ == Condition::hanging) return std::nullopt;
        if (at_start == Condition::dead || condition_ == Condition::dead) {
            return health::ProbeResult::fail;
        }
        if (condition_ == Condition::mute) return health::ProbeResult::unknown;
        if (condition_ == Condition::brown_out && chance(random, failing_percent_)) {
            return health::ProbeResult::fail;
        }
        return health::ProbeResult::pass;
    }

private:
    Condition condition_ = Condition::serving;
    TimePoint since_{};
    unsigned failing_percent_ = 0;
};

}  // namespace swerve::sim
