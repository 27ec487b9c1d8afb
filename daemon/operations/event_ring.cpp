#include "daemon/operations/event_ring.hpp"

#include <algorithm>

namespace swerve::daemon {

EventRing::EventRing(const boost::asio::any_io_executor& executor)
    : changed_(executor, boost::asio::steady_timer::time_point::max()) {}

void EventRing::append(boost::json::object event) {
    events_.push_back(std::move(event));
    if (events_.size() > kept) events_.pop_front();
    ++next_id_;
    wake_followers();
}

std::uint64_t EventRing::resume(std::uint64_t id) const {
    const std::uint64_t dropped = next_id_ - 1 - events_.size();
    return id >= next_id_ ? dropped : std::max(id, dropped);
}

std::vector<const boost::json::object*> EventRing::after(std::uint64_t id,
                                                         std::size_t limit) const {
    const std::uint64_t oldest = next_id_ - events_.size();
    std::vector<const boost::json::object*> out;
    for (std::uint64_t at = std::max(id + 1, oldest); at < next_id_ && out.size() < limit; ++at) {
        out.push_back(&events_[at - oldest]);
    }
    return out;
}

std::vector<const boost::json::object*> EventRing::last(std::size_t count) const {
    return after(next_id_ - 1 - std::min<std::uint64_t>(count, next_id_ - 1));
}

bool EventRing::lost_after(std::uint64_t id) const { return id + 1 < next_id_ - events_.size(); }

void EventRing::close() {
    closed_ = true;
    wake_followers();
}

}  // namespace swerve::daemon
