#include "swerve/failover/site.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "failover/decide.hpp"
#include "failover/due_index.hpp"
#include "failover/service_routes.hpp"
#include "swerve/base/overloaded.hpp"
#include "swerve/base/random.hpp"

namespace swerve::failover {

namespace {

/// First attempts of all checks are spread over this much, or one interval if that is less.
constexpr Duration splay_span = std::chrono::milliseconds{100};

using Subject = std::variant<ServiceId, Prefix>;

std::vector<health::CheckState> undecided(std::size_t checks) {
    return std::vector<health::CheckState>(checks, health::CheckState::unknown);
}

}  // namespace

struct Site::Parts {
    struct Check {
        health::Tracker tracker;
        TimePoint since{};
        std::vector<ServiceId> services{};  ///< that use it
    };
    struct Service {
        ServiceRoutes routes;
        Verdict verdict = Verdict::unknown;
        std::string verdict_reason{};
        TimePoint verdict_since{};
        Intent intent = Intent::withdraw;
        TimePoint intent_since{};
        std::optional<Override> drain{};
    };
    /// A prefix of no service that an operator announced. It keeps its block for good, so that
    /// whoever compares desired with sent routes knows it again.
    struct Manual {
        bgp::BlockRef block;
        bool announced = false;
    };
    struct Place {
        ServiceId service;
        ServiceRoutes::Place at;
    };
    /// An operator's word on a prefix; without a place it is a manual route.
    struct Word {
        Override value;
        std::optional<Place> place;
    };

    explicit Parts(SitePolicy from);

    void begin(TimePoint now, SiteActions& out);
    void track(TimePoint now, CheckId check, const health::TrackerEvent& event, SiteActions& out);
    void tick(TimePoint now, SiteActions& out);
    void set_override(TimePoint now, const SetOverride& event, SiteActions& out);
    void clear_overrides(TimePoint now, const ClearOverrides& event, SiteActions& out);
    void stop(TimePoint now, const StopAnnouncing& event, SiteActions& out);

    void tracked(TimePoint now, CheckId check, SiteActions& out);
    void judge(TimePoint now, ServiceId service, TimePoint evidence, SiteActions& out);
    void settle(TimePoint now, ServiceId service, TimePoint evidence, SiteActions& out);
    void settle(TimePoint now, const Prefix& prefix, const std::optional<Place>& place,
                const std::string& why, SiteActions& out);
    void emit(FailoverBegan failover, Moves&& moves, SiteActions& out) const;

    void drop_drain(ServiceId service, bool expired, SiteActions& out);
    std::optional<Place> drop_word(const Prefix& prefix, bool expired, SiteActions& out);
    void expires(const Subject& subject, const Override* before, const Override* after);

    [[nodiscard]] Inputs inputs(ServiceId service) const;
    [[nodiscard]] std::string sentence(ServiceId service) const;
    [[nodiscard]] std::string intent_reason(ServiceId service) const;
    [[nodiscard]] std::optional<Place> locate(const Prefix& prefix) const;
    [[nodiscard]] const Override* word_on(const Prefix& prefix) const;
    [[nodiscard]] bool is_owned(const Prefix& prefix) const;

