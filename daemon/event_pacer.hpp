#pragma once
// How fast the events of one probe reach main, however fast they come.

#include <optional>
#include <utility>

#include "swerve/base/event_rate.hpp"
#include "swerve/base/time.hpp"
#include "swerve/health/outcome.hpp"

namespace swerve::daemon {

/// The first events go through at once. Those that EventRate holds back are merged into one, so
/// that a storm costs main fifty turns a second, and a pass never hides a failure.
class EventPacer {
public:
    /// What goes through now.
    [[nodiscard]] std::optional<health::Outcome> offer(TimePoint now, health::Outcome finding) {
        if (!waiting_ && now >= rate_.earliest()) {
            rate_.take(now);
            return finding;
        }
        if (!waiting_ || gravity(finding) >= gravity(*waiting_)) waiting_ = std::move(finding);
        return tick(now);
    }
    [[nodiscard]] std::optional<health::Outcome> tick(TimePoint now) {
        if (!waiting_ || now < rate_.earliest()) return std::nullopt;
        rate_.take(now);
        return std::exchange(waiting_, std::nullopt);
    }
    /// When tick() lets something through; nothing if nothing waits.
    [[nodiscard]] std::optional<TimePoint> next_deadline() const {
        return waiting_ ? std::optional{rate_.earliest()} : std::nullopt;
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

    EventRate rate_;
    std::optional<health::Outcome> waiting_;  ///< the gravest since, the latest of its kind
};

}  // namespace swerve::daemon
