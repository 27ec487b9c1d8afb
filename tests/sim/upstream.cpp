#include "tests/sim/upstream.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace swerve::sim {

using failover::DampingPolicy;
using failover::DampingProfile;

namespace {

using Minutes = std::chrono::duration<double, std::ratio<60>>;

constexpr Minutes half_life{15};
constexpr double withdrawal = 1000;
constexpr double other_attributes = 500;
/// Reuse at 750, after an hour at the latest (RFC 2439 §4.2).
constexpr double ceiling = 750 * 16;
/// A full window holds a withdrawal back while the site's own count of it decays.
constexpr double tolerance = 1.08;

double threshold(DampingProfile profile) {
    if (profile == DampingProfile::junos) return 3000;
    return profile == DampingProfile::rfc7196 ? 6000 : 2000;
}

double reannouncement(DampingProfile profile) {
    return profile == DampingProfile::junos ? 1000 : 0;
}

/// There has to be room for one more withdrawal.
std::optional<std::string> too_much(double penalty, const DampingPolicy& policy) {
    if (policy.profile == DampingProfile::none) return std::nullopt;
    if (penalty + withdrawal <= threshold(policy.profile) * tolerance) return std::nullopt;
    return fmt::format("the penalty is {:.0f} then, and {} suppresses above {:.0f}", penalty,
                       to_string(policy.profile), threshold(policy.profile));
}

}  // namespace

Upstreams::Route& Upstreams::charge(TimePoint now, const Key& key, double cost) {
    Route& route = routes_[key];
    const double left = route.penalty * std::exp2(-(Minutes{now - route.at} / half_life));
    route.penalty = std::min(left + cost, ceiling);
    route.at = now;
    return route;
}

void Upstreams::withdrawn(TimePoint now, const Key& key) {
    Route& route = charge(now, key, withdrawal);
    route.withdrawn = true;
    ++route.withdrawals;
}

std::optional<std::string> Upstreams::announced(TimePoint now, const Key& key,
                                                const DampingPolicy& policy) {
    const auto known = routes_.find(key);
    if (known == routes_.end() || !known->second.withdrawn) return std::nullopt;
    Route& route = charge(now, key, reannouncement(policy.profile));
    route.withdrawn = false;
    if (policy.changes_per_hour > 0 && route.withdrawals >= policy.changes_per_hour) {
        return fmt::format("it was withdrawn {} times within an hour, and {} are allowed",
                           route.withdrawals, policy.changes_per_hour);
    }
    return too_much(route.penalty, policy);
}

std::optional<std::string> Upstreams::changed(TimePoint now, const Key& key,
                                              const DampingPolicy& policy, bool better) {
    const Route& route = charge(now, key, other_attributes);
    return better ? too_much(route.penalty, policy) : std::nullopt;
}

void Upstreams::forget(const Prefix& prefix) {
    std::erase_if(routes_, [&](const auto& each) { return each.first.second == prefix; });
}

Duration longest_wait(const DampingPolicy& policy, failover::Damping::Cause cause) {
    if (cause == failover::Damping::Cause::hold_down) return policy.hold_down;
    if (cause == failover::Damping::Cause::changes_per_hour) {
        return policy.changes_per_hour > 0 ? std::chrono::hours{1} : Duration::zero();
    }
    if (policy.profile == DampingProfile::none) return Duration::zero();
    const double cost = std::max(other_attributes, reannouncement(policy.profile));
    const double room = threshold(policy.profile) - withdrawal - cost;
    return std::chrono::duration_cast<Duration>(half_life * std::log2(ceiling / room));
}

}  // namespace swerve::sim
