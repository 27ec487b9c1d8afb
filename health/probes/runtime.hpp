#pragma once
// What every probe shares: attempts with a deadline, connections under the locality rule, bounded
// files, and the words for what went wrong.

#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/system/error_code.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "swerve/base/clock.hpp"
#include "swerve/base/result.hpp"
#include "swerve/base/time.hpp"
#include "swerve/health/probe.hpp"
#include "swerve/net/address.hpp"

namespace swerve::health {

/// A timer on CLOCK_BOOTTIME, as every deadline is.
using Timer = boost::asio::basic_waitable_timer<BootClock>;

/// How much of an answer a probe ever looks at.
inline constexpr std::size_t answer_limit = 64UZ * 1024;

/// One attempt with its deadline. Comes back at the deadline at the latest, with `started` and
/// `finished` set; whatever the probe throws is an unknown with its text. `probe` and `context`
/// must outlive the attempt.
[[nodiscard]] boost::asio::awaitable<Outcome> attempt(Probe& probe, const ProbeContext& context,
                                                      Duration timeout);

[[nodiscard]] boost::asio::awaitable<void> wait_until(TimePoint deadline);

/// Tells whoever wants the steps of an attempt that this one is done.
inline void step(const ProbeContext& context, std::string text) {
    if (context.step) context.step(std::move(text));
}

/// Connects, with TCP_NODELAY set. DESIGN.md §4.5: a target inside `owned` must be an address of
/// this host, so the source is bound to it first.
[[nodiscard]] boost::asio::awaitable<Result<boost::asio::ip::tcp::socket, Outcome>> connect(
    const ProbeContext& context, Endpoint target);

/// Takes what has already arrived and closes. Unread bytes would turn the FIN into a RST, which
/// servers log as an error of the client.
void close_quietly(boost::asio::ip::tcp::socket& socket);

/// Outcomes without times: attempt() sets those.
[[nodiscard]] Outcome passed(std::string reason);
[[nodiscard]] Outcome failed(std::string reason);
[[nodiscard]] Outcome unsure(std::string reason);

/// The outcome of a failed operation on a connection to `target`. `doing` ("connecting to
/// 192.0.2.1:80") is how the reason begins, and what the deadline's report says when it was the
/// deadline that ended the operation. A lack of our own (descriptors, ports, permission) is
/// unknown.
[[nodiscard]] Outcome from_error(const boost::system::error_code& error, std::string doing,
                                 const Endpoint& target);

/// Differs when a file was replaced or written anew.
struct FileStamp {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::int64_t modified_ns = 0;

    friend bool operator==(const FileStamp&, const FileStamp&) = default;
};

struct FileText {
    std::string text;
    bool cut = false;  ///< the file is longer than the limit
    FileStamp stamp;
};

/// The first `limit` octets of a regular file, or the sentence that says why not. Does not block on
/// a FIFO.
[[nodiscard]] Result<FileText, std::string> read_file(const std::string& path, std::size_t limit);

/// Why nothing can be probed at this address; nothing if it can.
[[nodiscard]] std::optional<std::string> unusable_target(const Address& address);

/// "800ms", "2s": the largest unit that divides it.
[[nodiscard]] std::string duration_text(Duration duration);

/// 'text' in quotes, escaped, cut to a length that fits a sentence.
[[nodiscard]] std::string quoted(std::string_view text);

}  // namespace swerve::health
