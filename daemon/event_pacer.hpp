#pragma once
// How fast the events of one probe reach main, however fast they come.

#include <optional>
#include <utility>

#include "swerve/base/time.hpp"
#include "swerve/health/outcome.hpp"

namespace swerve::daemon {

/// The first event goes through at once. Those within `gap` of the last that went through are
/// merged into one at the end of it, so that a storm costs main fifty turns a second, and a pass
/// never hides a failure.
class EventPacer {
public:
    static constexpr Duration gap = std::chrono::milliseconds{20};

    /// What goes through now.
    [[nodiscard]] std::optional<health::Outcome> offer(TimePoint now, health::Outcome finding) {
        if (!waiting_ && (!last_ || now >= *last_ + gap)) {
            last_ = now;
            return finding;
        }
        if (!waiting_ || gravity(finding) >= gravity(*waiting_)) waiting_ = std::move(finding);
        return tick(now);
    }
    [[nodiscard]] std::optional<health::Outcome> tick(TimePoint now) {
        if (!waiting_ || now < *last_ + gap) return std::nullopt;
        last_ = now;
        return std::exchange(waiting_, std::nullopt);
    }
    /// When tick() lets something through; nothing if nothing waits.
    [[nodiscard]] std::optional<TimePoint> next_deadline() const {
        return waiting_ ? std::optional{*last_ + gap} : std::nullopt;
    }

private:
    static int gravity(const health::Outcome& finding) {
        switch (finding.result) {
            case health::ProbeResult::fail:
                return 2;
            case health::ProbeResult::unknown:
                return 1;
            case health::ProbeResult::pass:
                break;
        }
        return 0;
    }

    std::optional<TimePoint> last_;           ///< when one went through
    std::optional<health::Outcome> waiting_;  ///< the gravest since, the latest of its kind
};

}  // namespace swerve::daemon