    SitePolicy policy;
    std::vector<Check> checks;
    std::vector<health::CheckState> states;  ///< of the checks, as expressions read them
    std::vector<Service> services;
    std::map<Prefix, Word> words;
    std::map<Prefix, Manual> manual;
    DueIndex due;
    std::set<std::pair<TimePoint, Subject>> expiring;
    bool stopping = false;
    std::string stop_reason;
    health::TrackerActions tracker_actions;  ///< scratch
};

Site::Parts::Parts(SitePolicy from)
    : policy(std::move(from)), states(undecided(policy.checks.size())), due(policy.checks.size()) {
    Random random(policy.seed);
    for (const CheckPolicy& check : policy.checks) {
        checks.push_back({health::Tracker{check.tracker, random.next()}});
    }
    for (ServiceId id = 0; id < policy.services.size(); ++id) {
        services.push_back({ServiceRoutes{id, policy.services[id].prefixes}});
        for (const CheckId check : health::checks_of(policy.services[id].healthy_when)) {
            checks[check].services.push_back(id);
        }
    }
}

void Site::Parts::begin(TimePoint now, SiteActions& out) {
    for (CheckId id = 0; id < checks.size(); ++id) {
        checks[id].since = now;
        const Duration span = std::min(policy.checks[id].tracker.interval, splay_span);
        track(now, id, health::Begin{span * id / checks.size()}, out);
    }
    for (ServiceId id = 0; id < services.size(); ++id) {
        services[id].verdict_since = now;
        services[id].intent_since = now;
        judge(now, id, now, out);
    }
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
    while (!expiring.empty() && expiring.begin()->first <= now) {
        const Subject subject = expiring.begin()->second;
        if (const auto* service = std::get_if<ServiceId>(&subject)) {
            drop_drain(*service, true, out);
            settle(now, *service, now, out);
        } else {
            const Prefix& prefix = std::get<Prefix>(subject);
            const auto place = drop_word(prefix, true, out);
            settle(now, prefix, place, "the override expired", out);
        }
    }
}

/// Carries what a tracker did on to the services that use its check.
void Site::Parts::tracked(TimePoint now, CheckId check, SiteActions& out) {
    due.set(check, checks[check].tracker.next_deadline());
    for (const health::TrackerAction& action : tracker_actions) {
        std::visit(
            Overloaded{
                [&](const health::StartProbe& start) {
                    out.emplace_back(StartProbe{check, start.attempt, start.timeout});
                },
                [&](const health::CheckChanged& changed) {
                    states[check] = changed.to;
                    checks[check].since = now;
                    out.emplace_back(CheckChanged{check, changed.from, changed.to, changed.reason});
                    for (const ServiceId service : checks[check].services) {
                        judge(now, service, changed.first_evidence, out);
                    }
                },
                [&](const health::EvidenceLost& lost) {
                    out.emplace_back(EvidenceLost{check, lost.reason, lost.until});
                },
            },
            action);
    }
    tracker_actions.clear();
}

void Site::Parts::judge(TimePoint now, ServiceId id, TimePoint evidence, SiteActions& out) {
    Service& service = services[id];
    Verdict verdict = verdict_of(health::evaluate(policy.services[id].healthy_when, states));
    // HEALTH.md §0: what was decided once and has lost its evidence since counts as failed.
    if (verdict == Verdict::unknown && service.verdict != Verdict::unknown) verdict = Verdict::down;
    service.verdict_reason = sentence(id);
    if (verdict == service.verdict) return;
    out.emplace_back(VerdictChanged{id, service.verdict, verdict, service.verdict_reason});
    service.verdict = verdict;
    service.verdict_since = now;
    settle(now, id, evidence, out);
}

/// Brings the intent and every prefix of a service to what its inputs ask for.
void Site::Parts::settle(TimePoint now, ServiceId id, TimePoint evidence, SiteActions& out) {
    Service& service = services[id];
    const Inputs known = inputs(id);
    const Intent intent = decide(known).intent;
    if (intent != service.intent) {
        out.emplace_back(IntentChanged{id, service.intent, intent, intent_reason(id)});
        service.intent = intent;
        service.intent_since = now;
    }
    Moves moves;
    service.routes.settle(known, moves);
    emit({policy.services[id].name, intent_reason(id), evidence, now}, std::move(moves), out);
}

/// The same for one prefix on which an operator's word came or went; `why` says so if it went.
void Site::Parts::settle(TimePoint now, const Prefix& prefix, const std::optional<Place>& place,
                         const std::string& why, SiteActions& out) {
    Moves moves;
    Inputs known;
    if (place) {
        known = inputs(place->service);
        services[place->service].routes.settle(place->at, known, moves);
    }
    known.stopping = stopping;
    known.prefix = word_on(prefix);
    const auto route = manual.find(prefix);
    if (route != manual.end()) {
        const bool wanted = decide(known).announces();
        if (std::exchange(route->second.announced, wanted) != wanted) {
            moves.add(wanted, std::nullopt, route->second.block, {0, 1});
        }
    }
    const std::string behind =
        reason_of(known, place ? services[place->service].verdict_reason : "", stop_reason);
    const std::string separator = why.empty() || behind.empty() ? "" : ": ";
    emit({prefix.to_string(), why + separator + behind, now, now}, std::move(moves), out);
}

/// Withdrawals first, and in front of them the decision that made them.
void Site::Parts::emit(FailoverBegan failover, Moves&& moves, SiteActions& out) const {
    if (!moves.withdrawals.empty()) out.emplace_back(std::move(failover));
    for (Withdraw& withdraw : moves.withdrawals) out.emplace_back(std::move(withdraw));
    for (Advertise& advertise : moves.announcements) out.emplace_back(std::move(advertise));
}

void Site::Parts::set_override(TimePoint now, const SetOverride& event, SiteActions& out) {
    if (const auto* id = std::get_if<ServiceId>(&event.subject)) {
        Service& service = services[*id];
        expires(*id, service.drain ? &*service.drain : nullptr, &event.value);
        service.drain = event.value;
        out.emplace_back(OverrideChanged{policy.services[*id].name, event.value});
        return settle(now, *id, now, out);
    }
    const Prefix& prefix = std::get<Prefix>(event.subject);
    expires(prefix, word_on(prefix), &event.value);
    const auto [word, added] = words.try_emplace(prefix, Word{event.value, std::nullopt});
    if (added) word->second.place = locate(prefix);
    word->second.value = event.value;
    out.emplace_back(OverrideChanged{prefix.to_string(), event.value});
    const auto& place = word->second.place;
    if (place) {
        services[place->service].routes.put(place->at, &word->second.value);
    } else if (!manual.contains(prefix)) {
        const std::array one{prefix};
        manual.emplace(prefix, Manual{std::make_shared<const bgp::PrefixBlock>(one)});
    }
    settle(now, prefix, place, "", out);
}

void Site::Parts::clear_overrides(TimePoint now, const ClearOverrides& event, SiteActions& out) {
    const auto meant = [&](const Override* word) {
        return word != nullptr && (!event.only || word->kind == *event.only);
    };
    if (const auto* prefix = std::get_if<Prefix>(&event.subject)) {
        if (!meant(word_on(*prefix))) return;
        const auto place = drop_word(*prefix, false, out);
        return settle(now, *prefix, place, "the override was cleared", out);
    }
    const ServiceId id = std::get<ServiceId>(event.subject);
    if (id >= services.size()) return;
    Service& service = services[id];
    if (meant(service.drain ? &*service.drain : nullptr)) drop_drain(id, false, out);
    for (const Prefix& prefix : service.routes.overridden()) {
        if (meant(word_on(prefix))) drop_word(prefix, false, out);
    }
    settle(now, id, now, out);
}

void Site::Parts::stop(TimePoint now, const StopAnnouncing& event, SiteActions& out) {
    if (std::exchange(stopping, true)) return;
    stop_reason = event.reason;
    for (ServiceId id = 0; id < services.size(); ++id) settle(now, id, now, out);
    for (const auto& [prefix, route] : manual) settle(now, prefix, std::nullopt, "", out);
}

void Site::Parts::drop_drain(ServiceId id, bool expired, SiteActions& out) {
    std::optional<Override>& drain = services[id].drain;
    if (!drain) return;
    expires(id, &*drain, nullptr);
    drain.reset();
    out.emplace_back(OverrideChanged{policy.services[id].name, std::nullopt, expired});
}

/// Returns where the word stood, for the prefix is still to be settled.
std::optional<Site::Parts::Place> Site::Parts::drop_word(const Prefix& prefix, bool expired,
                                                         SiteActions& out) {
    const auto word = words.find(prefix);
    const auto place = word->second.place;
    expires(prefix, &word->second.value, nullptr);
    if (place) services[place->service].routes.put(place->at, nullptr);
    words.erase(word);
    out.emplace_back(OverrideChanged{prefix.to_string(), std::nullopt, expired});
    return place;
}

void Site::Parts::expires(const Subject& subject, const Override* before, const Override* after) {
    if (before != nullptr && before->expires) expiring.erase({*before->expires, subject});
    if (after != nullptr && after->expires) expiring.emplace(*after->expires, subject);
}

Inputs Site::Parts::inputs(ServiceId id) const {
    const Service& service = services[id];
    return {service.verdict, stopping, service.drain ? &*service.drain : nullptr, nullptr};
}

std::string Site::Parts::sentence(ServiceId id) const {
    return verdict_reason(policy.services[id].healthy_when, states, [&](CheckId check) {
        return CheckWords{policy.checks[check].name, checks[check].tracker.reason()};
    });
}

std::string Site::Parts::intent_reason(ServiceId id) const {
    return reason_of(inputs(id), services[id].verdict_reason, stop_reason);
}

std::optional<Site::Parts::Place> Site::Parts::locate(const Prefix& prefix) const {
    for (ServiceId id = 0; id < services.size(); ++id) {
        if (const auto at = services[id].routes.find(prefix)) return Place{id, *at};
    }
    return std::nullopt;
}

const Override* Site::Parts::word_on(const Prefix& prefix) const {
    const auto word = words.find(prefix);
    return word == words.end() ? nullptr : &word->second.value;
}

bool Site::Parts::is_owned(const Prefix& prefix) const {
    return std::ranges::any_of(policy.owned,
                               [&](const Prefix& block) { return block.contains(prefix); });
}

Site::Site(SitePolicy policy) : parts_(std::make_unique<Parts>(std::move(policy))) {}
Site::~Site() = default;
Site::Site(Site&&) noexcept = default;
Site& Site::operator=(Site&&) noexcept = default;

void Site::handle(TimePoint now, const SiteEvent& event, SiteActions& out) {
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
               },
               event);
}

