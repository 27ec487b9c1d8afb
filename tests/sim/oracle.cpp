#include "tests/sim/oracle.hpp"

#include <algorithm>
#include <utility>

namespace swerve::sim {

using daemon::NeighborId;
using failover::OverrideKind;
using health::CheckState;

namespace {

bool owned(const conf::Config& config, const Prefix& prefix) {
    return std::ranges::any_of(config.owned,
                               [&](const Prefix& block) { return block.contains(prefix); });
}

bool is_sent(const conf::Neighbor& neighbor, failover::ServiceId service, Family family) {
    if (!neighbor.families.contains(family)) return false;
    return !neighbor.services || std::ranges::count(*neighbor.services, service) > 0;
}

/// How long checks that a reload made new may take to be decided.
Duration patience(const conf::Config& config, const conf::Service& service) {
    Duration longest = silence_held;
    std::vector<std::uint32_t> used = health::checks_of(service.healthy_when);
    if (service.degraded_when) {
        std::ranges::copy(health::checks_of(*service.degraded_when), std::back_inserter(used));
    }
    for (std::optional<failover::CheckId> check : used) {
        Duration needed{};
        for (; check; check = config.checks[*check].only_if) {
            const health::TrackerPolicy& timing = config.checks[*check].timing;
            needed += timing.interval * timing.rise + timing.timeout;
        }
        longest = std::max(longest, needed);
    }
    return longest + 3 * slack;
}

/// Whether nothing but verdicts tells routes of the one from those of the other.
bool same_routes(const conf::Config& a, const conf::Config& b) {
    const auto facts = [](const conf::Service& service) {
        return std::tie(service.announce, service.degrade, service.damping,
                        service.drain_degraded_for);
    };
    return a.owned == b.owned && a.services.size() == b.services.size() &&
           std::ranges::equal(a.neighbors, b.neighbors,
                              [](const conf::Neighbor& one, const conf::Neighbor& two) {
                                  return one.name == two.name && one.attributes == two.attributes &&
                                         one.families == two.families && !one.services &&
                                         !two.services && one.next_hop_ipv4 == two.next_hop_ipv4 &&
                                         one.next_hop_ipv6 == two.next_hop_ipv6;
                              }) &&
           std::ranges::all_of(a.services, [&](const conf::Service& service) {
               const auto other = std::ranges::find(b.services, service.name, &conf::Service::name);
               return other != b.services.end() && facts(service) == facts(*other) &&
                      conf::same_prefixes(service, *other);
           });
}

}  // namespace

void Oracle::index() {
    services_.clear();
    for (failover::ServiceId id = 0; id < config_->services.size(); ++id) {
        for (const bgp::BlockRef& block : config_->services[id].prefixes) {
            block->for_each(block->all(),
                            [&](const Prefix& prefix) { services_.emplace(prefix, id); });
        }
    }
    rulings_.clear();
}

void Oracle::started(const daemon::Speaker& speaker, const failover::Restored& restored,
                     const Machine& machine, bool counted) {
    config_ = speaker.config();
    index();
    const failover::SiteView view = speaker.site().view();
    const auto world = [&](const failover::Override& word) {
        Word out{word.kind, {}};
        if (word.expires) out.until = *word.expires + machine.since_boot;
        return out;
    };
    std::map<Subject, Word> words;
    for (const auto& [prefix, word] : view.prefix_overrides) words.emplace(prefix, world(word));
    for (const auto& service : view.services) {
        if (service.drain) words.emplace(service.name, world(*service.drain));
    }
    const auto memory = notebook_.recall(machine, restored, words, *config_);
    if (counted) notebook_.saved(memory->begun(machine));
    words_ = std::move(words);
    // Another boot tells by the wall clock how much time has passed.
    kept_ = restored.vanished_at.has_value();
    upstreams_.forget();
    if (memory && !kept_ && memory->machine.boot == machine.boot &&
        same_routes(*memory->config, *config_)) {
        upstreams_ = memory->upstreams;
    }
    disabled_.clear();
    for (const std::string& name : restored.disabled_neighbors) disabled(name, true);

    hold_until_.reset();
    if (restored.crashes >= 3) {
        const unsigned doublings = std::min(restored.crashes - 3, 5U);
        hold_until_ = machine.now + std::min<Duration>(std::chrono::seconds{30} * (1U << doublings),
                                                       std::chrono::minutes{15});
    }
    // What was seen by another boot may be judged by a wall clock that was moved since.
    const bool soon = memory && counted && notebook_.died() &&
                      (memory->machine.boot != machine.boot ||
                       machine.now - *notebook_.died() <= std::chrono::minutes{1});
    beliefs_.clear();
    for (const conf::Check& check : config_->checks) {
        bool earned = false;
        if (soon) {
            const auto before = memory->passing.find(check.name);
            earned = before != memory->passing.end() && before->second == check.probe;
        }
        beliefs_.emplace_back(check.timing, earned, machine.now);
    }
    ask_checks();
}

void Oracle::ended() {
    notebook_.died(now());
    bfd_.clear();
    config_.reset();
    beliefs_.clear();
    standing_.clear();
    leaving_.clear();
    started_.clear();
    heirs_.clear();
    waits_.clear();
    returning_.clear();
    said_.clear();
    states_.clear();
    sessions_.clear();
    conversations_.clear();
    stalled_since_.reset();
    stopping_ = false;
}

void Oracle::reloaded(const conf::Change& change) {
    const std::vector<Possible> before = verdicts();
    std::map<std::string, Standing> standing;
    std::vector<CheckBelief> beliefs;
    for (const conf::Check& check : change.after->checks) {
        const auto was = std::ranges::find(config_->checks, check.name, &conf::Check::name);
        // The evidence of a check counts on as long as the same probe finds it.
        if (was == config_->checks.end() || was->probe != check.probe) {
            said_.erase(check.name);
            beliefs.emplace_back(check.timing, false, now());
            beliefs.back().silent_since(stalled_since_);
            continue;
        }
        beliefs.push_back(beliefs_[static_cast<std::size_t>(was - config_->checks.begin())]);
        if (was->timing != check.timing) beliefs.back().retime(now(), check.timing);
    }
    std::map<std::string, Started> started;
    std::map<std::string, TimePoint> waiting;
    for (const conf::Service& service : change.after->services) {
        const auto was = std::ranges::find(config_->services, service.name, &conf::Service::name);
        if (was == config_->services.end()) continue;
        const auto id = static_cast<std::size_t>(was - config_->services.begin());
        started[service.name] = started_[service.name];
        if (const auto wait = waits_.find(service.name); wait != waits_.end()) {
            waiting.insert(*wait);
        }
        if (const auto stage = returning_.find(service.name); stage != returning_.end()) {
            stage->second += service.return_degraded_for - was->return_degraded_for;
        }
        Standing next{before[id], degrees_[id], now() + patience(*change.after, service)};
        // What stands already does not stand longer for every further change.
        const auto stands = standing_.find(service.name);
        if (stands != standing_.end() && !stands->second.interrupted) {
            next.until = std::min(next.until, stands->second.until);
        }
        standing[service.name] = next;
        const auto stage = leaving_.find(service.name);
        if (stage == leaving_.end()) continue;
        const Duration longer = service.drain_degraded_for - was->drain_degraded_for;
        const TimePoint until = stage->second.until + longer +
                                (service.graceful_shutdown_for - was->graceful_shutdown_for);
        auto degraded = stage->second.degraded_until;
        if (degraded && *degraded <= now()) degraded.reset();
        if (degraded) *degraded += longer;
        stage->second = {.until = until, .degraded_until = degraded};
        if (until <= now()) leaving_.erase(stage);
    }
    if (!same_routes(*config_, *change.after)) {
        upstreams_.forget();
        for (auto& [id, session] : sessions_) session.amnesty = true;
    }
    inherit(*change.after, started);
    started_ = std::move(started);
    waits_ = std::move(waiting);
    config_ = change.after;
    beliefs_ = std::move(beliefs);
    standing_ = std::move(standing);
    index();
    ask_checks();
    std::erase_if(words_, [&](const auto& each) {
        if (const auto* prefix = std::get_if<Prefix>(&each.first)) return !owned(*config_, *prefix);
        return std::ranges::find(config_->services, std::get<std::string>(each.first),
                                 &conf::Service::name) == config_->services.end();
    });
    std::erase_if(disabled_, [&](const std::string& name) {
        return std::ranges::find(config_->neighbors, name, &conf::Neighbor::name) ==
               config_->neighbors.end();
    });
    for (auto& [id, session] : sessions_) session.touched = true;
}

/// A service under another name is no other one to upstreams: what is shown of its prefixes and
/// that they are drained goes on.
void Oracle::inherit(const conf::Config& after, std::map<std::string, Started>& started) {
    const auto has = [](const conf::Config& config, const std::string& name) {
        return std::ranges::find(config.services, name, &conf::Service::name) !=
               config.services.end();
    };
    for (const conf::Service& service : after.services) {
        if (has(*config_, service.name)) continue;
        std::set<failover::ServiceId> from;
        for (const bgp::BlockRef& block : service.prefixes) {
            block->for_each(block->all(), [&](const Prefix& prefix) {
                const auto id = service_of(prefix);
                if (id && !has(after, config_->services[*id].name)) from.insert(*id);
            });
        }
        for (const failover::ServiceId id : from) {
            const std::string& name = config_->services[id].name;
            heirs_.insert(service.name);
            started[service.name].may |= started_[name].may;
            if (const auto at = returning_.find(name); at != returning_.end()) {
                returning_[service.name] = std::max(returning_[service.name], at->second);
            }
            const auto drain = words_.find(name);
            if (drain == words_.end() || words_.contains(service.name)) continue;
            words_.emplace(service.name, drain->second);
            const auto stage = leaving_.find(name);
            if (stage == leaving_.end()) continue;
            leaving_[service.name] = {.until = stage->second.until,
                                      .degraded_until = stage->second.degraded_until};
        }
    }
}

void Oracle::disturbed() {
    disturbed_ = now();
    for (CheckBelief& belief : beliefs_) belief.disturbed(now());
}

void Oracle::probes_stalled(bool stalled) {
    stalled_since_ = stalled ? std::optional{now()} : std::nullopt;
    for (CheckBelief& belief : beliefs_) {
        belief.silent_since(stalled_since_);
        if (!stalled) belief.disturbed(now());
    }
}

void Oracle::told(failover::CheckId check, health::ProbeResult result, bool late) {
    beliefs_.at(check).told(now(), result, late);
}

void Oracle::event(failover::CheckId check, health::ProbeResult finding) {
    beliefs_.at(check).event(now(), finding);
}

std::optional<Oracle::Leaving> Oracle::begin_to_leave(const std::string& service) const {
    const auto at = std::ranges::find(config_->services, service, &conf::Service::name);
    const Duration notice = at->drain_degraded_for + at->graceful_shutdown_for;
    if (look_up(service, OverrideKind::drain) == In::force || notice == Duration::zero()) {
        return std::nullopt;
    }
    const auto id = static_cast<failover::ServiceId>(at - config_->services.begin());
    // Nothing leaves that an operator keeps from being shown.
    bool any_plain = false;
    for (const bgp::BlockRef& block : at->prefixes) {
        block->for_each(block->all(),
                        [&](const Prefix& prefix) { any_plain |= !words_.contains(prefix); });
    }
    Leaving out{.until = now() + notice, .by_verdict = any_plain && ruling(nullptr, id).must};
    if (at->drain_degraded_for > Duration::zero()) {
        out.degraded_until = now() + at->drain_degraded_for;
    }
    for (const auto& [subject, word] : words_) {
        const auto* prefix = std::get_if<Prefix>(&subject);
        if (prefix != nullptr && service_of(*prefix) == id &&
            look_up(*prefix, OverrideKind::announce) == In::force && ruling(prefix, id).must) {
            out.words.insert(*prefix);
        }
    }
    return out;
}

void Oracle::forget_leaving(const Prefix& prefix) {
    for (auto& [service, stage] : leaving_) stage.words.erase(prefix);
}

void Oracle::said(const Subject& subject, std::optional<Word> word) {
    if (const auto* service = std::get_if<std::string>(&subject); service != nullptr && word) {
        if (const auto stage = begin_to_leave(*service)) {
            leaving_.insert_or_assign(*service, *stage);
        }
    } else if (const auto* prefix = std::get_if<Prefix>(&subject)) {
        forget_leaving(*prefix);
        upstreams_.forget(*prefix);
        given_back_[*prefix] = now();
        // Once nothing of a service is shown, nothing of it leaves any more.
        const auto id =
            word && word->kind == OverrideKind::withdraw ? service_of(*prefix) : std::nullopt;
        const auto stage = id ? leaving_.find(config_->services[*id].name) : leaving_.end();
        if (stage != leaving_.end()) stage->second.by_verdict = false;
    }
    if (word) {
        words_.insert_or_assign(subject, *word);
    } else {
        words_.erase(subject);
    }
}

void Oracle::cleared(const Subject& subject) {
    words_.erase(subject);
    if (const auto* prefix = std::get_if<Prefix>(&subject)) {
        forget_leaving(*prefix);
        upstreams_.forget(*prefix);
        given_back_[*prefix] = now();
    }
    const auto* service = std::get_if<std::string>(&subject);
    if (service == nullptr) return;
    // What it was before comes back at once while it is on its way.
    if (leaving_.erase(*service) > 0) forget_upstreams(*service);
    std::erase_if(words_, [&](const auto& each) {
        const auto* prefix = std::get_if<Prefix>(&each.first);
        const auto of = prefix != nullptr ? service_of(*prefix) : std::nullopt;
        if (!of || config_->services[*of].name != *service) return false;
        upstreams_.forget(*prefix);
        given_back_[*prefix] = now();
        return true;
    });
}

void Oracle::disabled(const std::string& neighbor, bool disabled) {
    if (!disabled) {
        disabled_.erase(neighbor);
    } else if (std::ranges::find(config_->neighbors, neighbor, &conf::Neighbor::name) !=
               config_->neighbors.end()) {
        disabled_.insert(neighbor);
    }
}

Memory Oracle::memory(const Machine& machine, bool clean) const {
    Memory out{machine, clean, words_, disabled_, {}, config_, upstreams_};
    std::erase_if(out.words, [&](const auto& each) {
        return each.second.until && *each.second.until <= now();
    });
    for (std::size_t i = 0; i < beliefs_.size(); ++i) {
        const conf::Check& check = config_->checks[i];
        if (CheckBelief{beliefs_[i]}.now(now(), truths_.at(check.name)).has(CheckState::pass)) {
            out.passing.emplace(check.name, check.probe);
        }
    }
    return out;
}

std::optional<failover::ServiceId> Oracle::service_of(const Prefix& prefix) const {
    const auto found = services_.find(prefix);
    return found == services_.end() ? std::nullopt : std::optional{found->second};
}

Oracle::In Oracle::look_up(const Subject& subject, OverrideKind kind) const {
    const auto word = words_.find(subject);
    if (word == words_.end() || word->second.kind != kind) return In::no;
    const auto& until = word->second.until;
    if (!until || now() < *until) return In::force;
    return now() <= std::max(*until, disturbed_) + slack ? In::fading : In::no;
}

// DESIGN.md §1: withdraw > drain > announce > verdict.
Oracle::Ruling Oracle::ruling(const Prefix* prefix,
                              std::optional<failover::ServiceId> service) const {
    if (stopping_) return {false, false};
    In withdraw = In::no;
    In announce = In::no;
    if (prefix != nullptr) {
        withdraw = look_up(*prefix, OverrideKind::withdraw);
        announce = look_up(*prefix, OverrideKind::announce);
    }
    In drain = In::no;
    const bool has_word = prefix != nullptr && words_.contains(*prefix);
    bool may_leave = false;   // a young drain takes nothing away yet
    bool must_leave = false;  // and must not
    if (service) {
        const std::string& name = config_->services[*service].name;
        drain = look_up(name, OverrideKind::drain);
        if (const auto stage = leaving_.find(name); stage != leaving_.end()) {
            may_leave = now() <= std::max(stage->second.until, disturbed_) + slack;
            must_leave = drain == In::force && now() < stage->second.until &&
                         ((stage->second.by_verdict && !has_word) ||
                          (announce == In::force && stage->second.words.contains(*prefix)));
        }
    }
    bool may_be_up = false;
    bool must_be_up = false;
    if (service) {
        const Possible verdict = verdicts_[*service];
        may_be_up = verdict.has(CheckState::pass) && (!hold_until_ || now() >= *hold_until_);
        must_be_up = verdict.only(CheckState::pass) && !is_waiting(config_->services[*service]) &&
                     (!hold_until_ || now() > std::max(*hold_until_, disturbed_) + slack);
    }
    return {withdraw != In::force && (drain != In::force || may_leave) &&
                (announce != In::no || may_be_up),
            withdraw == In::no && (drain == In::no || must_leave) &&
                (announce == In::force || must_be_up)};
}

void Oracle::check(const daemon::Speaker& speaker, bool routes_changed,
                   const std::function<bool(NeighborId)>& blocked) {
    verdicts_ = verdicts();
    // Prefixes are many and rulings few, so they are compared when something has changed.
    std::vector<std::pair<Ruling, Degrees>> rulings;
    for (failover::ServiceId id = 0; id < config_->services.size(); ++id) {
        rulings.emplace_back(ruling(nullptr, id), allowed(nullptr, id));
    }
    for (const auto& [subject, word] : words_) {
        if (const auto* prefix = std::get_if<Prefix>(&subject)) {
            const auto service = service_of(*prefix);
            rulings.emplace_back(ruling(prefix, service),
                                 service ? allowed(prefix, *service) : Degrees{});
        }
    }
    const bool changed = std::exchange(rulings_, rulings) != rulings || routes_changed;
    for (const auto& [id, neighbor] : speaker.neighbors()) {
        if (changed) compare_desired(*neighbor);
        const auto session = sessions_.find(id);
        if (session == sessions_.end()) continue;
        // P3: what an operator disabled stays down.
        if (disabled_.contains(neighbor->name)) {
            violate("P3", "{}: {} is disabled and has a session", site_, neighbor->name);
        }
        weigh(*neighbor, session->second);
        if (changed) session->second.touched = true;
        if (!session->second.touched || blocked(id)) continue;
        session->second.touched = false;
        session->second.amnesty = false;
        compare_sent(*neighbor, session->second);
    }
}

void Oracle::compare_desired(const daemon::Neighbor& neighbor) const {
    std::set<Prefix> desired;
    neighbor.peer.rib_out().for_each(
        [&](const Prefix& prefix, const bgp::RouteRef& wanted, const bgp::RouteRef&) {
            if (wanted) desired.insert(prefix);
        });
    for (const Prefix& prefix : desired) {
        // S1: nothing outside `owned`, nothing that no service and no operator asks for.
        if (!owned(*config_, prefix)) {
            violate("S1", "{}: {} is announced and not owned", site_, prefix.to_string());
        }
        const auto service = service_of(prefix);
        if (service && !is_sent(*neighbor.config, *service, prefix.family())) {
            violate("S1", "{}: {} goes to {}, which does not carry its service", site_,
                    prefix.to_string(), neighbor.name);
        }
        if (ruling(&prefix, service).may) continue;
        const bool by_verdict = service && !verdicts_[*service].has(CheckState::pass);
        // S2: no route for a service that has been down, undecided or without evidence for longer
        // than DESIGN.md §4.6 grants; S1 where an operator or the daemon's end forbids it.
        violate(by_verdict ? "S2" : "S1", "{}: {} of {} is to be with {}, though {}", site_,
                prefix.to_string(), service ? config_->services[*service].name : "no service",
                neighbor.name,
                by_verdict ? "its checks cannot say up any more, or not yet"
                           : "it was withdrawn, drained, held back or never announced");
    }
    // S4, for one site: a service whose checks can only say up is announced.
    const auto require = [&](const Prefix& prefix, std::optional<failover::ServiceId> service) {
        if (desired.contains(prefix) || !ruling(&prefix, service).must) return;
        violate("S4", "{}: {} of {} is not to be with {}, though nothing speaks against it", site_,
                prefix.to_string(), service ? config_->services[*service].name : "no service",
                neighbor.name);
    };
    for (const auto& [prefix, service] : services_) {
        if (is_sent(*neighbor.config, service, prefix.family())) require(prefix, service);
    }
    for (const auto& [subject, word] : words_) {
        const auto* prefix = std::get_if<Prefix>(&subject);
        if (prefix != nullptr && !services_.contains(*prefix)) require(*prefix, std::nullopt);
    }
}

}  // namespace swerve::sim
