// RFC 2439 §4.4.2: a route's figure of merit rises with every change and decays exponentially. The
// upstream's is modelled in closed form, so that the wait is a logarithm and needs no clock that
// ticks.

#include "swerve/failover/damping.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace swerve::failover {
namespace {

using namespace std::chrono_literals;

constexpr Duration remembered = 1h;
/// Of withdrawals in `remembered`; the highest limit that the configuration takes.
constexpr std::size_t most_remembered = 1000;

/// Halves `penalty` once per half-life.
double decayed(double penalty, Duration age, const DampingFigures& figures) {
    if (age <= Duration::zero()) return penalty;
    return penalty * std::exp2(-std::chrono::duration<double>(age) /
                               std::chrono::duration<double>(figures.half_life));
}

/// When `penalty`, which is that of now, has become less than `room`, in whole milliseconds rounded
/// up: no error of rounding lets the caller wake a little too early, only to wait for nothing
/// again.
Duration time_to_fall_below(double room, double penalty, const DampingFigures& figures) {
    using Milliseconds = std::chrono::duration<double, std::milli>;
    const Milliseconds exact = std::log2(penalty / room) * Milliseconds{figures.half_life};
    return std::chrono::milliseconds{static_cast<std::int64_t>(std::floor(exact.count())) + 1};
}

}  // namespace

std::string_view to_string(DampingProfile profile) {
    switch (profile) {
        case DampingProfile::none:
            return "none";
        case DampingProfile::rfc7196:
            return "rfc7196";
        case DampingProfile::cisco:
            return "cisco";
        case DampingProfile::junos:
            break;
    }
    return "junos";
}

DampingFigures figures_of(DampingProfile profile) {
    // The ceiling lets a route be reused, at 750, after 60 minutes at most: four half-lives.
    DampingFigures figures{.withdraw = 1000,
                           .announce = 0,
                           .attribute = 500,
                           .suppress = 2000,
                           .ceiling = 750 * 16,
                           .half_life = 15min};
    switch (profile) {
        case DampingProfile::none:
        case DampingProfile::cisco:
            break;
        case DampingProfile::junos:
            figures.announce = 1000;
            figures.suppress = 3000;
            break;
        case DampingProfile::rfc7196:
            figures.suppress = 6000;  // RFC 7196 §4: the least threshold an operator should use
            break;
    }
    return figures;
}

void Damping::withdrawn(TimePoint now) {
    if (state_.withdrawn_at) return;
    const DampingFigures figures = figures_of(policy_.profile);
    add(now, figures.withdraw);
    state_.withdrawn_at = now;
    auto& all = state_.withdrawals;
    all.push_back(now);
    while (all.size() > most_remembered || all.front() + remembered <= now) all.pop_front();
}

void Damping::announced(TimePoint now) {
    if (!state_.withdrawn_at) return;
    add(now, figures_of(policy_.profile).announce);
    state_.withdrawn_at.reset();
}

void Damping::changed(TimePoint now) { add(now, figures_of(policy_.profile).attribute); }

std::size_t Damping::withdrawals(TimePoint now) const {
    return static_cast<std::size_t>(std::ranges::count_if(
        state_.withdrawals, [&](TimePoint each) { return each + remembered > now; }));
}

double Damping::penalty(TimePoint now) const {
    return decayed(state_.penalty, now - state_.at, figures_of(policy_.profile));
}

std::optional<Damping::Wait> Damping::wait_to_announce(TimePoint now) const {
    // The first announcement is not a change of anything an upstream has seen.
    const double cost = state_.withdrawn_at ? figures_of(policy_.profile).announce : 0;
    std::optional<Wait> longest = wait_for(now, cost);
    const auto consider = [&](TimePoint until, Cause cause) {
        if (until > now && (!longest || until > longest->until)) longest = Wait{until, cause};
    };
    if (state_.withdrawn_at) consider(*state_.withdrawn_at + policy_.hold_down, Cause::hold_down);
    const auto& all = state_.withdrawals;
    const std::size_t limit = policy_.changes_per_hour;
    if (limit > 0 && all.size() >= limit) {
        // Fewer than the limit are left once this one is an hour old.
        const TimePoint until = all[all.size() - limit] + remembered;
        consider(until, Cause::changes_per_hour);
        if (longest) longest->too_often = until > now;
    }
    return longest;
}

std::optional<Damping::Wait> Damping::wait_to_change(TimePoint now) const {
    return wait_for(now, figures_of(policy_.profile).attribute);
}

void Damping::reconfigure(TimePoint now, DampingPolicy policy) {
    if (policy == policy_) return;
    // All profiles count a withdraw alike, so what was counted with one can be kept with another.
    add(now, 0);
    policy_ = policy;
}

Damping::Saved Damping::save(TimePoint now) const {
    Saved out = state_;
    std::erase_if(out.withdrawals, [&](TimePoint each) { return each + remembered <= now; });
    return out;
}

void Damping::restore(const Saved& saved) {
    state_ = saved;
    // A file is not believed a figure that no history can give.
    const double most = figures_of(policy_.profile).ceiling;
    state_.penalty = std::isfinite(saved.penalty) ? std::clamp(saved.penalty, 0.0, most) : most;
    while (state_.withdrawals.size() > most_remembered) state_.withdrawals.pop_front();
}

void Damping::add(TimePoint now, double cost) {
    const double ceiling = figures_of(policy_.profile).ceiling;
    state_.penalty = std::min(penalty(now) + cost, ceiling);
    state_.at = std::max(state_.at, now);
}

std::optional<Damping::Wait> Damping::wait_for(TimePoint now, double cost) const {
    if (policy_.profile == DampingProfile::none) return std::nullopt;
    const DampingFigures figures = figures_of(policy_.profile);
    const double room = figures.suppress - cost - figures.withdraw;
    if (penalty(now) < room) return std::nullopt;
    // Counted from the last change, so that it is the same moment whenever it is asked for.
    return Wait{state_.at + time_to_fall_below(room, state_.penalty, figures), Cause::penalty};
}

}  // namespace swerve::failover
