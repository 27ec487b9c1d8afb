// The rules that look at more than one key. Each keeps silent about values that are already known
// to be faulty, so that one mistake gives one line.

#include <algorithm>
#include <map>

#include "conf/draft.hpp"
#include "conf/subject.hpp"

namespace swerve::conf {

namespace {

void check_checks(const Draft& draft, Faults& faults) {
    for (std::size_t i = 0; i < draft.checks.size(); ++i) {
        const Subject subject{draft.checks[i], faults};
        const Check& check = draft.config.checks[i];
        const auto& timing = check.timing;
        if (check.name == "always") {
            subject.fault({}, "'always' is a word of expressions", "choose another name");
        }
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
            subject.fault({"on_event"}, "a " + check.probe.type + " probe sees no events",
                          "remove it");
        }
    }
}

void check_services(const Draft& draft, Faults& faults) {
    const Config& config = draft.config;
    const Subject root{draft.root, faults};
    const bool need_checks = !std::ranges::all_of(
        config.services, [](const Service& service) { return is_always(service.healthy_when); });
    if (need_checks && config.checks.empty() && root.sound("checks")) {
        root.fault({"services"}, "need checks, and there are none",
                   "add a section checks, or announce them with healthy_when: always");
    }
    const bool lists_known =
        root.sound("neighbors") && std::ranges::all_of(draft.neighbors, [&](const Origin& origin) {
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

void check_collector(const Collector& collector, const Subject& root) {
    for (const std::string_view section :
         {"groups", "neighbors", "checks", "services", "site_community"}) {
        if (!root.has({section})) continue;
        root.fault({section}, "cannot stand beside collector",
                   "a collector announces nothing and takes every neighbor");
    }
    if (collector.accept.empty() && root.sound("collector.accept")) {
        root.fault({"collector", "accept"}, "has no members");
    }
    if (!root.has({"bgp"}) && root.sound("bgp")) {
        root.fault({"collector"}, "a collector needs bgp.listen", "it only accepts connections");
    }
}

void check_owned(const Draft& draft, const Subject& root, Faults& faults) {
    if (!root.sound("owned")) return;
    if (draft.config.owned.empty() && !root.has({"collector"})) {
        root.lacks("owned", "nothing outside owned can be announced");
        return;
    }
    const YamlNode* list = draft.root.node->find("owned");
    std::map<Prefix, std::size_t> seen;
    for (std::size_t i = 0; i < draft.config.owned.size(); ++i) {
        const auto [first, is_new] = seen.emplace(draft.config.owned[i], i);
        if (is_new) continue;
        faults.add(list->items[i].place, "owned[" + std::to_string(i) + "]",
                   quote(draft.config.owned[i].to_string()) + " is given twice",
                   "the first one is at " + faults.where(list->items[first->second].place));
    }
}

void check_listeners(const Draft& draft, const Subject& root, Faults& faults) {
    const Config& config = draft.config;
    if (!root.sound("bgp.listen")) return;
    if (root.has({"bgp", "listen"}) && config.bgp_listen.empty()) {
        root.fault({"bgp", "listen"}, "has no members");
    }
    for (std::size_t i = 0; i < config.bgp_listen.size(); ++i) {
        const auto before = config.bgp_listen.begin() + static_cast<std::ptrdiff_t>(i);
        if (std::find(config.bgp_listen.begin(), before, config.bgp_listen[i]) == before) continue;
        const YamlNode& item = draft.root.node->find("bgp")->find("listen")->items[i];
        faults.add(item.place, "bgp.listen[" + std::to_string(i) + "]",
                   quote(item.text) + " is given twice");
    }
    const bool taken =
        config.http_listen && root.sound("http.listen") &&
        std::ranges::find(config.bgp_listen, *config.http_listen) != config.bgp_listen.end();
    if (taken) root.fault({"http", "listen"}, "is an endpoint of bgp.listen already");
}

}  // namespace

void check_rules(const Draft& draft, Faults& faults) {
    const Subject root{draft.root, faults};
    check_owned(draft, root, faults);
    check_listeners(draft, root, faults);
    if (draft.config.collector) return check_collector(*draft.config.collector, root);
    const bool known = root.sound("neighbors") && root.sound("collector");
    if (known && draft.config.neighbors.empty()) {
        root.lacks("neighbors", "name at least one neighbor, or set collector");
    }
    check_neighbors(draft, faults);
    check_checks(draft, faults);
    check_services(draft, faults);
}

}  // namespace swerve::conf
