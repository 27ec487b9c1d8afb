#pragma once

#include <spdlog/sinks/base_sink.h>

#include <cstdint>
#include <mutex>
#include <string_view>

namespace swerve::daemon {

/// Writes log lines to a descriptor, but never waits for it: a reader that has stopped (a journal
/// that hangs, a pager) must not stop the loop that logs. What cannot be written is dropped,
/// counted and told when writing works again. Levels are coloured on a terminal unless NO_COLOR is
/// set.
class DescriptorSink final : public spdlog::sinks::base_sink<std::mutex> {
public:
    explicit DescriptorSink(int descriptor);

protected:
    void sink_it_(const spdlog::details::log_msg& message) override;
    void flush_() override {}

private:
    [[nodiscard]] bool write(std::string_view text) const;

    int descriptor_;
    bool colour_;
    std::uint64_t dropped_ = 0;
};

}  // namespace swerve::daemon
