#include "health/probes/events.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>
#include <chrono>
#include <utility>

#include "swerve/base/event_rate.hpp"

namespace swerve::health {

namespace asio = boost::asio;

namespace {

/// Of a look that an event asks for.
constexpr Duration look_timeout = std::chrono::seconds{1};

bool cancelled(const asio::cancellation_state& state) {
    return state.cancelled() != asio::cancellation_type::none;
}

asio::awaitable<Outcome> look(Probe& probe, const ProbeContext& context) {
    Outcome found = co_await attempt(probe, context, look_timeout);
    // Not a failure yet: the check may have more time. It makes an attempt then, even where events
    // are trusted.
    if (found.finished - found.started >= look_timeout) found.result = ProbeResult::unknown;
    co_return found;
}

}  // namespace

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
    co_return !cancelled(co_await asio::this_coro::cancellation_state);
}

void Listener::open(const asio::any_io_executor& executor, int descriptor,
                    std::function<void()> ready) {
    ready_ = std::move(ready);
    descriptor_ = std::make_shared<Descriptor>(executor, descriptor);
    listen(descriptor_);
}

void Listener::close() {
    if (!descriptor_) return;
    // The wait that it ends here is what keeps the descriptor.
    boost::system::error_code ignored;
    descriptor_->close(ignored);
    descriptor_.reset();
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

asio::awaitable<void> report_changes(Probe& probe, const ProbeContext& context,
                                     std::function<asio::awaitable<bool>()> next,
                                     std::function<void(Outcome)> report) {
    try {
        ProbeResult known = (co_await look(probe, context)).result;
        EventRate rate;
        while (!cancelled(co_await asio::this_coro::cancellation_state) && co_await next()) {
            if (BootClock::now() < rate.earliest()) co_await wait_until(rate.earliest());
            Outcome found = co_await look(probe, context);
            rate.take(BootClock::now());
            if (std::exchange(known, found.result) != found.result) report(std::move(found));
        }
    } catch (const boost::system::system_error& error) {
        // Cancelled before an attempt of its own could begin.
        if (error.code() != asio::error::operation_aborted) throw;
    }
}

}  // namespace swerve::health
