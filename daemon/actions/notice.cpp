#include "daemon/actions/notice.hpp"

#include <algorithm>
#include <utility>

#include "swerve/health/expression.hpp"

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

/// Which check it is about; nothing if it is about none.
const std::string* check_of(const Event& event) {
    if (const auto* alarm = std::get_if<CheckAlarmEvent>(&event.what)) return &alarm->name;
    if (const auto* lost = std::get_if<EvidenceEvent>(&event.what)) return &lost->name;
    return nullptr;
}

std::optional<std::set<std::string>> services_with(const std::string& check,
                                                   const conf::Config& config) {
    const auto found = std::ranges::find(config.checks, check, &conf::Check::name);
    if (found == config.checks.end()) return std::nullopt;
    const auto id = static_cast<failover::CheckId>(found - config.checks.begin());
    const auto has = [id](const health::Expression& expression) {
        return std::ranges::binary_search(health::checks_of(expression), id);
    };
    std::set<std::string> out;
    for (const conf::Service& service : config.services) {
        if (has(service.healthy_when) || (service.degraded_when && has(*service.degraded_when))) {
            out.insert(service.name);
        }
    }
    // What only other checks depend on concerns whoever wants alarms.
    return out.empty() ? std::nullopt : std::optional{std::move(out)};
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
        if (const auto* check = check_of(event)) out.concerned = services_with(*check, config);
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
    if (!services_) return true;
    if (notice.concerned) {
        return std::ranges::any_of(*notice.concerned, [this](const std::string& service) {
            return services_->contains(service);
        });
    }
    return notice.service.empty() || services_->contains(notice.service);
}

}  // namespace swerve::daemon
