#pragma once
// Carries notices to one listener: one at a time, in order, from a queue that has an end. What
// takes long, hangs or fails there keeps nobody else waiting. For the operations loop alone.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <utility>

#include "daemon/actions/notice.hpp"

namespace swerve::daemon {

/// Held by a shared_ptr, which its work under way keeps, too.
class Courier : public std::enable_shared_from_this<Courier> {
public:
    Courier(boost::asio::any_io_executor executor, Audience audience, std::size_t queue_limit);
    virtual ~Courier() = default;
    Courier(const Courier&) = delete;
    Courier& operator=(const Courier&) = delete;

    /// Takes the notice if the listener wants it; drops the oldest that waits when there are too
    /// many.
    void offer(const Notice& notice);
    /// For what is offered from now on.
    void address(Audience audience) { audience_ = std::move(audience); }
    /// The listener is gone: what waits is forgotten, what is under way comes to its end.
    virtual void retire() { waiting_.clear(); }
    /// The daemon ends: what fails from now on is not tried again. `idle` is called when nothing is
    /// under way any more, at once if that is so.
    virtual void close(std::function<void()> idle);
    /// Breaks off what is under way and drops what waits.
    void abandon();

    [[nodiscard]] bool is_idle() const { return !running_; }
    [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }

protected:
    /// Delivers one notice; comes back soon once cancelled.
    [[nodiscard]] virtual boost::asio::awaitable<void> carry(Notice notice) = 0;
    /// Why notices are not delivered: more wait than may, or they are broken off.
    enum class Loss : std::uint8_t { overflow, end };
    /// So many notices were never delivered; `first` of a row of them without an end.
    virtual void dropped(std::size_t count, bool first, Loss why) = 0;
    /// carry() ended with an exception, which is a bug or a lack of memory.
    virtual void broke_off() = 0;

    [[nodiscard]] const boost::asio::any_io_executor& executor() const { return executor_; }
    [[nodiscard]] bool closing() const { return closing_; }
    /// What fails from now on is not tried again.
    void last_attempt() { closing_ = true; }
    [[nodiscard]] bool abandoned() const { return abandoned_; }
    /// Nothing is under way any more.
    virtual void idle() {}

private:
    void begin();
    [[nodiscard]] static boost::asio::awaitable<void> run(std::shared_ptr<Courier> self);

    boost::asio::any_io_executor executor_;
    Audience audience_;
    std::size_t queue_limit_;
    std::deque<Notice> waiting_;
    bool overflowing_ = false;  ///< some were dropped since the queue was last empty
    bool running_ = false;
    bool closing_ = false;
    bool abandoned_ = false;
    std::function<void()> idle_;
    boost::asio::cancellation_signal cancel_;
};

}  // namespace swerve::daemon
