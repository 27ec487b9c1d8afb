#pragma once
// The one clock of a world and what is to happen on it. Events of the same moment happen in the
// order in which they were asked for, so a run has exactly one course.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "swerve/base/time.hpp"
#include "tests/sim/trace.hpp"

namespace swerve::sim {

class Timeline {
public:
    using Action = std::move_only_function<void()>;

    [[nodiscard]] TimePoint now() const { return now_; }
    [[nodiscard]] std::size_t pending() const { return heap_.size(); }

    void at(TimePoint when, Action what) {
        heap_.push_back({std::max(when, now_), next_++, std::move(what)});
        std::ranges::push_heap(heap_, later);
    }
    void after(Duration span, Action what) { at(now_ + span, std::move(what)); }

    /// Everything up to `end`, which is then the present.
    void run_until(TimePoint end) {
        while (!heap_.empty() && heap_.front().when <= end) {
            std::ranges::pop_heap(heap_, later);
            Entry next = std::move(heap_.back());
            heap_.pop_back();
            crowd_ = next.when == now_ ? crowd_ + 1 : 0;
            if (crowd_ > most_at_once) violate("S8", "the world stands still and spins");
            now_ = next.when;
            next.what();
        }
        now_ = end;
    }

private:
    struct Entry {
        TimePoint when;
        std::uint64_t sequence;
        Action what;
    };
    static bool later(const Entry& a, const Entry& b) {
        return std::pair{a.when, a.sequence} > std::pair{b.when, b.sequence};
    }

    static constexpr std::size_t most_at_once = 100'000;

    std::size_t crowd_ = 0;  ///< events of this moment
    TimePoint now_{std::chrono::hours{1}};
    std::vector<Entry> heap_;
    std::uint64_t next_ = 0;
};

}  // namespace swerve::sim
