#include "daemon/actions/notice.hpp"

#include <algorithm>
#include <utility>

namespace swerve::daemon {
namespace {

[[nodiscard]] conf::Occasion occasion_of(failover::Intent intent) {
    switch (intent) {
        case failover::Intent::announce:
            return conf::Occasion::announce;
        case failover::Intent::degrade:
            return conf::Occasion::degrade;
        case failover::Intent::drain:
            return conf::Occasion::drain;
        case failover::Intent::withdraw:
            break;
    }
    return conf::Occasion::withdraw;
}

}  // namespace

std::optional<Notice> notice_of(const Event& event, const EventView& view,
                                const conf::Config& config, std::string id) {
    const auto* intent = std::get_if<IntentEvent>(&event.what);
    const bool alarm =
        view.severity == Severity::critical && !std::holds_alternative<VerdictEvent>(event.what);
    if (intent == nullptr && !alarm) return std::nullopt;
    Notice out{.id = std::move(id),
               .occasion = conf::Occasion::alarm,
               .site = config.site,
               .reason = view.text,
               .time = event.wall};
    if (intent == nullptr) {
        const auto* damping = std::get_if<DampingEvent>(&event.what);
        if (damping != nullptr) out.service = damping->name;
        return out;
    }
    out.occasion = occasion_of(intent->to);
    out.service = intent->name;
    out.from = failover::to_string(intent->from);
    out.to = failover::to_string(intent->to);
    out.reason = intent->reason;
    const auto service = std::ranges::find(config.services, intent->name, &conf::Service::name);
    if (service != config.services.end()) out.prefix_count = conf::count_prefixes(*service);
    return out;
}

Audience::Audience(std::set<conf::Occasion> on,
                   const std::optional<std::vector<failover::ServiceId>>& services,
                   const conf::Config& config)
    : on_(std::move(on)) {
    if (!services) return;
    services_.emplace();
    for (const failover::ServiceId id : *services) services_->insert(config.services[id].name);
}

bool Audience::wants(const Notice& notice) const {
    if (!on_.contains(notice.occasion)) return false;
    return !services_ || notice.service.empty() || services_->contains(notice.service);
}

}  // namespace swerve::daemon
