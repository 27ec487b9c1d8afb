#pragma once
// What the event sources share: a descriptor of the kernel's that many probes of a loop listen to,
// and the way one of them is woken.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>
#include <memory>

#include "health/probes/runtime.hpp"

namespace swerve::health {

/// Wakes the one coroutine that waits for it. What is raised while nobody waits is not lost, and
/// however often it is raised meanwhile, it wakes once.
class Notice {
public:
    explicit Notice(const boost::asio::any_io_executor& executor) : timer_(executor) {}

    void raise();
    /// Until it is raised, or for `limit`. False once the coroutine is cancelled.
    boost::asio::awaitable<bool> wait(Duration limit = Duration::max());

private:
    Timer timer_;
    bool raised_ = false;
};

/// Calls `ready` on the loop whenever the descriptor has something to read. `ready` should take
/// what is there but need not take everything: it is called again then, after others had their
/// turn.
class Listener {
public:
    /// Takes the descriptor over. `ready` must be valid until close(), and may call it.
    void open(const boost::asio::any_io_executor& executor, int descriptor,
              std::function<void()> ready);
    /// Without it the loop has work for ever.
    void close();

    [[nodiscard]] bool is_open() const { return descriptor_ != nullptr; }
    /// Of an open one.
    [[nodiscard]] int native_handle() const { return descriptor_->native_handle(); }

private:
    using Descriptor = boost::asio::posix::stream_descriptor;
    void listen(const std::shared_ptr<Descriptor>& descriptor);

    std::shared_ptr<Descriptor> descriptor_;
    std::function<void()> ready_;
};

/// The loop of an event source: waits for `next`, which says false once it is cancelled, makes an
/// attempt of `probe`, and reports what it found if its result is not that of the look before. So a
/// storm that changes nothing is told to nobody. What does not answer within a second is unknown.
boost::asio::awaitable<void> report_changes(Probe& probe, const ProbeContext& context,
                                            std::function<boost::asio::awaitable<bool>()> next,
                                            std::function<void(Outcome)> report);

}  // namespace swerve::health
