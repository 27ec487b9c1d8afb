#pragma once
// A site under a hand-driven clock, with a copy of what it asked of the network.

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "swerve/base/overloaded.hpp"
#include "swerve/base/random.hpp"
#include "swerve/failover/saved_state.hpp"
#include "swerve/failover/site.hpp"

namespace swerve::failover::test {

using namespace std::chrono_literals;
using health::CheckState;
using health::Expression;
using health::ProbeResult;

inline Prefix prefix(std::string_view text) { return *Prefix::parse(text); }

inline bgp::BlockRef block(std::initializer_list<std::string_view> texts) {
    std::vector<Prefix> prefixes;
    for (const std::string_view text : texts) prefixes.push_back(prefix(text));
    return std::make_shared<const bgp::PrefixBlock>(prefixes);
}

inline Expression uses(CheckId check) {
    return {.op = Expression::Op::check, .check = check, .count = 0, .of = {}};
}
inline Expression combine(Expression::Op op, std::vector<Expression> members,
                          std::uint32_t count = 0) {
    return {.op = op, .check = 0, .count = count, .of = std::move(members)};
}
inline Expression always() { return combine(Expression::Op::all, {}); }

/// Over the checks below `checks`.
inline Expression random_expression(Random& random, CheckId checks, unsigned depth) {
    if (depth == 0 || random.below(3) == 0) {
        return uses(static_cast<CheckId>(random.below(checks)));
    }
    constexpr std::array ops{Expression::Op::all, Expression::Op::any, Expression::Op::at_least,
                             Expression::Op::negation};
    const auto op = ops[random.below(ops.size())];
    std::vector<Expression> members;
    const std::uint64_t count = op == Expression::Op::negation ? 1 : 1 + random.below(3);
    for (std::uint64_t i = 0; i < count; ++i) {
        members.push_back(random_expression(random, checks, depth - 1));
    }
    return combine(op, std::move(members), 1 + static_cast<std::uint32_t>(random.below(count)));
}

/// The expression as if the checks that do not count were not written in it: worked out by counting
/// members, another way than the product's. Pass where nothing remains.
template <class Counts>
CheckState evaluate_only(const Expression& expression, const std::vector<CheckState>& states,
                         const Counts& counts) {
    using Op = Expression::Op;
    const auto value = [&](const auto& self, const Expression& each) -> std::optional<CheckState> {
        if (each.op == Op::check) {
            return counts(each.check) ? std::optional{states[each.check]} : std::nullopt;
        }
        std::vector<CheckState> members;
        for (const Expression& member : each.of) {
            if (const auto one = self(self, member)) members.push_back(*one);
        }
        if (members.empty() && !each.of.empty()) return std::nullopt;
        const auto passing = std::ranges::count(members, CheckState::pass);
        const auto failing = std::ranges::count(members, CheckState::fail);
        const auto size = std::ssize(members);
        if (each.op == Op::negation) {
            return passing > 0   ? CheckState::fail
                   : failing > 0 ? CheckState::pass
                                 : CheckState::unknown;
        }
        const auto needed = each.op == Op::all   ? size
                            : each.op == Op::any ? 1
                                                 : std::min<std::ptrdiff_t>(each.count, size);
        if (passing >= needed) return CheckState::pass;
        return size - failing < needed ? CheckState::fail : CheckState::unknown;
    };
    return value(value, expression).value_or(CheckState::pass);
}

/// What the network was asked for: every action must change something.
class Network {
public:
    void apply(const SiteActions& actions) {
        for (const SiteAction& action : actions) {
            if (const auto* advertise = std::get_if<Advertise>(&action)) {
                for_each(*advertise->block, advertise->range, [&](const Prefix& each) {
                    const bool is_new =
                        shown_.contains(each)
                            ? std::exchange(shown_[each], advertise->shown) != advertise->shown
                            : shown_.emplace(each, advertise->shown).second;
                    REQUIRE_MESSAGE(is_new, each.to_string());
                });
            } else if (const auto* withdraw = std::get_if<Withdraw>(&action)) {
                for_each(*withdraw->block, withdraw->range, [&](const Prefix& each) {
                    REQUIRE_MESSAGE(shown_.erase(each) == 1, each.to_string());
                });
            }
        }
    }
    [[nodiscard]] std::set<Prefix> announced() const { return all(Shown::announced); }
    [[nodiscard]] std::set<Prefix> degraded() const { return all(Shown::degraded); }
    /// Announced with GRACEFUL_SHUTDOWN.
    [[nodiscard]] std::set<Prefix> draining() const { return all(Shown::draining); }
    void clear() { shown_.clear(); }

private:
    template <class Visit>
    static void for_each(const bgp::PrefixBlock& block, bgp::IdRange range, Visit visit) {
        REQUIRE(range.begin < range.end);
        for (std::uint32_t id = range.begin; id < range.end; ++id) visit(block.at(id));
    }

