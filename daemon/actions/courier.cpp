#include "daemon/actions/courier.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/this_coro.hpp>
#include <exception>

namespace swerve::daemon {

namespace asio = boost::asio;

Courier::Courier(asio::any_io_executor executor, Audience audience, std::size_t queue_limit)
    : executor_(std::move(executor)), audience_(std::move(audience)), queue_limit_(queue_limit) {}

void Courier::offer(const Notice& notice) {
    if (abandoned_ || !audience_.wants(notice)) return;
    if (waiting_.size() == queue_limit_) {
        // The newest says how things are; the oldest is history.
        waiting_.pop_front();
        dropped(1, !std::exchange(overflowing_, true), Loss::overflow);
    }
    waiting_.push_back(notice);
    if (!running_) begin();
}

void Courier::begin() {
    running_ = true;
    asio::co_spawn(
        executor_, run(shared_from_this()),
        asio::bind_cancellation_slot(cancel_.slot(),
                                     [self = shared_from_this()](const std::exception_ptr& error) {
                                         self->running_ = false;
                                         if (error) self->broke_off();
                                         if (!self->abandoned_ && !self->waiting_.empty())
                                             return self->begin();
                                         self->idle();
                                         if (self->idle_) std::exchange(self->idle_, nullptr)();
                                     }));
}

asio::awaitable<void> Courier::run(std::shared_ptr<Courier> self) {
    // Cancelled work is to come back by itself, not by an exception from wherever it waits.
    co_await asio::this_coro::throw_if_cancelled(false);
    while (!self->waiting_.empty() && !self->abandoned_) {
        Notice next = std::move(self->waiting_.front());
        self->waiting_.pop_front();
        co_await self->carry(std::move(next));
        if (self->waiting_.empty()) self->overflowing_ = false;
    }
}

void Courier::close(std::function<void()> idle) {
    closing_ = true;
    if (!running_) return idle();
    idle_ = std::move(idle);
}

void Courier::abandon() {
    abandoned_ = true;
    const std::size_t lost = waiting_.size();
    waiting_.clear();
    if (lost > 0) dropped(lost, true, Loss::end);
    cancel_.emit(asio::cancellation_type::terminal);
}

}  // namespace swerve::daemon
