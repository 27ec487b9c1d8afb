#pragma once
// The control API over the daemon's Unix socket (docs/api.md). Each call is one connection; nothing
// is retried.

#include <boost/json/object.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "tools/swervectl/failure.hpp"

namespace swerve::ctl {

/// A daemon's answer: the text as it came, for --json, and what it says.
struct Reply {
    std::string text;
    boost::json::object body;
};

/// One event per line for as long as the daemon lives.
class EventStream {
public:
    struct Parts;
    explicit EventStream(std::unique_ptr<Parts> parts);
    EventStream(EventStream&&) noexcept;
    EventStream& operator=(EventStream&&) noexcept;
    ~EventStream();

    /// The next line, or nothing when none came within `patience` (absent: wait for ever). Fails
    /// when the daemon ends the stream.
    [[nodiscard]] Outcome<std::optional<std::string>> next(
        std::optional<std::chrono::milliseconds> patience);

private:
    std::unique_ptr<Parts> parts_;
};

class Client {
public:
    /// The daemon answers within 2 s or says main_silent; beyond that it does not move.
    static constexpr std::chrono::seconds answer_within{5};

    explicit Client(std::string socket) : socket_(std::move(socket)) {}

    /// An error answer becomes a Failure with the exit code that belongs to its code.
    [[nodiscard]] Outcome<Reply> get(const std::string& target) const;
    [[nodiscard]] Outcome<Reply> post(const std::string& target, const boost::json::object& body,
                                      std::chrono::seconds patience = answer_within) const;
    /// `since`: the id after which to start; absent: with what happens from now on.
    [[nodiscard]] Outcome<EventStream> follow(std::optional<std::uint64_t> since) const;

private:
    std::string socket_;
};

/// Everything outside RFC 3986's unreserved characters becomes %XX.
[[nodiscard]] std::string percent_encoded(std::string_view text);

}  // namespace swerve::ctl
