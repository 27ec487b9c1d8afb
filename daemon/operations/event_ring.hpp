#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/json/object.hpp>
#include <cstdint>
#include <deque>
#include <vector>

namespace swerve::daemon {

/// The last events as JSON. Followers keep nothing but the id of the last event they were given;
/// one whose next event has left the ring has fallen behind. For the operations loop alone.
class EventRing {
public:
    static constexpr std::size_t kept = 1000;

    explicit EventRing(const boost::asio::any_io_executor& executor);

    /// The id that append() will give; ids begin at 1 with each start of the daemon.
    [[nodiscard]] std::uint64_t next_id() const { return next_id_; }
    void append(boost::json::object event);

    /// Where a client goes on that has seen `id`: behind what has left the ring already. An id that
    /// was not given yet stems from an earlier start of the daemon, of this one nothing was seen.
    [[nodiscard]] std::uint64_t resume(std::uint64_t id) const;
    /// At most `limit` events with ids greater than `id`, oldest first.
    [[nodiscard]] std::vector<const boost::json::object*> after(std::uint64_t id,
                                                                std::size_t limit = kept) const;
    [[nodiscard]] std::vector<const boost::json::object*> last(std::size_t count) const;

    /// Whether an event after `id` has been dropped.
    [[nodiscard]] bool lost_after(std::uint64_t id) const;

    /// Ends with operation_aborted at the next change or wake_followers().
    [[nodiscard]] boost::asio::steady_timer& changed() { return changed_; }
    void wake_followers() { changed_.cancel(); }

    /// Followers are to send what they have and end.
    void close();
    [[nodiscard]] bool closed() const { return closed_; }

private:
    std::deque<boost::json::object> events_;
    std::uint64_t next_id_ = 1;
    bool closed_ = false;
    boost::asio::steady_timer changed_;  ///< never expires, only cancelled
};

}  // namespace swerve::daemon
