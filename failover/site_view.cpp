#include <algorithm>

#include "failover/site_parts.hpp"

namespace swerve::failover {

const std::deque<health::PastResult>& Site::history(CheckId check) const {
    return parts_->checks[check].tracker.history();
}

SiteView Site::view() const {
    SiteView view{.site = parts_->policy.site,
                  .owned = parts_->policy.owned,
                  .stopping = parts_->stopping,
                  .stop_reason = parts_->stop_reason,
                  .hold_until = parts_->hold_until};
    for (const auto& [prefix, word] : parts_->words) {
        view.prefix_overrides.emplace(prefix, word.value);
    }
    view.checks.reserve(parts_->checks.size());
    for (CheckId id = 0; id < parts_->checks.size(); ++id) {
        const health::Tracker& tracker = parts_->checks[id].tracker;
        const CheckPolicy& check = parts_->policy.checks[id];
        view.checks.push_back({check.name, tracker.policy(), tracker.state(), tracker.reason(),
                               parts_->checks[id].since, tracker.consecutive_passes(),
                               tracker.consecutive_failures(), tracker.window_failures(),
                               tracker.last_outcome(), tracker.held_until(), tracker.results(),
                               check.scope, check.effect,
                               check.only_if ? parts_->policy.checks[*check.only_if].name : "",
                               tracker.without_evidence(), parts_->checks[id].alarm});
    }
    view.services.reserve(parts_->services.size());
    for (ServiceId id = 0; id < parts_->services.size(); ++id) {
        const Parts::Service& service = parts_->services[id];
        // Undecided checks count up with every result, and time passes, without a change that would
        // refresh the kept sentence.
        const bool moves = service.verdict == Verdict::unknown || service.stands_until;
        const std::string sentence = moves ? parts_->sentence(id) : service.verdict_reason;
        view.services.push_back(
            {parts_->policy.services[id].name, parts_->policy.services[id].prefixes,
             parts_->policy.services[id].healthy_when, service.verdict, sentence,
             service.verdict_since, service.intent,
             reason_of(parts_->inputs(id), sentence, parts_->stop_reason, parts_->waiting(id)),
             service.intent_since, service.drain, service.leaving_until,
             parts_->policy.services[id].degraded_when, service.shown,
             service.drain ? service.leaving_degraded_until : service.returning_until,
             service.damped, service.damping});
    }
    for (const auto& [prefix, route] : parts_->manual) {
        if (route.announced) view.manual_routes.push_back(prefix);
    }
    return view;
}

void Site::for_each_announced(const std::function<void(const Advertise&)>& visit) const {
    for (ServiceId id = 0; id < parts_->services.size(); ++id) {
        parts_->services[id].routes.for_each_announced(
            [&](const bgp::BlockRef& block, bgp::IdRange range, Shown shown) {
                visit({id, block, range, shown});
            });
    }
    for (const auto& [prefix, route] : parts_->manual) {
        if (route.announced) visit({std::nullopt, route.block, route.block->all()});
    }
}

bool Site::decided() const {
    return std::ranges::none_of(parts_->services, [](const Parts::Service& service) {
        return service.verdict == Verdict::unknown;
    });
}

const SitePolicy& Site::policy() const { return parts_->policy; }

void Site::save(TimePoint now, WallTime wall, SavedState& into) const {
    const auto add = [&](auto subject, const Override& value) {
        SavedOverride saved{std::move(subject), value.kind,   value.reason,
                            value.who,          value.set_at, std::nullopt};
        if (value.expires) {
            saved.expires = SavedDeadline{*value.expires, wall + (*value.expires - now)};
        }
        into.overrides.push_back(std::move(saved));
    };
    for (ServiceId id = 0; id < parts_->services.size(); ++id) {
        if (const auto& drain = parts_->services[id].drain) {
            add(std::variant<std::string, Prefix>{parts_->policy.services[id].name}, *drain);
        }
    }
    for (const auto& [prefix, word] : parts_->words) {
        add(std::variant<std::string, Prefix>{prefix}, word.value);
    }
    for (CheckId id = 0; id < parts_->checks.size(); ++id) {
        const CheckPolicy& check = parts_->policy.checks[id];
        into.checks.push_back({check.name, check.fingerprint, parts_->states[id]});
    }
    for (ServiceId id = 0; id < parts_->services.size(); ++id) {
        const Parts::Service& service = parts_->services[id];
        into.damping.push_back({parts_->policy.services[id].name, service.damping.save(now),
                                service.shown != Shown::nothing ? service.shown : service.kept});
    }
}

}  // namespace swerve::failover