    [[nodiscard]] std::set<Prefix> all(Shown shown) const {
        std::set<Prefix> out;
        for (const auto& [prefix, how] : shown_) {
            if (how == shown) out.insert(prefix);
        }
        return out;
    }

    std::map<Prefix, Shown> shown_;
};

struct Rig {
    explicit Rig(SitePolicy policy, const Restored& restored = {})
        : site(std::move(policy), restored) {}

    void handle(const SiteEvent& event) {
        actions.clear();
        site.handle(now, event, actions);
        note();
    }
    void tick() {
        actions.clear();
        site.tick(now, actions);
        note();
    }
    void jump() {
        now = *site.next_deadline();
        tick();
    }
    /// Jumps until an attempt of the check is in flight and answers it.
    void finish(CheckId check, ProbeResult result, std::string reason = "") {
        while (attempts.at(check) == 0) jump();
        now += 1us;
        handle(ProbeFinished{
            check, std::exchange(attempts.at(check), 0), {result, std::move(reason), now, now}});
    }
    void pass(CheckId check = 0) { finish(check, ProbeResult::pass, "HTTP 200"); }
    void fail(CheckId check = 0) { finish(check, ProbeResult::fail, "HTTP 503"); }
    void event(CheckId check, ProbeResult result) {
        handle(SourceEvent{check, {result, "exited", now, now}});
    }
    void set(const std::variant<ServiceId, Prefix>& subject, OverrideKind kind,
             std::optional<TimePoint> expires = std::nullopt) {
        handle(SetOverride{subject, {kind, "maintenance", "root", WallTime{}, expires}});
    }
    void clear(const std::variant<ServiceId, Prefix>& subject,
               std::optional<OverrideKind> only = std::nullopt) {
        handle(ClearOverrides{subject, only});
    }
    [[nodiscard]] bool announces(std::string_view text) const {
        return network.announced().contains(prefix(text));
    }
    template <class Action>
    [[nodiscard]] std::vector<Action> all() const {
        std::vector<Action> found;
        for (const SiteAction& action : actions) {
            if (const auto* one = std::get_if<Action>(&action)) found.push_back(*one);
        }
        return found;
    }

    Site site;
    TimePoint now{100s};
    SiteActions actions;  ///< of the last turn
    Network network;
    std::vector<std::uint64_t> attempts =
        std::vector<std::uint64_t>(site.policy().checks.size());  ///< in flight, by check

private:
    void note() {
        network.apply(actions);
        for (const SiteAction& action : actions) {
            if (const auto* start = std::get_if<StartProbe>(&action)) {
                attempts.at(start->check) = start->attempt;
            }
        }
    }
};

/// Checks that flip with every outcome.
inline health::TrackerPolicy nervous() {
    return {.rise = 1, .fall = 1, .window_failures = 2, .window_of = 1};
}

/// One service, portal: two IPv4 prefixes and one of IPv6 behind check web; 203.0.113.0/24 is owned
/// and of no service.
inline SitePolicy portal() {
    return {.site = "fra1",
            .owned = {prefix("198.51.100.0/23"), prefix("203.0.113.0/24"), prefix("2001:db8::/32")},
            .checks = {{"web", nervous()}},
            .services = {{"portal",
                          {block({"198.51.100.0/24", "198.51.101.0/24"}), block({"2001:db8::/48"})},
                          uses(0)}},
            .neighbors = {"upstream-a"},
            .seed = 1};
}

}  // namespace swerve::failover::test
