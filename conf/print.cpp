#include <algorithm>
#include <cstdint>

#include "conf/values.hpp"
#include "swerve/base/overloaded.hpp"
#include "swerve/conf/load.hpp"

namespace swerve::conf {

namespace {

/// A double-quoted YAML scalar: whatever the text holds, it reads back as it was.
std::string text(std::string_view value) {
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

template <class T, class F>
std::string list(const std::vector<T>& members, F&& format) {
    std::string out;
    for (const T& member : members) out += (out.empty() ? "" : ", ") + format(member);
    return "[" + out + "]";
}

std::string field(const health::FieldValue& value) {
    return std::visit(
        Overloaded{
            [](const std::string& word) { return text(word); },
            [](bool flag) { return std::string{flag ? "true" : "false"}; },
            [](std::int64_t number) { return std::to_string(number); },
            [](const std::vector<std::int64_t>& numbers) {
                return list(numbers, [](std::int64_t number) { return std::to_string(number); });
            },
            [](Duration duration) { return format_duration(duration); },
            [](const Endpoint& endpoint) { return text(endpoint.to_string()); },
            [](const health::FieldMap& members) {
                std::string out;
                for (const auto& [name, member] : members) {
                    out += (out.empty() ? "" : ", ") + name + ": " + field(member);
                }
                return "{" + out + "}";
            },
        },
        value.value);
}

std::string expression(const Config& config, const health::Expression& node) {
    const auto members = [&] {
        return list(node.of,
                    [&](const health::Expression& member) { return expression(config, member); });
    };
    switch (node.op) {
        case health::Expression::Op::all:
            return "{all: " + members() + "}";
        case health::Expression::Op::any:
            return "{any: " + members() + "}";
        case health::Expression::Op::at_least:
            return "{at_least: {count: " + std::to_string(node.count) + ", of: " + members() + "}}";
        case health::Expression::Op::negation:
            return "{not: " + expression(config, node.of.front()) + "}";
        case health::Expression::Op::check:
            break;
    }
    return text(config.checks[node.check].name);
}

/// Collects lines of block style; nesting is two spaces a level.
class Page {
public:
    void line(unsigned level, std::string_view key, const std::string& value = {}) {
        out_ += std::string(std::size_t{2} * level, ' ') + std::string{key} + ":";
        out_ += (value.empty() ? "" : " " + value) + "\n";
    }
    [[nodiscard]] std::string take() { return std::move(out_); }

private:
    std::string out_;
};

template <class T>
std::string texts(const std::vector<T>& members) {
    return list(members, [](const T& member) { return text(member.to_string()); });
}

void print_attributes(Page& page, const ExportAttributes& attributes) {
    if (attributes.prepend) page.line(3, "prepend", std::to_string(*attributes.prepend));
    if (attributes.med) page.line(3, "med", std::to_string(*attributes.med));
    if (attributes.local_pref) page.line(3, "local_pref", std::to_string(*attributes.local_pref));
    page.line(3, "communities", texts(attributes.communities));
    page.line(3, "large_communities", texts(attributes.large_communities));
}

void print_next_hop(Page& page, const Neighbor& neighbor) {
    std::string out;
    const auto add = [&](Family family, const std::optional<Address>& address) {
        if (!address) return;
        out += (out.empty() ? "" : ", ") + std::string{to_string(family)} + ": " +
               text(address->to_string());
    };
    add(Family::ipv4, neighbor.next_hop_ipv4);
    add(Family::ipv6, neighbor.next_hop_ipv6);
    page.line(3, "next_hop", "{" + out + "}");
}

void print_neighbor(Page& page, const Config& config, const Neighbor& neighbor) {
    page.line(1, text(neighbor.name));
    page.line(2, "address", text(neighbor.address.to_string()));
    page.line(2, "port", std::to_string(neighbor.port));
    page.line(2, "remote_as", neighbor.remote_as.to_string());
    if (neighbor.local_address) {
        page.line(2, "local_address", text(neighbor.local_address->to_string()));
    }
    page.line(2, "passive", neighbor.passive ? "true" : "false");
    if (neighbor.multihop) page.line(2, "multihop", std::to_string(*neighbor.multihop));
    page.line(2, "hold_time", format_duration(neighbor.hold_time));
    page.line(2, "connect_retry", format_duration(neighbor.connect_retry));
    page.line(2, "description", text(neighbor.description));
    std::vector<Family> families;
    for (const Family family : bgp::all_families) {
        if (neighbor.families.contains(family)) families.push_back(family);
    }
    page.line(2, "families",
              list(families, [](Family family) { return std::string{to_string(family)}; }));
    if (neighbor.services) {
        page.line(2, "services", list(*neighbor.services, [&](failover::ServiceId id) {
                      return text(config.services[id].name);
                  }));
    }
    page.line(2, "export");
    print_attributes(page, neighbor.attributes);
    print_next_hop(page, neighbor);
}

void print_check(Page& page, const Check& check) {
    const auto* type = health::find_probe_type(check.probe.type);
    const auto& timing = check.timing;
    page.line(1, text(check.name));
    page.line(2, check.probe.type, field({check.probe.fields}));
    page.line(2, "interval", format_duration(timing.interval));
    page.line(2, "fast_interval", format_duration(timing.fast_interval));
    page.line(2, "timeout", format_duration(timing.timeout));
    page.line(2, "rise", std::to_string(timing.rise));
    page.line(2, "fall", std::to_string(timing.fall));
    page.line(2, "window",
              "{failures: " + std::to_string(timing.window_failures) +
                  ", of: " + std::to_string(timing.window_of) + "}");
    if (type->has_events) {
        page.line(2, "on_event", timing.on_event == health::OnEvent::trust ? "trust" : "confirm");
    }
}

void print_service(Page& page, const Config& config, const Service& service) {
    page.line(1, text(service.name));
    if (service.prefixes_file.empty()) {
        page.line(2, "prefixes", texts(service.prefixes));
    } else {
        page.line(2, "prefixes_file", text(service.prefixes_file));
    }
    page.line(2, "healthy_when", expression(config, service.healthy_when));
    page.line(2, "announce");
    print_attributes(page, service.announce);
}

void print_globals(Page& page, const Config& config) {
    page.line(0, "site", text(config.site));
    page.line(0, "local_as", config.local_as.to_string());
    page.line(0, "router_id", config.router_id.to_string());
    page.line(0, "owned", texts(config.owned));
    page.line(0, "state_dir", text(config.state_dir));
    page.line(0, "control", "{socket: " + text(config.control_socket) + "}");
    if (config.http_listen) {
        page.line(0, "http", "{listen: " + text(config.http_listen->to_string()) + "}");
    }
    if (!config.bgp_listen.empty()) {
        page.line(0, "bgp", "{listen: " + texts(config.bgp_listen) + "}");
    }
    if (config.collector) {
        page.line(0, "collector", "{accept: " + texts(config.collector->accept) + "}");
    }
}

}  // namespace

std::string print(const Config& config) {
    Page page;
    print_globals(page, config);
    if (!config.neighbors.empty()) page.line(0, "neighbors");
    for (const Neighbor& neighbor : config.neighbors) print_neighbor(page, config, neighbor);
    if (!config.checks.empty()) page.line(0, "checks");
    for (const Check& check : config.checks) print_check(page, check);
    if (!config.services.empty()) page.line(0, "services");
    for (const Service& service : config.services) print_service(page, config, service);
    return page.take();
}

}  // namespace swerve::conf
