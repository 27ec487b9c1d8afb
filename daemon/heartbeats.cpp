#include "daemon/heartbeats.hpp"

#include <algorithm>
#include <utility>

namespace swerve::daemon {

Heartbeats::Heartbeats(std::vector<std::string> loops, Duration period, Duration limit)
    : period_(period), limit_(limit) {
    for (std::string& name : loops) loops_.push_back({.name = std::move(name)});
}

void Heartbeats::asked(std::size_t loop, TimePoint now) {
    loops_[loop].awaited = now;
    loops_[loop].forgiven = {};
}

void Heartbeats::beat(std::size_t loop, TimePoint now) {
    Loop& answering = loops_[loop];
    if (!answering.awaited) return;
    answering.worst = std::max(answering.worst, now - *answering.awaited);
    answering.awaited.reset();
}

std::optional<std::string> Heartbeats::round(TimePoint now) {
    const Duration late = last_round_ ? now - *last_round_ - period_ : Duration{};
    last_round_ = now;
    for (Loop& loop : loops_) {
        if (!loop.awaited) continue;
        loop.forgiven += std::max(late, Duration{});
        if (now - *loop.awaited - loop.forgiven >= limit_) return loop.name;
    }
    return std::nullopt;
}

}  // namespace swerve::daemon
