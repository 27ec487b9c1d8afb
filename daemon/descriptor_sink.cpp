#include "daemon/descriptor_sink.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <string>
#include <utility>

namespace swerve::daemon {
namespace {

bool wants_colour(int descriptor) {
    const char* refused = std::getenv("NO_COLOR");  // NOLINT(concurrency-mt-unsafe): before threads
    return (refused == nullptr || *refused == '\0') && ::isatty(descriptor) == 1;
}

std::string_view colour_of(spdlog::level::level_enum level) {
    if (level >= spdlog::level::err) return "\x1b[31m";
    return level == spdlog::level::warn ? "\x1b[33m" : "\x1b[32m";
}

}  // namespace

DescriptorSink::DescriptorSink(int descriptor)
    : descriptor_(descriptor), colour_(wants_colour(descriptor)) {}

void DescriptorSink::sink_it_(const spdlog::details::log_msg& message) {
    spdlog::memory_buf_t formatted;
    formatter_->format(message, formatted);
    std::string line(formatted.data(), formatted.size());
    if (colour_ && message.color_range_end > message.color_range_start) {
        line.insert(message.color_range_end, "\x1b[0m");
        line.insert(message.color_range_start, colour_of(message.level));
    }
    // A pipe that is ready takes PIPE_BUF octets without blocking, not more.
    if (line.size() > PIPE_BUF) line = line.substr(0, PIPE_BUF - 1) + "\n";
    if (dropped_ > 0) {
        const std::string notice =
            fmt::format("{} log lines were dropped: nobody read\n", dropped_);
        if (write(notice)) dropped_ = 0;
    }
    if (dropped_ > 0 || !write(line)) ++dropped_;
}

bool DescriptorSink::write(std::string_view text) const {
    pollfd ready{descriptor_, POLLOUT, 0};
    if (::poll(&ready, 1, 0) != 1 || (ready.revents & POLLOUT) == 0) return false;
    return ::write(descriptor_, text.data(), text.size()) >= 0;
}

}  // namespace swerve::daemon
