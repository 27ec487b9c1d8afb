// The rules that look at more than one key. Each keeps silent about values that are already known
// to be faulty, so that one mistake gives one line.

#include <algorithm>
#include <map>

#include "conf/draft.hpp"
#include "conf/subject.hpp"

namespace swerve::conf {

namespace {

void check_collector(const Collector& collector, const Subject& root) {
    for (const std::string_view section :
         {"groups", "neighbors", "templates", "checks", "services", "site_community", "bfd",
          "damping", "hooks", "webhooks"}) {
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
