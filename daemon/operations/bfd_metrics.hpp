#pragma once

#include <prometheus/metric_family.h>

#include <vector>

#include "daemon/operations/event_counters.hpp"
#include "daemon/snapshot.hpp"

namespace swerve::daemon {

/// What there is to count of BFD; nothing where no neighbor has it.
void add_bfd(const Snapshot& snapshot, const EventCounters& counters,
             std::vector<prometheus::MetricFamily>& out);

}  // namespace swerve::daemon
