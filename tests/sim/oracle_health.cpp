// What the oracle makes of checks: which of them count for what, and what a service may be shown
// as.

#include <algorithm>
#include <utility>

#include "tests/sim/oracle.hpp"

namespace swerve::sim {

using failover::Effect;
using failover::Intent;
using failover::OverrideKind;
using failover::Verdict;
using health::CheckState;

namespace {

/// `rule` over the checks of these effects; if nothing of it is left there is nothing to fail.
Possible over(std::initializer_list<Effect> effects, const health::Expression& rule,
              const conf::Config& config, const std::vector<Possible>& checks) {
    const auto counts = [&](std::uint32_t check) {
        return std::ranges::count(effects, config.checks[check].effect) > 0;
    };
    return possible(rule, checks, counts).value_or(Possible{CheckState::pass});
}

Possible condition(const conf::Service& service, const std::vector<Possible>& checks) {
    if (!service.degraded_when) return Possible{CheckState::fail};
    return *possible(*service.degraded_when, checks, [](std::uint32_t) { return true; });
}

}  // namespace

void Oracle::check_changed(const std::string& check, CheckState to) {
    said_[check] = to;
    ask_checks();
}

void Oracle::ask_checks() {
    for (std::size_t i = 0; i < beliefs_.size(); ++i) {
        const auto parent = config_->checks[i].only_if;
        const auto said = parent ? said_.find(config_->checks[*parent].name) : said_.end();
        beliefs_[i].asked(now(),
                          !parent || (said != said_.end() && said->second == CheckState::pass));
    }
}

void Oracle::intent_changed(const std::string& service, Intent from, Intent to) {
    const auto at = std::ranges::find(config_->services, service, &conf::Service::name);
    if (at == config_->services.end() || at->return_degraded_for == Duration::zero()) return;
    const bool comes_back = (from == Intent::withdraw || from == Intent::drain) &&
                            (to == Intent::announce || to == Intent::degrade);
    if (!comes_back) return;
    returning_[service] = now() + at->return_degraded_for;
    if (from == Intent::withdraw && to == Intent::announce && !kept_ && !heirs_.contains(service)) {
        violate("S1", "{}: {} comes back in full at once, and not in stages", site_, service);
    }
}

void Oracle::waits(const std::string& service, const std::optional<failover::Damping::Wait>& wait) {
    if (!wait) {
        waits_.erase(service);
        return;
    }
    const auto at = std::ranges::find(config_->services, service, &conf::Service::name);
    if (wait->until > now() + longest_wait(at->damping, wait->cause) + slack) {
        violate("L1", "{}: {} is to wait for {} ms for the sake of upstreams that damp", site_,
                service, (wait->until - now()) / milliseconds{1});
    }
    waits_[service] = wait->until;
}

bool Oracle::is_waiting(const conf::Service& service) const {
    const auto wait = waits_.find(service.name);
    return wait != waits_.end() && now() <= std::max(wait->second, disturbed_) + slack;
}

std::vector<Possible> Oracle::verdicts() {
    std::vector<Possible> checks;
    for (std::size_t i = 0; i < beliefs_.size(); ++i) {
        checks.push_back(beliefs_[i].now(now(), truths_.at(config_->checks[i].name)));
    }
    std::vector<Possible> out;
    degrees_.clear();
    for (const conf::Service& service : config_->services) {
        degrees_.push_back(degrees_of(service, checks));
        const Possible verdict = serving(service, checks);
        const auto stage = leaving_.find(service.name);
        if (stage != leaving_.end() && !verdict.only(CheckState::pass)) {
            stage->second.by_verdict = false;
        }
        out.push_back(verdict);
    }
    return out;
}

/// Passes if it may be announced, as far as its checks say.
Possible Oracle::serving(const conf::Service& service, const std::vector<Possible>& checks) {
    Possible verdict = over({Effect::withdraw}, service.healthy_when, *config_, checks);
    const auto standing = standing_.find(service.name);
    if (standing != standing_.end() && !verdict.only(CheckState::unknown)) {
        standing->second.interrupted = true;
    }
    if (standing != standing_.end() &&
        now() <= std::max(standing->second.until, disturbed_ + slack) &&
        verdict.has(CheckState::unknown) && standing->second.before.has(CheckState::pass)) {
        verdict.add(CheckState::pass);
    }
    const Possible start =
        over({Effect::withdraw, Effect::gate}, service.healthy_when, *config_, checks);
    Started& started = started_[service.name];
    // What neighbors have kept over a planned restart has started before.
    started.may =
        verdict.has(CheckState::pass) && (started.may || kept_ || start.has(CheckState::pass));
    started.must = verdict.only(CheckState::pass) && (started.must || start.only(CheckState::pass));
    if (!started.may) verdict.remove(CheckState::pass);
    if (!started.must) verdict.add(CheckState::fail);
    return verdict;
}

Oracle::Degrees Oracle::degrees_of(const conf::Service& service,
                                   const std::vector<Possible>& checks) const {
    const Possible full =
        over({Effect::withdraw, Effect::degrade}, service.healthy_when, *config_, checks);
    const Possible worse = condition(service, checks);
    Degrees out{.full = full.has(CheckState::pass) && !worse.only(CheckState::pass),
                .degraded = !worse.only(CheckState::fail) || !full.only(CheckState::pass)};
    const auto standing = standing_.find(service.name);
    if (standing != standing_.end() &&
        now() <= std::max(standing->second.until, disturbed_ + slack) &&
        (full.has(CheckState::unknown) || worse.has(CheckState::unknown))) {
        out.full |= standing->second.degrees.full;
        out.degraded |= standing->second.degrees.degraded;
    }
    return out;
}

Oracle::Degrees Oracle::allowed(const Prefix* prefix, failover::ServiceId service) const {
    const std::string& name = config_->services[service].name;
    const auto not_yet = [&](TimePoint until) {
        return now() <= std::max(until, disturbed_) + slack;
    };
    const In drain = look_up(name, OverrideKind::drain);
    const In announce = prefix != nullptr ? look_up(*prefix, OverrideKind::announce) : In::no;
    Degrees out;
    if (const auto stage = leaving_.find(name); drain != In::no && stage != leaving_.end()) {
        const auto degraded_until = stage->second.degraded_until;
        out.degraded = degraded_until && not_yet(*degraded_until);
        out.draining = !degraded_until || now() >= *degraded_until;
    }
    if (drain == In::force) return out;
    if (announce != In::no) out.full = true;
    if (announce == In::force) return out;
    out.full |= degrees_[service].full;
    out.degraded |= degrees_[service].degraded || is_waiting(config_->services[service]);
    const auto returning = returning_.find(name);
    if (returning != returning_.end() && not_yet(returning->second)) out.degraded = true;
    return out;
}

std::set<Verdict> Oracle::verdicts_in_quiet(const conf::Service& service) const {
    const std::vector<Possible> checks(config_->checks.size(), Possible{CheckState::pass});
    const auto passes = [&](std::initializer_list<Effect> effects) {
        return over(effects, service.healthy_when, *config_, checks).has(CheckState::pass);
    };
    if (!passes({Effect::withdraw})) return {Verdict::down};
    const bool full = passes({Effect::withdraw, Effect::degrade}) &&
                      !condition(service, checks).has(CheckState::pass);
    std::set<Verdict> out{full ? Verdict::up : Verdict::degraded};
    if (!passes({Effect::withdraw, Effect::gate})) out.insert(Verdict::down);
    return out;
}

/// S7: no upstream that damps comes close to suppressing a route by what need not have been sent.
void Oracle::weigh(const daemon::Neighbor& neighbor, Session& session) {
    for (const Change& change : std::exchange(session.changes, {})) {
        const Upstreams::Key key{neighbor.name, change.prefix};
        const auto id = service_of(change.prefix);
        // What an operator's word makes of a route is not judged, nor what its end does.
        const auto given_back = given_back_.find(change.prefix);
        const bool is_end =
            given_back != given_back_.end() && now() - given_back->second < std::chrono::seconds{5};
        if (!id || words_.contains(change.prefix) || session.amnesty || is_end) {
            upstreams_.forget(key);
            continue;
        }
        if (!change.after) {
            upstreams_.withdrawn(now(), key);
            continue;
        }
        const failover::DampingPolicy& policy = config_->services[*id].damping;
        const auto full = [&] {
            return expected_route(*neighbor.config, id, change.prefix.family(),
                                  *neighbor.local_address, failover::Shown::announced);
        };
        const auto fault =
            !change.before ? upstreams_.announced(now(), key, policy)
                           : upstreams_.changed(now(), key, policy,
                                                *change.after == full() && !undrained_midway(*id));
        if (!fault) continue;
        violate("S7", "{}: {} of {} is {} to {}, though {}", site_, change.prefix.to_string(),
                config_->services[*id].name, change.before ? "improved" : "announced again",
                neighbor.name, *fault);
    }
}

/// A drain that runs out before its stages do gives back at once what it has made worse.
bool Oracle::undrained_midway(failover::ServiceId service) const {
    const std::string& name = config_->services[service].name;
    const auto word = words_.find(name);
    const auto stage = leaving_.find(name);
    return word != words_.end() && word->second.until && now() >= *word->second.until &&
           stage != leaving_.end() && *word->second.until <= stage->second.until + slack;
}

void Oracle::forget_upstreams(const std::string& service) {
    const auto at = std::ranges::find(config_->services, service, &conf::Service::name);
    if (at == config_->services.end()) return;
    for (const bgp::BlockRef& block : at->prefixes) {
        block->for_each(block->all(), [&](const Prefix& prefix) { upstreams_.forget(prefix); });
    }
}

}  // namespace swerve::sim
