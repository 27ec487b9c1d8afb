#include "daemon/operations/event_counters.hpp"

#include <algorithm>

#include "daemon/operations/json_text.hpp"
#include "daemon/operations/rto_view.hpp"

namespace swerve::daemon {

namespace {

constexpr std::array detection_bounds{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                      0.5,   1.0,    2.5,   5.0,  10.0,  30.0, 60.0};
constexpr std::array wire_bounds{0.00001, 0.000025, 0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025,
                                 0.005,   0.01,     0.025,   0.05,   0.1,     0.25,   0.5,   1.0};

/// Neighbors that come from a range count together, under its name: it may have more addresses than
/// anybody wants to have series of.
[[nodiscard]] std::string counted_as(const std::string& name, const conf::Config& config) {
    for (const conf::Neighbor& each : config.neighbors) {
        if (!each.range && each.name == name) return name;
    }
    for (const conf::Neighbor& each : config.neighbors) {
        if (each.range && name.starts_with(each.name + "-")) return each.name;
    }
    return name;
}

}  // namespace

Histogram::Histogram(std::span<const double> upper_bounds)
    : upper_bounds_(upper_bounds), buckets_(upper_bounds.size()) {}

void Histogram::observe(double seconds) {
    const auto bound = std::ranges::lower_bound(upper_bounds_, seconds);
    if (bound != upper_bounds_.end()) {
        ++buckets_[static_cast<std::size_t>(bound - upper_bounds_.begin())];
    }
    ++count_;
    sum_ += seconds;
}

std::uint64_t Histogram::cumulative(std::size_t index) const {
    std::uint64_t total = 0;
    for (std::size_t i = 0; i <= index; ++i) total += buckets_[i];
    return total;
}

EventCounters::Stages::Stages()
    : detection(detection_bounds), written(wire_bounds), acknowledged(wire_bounds) {}

void EventCounters::count(const Event& event, const conf::Config& config) {
    if (const auto* session = std::get_if<SessionEvent>(&event.what)) {
        const std::string name = counted_as(session->name, config);
        ++sessions_[{name, session->up ? "up" : "down"}];
        if (const auto& sent = session->notification) {
            ++notifications_[{name, session->notification_sent, sent->code, sent->subcode}];
        }
    } else if (const auto* bfd = std::get_if<BfdEvent>(&event.what)) {
        ++bfd_sessions_[{counted_as(bfd->name, config), bfd->to == bfd::State::up ? "up" : "down"}];
    } else if (const auto* limit = std::get_if<PrefixLimitEvent>(&event.what)) {
        ++prefix_limits_[counted_as(limit->name, config)];
    } else if (const auto* verdict = std::get_if<VerdictEvent>(&event.what)) {
        ++services_[{verdict->name, std::string{failover::to_string(verdict->to)}}];
    } else if (const auto* completed = std::get_if<FailoverCompleted>(&event.what)) {
        count_failover(completed->record, config);
    } else if (std::holds_alternative<EvidenceEvent>(event.what)) {
        ++evidence_lost_;
    } else if (const auto* daemon = std::get_if<DaemonEvent>(&event.what)) {
        alarms_ += daemon->kind == DaemonEvent::Kind::alarm ? 1 : 0;
    }
}

void EventCounters::forget_all_but(const conf::Config& config) {
    if (config.collector) return;
    const auto no_neighbor = [&](const std::string& name) {
        return std::ranges::count(config.neighbors, name, &conf::Neighbor::name) == 0;
    };
    const auto no_service = [&](const std::string& name) {
        return std::ranges::count(config.services, name, &conf::Service::name) == 0;
    };
    std::erase_if(sessions_, [&](const auto& each) { return no_neighbor(each.first.first); });
    std::erase_if(bfd_sessions_, [&](const auto& each) { return no_neighbor(each.first.first); });
    std::erase_if(notifications_,
                  [&](const auto& each) { return no_neighbor(each.first.neighbor); });
    std::erase_if(prefix_limits_, [&](const auto& each) { return no_neighbor(each.first); });
    std::erase_if(services_, [&](const auto& each) { return no_service(each.first.first); });
    std::erase_if(over_rto_, [&](const auto& each) { return no_service(each.first); });
    // "" holds the prefixes that are of no service.
    std::erase_if(stages_,
                  [&](const auto& each) { return !each.first.empty() && no_service(each.first); });
}

void EventCounters::count_failover(const failover::FailoverRecord& record,
                                   const conf::Config& config) {
    const auto service = std::ranges::find(config.services, record.subject, &conf::Service::name);
    const bool of_service = service != config.services.end();
    Stages& stages = stages_[of_service ? record.subject : std::string{}];
    if (of_service && service->rto) {
        const auto lasted = views::took(record);
        over_rto_[record.subject] += lasted && *lasted > *service->rto ? 1 : 0;
    }
    stages.detection.observe(seconds(record.verdict - record.first_evidence));
    for (const auto& neighbor : record.neighbors) {
        if (!neighbor.written) continue;
        stages.written.observe(seconds(*neighbor.written - record.verdict));
        if (!neighbor.acknowledged) continue;
        stages.acknowledged.observe(seconds(*neighbor.acknowledged - *neighbor.written));
    }
}

}  // namespace swerve::daemon
