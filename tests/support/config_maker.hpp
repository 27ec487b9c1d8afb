#pragma once
// Valid configurations from a seed, and the edits that operators make to them. Values, without
// YAML: the simulation makes thousands of them.

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "swerve/base/random.hpp"
#include "swerve/conf/config.hpp"

namespace swerve::test {

struct ConfigShape {
    unsigned neighbors = 3;  ///< at least 1
    unsigned checks = 4;     ///< at least 1
    unsigned services = 3;   ///< at least 1
    unsigned prefixes = 6;   ///< of a service, at most; at least 1
};

/// The k-th prefix that may be announced: a /24 of 10.0.0.0/8, every fourth one a /48 of
/// 2001:db8::/32; k below 65536.
[[nodiscard]] inline Prefix sample_prefix(std::uint32_t k) {
    if (k % 4 != 3) return Prefix::masked(Address::v4(0x0a000000U + (k << 8U)), 24).value();
    const std::array<std::uint8_t, 16> octets{
        0x20, 0x01, 0x0d, 0xb8, static_cast<std::uint8_t>(k >> 8U), static_cast<std::uint8_t>(k)};
    return Prefix::masked(Address::from_octets(octets).value(), 48).value();
}

[[nodiscard]] inline std::vector<Prefix> prefixes_of(const conf::Service& service) {
    std::vector<Prefix> out;
    for (const bgp::BlockRef& block : service.prefixes) {
        block->for_each(block->all(), [&](const Prefix& prefix) { out.push_back(prefix); });
    }
    return out;
}

inline void set_prefixes(conf::Service& service, std::vector<Prefix> prefixes) {
    std::ranges::sort(prefixes);
    service.prefixes = conf::blocks_of(prefixes);
}

/// The first neighbor of a configuration carries everything, so that whatever the others leave out
/// is announced to somebody.
class ConfigMaker {
public:
    explicit ConfigMaker(std::uint64_t seed) : random_(seed) {}

    [[nodiscard]] conf::Config make(const ConfigShape& shape = {}) {
        conf::Config out{
            .file = "made.yaml",
            .site = "fra1",
            .local_as = Asn::from(64500).value(),
            .router_id = RouterId::parse("192.0.2.1").value(),
            .state_dir = "/var/lib/swerve",
            .control_socket = "/run/swerve/control.sock",
            .http_listen = {},
            .bgp_listen = {endpoint("192.0.2.1", 179)},
            .owned = {Prefix::parse("10.0.0.0/8").value(), Prefix::parse("2001:db8::/32").value()},
            .neighbors = {},
            .collector = {},
            .checks = {},
            .services = {}};
        for (unsigned i = 0; i < shape.neighbors; ++i) add_neighbor(out);
        for (unsigned i = 0; i < shape.checks; ++i) add_check(out);
        for (unsigned i = 0; i < shape.services; ++i) add_service(out, shape.prefixes);
        return out;
    }

    /// One edit; now and then it changes nothing after all.
    void edit(conf::Config& config) {
        using Edit = void (ConfigMaker::*)(conf::Config&);
        static constexpr std::array<Edit, 6> edits{
            &ConfigMaker::edit_neighbor,  &ConfigMaker::edit_check,    &ConfigMaker::edit_service,
            &ConfigMaker::edit_neighbors, &ConfigMaker::edit_sections, &ConfigMaker::edit_globals};
        (this->*edits[random_.below(edits.size())])(config);
    }

    void edit_neighbor(conf::Config& config) {
        const auto id = pick(config.neighbors);
        conf::Neighbor& neighbor = config.neighbors[id];
        switch (random_.below(14)) {
            case 11:
                edit_session(neighbor);
                break;
            case 12:
                edit_capabilities(neighbor);
                break;
            case 13:
                neighbor.prefix_limit = {1000 + number(3), some(std::size_t{5000}),
                                         std::chrono::minutes{1 + number(15)}};
                break;
            case 0:
                neighbor.hold_time = std::chrono::seconds{3 + random_.below(30)};
                break;
            case 1:
                neighbor.connect_retry = std::chrono::milliseconds{100 + random_.below(5000)};
                break;
            case 2:
                neighbor.description = "rack " + std::to_string(random_.below(9));
                break;
            case 3:
                neighbor.passive = !neighbor.passive;
                break;
            case 4:
                neighbor.port = static_cast<std::uint16_t>(179 + random_.below(3));
                break;
            case 5:
                neighbor.remote_as = Asn::from(65010 + number(5)).value();
                break;
            case 6:
                neighbor.attributes = attributes();
                break;
            case 7:
                set_family(neighbor, id == 0 || coin());
                break;
            case 8:
                neighbor.services = id == 0 ? std::nullopt : some_services(config);
                break;
            case 9:
                neighbor.local_address = some(Address::v4(0xc0000201U + number(2)));
                break;
            default:
                neighbor.multihop = some(2U + number(4));
                if (neighbor.multihop) neighbor.ttl_security.reset();
        }
    }

