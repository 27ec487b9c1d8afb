#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "daemon/speaker/event.hpp"
#include "swerve/conf/config.hpp"

namespace swerve::daemon {

/// A Prometheus histogram of seconds.
class Histogram {
public:
    explicit Histogram(std::span<const double> upper_bounds);

    void observe(double seconds);
    [[nodiscard]] std::span<const double> upper_bounds() const { return upper_bounds_; }
    /// Observations up to and including the bound at `index`.
    [[nodiscard]] std::uint64_t cumulative(std::size_t index) const;
    [[nodiscard]] std::uint64_t count() const { return count_; }
    [[nodiscard]] double sum() const { return sum_; }

private:
    std::span<const double> upper_bounds_;
    std::vector<std::uint64_t> buckets_;
    std::uint64_t count_ = 0;
    double sum_ = 0;
};

/// What metrics remember of the events, which a snapshot does not show.
class EventCounters {
public:
    void count(const Event& event, const conf::Config& config);
    /// Drops what belongs to neighbors and services that are not in `config`; of a collector, whose
    /// neighbors are in none, nothing.
    void forget_all_but(const conf::Config& config);

    /// Stages of failovers by service; "" holds those of single prefixes.
    struct Stages {
        Stages();
        Histogram detection;     ///< first failed evidence to verdict
        Histogram written;       ///< verdict to the last octet handed to the kernel, per neighbor
        Histogram acknowledged;  ///< from there to its acknowledgement, per neighbor
    };
    struct NotificationKey {
        std::string neighbor;
        bool sent;
        std::uint8_t code;
        std::uint8_t subcode;
        friend auto operator<=>(const NotificationKey&, const NotificationKey&) = default;
    };
    using Transition = std::pair<std::string, std::string>;  ///< of whom, to what

    [[nodiscard]] const auto& sessions() const { return sessions_; }
    [[nodiscard]] const auto& bfd_sessions() const { return bfd_sessions_; }
    [[nodiscard]] const auto& services() const { return services_; }
    [[nodiscard]] const auto& notifications() const { return notifications_; }
    [[nodiscard]] const auto& stages() const { return stages_; }
    /// By service: failovers that took longer than it promises.
    [[nodiscard]] const auto& over_rto() const { return over_rto_; }
    [[nodiscard]] const auto& prefix_limits() const { return prefix_limits_; }
    [[nodiscard]] std::uint64_t evidence_lost() const { return evidence_lost_; }
    [[nodiscard]] std::uint64_t alarms() const { return alarms_; }

private:
    void count_failover(const failover::FailoverRecord& record, const conf::Config& config);

    std::map<Transition, std::uint64_t> sessions_;
    std::map<Transition, std::uint64_t> bfd_sessions_;
    std::map<Transition, std::uint64_t> services_;
    std::map<NotificationKey, std::uint64_t> notifications_;
    std::map<std::string, std::uint64_t> prefix_limits_;  ///< sessions that reached one
    std::map<std::string, Stages> stages_;
    std::map<std::string, std::uint64_t> over_rto_;
    std::uint64_t evidence_lost_ = 0;
    std::uint64_t alarms_ = 0;
};

}  // namespace swerve::daemon
