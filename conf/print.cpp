#include "conf/print.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <concepts>
#include <cstdint>
#include <set>
#include <string_view>

#include "conf/values.hpp"
#include "swerve/conf/load.hpp"

namespace swerve::conf {

namespace {

/// A double-quoted YAML scalar: whatever the text holds, it reads back as it was.
std::string quoted(std::string_view value) {
    static constexpr std::string_view hex = "0123456789abcdef";
    std::string out = "\"";
    for (const char c : value) {
        const auto octet = static_cast<std::uint8_t>(c);
        if (c == '"' || c == '\\') {
            out += {'\\', c};
        } else if (octet < 0x20 || octet == 0x7f) {
            out += {'\\', 'x', hex[octet >> 4U], hex[octet & 0xfU]};
        } else {
            out += c;
        }
    }
    return out + "\"";
}

/// Whether any YAML reader takes these octets, unquoted, for this text.
bool is_plain(std::string_view value) {
    static constexpr std::array<std::string_view, 9> words{"true", "false", "yes", "no", "on",
                                                           "off",  "null",  "y",   "n"};
    const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
    const auto is_safe = [&](char c) {
        return is_letter(c) || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '/' ||
               c == '-';
    };
    if (value.empty() || !(is_letter(value.front()) || value.front() == '/')) return false;
    std::string lower{value};
    for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    return std::ranges::all_of(value, is_safe) && std::ranges::find(words, lower) == words.end();
}

// How a value of each type is written.
std::string yaml(std::string_view text) {
    return is_plain(text) ? std::string{text} : quoted(text);
}
std::string yaml(const std::string& text) { return yaml(std::string_view{text}); }
template <std::integral T>
std::string yaml(T value) {
    if constexpr (std::same_as<T, bool>) return value ? "true" : "false";
    return std::to_string(value);
}
std::string yaml(double value) {
    // Of what the loader takes: 15 digits before the point and as many behind it.
    std::array<char, 40> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value,
                                   std::chars_format::fixed);
    return {digits.data(), end.ptr};
}
std::string yaml(Duration duration) { return format_duration(duration); }
std::string yaml(bgp::Role role) { return std::string{to_string(role)}; }
std::string yaml(bgp::Origin origin) {
    static constexpr std::array<std::string_view, 3> words{"igp", "egp", "incomplete"};
    return std::string{words[static_cast<std::size_t>(origin)]};
}
std::string yaml(Family family) { return std::string{to_string(family)}; }
std::string yaml(const health::FieldMap& empty) { return empty.empty() ? "{}" : ""; }
/// Addresses, prefixes, communities and the like: a colon means something in YAML, too.
template <class T>
    requires requires(const T& value) { value.to_string(); }
std::string yaml(const T& value) {
    const std::string text = value.to_string();
    return text.find(':') == std::string::npos ? text : quoted(text);
}
std::string yaml_list(const auto& members, const auto& format) {
    std::string out;
    for (const auto& member : members) out += (out.empty() ? "" : ", ") + format(member);
    return "[" + out + "]";
}
template <class T>
std::string yaml(const std::vector<T>& members) {
    return yaml_list(members, [](const T& member) { return yaml(member); });
}
std::string yaml(const std::vector<bgp::BlockRef>& blocks) {
    std::string out;
    for (const bgp::BlockRef& block : blocks) {
        block->for_each(block->all(), [&](const Prefix& prefix) {
            out += (out.empty() ? "" : ", ") + yaml(prefix);
        });
    }
    return "[" + out + "]";
}

std::string yaml(const Config& config, const health::Expression& node) {
    const auto members = [&] {
        return yaml_list(node.of,
                         [&](const health::Expression& member) { return yaml(config, member); });
    };
    switch (node.op) {
        case health::Expression::Op::all:
            if (node.of.empty()) return "always";
            return "{all: " + members() + "}";
        case health::Expression::Op::any:
            return "{any: " + members() + "}";
        case health::Expression::Op::at_least:
            return "{at_least: {count: " + std::to_string(node.count) + ", of: " + members() + "}}";
        case health::Expression::Op::negation:
            return "{not: " + yaml(config, node.of.front()) + "}";
        case health::Expression::Op::check:
            break;
    }
    return yaml(config.checks[node.check].name);
}

std::string service_names(const Config& config, const std::vector<failover::ServiceId>& services) {
    return yaml_list(services,
                     [&](failover::ServiceId id) { return yaml(config.services[id].name); });
}

/// Collects keys in block style.
class Page {
public:
    /// A key with others below it.
    void open(unsigned level, std::string_view key) {
        out_.push_back({level, std::string{key}, {}});
    }
    template <class T>
    void line(unsigned level, std::string_view key, const T& value) {
        out_.push_back({level, std::string{key}, yaml(value)});
    }
    template <class T>
    void line(unsigned level, std::string_view key, const std::optional<T>& value) {
        if (value) line(level, key, *value);
    }
    void add(PrintedKey key) { out_.push_back(std::move(key)); }
    [[nodiscard]] std::vector<PrintedKey> take() { return std::move(out_); }

private:
    std::vector<PrintedKey> out_;
};

void print_attributes(Page& page, unsigned level, const ExportAttributes& attributes) {
    page.line(level, "prepend", attributes.prepend);
    page.line(level, "med", attributes.med);
    page.line(level, "local_pref", attributes.local_pref);
    page.line(level, "origin", attributes.origin);
    page.line(level, "communities", attributes.communities);
    page.line(level, "extended_communities", attributes.extended_communities);
    page.line(level, "large_communities", attributes.large_communities);
}

/// Who the neighbor is.
void print_identity(Page& page, unsigned level, const Neighbor& neighbor) {
    if (neighbor.range) {
        page.line(level, "range", *neighbor.range);
        page.line(level, "range_limit", neighbor.range_limit);
    } else {
        page.line(level, "address", neighbor.address);
        page.line(level, "port", neighbor.port);
    }
    if (!neighbor.interface.empty()) page.line(level, "interface", neighbor.interface);
    if (!neighbor.group.empty()) page.line(level, "group", neighbor.group);
    page.line(level, "remote_as", neighbor.remote_as);
    page.line(level, "description", neighbor.description);
}

void print_bfd(Page& page, unsigned level, const Bfd& bfd) {
    page.open(level, "bfd");
    page.line(level + 1, "interval", bfd.timing.min_tx);
    page.line(level + 1, "multiplier", bfd.timing.multiplier);
    page.line(level + 1, "multihop", bfd.multihop);
    page.line(level + 1, "strict", bfd.strict);
    if (!bfd.authentication) return;
    const bool is_password = bfd.authentication->type == bfd::AuthType::simple_password;
    page.open(level + 1, "auth");
    page.line(level + 2, "type",
              std::string_view{is_password ? "simple_password" : "meticulous_keyed_sha1"});
    page.line(level + 2, "key_id", bfd.authentication->key_id);
    page.add({level + 2, "key_file", yaml(bfd.key_file), nullptr, &bfd.authentication->secret});
}

/// How the session is made, kept and ended.
void print_session(Page& page, unsigned level, const Neighbor& neighbor) {
    page.line(level, "local_as", neighbor.local_as);
    page.line(level, "admin_down", neighbor.admin_down);
    page.line(level, "local_address", neighbor.local_address);
    page.line(level, "passive", neighbor.passive);
    page.line(level, "multihop", neighbor.multihop);
    page.line(level, "ttl_security", neighbor.ttl_security);
    if (!neighbor.password_file.empty()) {
        page.add(
            {level, "password_file", yaml(neighbor.password_file), nullptr, &neighbor.password});
    }
    page.line(level, "hold_time", neighbor.hold_time);
    if (!neighbor.range) page.line(level, "connect_retry", neighbor.connect_retry);
    page.line(level, "role", neighbor.role);
    page.line(level, "role_strict", neighbor.role_strict);
    page.open(level, "prefix_limit");
    page.line(level + 1, "kept", neighbor.prefix_limit.kept);
    page.line(level + 1, "received", neighbor.prefix_limit.received);
    page.line(level + 1, "idle", neighbor.prefix_limit.idle);
    page.line(level, "extended_message", neighbor.extended_message);
    page.line(level, "extended_next_hop", neighbor.extended_next_hop);
    if (neighbor.add_path_receive) page.line(level, "add_path", std::string_view{"receive"});
    if (neighbor.restart_time) {
        page.open(level, "graceful_restart");
        page.line(level + 1, "restart_time", *neighbor.restart_time);
        page.line(level + 1, "with_health_checks", neighbor.restart_with_checks);
    }
    if (neighbor.bfd) print_bfd(page, level, *neighbor.bfd);
    if (!neighbor.mrt_file.empty()) {
        page.open(level, "mrt");
        page.line(level + 1, "file", neighbor.mrt_file);
    }
}

void print_neighbor(Page& page, unsigned level, const Config& config, const Neighbor& neighbor) {
    print_identity(page, level, neighbor);
    print_session(page, level, neighbor);
    std::vector<Family> families;
    for (const Family family : bgp::all_families) {
        if (neighbor.families.contains(family)) families.push_back(family);
    }
    page.line(level, "families", families);
    if (neighbor.services) {
        page.add({level, "services", service_names(config, *neighbor.services)});
    }
    page.open(level, "export");
    print_attributes(page, level + 1, neighbor.attributes);
    if (neighbor.next_hop_ipv4 || neighbor.next_hop_ipv6) page.open(level + 1, "next_hop");
    page.line(level + 2, "ipv4", neighbor.next_hop_ipv4);
    page.line(level + 2, "ipv6", neighbor.next_hop_ipv6);
}

void print_field(Page& page, unsigned level, const std::string& name,
                 const health::FieldValue& field) {
    const auto* members = std::get_if<health::FieldMap>(&field.value);
    if (members != nullptr && !members->empty()) {
        page.open(level, name);
        for (const auto& [key, member] : *members) print_field(page, level + 1, key, member);
        return;
    }
    std::visit([&](const auto& value) { page.line(level, name, value); }, field.value);
}

void print_check(Page& page, const Config& config, const Check& check) {
    const auto* type = health::find_probe_type(check.probe.type);
    const auto& timing = check.timing;
    print_field(page, 2, check.probe.type, {check.probe.fields});
    page.line(2, "scope", to_string(check.scope));
    page.line(2, "effect", to_string(check.effect));
    if (check.only_if) page.line(2, "only_if", config.checks[*check.only_if].name);
    page.line(2, "interval", timing.interval);
    page.line(2, "fast_interval", timing.fast_interval);
    page.line(2, "timeout", timing.timeout);
    page.line(2, "rise", timing.rise);
    page.line(2, "fall", timing.fall);
    page.open(2, "window");
    page.line(3, "failures", timing.window_failures);
    page.line(3, "of", timing.window_of);
    if (type->has_events(check.probe.fields)) {
        page.line(
            2, "on_event",
            std::string_view{timing.on_event == health::OnEvent::trust ? "trust" : "confirm"});
    }
    page.line(2, "on_unknown",
              std::string_view{timing.on_unknown == health::OnUnknown::hold ? "hold" : "fail"});
    page.line(2, "unknown_hold", timing.hold_unknown);
}

void print_service(Page& page, const Config& config, const Service& service) {
    if (service.prefixes_file.empty()) {
        page.line(2, "prefixes", service.prefixes);
    } else {
        page.add({2, "prefixes_file", yaml(service.prefixes_file), &service});
    }
    page.add({2, "healthy_when", yaml(config, service.healthy_when)});
    if (service.degraded_when) {
        page.add({2, "degraded_when", yaml(config, *service.degraded_when)});
    }
    page.open(2, "announce");
    print_attributes(page, 3, service.announce);
    page.open(2, "degrade");
    print_attributes(page, 3, service.degrade);
    page.open(2, "drain");
    page.line(3, "degrade_for", service.drain_degraded_for);
    page.line(3, "graceful_shutdown_for", service.graceful_shutdown_for);
    page.open(2, "return");
    page.line(3, "degrade_for", service.return_degraded_for);
    page.open(2, "damping");
    page.line(3, "profile", to_string(service.damping.profile));
    page.line(3, "hold_down", service.damping.hold_down);
    page.line(3, "changes_per_hour", service.damping.changes_per_hour);
    page.line(2, "rto", service.rto);
    if (!service.addresses) return;
    page.open(2, "addresses");
    page.line(3, "interface", service.addresses->interface);
    page.line(3, "add", service.addresses->add);
    page.line(3, "grace", service.addresses->grace);
}

/// What hooks and webhooks say alike.
template <class Action>
void print_audience(Page& page, const Config& config, const Action& action) {
    page.add({2, "on", yaml_list(action.on, [](Occasion occasion) {
                  return std::string{to_string(occasion)};
              })});
    if (action.services) page.add({2, "services", service_names(config, *action.services)});
    page.line(2, "timeout", action.timeout);
}

void print_hook(Page& page, const Config& config, const Hook& hook) {
    page.line(2, "run", hook.argv);
    print_audience(page, config, hook);
}

void print_webhook(Page& page, const Config& config, const Webhook& webhook) {
    if (webhook.url_file.empty()) {
        page.line(2, "url", webhook.url);
    } else {
        page.add({2, "url_file", yaml(webhook.url_file), nullptr, &webhook.url});
    }
    print_audience(page, config, webhook);
    page.line(2, "attempts", webhook.attempts);
    if (webhook.bearer_file.empty()) return;
    page.add({2, "bearer_file", yaml(webhook.bearer_file), nullptr, &webhook.bearer});
}

void print_globals(Page& page, const Config& config) {
    page.line(0, "site", config.site);
    page.line(0, "local_as", config.local_as);
    page.line(0, "router_id", config.router_id);
    page.line(0, "owned", config.owned);
    page.line(0, "site_community", config.site_community);
    page.line(0, "state_dir", config.state_dir);
    page.open(0, "control");
    page.line(1, "socket", config.control_socket);
    if (config.http_listen) page.open(0, "http");
    page.line(1, "listen", config.http_listen);
    if (!config.bgp_listen.empty()) {
        page.open(0, "bgp");
        page.line(1, "listen", config.bgp_listen);
    }
    if (!config.collector) {
        page.open(0, "bfd");
        page.line(1, "realtime", config.bfd_realtime);
    } else {
        page.open(0, "collector");
        page.line(1, "accept", config.collector->accept);
    }
}

/// A section of objects with names.
template <class T>
void print_section(Page& page, std::string_view key, const std::vector<T>& objects,
                   const auto& print_one) {
    if (!objects.empty()) page.open(0, key);
    for (const T& object : objects) {
        page.open(1, object.name);
        print_one(object);
    }
}

/// The groups that neighbors name, so that the page can be loaded. What they said stands with each
/// neighbor, where it can be read as it holds.
std::string print_groups(const Config& config) {
    std::set<std::string_view> names;
    for (const Neighbor& neighbor : config.neighbors) {
        if (!neighbor.group.empty()) names.insert(neighbor.group);
    }
    std::string out = names.empty() ? "" : "groups:\n";
    for (const std::string_view name : names) out += "  " + yaml(name) + ": {}\n";
    return out;
}

}  // namespace

std::vector<PrintedKey> print_keys(const Config& config) {
    Page page;
    print_globals(page, config);
    print_section(page, "neighbors", config.neighbors,
                  [&](const Neighbor& each) { print_neighbor(page, 2, config, each); });
    print_section(page, "checks", config.checks,
                  [&](const Check& each) { print_check(page, config, each); });
    print_section(page, "services", config.services,
                  [&](const Service& each) { print_service(page, config, each); });
    print_section(page, "hooks", config.hooks,
                  [&](const Hook& each) { print_hook(page, config, each); });
    print_section(page, "webhooks", config.webhooks,
                  [&](const Webhook& each) { print_webhook(page, config, each); });
    return page.take();
}

std::vector<PrintedKey> print_keys(const Config& config, const Neighbor& neighbor) {
    Page page;
    print_neighbor(page, 0, config, neighbor);
    return page.take();
}

std::string print(const Config& config) {
    std::string out;
    for (const PrintedKey& each : print_keys(config)) {
        out += std::string(std::size_t{2} * each.level, ' ') + yaml(each.key) + ":";
        out += (each.value.empty() ? "" : " " + each.value) + "\n";
    }
    return out + print_groups(config);
}

}  // namespace swerve::conf
