#pragma once
// What families of metrics are put together with.

#include <prometheus/metric_family.h>

#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "daemon/lateness.hpp"
#include "daemon/operations/event_counters.hpp"
#include "daemon/operations/json_text.hpp"
#include "swerve/base/escape.hpp"

namespace swerve::daemon::metric {

using Labels = std::vector<prometheus::ClientMetric::Label>;

/// A family under construction.
class Builder {
public:
    Builder(prometheus::MetricType type, std::string name, std::string help) {
        family_.type = type;
        family_.name = std::move(name);
        family_.help = std::move(help);
    }

    template <class Number>
    void add(Labels labels, Number value) {
        prometheus::ClientMetric& metric = sample(std::move(labels));
        const auto number = static_cast<double>(value);
        (family_.type == prometheus::MetricType::Counter ? metric.counter.value
                                                         : metric.gauge.value) = number;
    }
    void add(Labels labels, const Histogram& histogram) {
        prometheus::ClientMetric::Histogram& out = sample(std::move(labels)).histogram;
        out.sample_count = histogram.count();
        out.sample_sum = histogram.sum();
        for (std::size_t i = 0; i < histogram.upper_bounds().size(); ++i) {
            out.bucket.push_back({histogram.cumulative(i), histogram.upper_bounds()[i]});
        }
        out.bucket.push_back({histogram.count(), std::numeric_limits<double>::infinity()});
    }
    void add(Labels labels, const LatenessCounts::Copy& counts) {
        prometheus::ClientMetric::Histogram& out = sample(std::move(labels)).histogram;
        std::uint64_t total = 0;
        for (std::size_t i = 0; i < counts.buckets.size(); ++i) {
            total += counts.buckets[i];
            const bool last = i == LatenessCounts::bounds.size();
            out.bucket.push_back({total, last ? std::numeric_limits<double>::infinity()
                                              : seconds(LatenessCounts::bounds[i])});
        }
        out.sample_count = total;
        out.sample_sum = seconds(counts.sum);
    }
    void move_to(std::vector<prometheus::MetricFamily>& out) {
        if (!family_.metric.empty()) out.push_back(std::move(family_));
    }

private:
    prometheus::ClientMetric& sample(Labels labels) {
        for (auto& label : labels) label.value = escape(label.value);
        prometheus::ClientMetric& metric = family_.metric.emplace_back();
        metric.label = std::move(labels);
        return metric;
    }

    prometheus::MetricFamily family_;
};

[[nodiscard]] inline Builder gauge(std::string name, std::string help) {
    return {prometheus::MetricType::Gauge, std::move(name), std::move(help)};
}
[[nodiscard]] inline Builder counter(std::string name, std::string help) {
    return {prometheus::MetricType::Counter, std::move(name), std::move(help)};
}
[[nodiscard]] inline Builder histogram(std::string name, std::string help) {
    return {prometheus::MetricType::Histogram, std::move(name), std::move(help)};
}

template <class... Builders>
void move_all(std::vector<prometheus::MetricFamily>& out, Builders&... builders) {
    (builders.move_to(out), ...);
}

}  // namespace swerve::daemon::metric