    /// What the connection is made of.
    void edit_session(conf::Neighbor& neighbor) {
        switch (random_.below(5)) {
            case 0:
                neighbor.local_as = some(Asn::from(64511 + number(2)).value());
                break;
            case 1:
                neighbor.admin_down = coin();
                break;
            case 2:
                neighbor.ttl_security = some(1U + number(254));
                if (neighbor.ttl_security) neighbor.multihop.reset();
                break;
            case 3:
                neighbor.group = coin() ? "transit" : "";
                break;
            default:
                neighbor.mrt_file = coin() ? "/var/log/swerve/a.mrt" : "";
        }
    }

    /// What the OPEN says.
    void edit_capabilities(conf::Neighbor& neighbor) {
        switch (random_.below(5)) {
            case 0:
                neighbor.role = some(bgp::Role{static_cast<std::uint8_t>(number(5))});
                neighbor.role_strict = neighbor.role && coin();
                break;
            case 1:
                neighbor.extended_message = coin();
                break;
            case 2:
                neighbor.extended_next_hop = coin();
                break;
            case 3:
                neighbor.add_path_receive = coin();
                break;
            default:
                neighbor.restart_time = some(Duration{std::chrono::seconds{1 + number(60)}});
                neighbor.restart_with_checks = neighbor.restart_time.has_value();
        }
    }

    void edit_check(conf::Config& config) {
        conf::Check& check = config.checks[pick(config.checks)];
        if (coin()) {
            check.timing = timing();
        } else {
            check.probe = probe();
        }
    }

    void edit_service(conf::Config& config) {
        conf::Service& service = config.services[pick(config.services)];
        auto prefixes = prefixes_of(service);
        switch (random_.below(6)) {
            case 5:
                service.graceful_shutdown_for = std::chrono::seconds{number(20)};
                return;
            case 0:
                service.healthy_when = expression(config, 2);
                return;
            case 1:
                service.announce = attributes();
                return;
            case 2:
                prefixes.push_back(fresh_prefix(config));
                break;
            case 3:
                if (prefixes.size() > 1) erase(prefixes, pick(prefixes));
                break;
            default:
                if (prefixes.size() > 1) move_prefix(config, service, prefixes);
        }
        set_prefixes(service, std::move(prefixes));
    }

    /// Neighbors come, go, and get other names or places.
    void edit_neighbors(conf::Config& config) {
        const auto id = pick(config.neighbors);
        switch (random_.below(4)) {
            case 0:
                add_neighbor(config);
                break;
            case 1:
                if (config.neighbors.size() > 1) erase(config.neighbors, id);
                break;
            case 2:
                config.neighbors[id].name = fresh_name("neighbor", config.neighbors);
                break;
            default:
                std::swap(config.neighbors[id], config.neighbors[pick(config.neighbors)]);
        }
        set_family(config.neighbors.front(), true);
        config.neighbors.front().services.reset();
    }

    /// Checks and services come, go, and get other names or places.
    void edit_sections(conf::Config& config) {
        const auto check = pick(config.checks);
        const auto service = pick(config.services);
        switch (random_.below(8)) {
            case 0:
                add_check(config);
                break;
            case 1:
                if (config.checks.size() > 1) remove_check(config, check);
                break;
            case 2:
                config.checks[check].name = fresh_name("check", config.checks);
                break;
            case 3:
                add_service(config, 3);
                break;
            case 4:
                if (config.services.size() > 1) remove_service(config, service);
                break;
            case 5:
                config.services[service].name = fresh_name("service", config.services);
                break;
            case 6:
                // The prefixes of one service as they are under another name.
                config.services[service].name = fresh_name("service", config.services);
                set_prefixes(config.services[service], prefixes_of(config.services[service]));
                break;
            default:
                swap_services(config, service, pick(config.services));
        }
    }

