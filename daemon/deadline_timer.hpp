#pragma once

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <optional>

#include "swerve/base/clock.hpp"

namespace swerve::daemon {

/// The one real timer of a machine, kept at its next_deadline(). On CLOCK_BOOTTIME, so that a
/// deadline that passed while the host was suspended is due on waking.
class DeadlineTimer {
public:
    DeadlineTimer(boost::asio::io_context& io, std::function<void()> due)
        : timer_(io), due_(std::move(due)) {}

    void arm(std::optional<TimePoint> when) {
        if (when == armed_) return;
        armed_ = when;
        timer_.cancel();
        if (!when) return;
        timer_.expires_at(*when);
        timer_.async_wait([this](const boost::system::error_code& error) {
            if (error) return;
            armed_.reset();
            due_();
        });
    }

private:
    boost::asio::basic_waitable_timer<BootClock> timer_;
    std::function<void()> due_;
    std::optional<TimePoint> armed_;
};

}  // namespace swerve::daemon
