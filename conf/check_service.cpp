// The rules about checks and services that look at more than one key.

#include <algorithm>
#include <map>

#include "conf/draft.hpp"
#include "conf/subject.hpp"

namespace swerve::conf {

namespace {

using failover::CheckId;
using failover::Effect;
using failover::Scope;

/// One that depends on more others is nobody's intention, and every one of them costs its time.
constexpr std::size_t longest_chain = 16;

void check_timing(const Check& check, const Subject& subject) {
    const auto& timing = check.timing;
    const bool both = subject.sound("interval") && subject.sound("fast_interval");
    if (both && timing.fast_interval > timing.interval) {
        subject.fault({"fast_interval"}, quote(format_duration(timing.fast_interval)) +
                                             " is longer than interval (" +
                                             format_duration(timing.interval) + ")");
    }
    const bool window = subject.sound("window.failures") && subject.sound("window.of");
    if (window && timing.window_failures > timing.window_of) {
        subject.fault({"window"},
                      std::to_string(timing.window_failures) + " failures of " +
                          std::to_string(timing.window_of) + " results can never be reached",
                      "failures is 5 and of is 10 where they are not given");
    }
    const auto* type = health::find_probe_type(check.probe.type);
    if (type != nullptr && !type->has_events(check.probe.fields) && subject.has({"on_event"})) {
        subject.fault({"on_event"}, "a " + check.probe.type + " probe sees no events", "remove it");
    }
}

/// What strikes other sites, too, must not take the routes of all of them away.
void check_effect(const Check& check, const Subject& subject) {
    const bool sound = subject.sound("scope") && subject.sound("effect");
    if (!sound || check.scope != Scope::shared || check.effect != Effect::withdraw) return;
    subject.fault({"effect"},
                  "a shared check that withdraws needs a guard, which is not in this version",
                  "use gate, degrade or alarm");
}

/// Every circle is told once, of the first of its checks.
void check_only_if(const Draft& draft, Faults& faults) {
    const std::vector<Check>& checks = draft.config.checks;
    std::vector<CheckId> met_from(checks.size());  // by whose walk, counted from 1
    for (CheckId first = 0; first < checks.size(); ++first) {
        std::optional<CheckId> at = first;
        while (at && met_from[*at] == 0) {
            met_from[*at] = first + 1;
            at = checks[*at].only_if;
        }
        if (!at || met_from[*at] != first + 1) continue;
        std::string circle = checks[*at].name;
        std::optional<CheckId> next = checks[*at].only_if;
        while (next && *next != *at) {
            circle += " → " + checks[*next].name;
            next = checks[*next].only_if;
        }
        const Subject subject{draft.checks[*at], faults};
        subject.fault({"only_if"}, "depends on itself: " + circle + " → " + checks[*at].name,
                      "one of them must be asked whatever the others say");
    }
}

/// Not asked is unknown, and a service that loses its evidence is withdrawn: so what must not
/// withdraw must not keep what may from being asked. Circles are somebody else's affair.
void check_chain(const Draft& draft, CheckId id, Faults& faults) {
    const std::vector<Check>& checks = draft.config.checks;
    const Subject subject{draft.checks[id], faults};
    std::vector<CheckId> chain;
    for (auto at = checks[id].only_if; at && chain.size() <= longest_chain + 1;
         at = checks[*at].only_if) {
        chain.push_back(*at);
    }
    // Longer ones hold one of just this length, so that it is told once.
    if (chain.size() == longest_chain + 1) {
        subject.fault({"only_if"},
                      "depends on more than " + std::to_string(longest_chain) + " others in turn");
    }
    if (checks[id].effect != Effect::withdraw || !subject.sound("effect")) return;
    for (const CheckId other : chain) {
        if (!Subject(draft.checks[other], faults).sound("effect")) return;
        if (checks[other].effect == Effect::withdraw) continue;
        return subject.fault({"only_if"},
                             "check " + quote(checks[other].name) + " (effect " +
                                 std::string{to_string(checks[other].effect)} +
                                 ") would withdraw by it",
                             "use effect degrade or gate, or leave only_if out");
    }
}

void check_degraded_when(const Draft& draft, const Service& service, const Subject& subject) {
    if (!service.degraded_when) return;
    for (const CheckId id : health::checks_of(*service.degraded_when)) {
        const Check& check = draft.config.checks[id];
        if (check.effect != Effect::alarm) continue;
        subject.fault({"degraded_when"},
                      "check " + quote(check.name) + " never counts: its effect is alarm",
                      "give it effect: degrade");
    }
}

using Places = std::map<Prefix, Place>;

/// `seen`: the addresses of services before this one.
void check_addresses(const Draft& draft, const Service& service, const Origin& origin, Places& seen,
                     Faults& faults) {
    const Subject subject{origin, faults};
    if (!service.addresses) return;
    const std::vector<Prefix>& readable = service.addresses->add;
    if (subject.sound_throughout("addresses.add") && readable.empty()) {
        return subject.fault({"addresses", "add"}, "has no members");
    }
    const bool owned_known = Subject(draft.root, faults).sound_throughout("owned");
    const YamlNode* list = origin.node->find("addresses")->find("add");
    auto address = readable.begin();
    for (std::size_t i = 0; list != nullptr && i < list->items.size() && address != readable.end();
         ++i) {
        const std::string path = origin.path + ".addresses.add[" + std::to_string(i) + "]";
        // What could not be read has been told, and is not among the readable.
        if (!faults.sound(path)) continue;
        const Place place = list->items[i].place;
        const bool is_owned = std::ranges::any_of(
            draft.config.owned, [&](const Prefix& owned) { return owned.contains(*address); });
        if (owned_known && !is_owned) {
            faults.add(place, path, quote(address->to_string()) + " lies outside owned");
        }
        const auto [first, is_new] = seen.emplace(*address, place);
        if (!is_new) {
            faults.add(place, path, quote(address->to_string()) + " is given twice",
                       "the first one is at " + faults.where(first->second));
        }
        ++address;
    }
}

void check_taken(const Draft& draft, Faults& faults) {
    const Config& config = draft.config;
    const bool lists_known = Subject(draft.root, faults).sound("neighbors") &&
                             std::ranges::all_of(draft.neighbors, [&](const Origin& origin) {
                                 return Subject(origin, faults).sound("services");
                             });
    if (!lists_known || config.neighbors.empty()) return;
    for (std::size_t id = 0; id < config.services.size(); ++id) {
        const bool taken = std::ranges::any_of(config.neighbors, [&](const Neighbor& neighbor) {
            return !neighbor.services ||
                   std::ranges::find(*neighbor.services, id) != neighbor.services->end();
        });
        if (taken) continue;
        const Subject subject{draft.services[id], faults};
        subject.fault({}, "no neighbor is sent this service",
                      "name it in services of a neighbor, or remove it");
    }
}

}  // namespace

void check_checks(const Draft& draft, Faults& faults) {
    for (std::size_t i = 0; i < draft.checks.size(); ++i) {
        const Subject subject{draft.checks[i], faults};
        const Check& check = draft.config.checks[i];
        if (check.name == "always") {
            subject.fault({}, "'always' is a word of expressions", "choose another name");
        }
        check_timing(check, subject);
        check_effect(check, subject);
    }
    check_only_if(draft, faults);
    for (CheckId id = 0; id < draft.config.checks.size(); ++id) check_chain(draft, id, faults);
}

void check_services(const Draft& draft, Faults& faults) {
    const Config& config = draft.config;
    const Subject root{draft.root, faults};
    bool need_checks = false;
    Places addresses;
    for (std::size_t id = 0; id < config.services.size(); ++id) {
        const Service& service = config.services[id];
        const Subject subject{draft.services[id], faults};
        need_checks = need_checks || !is_always(service.healthy_when) ||
                      (subject.has({"degraded_when"}) && !service.degraded_when);
        check_degraded_when(draft, service, subject);
        check_addresses(draft, service, draft.services[id], addresses, faults);
    }
    if (need_checks && config.checks.empty() && root.sound("checks")) {
        root.fault({"services"}, "need checks, and there are none",
                   "add a section checks, or announce them with healthy_when: always");
    }
    check_taken(draft, faults);
}

}  // namespace swerve::conf