    void edit_globals(conf::Config& config) {
        switch (random_.below(6)) {
            case 5:
                config.site_community = some(LargeCommunity{64500, 1, number(3)});
                break;
            case 0:
                config.local_as = Asn::from(64500 + number(2)).value();
                break;
            case 1:
                config.router_id = RouterId::parse(coin() ? "192.0.2.1" : "192.0.2.2").value();
                break;
            case 2:
                config.http_listen = some(endpoint("127.0.0.1", 9179));
                break;
            case 3:
                config.bgp_listen = {endpoint(coin() ? "192.0.2.1" : "192.0.2.2", 179)};
                break;
            default:
                config.owned.push_back(Prefix::masked(Address::v4(0xc6336400U), 24).value());
                if (std::ranges::count(config.owned, config.owned.back()) > 1) {
                    config.owned.pop_back();
                }
        }
    }

    static void remove_service(conf::Config& config, std::size_t id) {
        erase(config.services, id);
        for (conf::Neighbor& neighbor : config.neighbors) {
            if (!neighbor.services) continue;
            std::erase(*neighbor.services, static_cast<failover::ServiceId>(id));
            for (auto& each : *neighbor.services) each -= each > id ? 1 : 0;
            if (neighbor.services->empty()) neighbor.services.reset();
        }
    }

    static void swap_services(conf::Config& config, std::size_t a, std::size_t b) {
        std::swap(config.services[a], config.services[b]);
        for (conf::Neighbor& neighbor : config.neighbors) {
            if (!neighbor.services) continue;
            for (auto& each : *neighbor.services) {
                each = static_cast<failover::ServiceId>(each == a ? b : each == b ? a : each);
            }
        }
    }

    /// Services that asked for it ask for another one.
    static void remove_check(conf::Config& config, std::size_t id) {
        erase(config.checks, id);
        for (conf::Service& service : config.services) renumber(service.healthy_when, id);
    }

private:
    [[nodiscard]] bool coin() { return random_.below(2) == 0; }
    [[nodiscard]] std::uint32_t number(std::uint32_t bound) {
        return static_cast<std::uint32_t>(random_.below(bound));
    }
    template <class T>
    [[nodiscard]] std::size_t pick(const std::vector<T>& members) {
        return random_.below(members.size());
    }
    template <class T>
    [[nodiscard]] std::optional<T> some(T value) {
        return coin() ? std::optional<T>{std::move(value)} : std::nullopt;
    }
    template <class T>
    static void erase(std::vector<T>& members, std::size_t at) {
        members.erase(members.begin() + static_cast<std::ptrdiff_t>(at));
    }
    template <class T>
    [[nodiscard]] std::string fresh_name(const std::string& kind, const std::vector<T>& objects) {
        for (;;) {
            std::string name = kind + "-" + std::to_string(random_.below(4 * objects.size() + 8));
            if (std::ranges::find(objects, name, &T::name) == objects.end()) return name;
        }
    }

    [[nodiscard]] static Endpoint endpoint(std::string_view address, std::uint32_t port) {
        return {Address::parse(address).value(), static_cast<std::uint16_t>(port)};
    }

    [[nodiscard]] conf::ExportAttributes attributes() {
        conf::ExportAttributes out;
        out.prepend = some(number(4));
        out.med = some(number(100));
        out.origin = some(bgp::Origin::incomplete);
        for (std::uint32_t i = 0; i < 3; ++i) {
            if (coin()) out.communities.push_back({(64500U << 16U) + i});
            if (coin()) out.large_communities.push_back({64500, 1, i});
            if (coin()) out.extended_communities.push_back({0x0002fbf400000000U + i});
        }
        return out;
    }

    [[nodiscard]] health::ProbeSpec probe() {
        health::FieldMap fields;
        fields["endpoint"] = {endpoint("127.0.0.1", 8000 + number(50))};
        fields["hold"] = {false};
        return {"tcp", std::move(fields)};
    }

    [[nodiscard]] health::TrackerPolicy timing() {
        health::TrackerPolicy out;
        out.interval = std::chrono::milliseconds{200 + random_.below(1800)};
        out.fast_interval = std::chrono::milliseconds{50 + random_.below(150)};
        out.timeout = std::chrono::milliseconds{100 + random_.below(900)};
        out.rise = 1 + number(5);
        out.fall = 1 + number(4);
        out.window_failures = 3 + number(3);
        out.window_of = 6 + number(5);
        return out;
    }

