#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "failover/site_parts.hpp"

namespace swerve::failover {

namespace {

/// First attempts of all checks are spread over this much at least, of many checks over more, but
/// never over more than an interval: a verdict is soon had of few, and many come evenly.
constexpr Duration least_splay = std::chrono::milliseconds{100};
constexpr Duration splay_per_check = std::chrono::microseconds{100};

Duration splay_of(std::size_t checks, Duration interval) {
    return std::min(interval, std::max(least_splay, splay_per_check * static_cast<int>(checks)));
}

constexpr std::string_view swerve_itself = "swerved";

/// Ascending, each once.
std::vector<CheckId> checks_used(const ServicePolicy& service) {
    std::vector<CheckId> used = health::checks_of(service.healthy_when);
    if (!service.degraded_when) return used;
    std::vector<CheckId> both;
    std::ranges::set_union(used, health::checks_of(*service.degraded_when),
                           std::back_inserter(both));
    return both;
}

template <class Spot>
bgp::Handover hand_over(const Spot& from, const Spot& to) {
    return {from.block, to.block, {{{from.id, from.id + 1}, {to.id, to.id + 1}}}};
}

}  // namespace

Site::Parts::Parts(SitePolicy from, const Restored& with)
    : policy(std::move(from)),
      random(policy.seed),
      restored(with),
      states(policy.checks.size(), health::CheckState::unknown),
      due(policy.checks.size()),
      stage_due(policy.services.size()) {
    for (const CheckPolicy& check : policy.checks) {
        checks.push_back({health::Tracker{check.tracker, random.next()}});
    }
    for (ServiceId id = 0; id < policy.services.size(); ++id) {
        services.push_back({ServiceRoutes{id, policy.services[id].prefixes}});
        services.back().damping = Damping{policy.services[id].damping};
    }
    index_checks();
}

/// Which services use a check, what they ask of it, and which checks depend on it.
void Site::Parts::index_checks() {
    for (Check& check : checks) {
        check.services.clear();
        check.dependents.clear();
    }
    for (CheckId id = 0; id < policy.checks.size(); ++id) {
        if (const auto parent = policy.checks[id].only_if) checks[*parent].dependents.push_back(id);
    }
    std::vector<Effect> effects;
    for (const CheckPolicy& check : policy.checks) effects.push_back(check.effect);
    const Counted counted{effects};
    for (ServiceId id = 0; id < policy.services.size(); ++id) {
        const ServicePolicy& service = policy.services[id];
        services[id].health = health_of(service.healthy_when, service.degraded_when, counted);
        for (const CheckId check : checks_used(service)) checks[check].services.push_back(id);
    }
}

void Site::Parts::begin_checks(TimePoint now, const std::vector<CheckId>& ids, SiteActions& out) {
    std::map<std::string_view, const SavedCheck*> earned;
    for (const SavedCheck& check : restored.earned) earned.emplace(check.name, &check);
    for (std::size_t i = 0; i < ids.size(); ++i) {
        const CheckPolicy& check = policy.checks[ids[i]];
        checks[ids[i]].since = now;
        const auto known = earned.find(check.name);
        checks[ids[i]].earned =
            known != earned.end() && known->second->fingerprint == check.fingerprint;
        const Duration span = splay_of(ids.size(), check.tracker.interval);
        ask(now, ids[i], span * i / ids.size(), out);
    }
}

/// Before anything is announced; what the configuration has no place for any more is dropped.
void Site::Parts::restore_words(TimePoint now, SiteActions& out) {
    for (const Restored::Word& word : restored.overrides) {
        if (const auto* prefix = std::get_if<Prefix>(&word.subject)) {
            if (is_owned(*prefix)) {
                set_override(now, {*prefix, word.value}, out);
            } else {
                out.emplace_back(OverrideChanged{prefix->to_string(), std::nullopt, false,
                                                 "the prefix is not owned any more"});
            }
            continue;
        }
        const auto& name = std::get<std::string>(word.subject);
        if (const auto service = find_service(name)) {
            set_override(now, {*service, word.value}, out);
        } else {
            out.emplace_back(
                OverrideChanged{name, std::nullopt, false, "there is no such service any more"});
        }
    }
    if (!restored.drain_all) return;
    for (ServiceId id = 0; id < services.size(); ++id) {
        set_override(now,
                     {id,
                      {.kind = OverrideKind::drain,
                       .reason = *restored.drain_all,
                       .who = std::string{swerve_itself},
                       .set_at = {},
                       .expires = {}}},
                     out);
    }
}

void Site::Parts::reconfigure(TimePoint now, const Reconfigure& event, SiteActions& out) {
    if (stopping) return;
    const std::map<Prefix, Spot> before = spots();
    replace_checks(now, event, out);
    replace_services(now, event.policy, out);
    std::vector<CheckId> fresh;
    for (CheckId id = 0; id < event.checks.size(); ++id) {
        if (!event.checks[id]) fresh.push_back(id);
    }
    RoutesReplaced replaced{replace_words(before, out)};
    SiteActions turn;
    begin_checks(now, fresh, turn);
    for (CheckId id = 0; id < checks.size(); ++id) ask(now, id, Duration::zero(), turn);
    for (ServiceId id = 0; id < services.size(); ++id) judge(now, id, now, turn);
    settle_all(now, turn);
    for (CheckId id = 0; id < checks.size(); ++id) update_alarm(id, turn);
    // The whole of what is announced is asked for behind this, so its parts are not told one by
    // one.
    std::erase_if(turn, [](const SiteAction& action) {
        return std::holds_alternative<Advertise>(action) ||
               std::holds_alternative<Withdraw>(action) ||
               std::holds_alternative<FailoverBegan>(action);
    });
    std::ranges::move(turn, std::back_inserter(out));
    out.emplace_back(std::move(replaced));
}

/// The alarm of a check that goes, or becomes another one, is taken back by its name of before.
void Site::Parts::replace_checks(TimePoint now, const Reconfigure& event, SiteActions& out) {
    std::vector<Check> old = std::exchange(checks, {});
    for (CheckId id = 0; id < old.size(); ++id) {
        if (old[id].alarm.empty() || std::ranges::count(event.checks, std::optional{id}) > 0) {
            continue;
        }
        const std::string& name = policy.checks[id].name;
        out.emplace_back(CheckAlarm{
            id, false,
            fmt::format("check {} is no alarm any more (the configuration changed)", name), name});
    }
    const auto old_states = std::exchange(states, {});
    due = DueIndex{event.policy.checks.size()};
    for (CheckId id = 0; id < event.policy.checks.size(); ++id) {
        const health::TrackerPolicy& timing = event.policy.checks[id].tracker;
        if (const auto from = event.checks[id]) {
            checks.push_back(std::move(old[*from]));
            states.push_back(old_states[*from]);
            health::Tracker& tracker = checks.back().tracker;
            if (tracker.policy() != timing) tracker.reconfigure(now, timing);
        } else {
            checks.push_back({health::Tracker{timing, random.next()}});
            states.push_back(health::CheckState::unknown);
        }
    }
}

void Site::Parts::replace_services(TimePoint now, const SitePolicy& next, SiteActions& out) {
    const SitePolicy before = std::exchange(policy, next);
    std::vector<Service> old = std::exchange(services, {});
    std::map<std::string_view, ServiceId> known;
    for (ServiceId id = 0; id < old.size(); ++id) known.emplace(before.services[id].name, id);
    const Heritage heritage = heritage_of(before);
    expiring.clear();
    stage_due = DueIndex{policy.services.size()};
    for (ServiceId id = 0; id < policy.services.size(); ++id) {
        Service fresh{ServiceRoutes{id, policy.services[id].prefixes}};
        fresh.verdict_since = now;
        fresh.intent_since = now;
        fresh.damping = Damping{policy.services[id].damping};
        if (const auto from = known.find(policy.services[id].name); from != known.end()) {
            std::swap(fresh, old[from->second]);
            std::swap(fresh.routes, old[from->second].routes);
            fresh.damping.reconfigure(now, policy.services[id].damping);
            shift_stages(now, fresh, before.services[from->second], policy.services[id]);
            known.erase(from);
        } else {
            inherit(now, id, fresh, old, before, heritage, out);
        }
        // A verdict that stands already does not stand longer for every further change.
        fresh.stands_until =
            std::min(now + patience(id), fresh.stands_until.value_or(TimePoint::max()));
        fresh.standing = {.verdict = true, .degree = true};
        if (fresh.drain) expires(id, nullptr, &*fresh.drain);
        services.push_back(std::move(fresh));
    }
    for (const auto& [name, id] : known) {
        if (!old[id].drain) continue;
        out.emplace_back(OverrideChanged{std::string{name}, std::nullopt, false,
                                         "the service was removed from the configuration"});
    }
    index_checks();
    for (CheckId id = 0; id < checks.size(); ++id) due.set(id, next_look(id));
}

/// Where the prefixes of services stood that are no more. Where every service is an old one, nobody
/// inherits.
Site::Parts::Heritage Site::Parts::heritage_of(const SitePolicy& before) const {
    const auto names = [](const SitePolicy& of) {
        std::set<std::string_view> out;
        for (const ServicePolicy& service : of.services) out.insert(service.name);
        return out;
    };
    const auto old_names = names(before);
    const auto new_names = names(policy);
    Heritage out;
    if (std::ranges::includes(old_names, new_names)) return out;
    for (ServiceId id = 0; id < before.services.size(); ++id) {
        if (new_names.contains(before.services[id].name)) continue;
        for (const bgp::BlockRef& block : before.services[id].prefixes) {
            block->for_each(block->all(), [&](const Prefix& each) { out.emplace_back(each, id); });
        }
    }
    std::ranges::sort(out);
    return out;
}

/// A service under another name is no other one to upstreams: what its prefixes have cost, what is
/// shown of them and that they are drained goes on.
void Site::Parts::inherit(TimePoint now, ServiceId id, Service& fresh,
                          const std::vector<Service>& old, const SitePolicy& before,
                          const Heritage& heritage, SiteActions& out) const {
    if (heritage.empty()) return;
    std::set<ServiceId> from;
    for (const bgp::BlockRef& block : policy.services[id].prefixes) {
        block->for_each(block->all(), [&](const Prefix& each) {
            const auto found = std::ranges::lower_bound(heritage, std::pair{each, ServiceId{0}});
            if (found != heritage.end() && found->first == each) from.insert(found->second);
        });
    }
    double highest = -1;
    for (const ServiceId each : from) {
        const Service& its = old[each];
        const double penalty = its.damping.penalty(now);
        if (penalty > highest) fresh.damping = its.damping;
        highest = std::max(highest, penalty);
        if (its.shown > fresh.shown) {
            fresh.shown = its.shown;
            fresh.returning_until = its.returning_until;
        }
        fresh.undrained = std::max(fresh.undrained, its.undrained);
        if (!its.drain || fresh.drain) continue;
        fresh.drain = its.drain;
        fresh.leaving_until = its.leaving_until;
        fresh.leaving_degraded_until = its.leaving_degraded_until;
        out.emplace_back(OverrideChanged{
            policy.services[id].name, its.drain, false,
            fmt::format("it has prefixes of service {}, which was drained and is no more",
                        before.services[each].name)});
    }
    if (fresh.shown != Shown::nothing) fresh.damping.announced(now);
    fresh.damping.reconfigure(now, policy.services[id].damping);
}

/// How long undecided checks of a service may take to be decided, each after the one that it
/// depends on.
Duration Site::Parts::patience(ServiceId id) const {
    Duration longest = health::unknown_hold;
    for (const CheckId check : checks_used(policy.services[id])) {
        Duration needed = splay_of(policy.checks.size(), policy.checks[check].tracker.interval);
        for (std::optional<CheckId> each = check; each; each = policy.checks[*each].only_if) {
            const health::TrackerPolicy& timing = policy.checks[*each].tracker;
            needed += timing.interval * timing.rise + timing.timeout;
        }
        longest = std::max(longest, needed);
    }
    return longest;
}

/// Where the prefixes of words and manual routes stand.
std::map<Prefix, Site::Parts::Spot> Site::Parts::spots() const {
    std::map<Prefix, Spot> out;
    for (const auto& [prefix, route] : manual) out[prefix] = {route.block, 0};
    for (const auto& [prefix, word] : words) {
        if (word.place) out[prefix] = spot(*word.place);
    }
    return out;
}

Site::Parts::Spot Site::Parts::spot(const Place& place) const {
    return {services[place.service].routes.blocks()[place.at.block], place.at.id};
}

/// Puts the words where their prefixes are now. Returns what the routes between services and manual
/// ones become; those between services are known to whoever asked for the change.
std::vector<bgp::Handover> Site::Parts::replace_words(const std::map<Prefix, Spot>& before,
                                                      SiteActions& out) {
    std::erase_if(words, [&](const auto& each) {
        if (is_owned(each.first)) return false;
        out.emplace_back(OverrideChanged{each.first.to_string(), std::nullopt, false,
                                         "the prefix is not owned any more"});
        return true;
    });
    for (auto& [prefix, word] : words) {
        word.place = locate(prefix);
        if (word.value.expires) expires(prefix, nullptr, &word.value);
        if (word.place) {
            services[word.place->service].routes.put(word.place->at, &word.value);
        } else {
            manual.try_emplace(prefix, manual_route(prefix));
        }
    }
    std::vector<bgp::Handover> hand_overs;
    for (const auto& [prefix, was] : before) {
        const auto place = locate(prefix);
        const auto route = manual.find(prefix);
        const bool was_manual = route != manual.end() && route->second.block == was.block;
        if (place && was_manual) {
            hand_overs.push_back(hand_over(was, spot(*place)));
        } else if (!place && !was_manual && route != manual.end()) {
            hand_overs.push_back(hand_over(was, {route->second.block, 0}));
        }
    }
    std::erase_if(manual, [&](const auto& each) {
        return !is_owned(each.first) || locate(each.first).has_value();
    });
    return hand_overs;
}

}  // namespace swerve::failover
