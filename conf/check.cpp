// The rules that look at more than one key. Each keeps silent about values that are already known
// to be faulty, so that one mistake gives one line.

#include <algorithm>
#include <array>
#include <map>

#include "conf/draft.hpp"

namespace swerve::conf {

namespace {

/// One object of the file and what its rules need: whether values can be trusted, where to point.
class Subject {
public:
    Subject(const Origin& origin, Faults& faults) : origin_(origin), faults_(faults) {}

    [[nodiscard]] bool sound(std::string_view path) const {
        return faults_.sound(dotted(origin_.path, path));
    }
    [[nodiscard]] bool has(std::initializer_list<std::string_view> keys) const {
        return origin_.has(keys);
    }
    void fault(std::initializer_list<std::string_view> keys, std::string message,
               std::string hint = {}) const {
        std::string path = origin_.path;
        for (const std::string_view key : keys) path = dotted(path, key);
        faults_.add(origin_.at(keys), path, std::move(message), std::move(hint));
    }
    /// A list or map that must have members, and has none or is not there at all.
    void lacks(std::string_view key, std::string hint) const {
        if (origin_.has({key})) return fault({key}, "has no members", std::move(hint));
        fault({}, quote(key) + " is missing", std::move(hint));
    }

private:
    const Origin& origin_;
    Faults& faults_;
};

const health::Expression always{health::Expression::Op::all, 0, 0, {}};

const std::optional<Address>& next_hop(const Neighbor& neighbor, Family family) {
    return family == Family::ipv4 ? neighbor.next_hop_ipv4 : neighbor.next_hop_ipv6;
}

std::string next_hop_key(Family family) {
    return "export.next_hop." + std::string{to_string(family)};
}

/// The session's own address as far as it is known before there is a session: its family is that of
/// the neighbor's address, and the kernel answers a loopback address from a loopback address.
const Address& session_address(const Neighbor& neighbor) {
    return neighbor.local_address ? *neighbor.local_address : neighbor.address;
}

void check_session_addresses(const Subject& subject, const Neighbor& neighbor) {
    if (subject.sound("address")) {
        const Address& address = neighbor.address;
        if (address.is_unspecified() || address.is_multicast()) {
            subject.fault({"address"}, quote(address.to_string()) + " is no address of a neighbor");
        } else if (address.is_ipv6_link_local()) {
            subject.fault({"address"}, "link-local neighbors are not in this version");
        }
    }
    if (!neighbor.local_address || !subject.sound("local_address")) return;
    const Address& local = *neighbor.local_address;
    if (local.is_unspecified() || local.is_multicast()) {
        subject.fault({"local_address"}, quote(local.to_string()) + " is no address of a host",
                      "leave it out and the kernel chooses");
    }
    if (!subject.sound("address")) return;
    if (local == neighbor.address) {
        subject.fault({"local_address"}, "is the neighbor's own address");
    } else if (local.family() != neighbor.address.family()) {
        subject.fault({"local_address"}, quote(local.to_string()) + " is not of the family of " +
                                             neighbor.address.to_string());
    }
}

void check_next_hop(const Subject& subject, const Neighbor& neighbor, Family family) {
    const std::string key = next_hop_key(family);
    const std::string_view word = to_string(family);
    const std::initializer_list<std::string_view> keys{"export", "next_hop", word};
    if (!subject.sound(key) || !subject.sound("families")) return;
    const bool offered = neighbor.families.contains(family);
    if (subject.has(keys) && subject.has({"families"}) && !offered) {
        subject.fault(keys, "has no effect: families does not name " + std::string{word});
        return;
    }
    if (const auto& address = next_hop(neighbor, family)) {
        const std::string text = quote(address->to_string());
        if (address->family() != family) {
            subject.fault(keys, text + " is not an " + std::string{word} + " address");
        } else if (address->is_unspecified() || address->is_loopback() || address->is_multicast() ||
                   address->is_ipv6_link_local()) {
            subject.fault(keys, text + " is no address that traffic can be sent to");
        } else if (subject.sound("address") && *address == neighbor.address) {
            subject.fault(keys, "is the neighbor's own address",
                          "a router takes no route that leads to itself (RFC 4271 §5.1.3)");
        }
        return;
    }
    if (!subject.sound("address") || !subject.sound("local_address")) return;
    const Address& own = session_address(neighbor);
    if (own.family() != family) {
        if (!subject.has(keys)) return;
        subject.fault(keys, "self is the session's own address, which is not " + std::string{word},
                      "write the address");
    } else if (offered && own.is_loopback()) {
        subject.fault(keys, "self would be the loopback address of this session",
                      "set " + key + " to an address that traffic can be sent to");
    }
}

void check_session(const Subject& subject, const Neighbor& neighbor, const Config& config,
                   const Faults& faults) {
    const bool as_known = subject.sound("remote_as") && faults.sound("local_as");
    const bool internal = as_known && neighbor.remote_as == config.local_as;
    if (neighbor.multihop && internal) {
        subject.fault({"multihop"}, "has no meaning for iBGP, which may cross hops anyway",
                      "remove it");
    }
    if (neighbor.attributes.local_pref && as_known && !internal) {
        subject.fault({"export", "local_pref"}, "is never sent to an eBGP neighbor",
                      "remove it (RFC 4271 §5.1.5)");
    }
    if (subject.has({"families"}) && subject.sound("families") && neighbor.families.empty()) {
        subject.fault({"families"}, "has no members");
    }
    if (!neighbor.passive || !subject.sound("address") || !faults.sound_throughout("bgp")) return;
    const bool reachable = std::ranges::any_of(config.bgp_listen, [&](const Endpoint& endpoint) {
        return endpoint.address.family() == neighbor.address.family();
    });
    if (!reachable) {
        subject.fault({"passive"}, "nothing listens for this neighbor",
                      "set bgp.listen to an address of its family");
    }
}

/// One line per family says what the neighbor lacks; the prefix is an example.
bool carried_elsewhere(const Config& config, failover::ServiceId service, Family family) {
    return std::ranges::any_of(config.neighbors, [&](const Neighbor& neighbor) {
        return carries(neighbor, service, family);
    });
}

void check_carries(const Subject& subject, const Neighbor& neighbor, const Config& config,
                   Family family) {
    const std::string word{to_string(family)};
    if (!subject.sound("address") || !subject.sound("local_address") ||
        !subject.sound("families") || !subject.sound("services") ||
        !subject.sound(next_hop_key(family))) {
        return;
    }
    const bool offered = neighbor.families.contains(family);
    const bool has_next_hop =
        next_hop(neighbor, family) || session_address(neighbor).family() == family;
    if (offered && has_next_hop) return;
    // Who says `families` has said what this session is for: one session per family is common.
    const bool leaves_out = subject.has({"families"}) && !offered;
    for (std::size_t id = 0; id < config.services.size(); ++id) {
        const Service& service = config.services[id];
        if (neighbor.services &&
            std::ranges::find(*neighbor.services, id) == neighbor.services->end()) {
            continue;
        }
        const auto found = std::ranges::find(
            service.prefixes, family, [](const bgp::BlockRef& block) { return block->family(); });
        if (found == service.prefixes.end()) continue;
        if (leaves_out && carried_elsewhere(config, static_cast<failover::ServiceId>(id), family)) {
            continue;
        }
        const std::string lack =
            has_next_hop ? word + " is not in families" : "no next hop for " + word;
        std::string remedy = has_next_hop ? "" : "set " + next_hop_key(family);
        if (leaves_out) {
            remedy += (remedy.empty() ? "add " : " and add ") + word + " to families";
        }
        if (!subject.has({"families"}) &&
            carried_elsewhere(config, static_cast<failover::ServiceId>(id), family)) {
            remedy += ", say in families what this session is for";
        }
        subject.fault({},
                      "cannot carry " + (*found)->at(0).to_string() + " of service " +
                          quote(service.name) + ": " + lack,
                      remedy + ", or list in services what this neighbor is sent");
        return;
    }
}

void check_distinct_addresses(const Draft& draft, Faults& faults) {
    std::map<Address, std::size_t> seen;
    for (std::size_t i = 0; i < draft.neighbors.size(); ++i) {
        const Subject subject{draft.neighbors[i], faults};
        if (!subject.sound("address")) continue;
        const Address& address = draft.config.neighbors[i].address;
        const auto [first, is_new] = seen.emplace(address, i);
        if (is_new) continue;
        const Origin& other = draft.neighbors[first->second];
        subject.fault(
            {"address"}, quote(address.to_string()) + " is given twice",
            "the first one is " + other.path + " at " + faults.where(other.at({"address"})));
    }
}

void check_neighbors(const Draft& draft, Faults& faults) {
    for (std::size_t i = 0; i < draft.neighbors.size(); ++i) {
        const Subject subject{draft.neighbors[i], faults};
        const Neighbor& neighbor = draft.config.neighbors[i];
        check_session_addresses(subject, neighbor);
        check_session(subject, neighbor, draft.config, faults);
        for (const Family family : bgp::all_families) {
            check_next_hop(subject, neighbor, family);
            check_carries(subject, neighbor, draft.config, family);
        }
    }
    check_distinct_addresses(draft, faults);
}

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
        if (type != nullptr && !type->has_events && subject.has({"on_event"})) {
            subject.fault({"on_event"}, "a " + check.probe.type + " probe sees no events",
                          "remove it");
        }
    }
}

void check_services(const Draft& draft, Faults& faults) {
    const Config& config = draft.config;
    const Subject root{draft.root, faults};
    const bool need_checks = !std::ranges::all_of(
        config.services, [](const Service& service) { return service.healthy_when == always; });
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
    for (const std::string_view section : {"neighbors", "checks", "services"}) {
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