void Site::tick(TimePoint now, SiteActions& out) { parts_->tick(now, out); }

std::optional<TimePoint> Site::next_deadline() const {
    std::optional<TimePoint> next = parts_->due.next();
    if (!parts_->expiring.empty()) next = earlier(next, parts_->expiring.begin()->first);
    return next;
}

std::optional<Refusal> Site::refuses(const std::variant<ServiceId, Prefix>& subject,
                                     OverrideKind kind) const {
    if (parts_->stopping) return Refusal::stopping;
    if (const auto* service = std::get_if<ServiceId>(&subject)) {
        const bool can = *service < parts_->services.size() && kind == OverrideKind::drain;
        return can ? std::nullopt : std::optional{Refusal::no_such_object};
    }
    const Prefix& prefix = std::get<Prefix>(subject);
    if (!parts_->is_owned(prefix)) return Refusal::not_owned;
    const bool can = kind == OverrideKind::announce ||
                     (kind == OverrideKind::withdraw &&
                      (parts_->words.contains(prefix) || parts_->locate(prefix)));
    return can ? std::nullopt : std::optional{Refusal::no_such_object};
}

SiteView Site::view() const {
    SiteView view{.site = parts_->policy.site,
                  .owned = parts_->policy.owned,
                  .stopping = parts_->stopping,
                  .stop_reason = parts_->stop_reason};
    for (const auto& [prefix, word] : parts_->words) {
        view.prefix_overrides.emplace(prefix, word.value);
    }
    view.checks.reserve(parts_->checks.size());
    for (CheckId id = 0; id < parts_->checks.size(); ++id) {
        const health::Tracker& tracker = parts_->checks[id].tracker;
        view.checks.push_back({parts_->policy.checks[id].name, tracker.policy(), tracker.state(),
                               tracker.reason(), parts_->checks[id].since,
                               tracker.consecutive_passes(), tracker.consecutive_failures(),
                               tracker.window_failures(), tracker.last_outcome(),
                               tracker.held_until(), tracker.results()});
    }
    view.services.reserve(parts_->services.size());
    for (ServiceId id = 0; id < parts_->services.size(); ++id) {
        const Parts::Service& service = parts_->services[id];
        // Undecided checks count up with every result, without a change that would refresh the
        // kept sentence.
        const std::string sentence =
            service.verdict == Verdict::unknown ? parts_->sentence(id) : service.verdict_reason;
        view.services.push_back({parts_->policy.services[id].name,
                                 parts_->policy.services[id].prefixes,
                                 parts_->policy.services[id].healthy_when, service.verdict,
                                 sentence, service.verdict_since, service.intent,
                                 reason_of(parts_->inputs(id), sentence, parts_->stop_reason),
                                 service.intent_since, service.drain});
    }
    for (const auto& [prefix, route] : parts_->manual) {
        if (route.announced) view.manual_routes.push_back(prefix);
    }
    return view;
}

const SitePolicy& Site::policy() const { return parts_->policy; }

}  // namespace swerve::failover
