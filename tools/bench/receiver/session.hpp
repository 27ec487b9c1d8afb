#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "wire.hpp"

namespace bench {

/// CLOCK_BOOTTIME in nanoseconds, the clock of Swerve's own records.
[[nodiscard]] std::int64_t boottime_ns();

/// One BGP session over a connected, non-blocking socket. It takes what comes, counts it, and
/// judges nothing but whether it can be read.
class Session {
public:
    /// What the owner reports.
    struct Listener {
        std::function<void()> established;
        std::function<void()> keepalive;                 ///< one more, in an established session
        std::function<void(const Tally& before)> heard;  ///< after a read that had UPDATEs
        std::function<void(std::int64_t begin_ns, std::size_t octets)> sent;
    };

    Session(int fd, std::uint32_t local_as, std::uint32_t router_id, Listener listener);
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;
    ~Session();

    [[nodiscard]] int fd() const { return fd_; }
    /// Reads once. The session is over when this returns a reason.
    [[nodiscard]] std::optional<std::string> read();
    [[nodiscard]] std::optional<std::string> write();
    [[nodiscard]] bool wants_write() const { return !control_.empty() || !stream_.empty(); }
    void keepalive();
    /// Sends ready-made messages; `stream` must outlive the session.
    void send(View stream);

    [[nodiscard]] bool is_established() const { return established_; }
    [[nodiscard]] Tally& tally() { return tally_; }
    /// When the octets counted last were read.
    [[nodiscard]] std::int64_t read_at() const { return read_at_; }

private:
    [[nodiscard]] std::optional<std::string> take_messages();
    [[nodiscard]] std::optional<std::string> take(MessageType type, View body);
    void queue(const Octets& message);

    int fd_;
    Listener listener_;
    Octets in_;
    std::size_t unread_ = 0;  ///< octets in `in_`
    Octets control_;          ///< messages of the session itself, sent between streams
    View stream_;
    std::size_t stream_octets_ = 0;
    std::int64_t stream_begin_ns_ = 0;
    bool established_ = false;
    Tally tally_;
    std::int64_t read_at_ = 0;
};

}  // namespace bench
