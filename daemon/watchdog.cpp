#include "daemon/watchdog.hpp"

#include <boost/asio/post.hpp>
#include <utility>

namespace swerve::daemon {
namespace {

std::vector<std::string> names(const std::vector<Watchdog::Watched>& watched) {
    std::vector<std::string> out;
    for (const auto& loop : watched) out.push_back(loop.name);
    return out;
}

}  // namespace

Watchdog::Watchdog(std::vector<Watched> watched, Hooks hooks, const Timing& timing)
    : watched_(std::move(watched)),
      hooks_(std::move(hooks)),
      period_(timing.period),
      heartbeats_(names(watched_), timing.period, timing.limit),
      timer_(io_, [this] { round(); }) {}

void Watchdog::start() {
    boost::asio::post(io_, [this] {
        hooks_.lateness(views());
        round();
    });
    thread_ = std::jthread{[this] { io_.run(); }};
}

void Watchdog::stop() {
    io_.stop();
    if (thread_.joinable()) thread_.join();
}

void Watchdog::round() {
    const TimePoint now = BootClock::now();
    if (const auto silent = heartbeats_.round(now)) hooks_.hung(*silent);
    for (std::size_t i = 0; i < watched_.size(); ++i) {
        if (!heartbeats_.asks(i)) continue;
        heartbeats_.asked(i, now);
        boost::asio::post(watched_[i].io,
                          [this, i] { boost::asio::post(io_, [this, i] { heard(i); }); });
    }
    timer_.arm(now + period_);
}

void Watchdog::heard(std::size_t loop) {
    const Duration before = heartbeats_.worst_lateness(loop);
    heartbeats_.beat(loop, BootClock::now());
    if (heartbeats_.worst_lateness(loop) > before) hooks_.lateness(views());
}

std::vector<LoopView> Watchdog::views() const {
    std::vector<LoopView> out;
    for (std::size_t i = 0; i < heartbeats_.size(); ++i) {
        out.push_back({heartbeats_.name(i), heartbeats_.worst_lateness(i)});
    }
    return out;
}

}  // namespace swerve::daemon
