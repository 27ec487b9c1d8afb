#include "tests/sim/draft.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>

#include "tests/sim/draw.hpp"

namespace swerve::sim {
namespace {

using health::Expression;

constexpr unsigned most_checks = 6;
constexpr unsigned most_services = 4;
constexpr unsigned prefixes_of_service = 6;

Prefix prefix(const std::string& text) { return *Prefix::parse(text); }

/// The k-th of those a service may have at first, of either family.
Prefix nth_prefix(unsigned service, unsigned k) {
    return k % 3 == 2 ? prefix(fmt::format("2001:db8:{:x}:{:x}::/64", service + 1, k))
                      : prefix(fmt::format("10.{}.{}.0/24", service, k));
}

health::TrackerPolicy some_timing(Random& random) {
    health::TrackerPolicy out;
    out.interval = milliseconds{between(random, 2, 20) * 100};
    out.fast_interval = std::min<Duration>(out.interval, milliseconds{between(random, 1, 4) * 100});
    out.timeout = milliseconds{between(random, 1, 12) * 100};
    out.rise = between(random, 1, 5);
    out.fall = between(random, 1, 4);
    out.window_of = between(random, 4, 10);
    out.window_failures = between(random, 2, out.window_of);
    out.on_event = chance(random, 50) ? health::OnEvent::trust : health::OnEvent::confirm;
    out.on_unknown = chance(random, 30) ? health::OnUnknown::hold : health::OnUnknown::fail;
    if (chance(random, 60)) out.hold_unknown = seconds{between(random, 2, 20)};
    return out;
}

conf::ExportAttributes some_attributes(Random& random) {
    conf::ExportAttributes out;
    if (chance(random, 30)) out.prepend = between(random, 0, 3);
    if (chance(random, 30)) out.med = between(random, 0, 2);
    for (unsigned i = between(random, 0, 2); i > 0; --i) {
        out.communities.push_back(
            *Community::parse(fmt::format("64500:{}", between(random, 1, 4))));
    }
    if (chance(random, 20)) {
        out.large_communities.push_back(
            *LargeCommunity::parse(fmt::format("64500:1:{}", between(random, 1, 3))));
    }
    return out;
}

failover::DampingPolicy some_damping(Random& random) {
    using enum failover::DampingProfile;
    constexpr std::array profiles{none, none, cisco, cisco, junos, rfc7196};
    failover::DampingPolicy out;
    out.profile = pick(random, profiles);
    if (chance(random, 15)) out.hold_down = seconds{between(random, 1, 30)};
    if (chance(random, 15)) out.changes_per_hour = between(random, 2, 6);
    return out;
}

/// drain.graceful_shutdown_for
Duration some_notice(Random& random) {
    if (chance(random, 40)) return Duration::zero();
    return seconds{between(random, 1, 15)};
}

/// A number that is not in use.
template <class Map>
std::optional<unsigned> free_number(const Map& map, unsigned most, Random& random) {
    const unsigned first = between(random, 0, most - 1);
    for (unsigned i = 0; i < most; ++i) {
        const unsigned number = (first + i) % most;
        if (!map.contains(number)) return number;
    }
    return std::nullopt;
}

bool mentions(const Expression& rule, unsigned check) {
    if (rule.op == Expression::Op::check) return rule.check == check;
    return std::ranges::any_of(rule.of,
                               [&](const Expression& member) { return mentions(member, check); });
}

Expression renumbered(const Expression& rule, const std::map<unsigned, std::uint32_t>& index) {
    Expression out = rule;
    if (out.op == Expression::Op::check) out.check = index.at(rule.check);
    for (Expression& member : out.of) member = renumbered(member, index);
    return out;
}

template <class Map>
std::vector<unsigned> order(const Map& map, bool reversed) {
    std::vector<unsigned> out;
    for (const auto& [number, value] : map) out.push_back(number);
    if (reversed) std::ranges::reverse(out);
    return out;
}

}  // namespace

Draft::Draft(const SitePlan& plan, Random& random) {
    for (unsigned i = between(random, 1, 4); i > 0; --i) add_check(i - 1, random);
    for (unsigned i = between(random, 1, 3); i > 0; --i) add_service(i - 1, random);
    for (unsigned i = 0; i < plan.uplinks.size(); ++i) add_neighbor(i, plan, random);
    // Many prefixes fill the windows of slow neighbors.
    if (chance(random, 8)) {
        for (unsigned i = 0; i < 400; ++i) {
            services_.begin()->second.prefixes.insert(
                prefix(fmt::format("10.{}.{}.0/24", 100 + i / 200, i % 200)));
        }
    }
}

void Draft::add_check(unsigned number, Random& random) {
    conf::Check& check = checks_[number];
    check.name = fmt::format("check-{}", number);
    check.probe.type = chance(random, 50) ? "process" : "tcp";
    check.probe.fields["n"] = {std::int64_t{0}};
    check.timing = some_timing(random);
    set_effect(number, random);
}

/// What a check may do, and what it depends on. No chains but of two, so that there are no circles
/// and all is decided in time.
void Draft::set_effect(unsigned number, Random& random) {
    using enum failover::Effect;
    conf::Check& check = checks_.at(number);
    check.scope = failover::Scope::local;
    check.effect = withdraw;
    check.only_if.reset();
    const bool is_parent = std::ranges::any_of(
        checks_, [&](const auto& each) { return each.second.only_if == number; });
    // What others depend on stays a check that may withdraw, or they would withdraw by another one.
    if (!is_parent && chance(random, 35)) {
        constexpr std::array others{degrade, degrade, gate, gate, alarm};
        check.effect = pick(random, others);
        if (chance(random, 50)) check.scope = failover::Scope::shared;
    }
    if (is_parent || !chance(random, 20)) return;
    const auto& [parent, its] = pick(random, checks_);
    const bool may = check.effect != withdraw || its.effect == withdraw;
    if (parent != number && !its.only_if && may) check.only_if = parent;
}

void Draft::add_service(unsigned number, Random& random) {
    Service& service = services_[number];
    service.name = fmt::format("service-{}", number);
    for (unsigned k = 0; k < prefixes_of_service; ++k) {
        const Prefix one = nth_prefix(number, k);
        if ((k == 0 || chance(random, 50)) && !taken(one)) service.prefixes.insert(one);
    }
    if (service.prefixes.empty()) {
        services_.erase(number);
        return;
    }
    service.rule = some_rule(2, random);
    service.announce = some_attributes(random);
    set_stages(service, random);
}

void Draft::set_stages(Service& service, Random& random) const {
    service.graceful_shutdown_for = some_notice(random);
    service.drain_degraded_for =
        chance(random, 30) ? seconds{between(random, 1, 15)} : Duration::zero();
    service.return_degraded_for =
        chance(random, 25) ? seconds{between(random, 1, 20)} : Duration::zero();
    service.degrade = some_attributes(random);
    if (chance(random, 60)) service.degrade.prepend = between(random, 1, 31);
    service.degraded_when.reset();
    if (chance(random, 15)) service.degraded_when = some_rule(1, random);
    service.damping = some_damping(random);
}

void Draft::add_neighbor(unsigned uplink, const SitePlan& plan, Random& random) {
    const Uplink& at = plan.uplinks[uplink];
    conf::Neighbor config{.name = fmt::format("upstream-{}", uplink),
                          .description = {},
                          .address = at.router_address,
                          .remote_as = at.router_as,
                          .local_address = {},
                          .passive = at.router_dials && chance(random, 50),
                          .multihop = {},
                          .hold_time = seconds{between(random, 3, 15)},
                          .connect_retry = seconds{between(random, 1, 5)},
                          .families = {},
                          .services = {},
                          .attributes = some_attributes(random),
                          .next_hop_ipv4 = {},
                          .next_hop_ipv6 = {}};
    if (chance(random, 40)) {
        config.restart_time = seconds{between(random, 1, 60)};
        config.restart_with_checks = true;
    }
    if (at.router_as == plan.local_as && chance(random, 50)) {
        config.attributes.local_pref = between(random, 50, 52);
    }
    set_families(config, random);
    if (at.bfd) {
        config.local_address = at.local_address;
        if (chance(random, 75)) set_bfd(config, *at.bfd, random);
    }
    neighbors_.insert_or_assign(uplink, Neighbor{std::move(config), {}});
}

void Draft::set_families(conf::Neighbor& neighbor, Random& random) const {
    const Family own = neighbor.address.family();
    neighbor.families = {own};
    if (chance(random, 70)) neighbor.families = {Family::ipv4, Family::ipv6};
    const bool ipv4 = neighbor.families.contains(Family::ipv4);
    const bool ipv6 = neighbor.families.contains(Family::ipv6);
    neighbor.next_hop_ipv4.reset();
    neighbor.next_hop_ipv6.reset();
    if (ipv4 && (own == Family::ipv6 || chance(random, 30))) {
        neighbor.next_hop_ipv4 = Address::v4(0xc0000200U + between(random, 1, 2));
    }
    if (ipv6 && (own == Family::ipv4 || chance(random, 30))) {
        neighbor.next_hop_ipv6 =
            Address::parse(fmt::format("2001:db8:ffff::{}", between(random, 1, 2)));
    }
}

Prefix Draft::any_prefix(Random& random) {
    const unsigned service = between(random, 0, most_services - 1);
    return nth_prefix(service, between(random, 0, prefixes_of_service - 1));
}

bool Draft::taken(const Prefix& wanted) const {
    return std::ranges::any_of(
        services_, [&](const auto& each) { return each.second.prefixes.contains(wanted); });
}

bool Draft::uses(unsigned check) const {
    const auto asks = [&](const auto& each) {
        const Service& service = each.second;
        return mentions(service.rule, check) ||
               (service.degraded_when && mentions(*service.degraded_when, check));
    };
    return std::ranges::any_of(services_, asks) ||
           std::ranges::any_of(checks_,
                               [&](const auto& each) { return each.second.only_if == check; });
}

bool Draft::alarms(const Expression& rule) const {
    return std::ranges::any_of(checks_, [&](const auto& each) {
        return each.second.effect == failover::Effect::alarm && mentions(rule, each.first);
    });
}

Expression Draft::some_rule(unsigned depth, Random& random) const {
    if (depth == 0 || chance(random, 45)) {
        return {.op = Expression::Op::check, .check = pick(random, checks_).first};
    }
    const unsigned kind = between(random, 0, 19);
    if (kind == 0) return {.op = Expression::Op::all};  // always
    if (kind <= 2) {
        return {.op = Expression::Op::negation, .of = {some_rule(depth - 1, random)}};
    }
    Expression out{.op = kind <= 9    ? Expression::Op::all
                         : kind <= 15 ? Expression::Op::any
                                      : Expression::Op::at_least};
    for (unsigned i = between(random, 2, 3); i > 0; --i) {
        out.of.push_back(some_rule(depth - 1, random));
    }
    if (out.op == Expression::Op::at_least) {
        out.count = between(random, 1, static_cast<unsigned>(out.of.size()));
    }
    return out;
}

std::string Draft::edit(const SitePlan& plan, Random& random) {
    switch (between(random, 0, 9)) {
        case 0:
        case 1:
            return edit_check(random);
        case 2:
        case 3:
            return edit_service(random);
        case 4:
        case 5:
        case 6:
            return edit_prefixes(random);
        case 7:
        case 8:
            return edit_neighbor(plan, random);
        default:
            if (chance(random, 50)) {
                wide_ = !wide_;
                return "owned changes";
            }
            reversed_ = !reversed_;
            return "the order of checks and services changes";
    }
}

std::string Draft::edit_check(Random& random) {
    auto& [number, check] = pick(random, checks_);
    switch (between(random, 0, 5)) {
        case 5:
            set_effect(number, random);
            return check.name + " has another effect";
        case 0:
            check.timing = some_timing(random);
            return check.name + " has another timing";
        case 1:
            check.timing.fall = between(random, 1, 4);
            check.timing.rise = between(random, 1, 5);
            return check.name + " has other thresholds";
        case 2:
            return replace_probe(check.name);
        case 3:
            if (const auto added = free_number(checks_, most_checks, random)) {
                add_check(*added, random);
                return checks_[*added].name + " is added";
            }
            break;
        default:
            break;
    }
    if (uses(number) || checks_.size() == 1) return "nothing changes";
    const std::string name = check.name;
    checks_.erase(number);
    return name + " is removed";
}

std::string Draft::replace_probe(const std::string& check) {
    for (auto& [number, each] : checks_) {
        if (each.name != check) continue;
        auto& field = std::get<std::int64_t>(each.probe.fields["n"].value);
        field = 1 - field;
        return check + " has another probe";
    }
    return "nothing changes";
}

std::string Draft::edit_service(Random& random) {
    auto& [number, service] = pick(random, services_);
    switch (between(random, 0, 5)) {
        case 5:
            set_stages(service, random);
            return service.name + " leaves and returns in other stages";
        case 0:
            service.rule = some_rule(2, random);
            return service.name + " has another rule";
        case 1:
            service.announce = some_attributes(random);
            return service.name + " has other attributes";
        case 2:
            service.name += service.name.ends_with('b') ? "" : "b";
            return service.name + " is the new name of a service";
        case 3:
            if (const auto added = free_number(services_, most_services, random)) {
                add_service(*added, random);
                return fmt::format("service-{} is added", *added);
            }
            break;
        default:
            break;
    }
    if (services_.size() == 1) return "nothing changes";
    const std::string name = service.name;
    const unsigned gone = number;  // which goes with its service
    services_.erase(gone);
    for (auto& [uplink, neighbor] : neighbors_) {
        if (neighbor.services) neighbor.services->erase(gone);
    }
    return name + " is removed";
}

std::string Draft::edit_prefixes(Random& random) {
    auto& [number, service] = pick(random, services_);
    const Prefix added = any_prefix(random);
    if (!taken(added)) {
        service.prefixes.insert(added);
        return fmt::format("{} gets {}", service.name, added.to_string());
    }
    if (service.prefixes.size() == 1) return "nothing changes";
    const Prefix moved = pick(random, service.prefixes);
    service.prefixes.erase(moved);
    if (chance(random, 40)) return fmt::format("{} loses {}", service.name, moved.to_string());
    Service& to = pick(random, services_).second;
    to.prefixes.insert(moved);
    return fmt::format("{} moves from {} to {}", moved.to_string(), service.name, to.name);
}

std::string Draft::edit_neighbor(const SitePlan& plan, Random& random) {
    auto& [uplink, neighbor] = pick(random, neighbors_);
    conf::Neighbor& config = neighbor.config;
    const std::optional<BfdPlan>& bfd = plan.uplinks[uplink].bfd;
    if (bfd && chance(random, 50)) return edit_bfd(config, *bfd, random);
    switch (between(random, 0, 7)) {
        case 0:
            config.hold_time = seconds{between(random, 3, 15)};
            return config.name + " has another hold time";
        case 1:
            set_families(config, random);
            return config.name + " has other families and next hops";
        case 2:
        case 3: {
            const auto local_pref = config.attributes.local_pref;
            config.attributes = some_attributes(random);
            config.attributes.local_pref = local_pref;
            return config.name + " has other attributes";
        }
        case 4:
            neighbor.services.reset();
            if (chance(random, 60))
                neighbor.services.emplace().insert(pick(random, services_).first);
            return config.name + " is sent other services";
        case 5:
            config.connect_retry = seconds{between(random, 1, 5)};
            config.passive = plan.uplinks[uplink].router_dials && chance(random, 50);
            config.description += ".";
            return config.name + " has other connection settings";
        case 6:
            if (const auto added =
                    free_number(neighbors_, static_cast<unsigned>(plan.uplinks.size()), random)) {
                add_neighbor(*added, plan, random);
                return neighbors_.at(*added).config.name + " is added";
            }
            break;
        default:
            break;
    }
    if (neighbors_.size() == 1) return "nothing changes";
    const std::string name = config.name;
    neighbors_.erase(uplink);
    return name + " is removed";
}

std::shared_ptr<const conf::Config> Draft::build(const SitePlan& plan) const {
    conf::Config out{
        .file = {},
        .site = plan.name,
        .local_as = plan.local_as,
        .router_id = plan.router_id,
        .state_dir = "/var/lib/swerve",
        .control_socket = {},
        .http_listen = {},
        .bgp_listen = {*Endpoint::parse("0.0.0.0:179")},
        .owned = {prefix(wide_ ? "10.0.0.0/8" : "10.0.0.0/9"), prefix("2001:db8::/32")},
        .neighbors = {},
        .collector = {},
        .checks = {},
        .services = {}};
    std::map<unsigned, std::uint32_t> check_index;
    for (const unsigned number : order(checks_, reversed_)) {
        check_index.emplace(number, static_cast<std::uint32_t>(out.checks.size()));
        out.checks.push_back(checks_.at(number));
    }
    for (conf::Check& check : out.checks) {
        if (check.only_if) check.only_if = check_index.at(*check.only_if);
    }
    std::map<unsigned, failover::ServiceId> service_index;
    for (const unsigned number : order(services_, reversed_)) {
        service_index.emplace(number, static_cast<failover::ServiceId>(out.services.size()));
        const Service& from = services_.at(number);
        const std::vector<Prefix> sorted(from.prefixes.begin(), from.prefixes.end());
        out.services.push_back({.name = from.name,
                                .prefixes = conf::blocks_of(sorted),
                                .prefixes_file = {},
                                .healthy_when = renumbered(from.rule, check_index),
                                .announce = from.announce,
                                .graceful_shutdown_for = from.graceful_shutdown_for,
                                .degrade = from.degrade,
                                .drain_degraded_for = from.drain_degraded_for,
                                .return_degraded_for = from.return_degraded_for,
                                .damping = from.damping});
        if (from.degraded_when && !alarms(*from.degraded_when)) {
            out.services.back().degraded_when = renumbered(*from.degraded_when, check_index);
        }
    }
    for (const auto& [uplink, from] : neighbors_) {
        conf::Neighbor& made = out.neighbors.emplace_back(from.config);
        if (!from.services) continue;
        made.services.emplace();
        for (const unsigned number : *from.services)
            made.services->push_back(service_index.at(number));
    }
    return std::make_shared<const conf::Config>(std::move(out));
}

Prefix Draft::some_prefix(Random& random) const {
    if (chance(random, 25)) return prefix(fmt::format("10.{}.1.0/24", between(random, 126, 129)));
    if (chance(random, 20)) return any_prefix(random);
    return pick(random, pick(random, services_).second.prefixes);
}

std::string Draft::some_service(Random& random) const {
    return pick(random, services_).second.name;
}

}  // namespace swerve::sim
