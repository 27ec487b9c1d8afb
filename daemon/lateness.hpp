#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "swerve/base/time.hpp"

namespace swerve::daemon {

/// How late things began, counted on one loop and read on another. Buckets are counted one by one:
/// a copy made meanwhile may lack the last of them, and that is all.
class LatenessCounts {
public:
    static constexpr std::array<Duration, 13> bounds{
        std::chrono::microseconds{100},  std::chrono::microseconds{250},
        std::chrono::microseconds{500},  std::chrono::milliseconds{1},
        std::chrono::microseconds{2500}, std::chrono::milliseconds{5},
        std::chrono::milliseconds{10},   std::chrono::milliseconds{25},
        std::chrono::milliseconds{50},   std::chrono::milliseconds{100},
        std::chrono::milliseconds{250},  std::chrono::milliseconds{500},
        std::chrono::seconds{1}};
    struct Copy {
        /// Up to and including each bound, and behind the last one; not cumulative.
        std::array<std::uint64_t, bounds.size() + 1> buckets{};
        Duration sum{};
    };

    void count(Duration late) {
        std::size_t bucket = 0;
        while (bucket < bounds.size() && late > bounds[bucket]) ++bucket;
        buckets_[bucket].fetch_add(1, std::memory_order_relaxed);
        sum_.fetch_add(late.count(), std::memory_order_relaxed);
    }
    [[nodiscard]] Copy copy() const {
        Copy out;
        for (std::size_t i = 0; i < buckets_.size(); ++i) {
            out.buckets[i] = buckets_[i].load(std::memory_order_relaxed);
        }
        out.sum = Duration{sum_.load(std::memory_order_relaxed)};
        return out;
    }

private:
    std::array<std::atomic<std::uint64_t>, bounds.size() + 1> buckets_{};
    std::atomic<Duration::rep> sum_ = 0;
};

}  // namespace swerve::daemon
