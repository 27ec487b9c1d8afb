#include "session.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <utility>

namespace bench {
namespace {

constexpr std::size_t read_size = std::size_t{256} << 10U;

std::string os_error(const char* what) {
    return std::string{what} + ": " + std::strerror(errno);  // NOLINT(concurrency-mt-unsafe)
}

}  // namespace

std::int64_t boottime_ns() {
    timespec now{};
    clock_gettime(CLOCK_BOOTTIME, &now);
    return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

Session::Session(int fd, std::uint32_t local_as, std::uint32_t router_id, Listener listener)
    : fd_(fd), listener_(std::move(listener)), in_(read_size + largest_message) {
    queue(make_open(local_as, router_id));
}

Session::~Session() { ::close(fd_); }

std::optional<std::string> Session::read() {
    const ssize_t got = ::recv(fd_, in_.data() + unread_, read_size, MSG_DONTWAIT);
    if (got == 0) return "the other side closed the connection";
    if (got < 0) {
        if (errno == EAGAIN || errno == EINTR) return std::nullopt;
        return os_error("connection lost");
    }
    read_at_ = boottime_ns();
    unread_ += static_cast<std::size_t>(got);
    const Tally before = tally_;
    auto end = take_messages();
    if (tally_.updates != before.updates) listener_.heard(before);
    return end;
}

std::optional<std::string> Session::take_messages() {
    std::size_t at = 0;
    const View octets{in_.data(), unread_};
    while (unread_ - at >= header_size) {
        const std::size_t length = read_u16(octets, at + 16);
        const bool marked = std::all_of(octets.begin() + static_cast<std::ptrdiff_t>(at),
                                        octets.begin() + static_cast<std::ptrdiff_t>(at + 16),
                                        [](std::uint8_t octet) { return octet == 0xff; });
        if (!marked || length < header_size || length > largest_message) return "a bad header";
        if (unread_ - at < length) break;
        const auto type = static_cast<MessageType>(octets[at + 18]);
        if (auto end = take(type, octets.subspan(at + header_size, length - header_size))) {
            return end;
        }
        at += length;
    }
    unread_ -= at;
    std::memmove(in_.data(), in_.data() + at, unread_);
    return std::nullopt;
}

std::optional<std::string> Session::take(MessageType type, View body) {
    switch (type) {
        case MessageType::open:
            keepalive();
            return std::nullopt;
        case MessageType::update:
            if (auto added = add_update(body, tally_); !added) return added.error();
            return std::nullopt;
        case MessageType::notification:
            return "a NOTIFICATION " + std::to_string(body.empty() ? 0 : body[0]) + "/" +
                   std::to_string(body.size() < 2 ? 0 : body[1]);
        case MessageType::keepalive:
            if (std::exchange(established_, true)) {
                listener_.keepalive();
            } else {
                listener_.established();
            }
            return std::nullopt;
        case MessageType::route_refresh:
            return std::nullopt;
    }
    return "a message of an unknown type";
}

void Session::keepalive() { queue(make_keepalive()); }

void Session::queue(const Octets& message) {
    control_.insert(control_.end(), message.begin(), message.end());
}

void Session::send(View stream) {
    stream_ = stream;
    stream_octets_ = stream.size();
    stream_begin_ns_ = boottime_ns();
}

/// A stream is sent to its end before anything else, or a KEEPALIVE would fall into a message.
std::optional<std::string> Session::write() {
    const bool streaming = !stream_.empty();
    const View octets = streaming ? stream_ : View{control_};
    const ssize_t sent = ::send(fd_, octets.data(), octets.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno == EAGAIN || errno == EINTR) return std::nullopt;
        return os_error("connection lost");
    }
    if (!streaming) {
        control_.erase(control_.begin(), control_.begin() + sent);
        return std::nullopt;
    }
    stream_ = stream_.subspan(static_cast<std::size_t>(sent));
    if (stream_.empty()) listener_.sent(stream_begin_ns_, stream_octets_);
    return std::nullopt;
}

}  // namespace bench
