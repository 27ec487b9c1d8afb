#pragma once
// The watchdog's judgement, without the clock and the threads.

#include <optional>
#include <string>
#include <vector>

#include "swerve/base/time.hpp"

namespace swerve::daemon {

/// Judges loops by when they last answered. A pause of the whole process (SIGSTOP, a frozen host)
/// is nobody's fault: it shows as lateness of the watchdog's own rounds and is taken off
/// everybody's account.
class Heartbeats {
public:
    /// `period`: how often round() is called; `limit`: silence after which a loop counts as hung.
    Heartbeats(std::vector<std::string> loops, Duration period, Duration limit);

    /// A loop moved at `now`.
    void beat(std::size_t loop, TimePoint now);
    /// To be called every `period`. Names the loop that has been silent for too long.
    [[nodiscard]] std::optional<std::string> round(TimePoint now);
    [[nodiscard]] bool asks(std::size_t loop) const { return !loops_[loop].awaited; }
    /// A beat was asked of this loop; the next question waits for the answer.
    void asked(std::size_t loop, TimePoint now);
    /// Longest time a loop took to answer, pauses of the process included.
    [[nodiscard]] Duration worst_lateness(std::size_t loop) const { return loops_[loop].worst; }
    [[nodiscard]] const std::string& name(std::size_t loop) const { return loops_[loop].name; }
    [[nodiscard]] std::size_t size() const { return loops_.size(); }

private:
    struct Loop {
        std::string name;
        std::optional<TimePoint> awaited;  ///< since when an answer is owed
        Duration forgiven{};               ///< pauses since then
        Duration worst{};
    };

    std::vector<Loop> loops_;
    Duration period_;
    Duration limit_;
    std::optional<TimePoint> last_round_;
};

}  // namespace swerve::daemon
