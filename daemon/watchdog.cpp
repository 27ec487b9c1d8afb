#include "daemon/watchdog.hpp"

#include <boost/asio/post.hpp>
#include <utility>

namespace swerve::daemon {
namespace {

constexpr Duration period = std::chrono::milliseconds{500};
/// Well above any turn of a loop, well below the hold time a neighbor would need to notice.
constexpr Duration limit = std::chrono::seconds{5};

std::vector<std::string> names(const std::vector<Watchdog::Watched>& watched) {
    std::vector<std::string> out;
    for (const auto& loop : watched) out.push_back(loop.name);
    return out;
}

}  // namespace

Watchdog::Watchdog(boost::asio::io_context& own, std::vector<Watched> watched,
                   std::function<void(const std::string&)> hung)
    : own_(own),
      watched_(std::move(watched)),
      hung_(std::move(hung)),
      heartbeats_(names(watched_), period, limit),
      timer_(own, [this] { round(); }) {}

void Watchdog::start() { round(); }

void Watchdog::round() {
    const TimePoint now = BootClock::now();
    if (const auto silent = heartbeats_.round(now)) hung_(*silent);
    for (std::size_t i = 0; i < watched_.size(); ++i) {
        if (!heartbeats_.asks(i)) continue;
        heartbeats_.asked(i, now);
        boost::asio::post(watched_[i].io, [this, i] {
            boost::asio::post(own_, [this, i] { heartbeats_.beat(i, BootClock::now()); });
        });
    }
    timer_.arm(now + period);
}

std::vector<LoopView> Watchdog::view() const {
    std::vector<LoopView> out;
    for (std::size_t i = 0; i < heartbeats_.size(); ++i) {
        out.push_back({heartbeats_.name(i), heartbeats_.worst_lateness(i)});
    }
    return out;
}

}  // namespace swerve::daemon
