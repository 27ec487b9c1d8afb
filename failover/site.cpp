#include "swerve/failover/site.hpp"

#include <fmt/format.h>

#include <utility>

#include "failover/site_parts.hpp"
#include "swerve/base/overloaded.hpp"
#include "swerve/base/span.hpp"

namespace swerve::failover {

void Site::Parts::begin(TimePoint now, SiteActions& out) {
    began = now;
    hold_until = restored.hold_until;
    restore_damping(now);
    restore_words(now, out);
    std::vector<CheckId> all(checks.size());
    for (CheckId id = 0; id < checks.size(); ++id) all[id] = id;
    begin_checks(now, all, out);
    for (ServiceId id = 0; id < services.size(); ++id) {
        services[id].verdict_since = now;
        services[id].intent_since = now;
        judge(now, id, now, out);
    }
    restored = {};
}

void Site::Parts::track(TimePoint now, CheckId check, const health::TrackerEvent& event,
                        SiteActions& out) {
    checks[check].tracker.handle(now, event, tracker_actions);
    tracked(now, check, out);
}

void Site::Parts::tick(TimePoint now, SiteActions& out) {
    std::vector<CheckId> ready;
    due.due(now, ready);
    for (const CheckId check : ready) {
        checks[check].tracker.tick(now, tracker_actions);
        tracked(now, check, out);
    }
    expire_words(now, out);
    ready.clear();
    stage_due.due(now, ready);
    for (const ServiceId service : ready) expire_stages(now, service, out);
    if (hold_until && *hold_until <= now) {
        hold_until.reset();
        settle_all(now, out);
    }
}

std::optional<TimePoint> Site::Parts::next_deadline() const {
    const std::optional<TimePoint> next =
        earlier(earlier(due.next(), stage_due.next()), hold_until);
    return expiring.empty() ? next : earlier(next, expiring.begin()->first);
}

/// Carries what a tracker did on to the services that use its check.
void Site::Parts::tracked(TimePoint now, CheckId check, SiteActions& out) {
    bool flipped = false;
    for (const health::TrackerAction& action : tracker_actions) {
        std::visit(
            Overloaded{
                [&](const health::StartProbe& start) {
                    out.emplace_back(StartProbe{check, start.attempt, start.timeout});
                },
                [&](const health::CheckChanged& changed) {
                    flipped = true;
                    states[check] = changed.to;
                    checks[check].since = now;
                    checks[check].decided |= changed.to != health::CheckState::unknown;
                    out.emplace_back(CheckChanged{check, changed.from, changed.to, changed.reason});
                    for (const ServiceId service : checks[check].services) {
                        judge(now, service, changed.first_evidence, out);
                    }
                },
                [&](const health::EvidenceLost& lost) {
                    out.emplace_back(EvidenceLost{check, lost.reason, lost.until, lost.then});
                },
            },
            action);
    }
    tracker_actions.clear();
    due.set(check, next_look(check));
    update_alarm(check, out);
    // Behind what the check itself decided, so that the reason names it and not them.
    if (flipped) ask_dependents(now, check, out);
}

void Site::Parts::judge(TimePoint now, ServiceId id, TimePoint evidence, SiteActions& out) {
    Service& service = services[id];
    expire_kept(now, service);
    end_standing(id);
    service.standing.started = service.shown != Shown::nothing || service.kept != Shown::nothing;
    const Judgement found =
        failover::judge(service.health, states, service.verdict, service.standing);
    const Verdict before = std::exchange(service.verdict, found.verdict);
    service.verdict_reason = sentence(id);
    if (service.verdict != before) {
        out.emplace_back(VerdictChanged{id, before, service.verdict, service.verdict_reason});
        service.verdict_since = now;
        settle(now, id, evidence, out);
    }
    // A gate is an alarm only while something is up that it would keep from starting, which is up
    // to the others as well.
    if (!service.health.start) return;
    for (const CheckId check : health::checks_of(*service.health.start)) update_alarm(check, out);
}

/// Brings the intent and every prefix of a service to what its inputs ask for.
void Site::Parts::settle(TimePoint now, ServiceId id, TimePoint evidence, SiteActions& out) {
    Service& service = services[id];
    const auto damped = service.damped;
    hold_back(now, id);
    const Inputs known = inputs(id);
    const auto [intent, cause, shown] = decide(known);
    if (intent != service.intent) {
        out.emplace_back(IntentChanged{id, service.intent, intent, intent_reason(id)});
        service.intent = intent;
        service.intent_since = now;
    }
    Moves moves;
    service.routes.settle(known, moves);
    show(now, id, shown);
    leave_no_longer_than_shown(id);
    emit({policy.services[id].name, intent_reason(id), evidence, now}, std::move(moves), out);
    tell_damping(now, id, damped, out);
    wake(id);
}

/// The same for one prefix on which an operator's word came or went; `why` says so if it went.
void Site::Parts::settle(TimePoint now, const Prefix& prefix, const std::optional<Place>& place,
                         const std::string& why, SiteActions& out) {
    Moves moves;
    Inputs known;
    if (place) {
        known = inputs(place->service);
        services[place->service].routes.settle(place->at, known, moves);
        leave_no_longer_than_shown(place->service);
    }
    known.stopping = stopping;
    known.prefix = word_on(prefix);
    const auto route = manual.find(prefix);
    if (route != manual.end()) {
        const Decision decision = decide(known);
        if (std::exchange(route->second.announced, decision.announces()) != decision.announces()) {
            moves.add(decision.shown, std::nullopt, route->second.block, {0, 1});
        }
    }
    const std::string behind =
        reason_of(known, place ? services[place->service].verdict_reason : "", stop_reason,
                  place ? waiting(place->service) : "");
    const std::string separator = why.empty() || behind.empty() ? "" : ": ";
    emit({prefix.to_string(), why + separator + behind, now, now}, std::move(moves), out);
}

void Site::Parts::settle_all(TimePoint now, SiteActions& out) {
    for (ServiceId id = 0; id < services.size(); ++id) settle(now, id, now, out);
    for (const auto& [prefix, route] : manual) settle(now, prefix, std::nullopt, "", out);
}

/// Withdrawals first, and in front of them the decision that made them.
void Site::Parts::emit(FailoverBegan failover, Moves&& moves, SiteActions& out) const {
    if (!moves.withdrawals.empty()) out.emplace_back(std::move(failover));
    for (Withdraw& withdraw : moves.withdrawals) out.emplace_back(std::move(withdraw));
    for (Advertise& advertise : moves.announcements) out.emplace_back(std::move(advertise));
}

void Site::Parts::stop(TimePoint now, const StopAnnouncing& event, SiteActions& out) {
    if (std::exchange(stopping, true)) return;
    stop_reason = event.reason;
    for (ServiceId id = 0; id < services.size(); ++id) end_leaving(id);
    settle_all(now, out);
}

Inputs Site::Parts::inputs(ServiceId id) const {
    const Service& service = services[id];
    return {.verdict = service.verdict,
            .stopping = stopping,
            .drain = service.drain ? &*service.drain : nullptr,
            .held = hold_until.has_value(),
            .leaving = leaving_of(service.leaving_until.has_value(), service.shown),
            .leaving_degraded = service.leaving_degraded_until.has_value(),
            .returning = service.returning_until.has_value(),
            .allowed = service.allowed};
}

CheckWords Site::Parts::words_of(CheckId check) const {
    return {policy.checks[check].name, checks[check].tracker.reason()};
}

std::string Site::Parts::sentence(ServiceId id) const {
    const Service& service = services[id];
    std::string text = verdict_reason(service.health, states, service.verdict,
                                      [&](CheckId check) { return words_of(check); });
    if (service.stands_until && service.verdict != Verdict::unknown) {
        text += fmt::format("; {} stands over a reload for another {} at most",
                            to_string(service.verdict), span_text(*service.stands_until - latest));
    }
    return text;
}

std::string Site::Parts::intent_reason(ServiceId id) const {
    return reason_of(inputs(id), services[id].verdict_reason, stop_reason, waiting(id));
}

Site::Site(SitePolicy policy, const Restored& restored)
    : parts_(std::make_unique<Parts>(std::move(policy), restored)) {}
Site::~Site() = default;
Site::Site(Site&&) noexcept = default;
Site& Site::operator=(Site&&) noexcept = default;

void Site::handle(TimePoint now, const SiteEvent& event, SiteActions& out) {
    parts_->latest = now;
    std::visit(Overloaded{
                   [&](const Begin&) { parts_->begin(now, out); },
                   [&](const ProbeFinished& finished) {
                       parts_->track(now, finished.check,
                                     health::ProbeFinished{finished.attempt, finished.outcome},
                                     out);
                   },
                   [&](const SourceEvent& source) {
                       parts_->track(now, source.check, health::SourceEvent{source.finding}, out);
                   },
                   [&](const SetOverride& set) {
                       if (!refuses(set.subject, set.value.kind))
                           parts_->set_override(now, set, out);
                   },
                   [&](const ClearOverrides& clear) { parts_->clear_overrides(now, clear, out); },
                   [&](const StopAnnouncing& stop) { parts_->stop(now, stop, out); },
                   [&](const Reconfigure& change) { parts_->reconfigure(now, change, out); },
               },
               event);
}

void Site::tick(TimePoint now, SiteActions& out) {
    parts_->latest = now;
    parts_->tick(now, out);
}

std::optional<TimePoint> Site::next_deadline() const { return parts_->next_deadline(); }

std::optional<Refusal> Site::refuses(const std::variant<ServiceId, Prefix>& subject,
                                     OverrideKind kind) const {
    return parts_->refuses(subject, kind);
}

}  // namespace swerve::failover
