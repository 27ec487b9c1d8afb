#pragma once
// Prometheus metrics, made anew for each scrape from one snapshot: nothing is counted on the way of
// a route, and a label set that is gone leaves no series behind.

#include <prometheus/metric_family.h>

#include <cstdint>
#include <string>
#include <vector>

#include "daemon/actions/actions.hpp"
#include "daemon/operations/event_counters.hpp"
#include "daemon/operations/log_counter.hpp"
#include "daemon/operations/reload_facts.hpp"
#include "daemon/snapshot.hpp"

namespace swerve::daemon {

/// Of this process, as the kernel accounts it.
struct ProcessFacts {
    double cpu_seconds = 0;
    double resident_bytes = 0;
    double virtual_bytes = 0;
    double open_descriptors = 0;
    double most_descriptors = 0;
};
[[nodiscard]] ProcessFacts read_process_facts();

struct MetricSources {
    const Snapshot& snapshot;
    const EventCounters& counters;
    LogCounter::Counts log_counts;
    std::uint64_t audit_failures;
    ReloadFacts reloads;
    ProcessFacts process;
    ActionCounts actions = {};
};

/// Above this many prefixes of all services together there are no series per prefix.
inline constexpr std::size_t most_prefix_series = 1000;

/// Families without a sample are left out.
[[nodiscard]] std::vector<prometheus::MetricFamily> collect(const MetricSources& sources);

/// The text format, version 0.0.4.
[[nodiscard]] std::string render(const std::vector<prometheus::MetricFamily>& families);

}  // namespace swerve::daemon
