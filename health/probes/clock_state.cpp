#include "health/probes/clock_state.hpp"

namespace swerve::health {
namespace {

/// In the largest unit that leaves something of it, the rest cut off.
std::string rounded(Duration duration) {
    using namespace std::chrono_literals;
    if (duration >= 1s) return std::to_string(duration / 1s) + "s";
    if (duration >= 1ms) return std::to_string(duration / 1ms) + "ms";
    return std::to_string(duration / 1us) + "us";
}

}  // namespace

std::string ClockJudge::look(const ClockReading& reading) {
    if (ahead_of_boot_) {
        const Duration by = reading.ahead_of_boot - *ahead_of_boot_;
        if (by > wanted_.max_step || by < -wanted_.max_step) step_ = Step{by, reading.at};
    }
    ahead_of_boot_ = reading.ahead_of_boot;
    if (step_ && reading.at - step_->seen >= wanted_.step_hold) step_.reset();

    if (wanted_.synchronised && !reading.synchronised) {
        return "the kernel says that the clock is not synchronised: is a time service running, "
               "and does it reach its servers (chrony: is rtcsync on)?";
    }
    if (wanted_.max_error && reading.largest_error > *wanted_.max_error) {
        return "the clock may be wrong by " + rounded(reading.largest_error) + ", more than " +
               rounded(*wanted_.max_error);
    }
    if (step_) {
        const bool back = step_->by < Duration::zero();
        return std::string{"the clock was set "} + (back ? "back" : "forward") + " by " +
               rounded(back ? -step_->by : step_->by) + ", " + rounded(reading.at - step_->seen) +
               " ago";
    }
    return "";
}

}  // namespace swerve::health
