#include "health/probes/events.hpp"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/error_code.hpp>
#include <utility>

namespace swerve::health {

namespace asio = boost::asio;

void Notice::raise() {
    raised_ = true;
    timer_.cancel();
}

asio::awaitable<bool> Notice::wait(Duration limit) {
    if (!raised_) {
        const TimePoint now = BootClock::now();
        timer_.expires_at(limit < TimePoint::max() - now ? now + limit : TimePoint::max());
        co_await timer_.async_wait(asio::as_tuple(asio::use_awaitable));
    }
    raised_ = false;
    const auto state = co_await asio::this_coro::cancellation_state;
    co_return state.cancelled() == asio::cancellation_type::none;
}

void Listener::open(const asio::any_io_executor& executor, int descriptor,
                    std::function<void()> ready) {
    ready_ = std::move(ready);
    descriptor_ = std::make_shared<Descriptor>(executor, descriptor);
    listen(descriptor_);
}

void Listener::listen(const std::shared_ptr<Descriptor>& descriptor) {
    descriptor->async_wait(Descriptor::wait_read,
                           [this, descriptor](const boost::system::error_code& error) {
                               // Closed meanwhile, perhaps opened anew, perhaps gone with the loop.
                               if (error || descriptor != descriptor_) return;
                               ready_();
                               if (descriptor == descriptor_) listen(descriptor);
                           });
}

asio::awaitable<void> report_changes(std::function<asio::awaitable<bool>()> next,
                                     std::function<asio::awaitable<Outcome>()> look,
                                     std::function<void(Outcome)> report) {
    ProbeResult known = (co_await look()).result;
    while (co_await next()) {
        const TimePoint started = BootClock::now();
        Outcome found = co_await look();
        if (std::exchange(known, found.result) == found.result) continue;
        found.started = started;
        found.finished = BootClock::now();
        report(std::move(found));
    }
}

}  // namespace swerve::health