    [[nodiscard]] health::Expression expression(const conf::Config& config, unsigned depth) {
        using Op = health::Expression::Op;
        if (depth == 0 || coin()) {
            return {Op::check, static_cast<std::uint32_t>(pick(config.checks)), 0, {}};
        }
        static constexpr std::array<Op, 4> ops{Op::all, Op::any, Op::at_least, Op::negation};
        health::Expression out{ops[random_.below(ops.size())], 0, 0, {}};
        const std::uint32_t members = out.op == Op::negation ? 1 : 2 + number(2);
        for (std::uint32_t i = 0; i < members; ++i) out.of.push_back(expression(config, depth - 1));
        if (out.op == Op::at_least) out.count = 1 + number(members);
        return out;
    }

    static void renumber(health::Expression& node, std::size_t removed) {
        if (node.check > 0 && node.check >= removed) --node.check;
        for (health::Expression& member : node.of) renumber(member, removed);
    }

    static void set_family(conf::Neighbor& neighbor, bool ipv6_too) {
        neighbor.families = {Family::ipv4};
        neighbor.next_hop_ipv6.reset();
        if (!ipv6_too) return;
        neighbor.families.insert(Family::ipv6);
        neighbor.next_hop_ipv6 = Address::parse("2001:db8:ffff::1");
    }

    [[nodiscard]] std::optional<std::vector<failover::ServiceId>> some_services(
        const conf::Config& config) {
        std::vector<failover::ServiceId> out;
        for (failover::ServiceId id = 0; id < config.services.size(); ++id) {
            if (coin()) out.push_back(id);
        }
        if (out.empty()) return std::nullopt;
        return out;
    }

    [[nodiscard]] Prefix fresh_prefix(const conf::Config& config) {
        for (;;) {
            const Prefix prefix = sample_prefix(number(65536));
            const bool taken = std::ranges::any_of(config.services, [&](const auto& service) {
                return std::ranges::any_of(service.prefixes, [&](const bgp::BlockRef& block) {
                    return block->find(prefix).has_value();
                });
            });
            if (!taken) return prefix;
        }
    }

    void move_prefix(conf::Config& config, const conf::Service& from,
                     std::vector<Prefix>& prefixes) {
        conf::Service& to = config.services[pick(config.services)];
        if (&to == &from) return;
        auto more = prefixes_of(to);
        const auto at = pick(prefixes);
        more.push_back(prefixes[at]);
        erase(prefixes, at);
        set_prefixes(to, std::move(more));
    }

    void add_neighbor(conf::Config& config) {
        const auto taken = [&](const Address& address) {
            return std::ranges::find(config.neighbors, address, &conf::Neighbor::address) !=
                   config.neighbors.end();
        };
        std::uint32_t host = 0xc0000210U;  // 192.0.2.16
        while (taken(Address::v4(host))) ++host;
        conf::Neighbor out{.name = fresh_name("neighbor", config.neighbors),
                           .description = "",
                           .address = Address::v4(host),
                           .port = 179,
                           .remote_as = Asn::from(65010).value(),
                           .local_address = {},
                           .passive = false,
                           .multihop = {},
                           .hold_time = std::chrono::seconds{9},
                           .connect_retry = std::chrono::seconds{5},
                           .families = {},
                           .services = {},
                           .attributes = attributes(),
                           .next_hop_ipv4 = {},
                           .next_hop_ipv6 = {}};
        set_family(out, config.neighbors.empty() || coin());
        config.neighbors.push_back(std::move(out));
    }

    void add_check(conf::Config& config) {
        config.checks.push_back({fresh_name("check", config.checks), probe(), timing()});
    }

    void add_service(conf::Config& config, unsigned most_prefixes) {
        config.services.push_back({.name = fresh_name("service", config.services),
                                   .prefixes = {},
                                   .prefixes_file = {},
                                   .healthy_when = expression(config, 2),
                                   .announce = attributes()});
        std::vector<Prefix> prefixes;
        for (unsigned count = 1 + number(most_prefixes); count > 0; --count) {
            prefixes.push_back(fresh_prefix(config));
            set_prefixes(config.services.back(), prefixes);
        }
    }

    Random random_;
};

}  // namespace swerve::test
