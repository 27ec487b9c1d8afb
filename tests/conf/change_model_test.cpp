// conf::compare against set arithmetic, for pairs of configurations that an operator's edits make.

#include <doctest/doctest.h>

#include <chrono>
#include <map>
#include <set>

#include "swerve/conf/change.hpp"
#include "swerve/conf/load.hpp"
#include "tests/support/config_maker.hpp"

namespace swerve::conf {
namespace {

using test::ConfigMaker;
using test::prefixes_of;
using test::set_prefixes;

std::set<bgp::BlockRef> blocks_in(const Config& config) {
    std::set<bgp::BlockRef> out;
    for (const Service& service : config.services) {
        out.insert(service.prefixes.begin(), service.prefixes.end());
    }
    return out;
}

/// Prefixes of the blocks that `config` has and `other` has not.
std::set<Prefix> changed_prefixes(const Config& config, const Config& other) {
    std::set<Prefix> out;
    const auto others = blocks_in(other);
    for (const bgp::BlockRef& block : blocks_in(config)) {
        if (others.contains(block)) continue;
        block->for_each(block->all(), [&](const Prefix& prefix) { out.insert(prefix); });
    }
    return out;
}

void check_blocks(const Change& change) {
    const auto before = blocks_in(*change.before);
    const auto after = blocks_in(*change.after);
    for (const bgp::BlockRef& block : after) {
        if (before.contains(block)) continue;
        for (const bgp::BlockRef& old : before) CHECK_FALSE(*old == *block);
    }
    std::set<Prefix> handed;
    for (const bgp::Handover& each : change.hand_overs) {
        CHECK((before.contains(each.from) && !after.contains(each.from)));
        CHECK((after.contains(each.to) && !before.contains(each.to)));
        for (const bgp::CommonRange& range : each.ranges) {
            REQUIRE(range.from.size() == range.to.size());
            for (std::uint32_t i = 0; i < range.from.size(); ++i) {
                const Prefix prefix = each.from->at(range.from.begin + i);
                CHECK(prefix == each.to->at(range.to.begin + i));
                CHECK(handed.insert(prefix).second);
            }
        }
    }
    std::set<Prefix> expected;
    for (const Prefix& prefix : changed_prefixes(*change.after, *change.before)) {
        if (changed_prefixes(*change.before, *change.after).contains(prefix)) {
            expected.insert(prefix);
        }
    }
    CHECK(handed == expected);
}

/// What a neighbor is told of a service's prefixes of a family.
struct Told {
    bgp::RouteAttributes attributes;
    std::optional<Address> next_hop;

