#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

#include "failover/site_parts.hpp"
#include "swerve/base/deadlines.hpp"

namespace swerve::failover {

namespace {

/// True once, when the moment has come.
bool take_expired(std::optional<TimePoint>& until, TimePoint now) {
    if (!until || *until > now) return false;
    until.reset();
    return true;
}

/// The end of a stage moves with its length; one that is over by now is over.
void shift(std::optional<TimePoint>& until, Duration by, TimePoint now) {
    if (!until) return;
    *until += by;
    (void)take_expired(until, now);
}

}  // namespace

void Site::Parts::expire_stages(TimePoint now, ServiceId id, SiteActions& out) {
    Service& service = services[id];
    if (take_expired(service.stands_until, now)) {
        service.standing = {};
        judge(now, id, now, out);
    }
    bool changed = service.damped && service.damped->until <= now;
    for (auto* until :
         {&service.leaving_degraded_until, &service.leaving_until, &service.returning_until}) {
        changed |= take_expired(*until, now);
    }
    if (changed) settle(now, id, now, out);
    wake(id);
}

/// What damping lets the verdict show now, and whether what it shows begins with a stage. Only what
/// the verdict alone makes better waits: withdrawals and worse attributes never do, nor do
/// operators' words.
void Site::Parts::hold_back(TimePoint now, ServiceId id) {
    Service& service = services[id];
    service.damped.reset();
    if (service.drain) return;
    expire_kept(now, service);
    service.allowed = Shown::announced;
    const Decision wanted = decide(inputs(id));
    // What a drain has made worse goes back to what it was.
    const bool begins = service.shown == Shown::nothing;
    const Shown basis = begins ? service.kept : std::max(service.shown, service.undrained);
    if (!wanted.follows_verdict() || wanted.shown <= basis) return;
    if (basis == Shown::nothing) service.damped = service.damping.wait_to_announce(now);
    // A return that a planned restart has interrupted begins anew.
    const Duration stage = policy.services[id].return_degraded_for;
    if (begins && !service.damped && stage > Duration::zero()) {
        service.returning_until = now + stage;
    } else if (basis != Shown::nothing) {
        service.damped = service.damping.wait_to_change(now);
    }
    if (service.damped) service.allowed = basis;
}

void Site::Parts::tell_damping(TimePoint now, ServiceId id,
                               const std::optional<Damping::Wait>& before, SiteActions& out) const {
    const Service& service = services[id];
    if (service.damped == before) return;
    out.emplace_back(DampingChanged{
        id, service.damped,
        service.damped ? describe(service.damping, *service.damped, service.shown, now)
                       : "damping holds nothing back any more: " + intent_reason(id)});
}

/// Every change that upstreams see counts.
void Site::Parts::show(TimePoint now, ServiceId id, Shown shown) {
    Service& service = services[id];
    if (!service.drain) service.undrained = shown;
    const bool gives_up = service.drain || stopping || service.verdict == Verdict::down;
    Shown before = std::exchange(service.shown, shown);
    if (before == Shown::nothing && (shown != Shown::nothing || gives_up)) {
        before = std::exchange(service.kept, Shown::nothing);
    }
    if (before == shown) return;
    if (shown == Shown::nothing) {
        service.damping.withdrawn(now);
        service.returning_until.reset();
    } else if (before == Shown::nothing) {
        service.damping.announced(now);
    } else {
        service.damping.changed(now);
    }
}

/// Neighbors give up what they were not told again in time.
void Site::Parts::expire_kept(TimePoint now, Service& service) const {
    if (service.kept == Shown::nothing || now < service.kept_until) return;
    service.kept = Shown::nothing;
    service.damping.withdrawn(service.kept_until);
}

void Site::Parts::wake(ServiceId id) {
    const Service& service = services[id];
    std::optional<TimePoint> next = earlier(service.stands_until, service.returning_until);
    next = earlier(next, earlier(service.leaving_degraded_until, service.leaving_until));
    if (service.damped) next = earlier(next, service.damped->until);
    stage_due.set(id, next);
}

/// Only what is shown has traffic to be asked to leave, and only once: a drain that was restored,
/// or is asked for again, begins no stage.
void Site::Parts::begin_leaving(TimePoint now, ServiceId id) {
    Service& service = services[id];
    const ServicePolicy& its = policy.services[id];
    const Duration notice = its.drain_degraded_for + its.graceful_shutdown_for;
    if (service.drain || !service.routes.shows_any() || notice <= Duration::zero()) return;
    service.leaving_until = now + notice;
    if (its.drain_degraded_for > Duration::zero()) {
        service.leaving_degraded_until = now + its.drain_degraded_for;
    }
}

void Site::Parts::end_leaving(ServiceId id) {
    services[id].leaving_until.reset();
    services[id].leaving_degraded_until.reset();
    wake(id);
}

/// Once nothing of it is shown, the stage is over, whatever comes to be announced later.
void Site::Parts::leave_no_longer_than_shown(ServiceId id) {
    if (services[id].leaving_until && !services[id].routes.shows_any()) end_leaving(id);
}

/// A stage keeps its beginning when a reload gives it another length.
void Site::Parts::shift_stages(TimePoint now, Service& service, const ServicePolicy& before,
                               const ServicePolicy& after) const {
    const Duration degraded = after.drain_degraded_for - before.drain_degraded_for;
    const Duration draining = after.graceful_shutdown_for - before.graceful_shutdown_for;
    shift(service.leaving_degraded_until, degraded, now);
    shift(service.leaving_until, degraded + draining, now);
    if (!service.leaving_until) service.leaving_degraded_until.reset();
    shift(service.returning_until, after.return_degraded_for - before.return_degraded_for, now);
}

void Site::Parts::restore_damping(TimePoint now) {
    std::map<std::string_view, const Restored::Cost*> known;
    for (const Restored::Cost& cost : restored.damping) known.emplace(cost.service, &cost);
    const Duration kept_for = restored.restart_time.value_or(Duration::zero());
    for (ServiceId id = 0; id < services.size(); ++id) {
        const auto found = known.find(policy.services[id].name);
        if (found == known.end()) continue;
        Service& service = services[id];
        service.damping.restore(found->second->damping);
        if (!restored.vanished_at || found->second->shown == Shown::nothing) continue;
        if (now - *restored.vanished_at < kept_for) {
            service.kept = found->second->shown;
            service.kept_until = now + kept_for;
        } else {
            service.damping.withdrawn(*restored.vanished_at);
        }
    }
}

/// What a verdict that is for more waits for; empty: nothing.
std::string Site::Parts::waiting(ServiceId id) const {
    const Service& service = services[id];
    if (service.damped) return describe(service.damping, *service.damped, service.shown, latest);
    if (service.returning_until) return describe_return(*service.returning_until, latest);
    return {};
}

}  // namespace swerve::failover
