#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <utility>

#include "swerve/base/time.hpp"

namespace swerve {

/// The timers of one machine: an array of optional deadlines indexed by an enumeration whose last
/// enumerator is `count_`. The driver owns one real timer, armed at next().
template <class Timer>
class Deadlines {
public:
    void set(Timer timer, TimePoint when) { at_[index(timer)] = when; }
    void clear(Timer timer) { at_[index(timer)].reset(); }
    void clear_all() { at_.fill(std::nullopt); }

    [[nodiscard]] std::optional<TimePoint> get(Timer timer) const { return at_[index(timer)]; }
    [[nodiscard]] bool armed(Timer timer) const { return at_[index(timer)].has_value(); }

    /// The earliest deadline of all, or nothing when no timer is armed.
    [[nodiscard]] std::optional<TimePoint> next() const {
        std::optional<TimePoint> earliest;
        for (const auto& when : at_) {
            if (when && (!earliest || *when < *earliest)) earliest = when;
        }
        return earliest;
    }

    /// True once when `timer` is due; a due timer is disarmed.
    [[nodiscard]] bool take_expired(Timer timer, TimePoint now) {
        auto& when = at_[index(timer)];
        if (!when || *when > now) return false;
        when.reset();
        return true;
    }

private:
    static constexpr std::size_t index(Timer timer) { return static_cast<std::size_t>(timer); }

    std::array<std::optional<TimePoint>, static_cast<std::size_t>(Timer::count_)> at_{};
};

/// The earlier of two optional deadlines; nothing counts as never.
[[nodiscard]] inline std::optional<TimePoint> earlier(std::optional<TimePoint> a,
                                                      std::optional<TimePoint> b) {
    if (!a) return b;
    if (!b) return a;
    return std::min(*a, *b);
}

}  // namespace swerve
