#pragma once

#include <spdlog/sinks/sink.h>

#include <array>
#include <atomic>
#include <cstdint>

namespace swerve::daemon {

/// Counts what is logged, by level; a sink beside the one that writes.
class LogCounter final : public spdlog::sinks::sink {
public:
    using Counts = std::array<std::uint64_t, spdlog::level::n_levels>;

    void log(const spdlog::details::log_msg& message) override {
        counts_[static_cast<std::size_t>(message.level)].fetch_add(1, std::memory_order_relaxed);
    }
    void flush() override {}
    void set_pattern(const std::string& /*pattern*/) override {}
    void set_formatter(std::unique_ptr<spdlog::formatter> /*formatter*/) override {}

    [[nodiscard]] Counts counts() const {
        Counts out{};
        for (std::size_t i = 0; i < out.size(); ++i) {
            out[i] = counts_[i].load(std::memory_order_relaxed);
        }
        return out;
    }

private:
    std::array<std::atomic<std::uint64_t>, spdlog::level::n_levels> counts_{};
};

}  // namespace swerve::daemon