    friend bool operator==(const Told&, const Told&) = default;
};

using Telling = std::map<std::pair<std::string, Prefix>, Told>;

/// By neighbor and prefix, of one service.
Telling telling(const Config& config, failover::ServiceId id) {
    Telling out;
    for (const Neighbor& neighbor : config.neighbors) {
        for (const Prefix& prefix : prefixes_of(config.services[id])) {
            if (!carries(neighbor, id, prefix.family())) continue;
            out[{neighbor.name, prefix}] = {
                merge(config, config.services[id].announce, neighbor.attributes),
                prefix.family() == Family::ipv4 ? neighbor.next_hop_ipv4 : neighbor.next_hop_ipv6};
        }
    }
    return out;
}

RouteChange expected_routes(const Change& change, const std::string& name) {
    RouteChange out{.service = name};
    std::set<Prefix> was;
    Telling was_told;
    std::set<std::string> old_neighbors;
    for (const Neighbor& neighbor : change.before->neighbors) old_neighbors.insert(neighbor.name);
    for (failover::ServiceId id = 0; id < change.before->services.size(); ++id) {
        if (change.before->services[id].name != name) continue;
        for (const Prefix& prefix : prefixes_of(change.before->services[id])) was.insert(prefix);
        was_told = telling(*change.before, id);
    }
    for (failover::ServiceId id = 0; id < change.after->services.size(); ++id) {
        if (change.after->services[id].name != name) continue;
        const Telling is_told = telling(*change.after, id);
        std::set<std::string> anew;
        for (const Prefix& prefix : prefixes_of(change.after->services[id])) {
            if (was.erase(prefix) == 0) {
                ++out.added;
                continue;
            }
            ++out.kept;
            for (const Neighbor& neighbor : change.after->neighbors) {
                const auto key = std::pair{neighbor.name, prefix};
                const auto a = was_told.find(key);
                const auto b = is_told.find(key);
                const bool same = (a == was_told.end()) == (b == is_told.end()) &&
                                  (a == was_told.end() || a->second == b->second);
                if (!same && old_neighbors.contains(neighbor.name)) anew.insert(neighbor.name);
            }
        }
        for (const Neighbor& neighbor : change.after->neighbors) {
            if (anew.contains(neighbor.name)) out.attributes.push_back(neighbor.name);
        }
    }
    out.removed = was.size();
    return out;
}

void check_routes(const Change& change) {
    std::map<std::string, RouteChange> said;
    for (const RouteChange& each : change.routes) CHECK(said.emplace(each.service, each).second);
    for (const auto* config : {change.before.get(), change.after.get()}) {
        for (const Service& service : config->services) {
            const RouteChange expected = expected_routes(change, service.name);
            const auto found = said.find(service.name);
            if (found != said.end()) {
                CHECK(found->second == expected);
            } else {
                CHECK(expected.added + expected.removed + expected.attributes.size() == 0);
            }
        }
    }
}

void check_sessions(const Change& change) {
    std::map<std::string, const Neighbor*> after;
    for (const Neighbor& neighbor : change.after->neighbors) after[neighbor.name] = &neighbor;
    std::vector<std::string> expected;
    for (const Neighbor& was : change.before->neighbors) {
        const auto found = after.find(was.name);
        const auto open = [](const Config& config, const Neighbor& neighbor) {
            return std::pair{
                std::tuple{local_as(config, neighbor), config.router_id, neighbor.address,
                           neighbor.range, neighbor.interface, neighbor.remote_as,
                           neighbor.admin_down, neighbor.hold_time, neighbor.families,
                           neighbor.local_address, neighbor.multihop},
                std::tuple{neighbor.role, neighbor.role_strict, neighbor.extended_message,
                           neighbor.extended_next_hop, neighbor.add_path_receive,
                           neighbor.restart_time}};
        };
        const bool lives = found != after.end() &&
                           open(*change.before, was) == open(*change.after, *found->second);
        if (!lives) expected.push_back(was.name + (found == after.end() ? " removed" : ""));
    }
    std::vector<std::string> said;
    for (const SessionReset& each : change.resets) {
        said.push_back(each.neighbor + (each.removed ? " removed" : ""));
        CHECK_FALSE(each.reason.empty());
    }
    CHECK(said == expected);
}

void check_checks(const Change& change) {
    REQUIRE(change.checks.size() == change.after->checks.size());
    for (std::size_t id = 0; id < change.checks.size(); ++id) {
        const Check& check = change.after->checks[id];
        std::optional<failover::CheckId> expected;
        for (failover::CheckId old = 0; old < change.before->checks.size(); ++old) {
            const Check& was = change.before->checks[old];
            if (was.name == check.name && was.probe == check.probe) expected = old;
        }
        CHECK(change.checks[id] == expected);
    }
}

TEST_CASE("change: of any two configurations it says what set arithmetic says") {
    std::size_t equal = 0;
    for (std::uint64_t seed = 0; seed < 600; ++seed) {
        INFO("seed ", seed);
        ConfigMaker maker{seed};
        Random random{seed};
        const Config before = maker.make();
        Config after = before;
        // Blocks as a second loading makes them.
        for (Service& service : after.services) set_prefixes(service, prefixes_of(service));
        for (auto edits = random.below(8); edits > 0; --edits) maker.edit(after);
        const auto change =
            compare(std::make_shared<const Config>(before), std::make_shared<const Config>(after));
        REQUIRE(change);
        CHECK(*(*change)->after == after);
        CHECK((*change)->empty() == (before == after));
        equal += before == after ? 1U : 0U;
        check_blocks(**change);
        check_routes(**change);
        check_sessions(**change);
        check_checks(**change);
    }
    CHECK(equal > 10);
}

TEST_CASE("config maker: what it makes is valid and prints as it is") {
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
        INFO("seed ", seed);
        ConfigMaker maker{seed};
        Config config = maker.make();
        for (int i = 0; i < 10; ++i) maker.edit(config);
        const std::string page = print(config);
        INFO(page);
        const auto loaded = load_text(page, "made.yaml");
        if (!loaded) FAIL(loaded.error().front().to_string());
        CHECK(**loaded == config);
    }
}

/// 10,000 checks and services of 3 prefixes each, and 20 neighbors.
Config large() {
    ConfigMaker maker{1};
    Config out = maker.make({.neighbors = 20, .checks = 1, .services = 1, .prefixes = 1});
    for (std::uint32_t i = 0; i < 10'000; ++i) {
        out.checks.push_back(out.checks[0]);
        out.checks.back().name = "large-" + std::to_string(i);
        out.services.push_back(out.services[0]);
        out.services.back().name = "large-" + std::to_string(i);
        out.services.back().healthy_when = {health::Expression::Op::check, i, 0, {}};
        std::vector<Prefix> prefixes;
        for (std::uint32_t k = 0; k < 3; ++k) {
            prefixes.push_back(Prefix::masked(Address::v4(0x0b000000U + 3 * i + k), 32).value());
        }
        set_prefixes(out.services.back(), prefixes);
    }
    return out;
}

TEST_CASE("change: 10,000 services and checks that all change take seconds, not minutes") {
    const Config before = large();
    Config after = before;
    for (Check& check : after.checks) check.timing.rise = 2;
    for (std::size_t id = 1; id < after.services.size(); ++id) {
        auto prefixes = prefixes_of(after.services[id]);
        prefixes.pop_back();
        set_prefixes(after.services[id], prefixes);
    }
    for (Neighbor& neighbor : after.neighbors) neighbor.attributes.med = 1000;
    const auto begin = std::chrono::steady_clock::now();
    const auto change =
        compare(std::make_shared<const Config>(before), std::make_shared<const Config>(after));
    const auto took = std::chrono::steady_clock::now() - begin;
    REQUIRE(change);
    CHECK((*change)->routes.size() == 10'001);
    CHECK((*change)->hand_overs.size() == 10'000);
    MESSAGE("compared in ", std::chrono::duration<double>(took).count(), " s");
    // Some seconds with sanitizers on a busy machine; a loop over all pairs would take minutes.
    CHECK(took < std::chrono::seconds{60});
}

}  // namespace
}  // namespace swerve::conf
