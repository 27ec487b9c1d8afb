// What a check may do: withdraw, degrade, gate, alarm.

#include "failover/judge.hpp"

#include <doctest/doctest.h>

#include <fmt/format.h>

#include "swerve/base/random.hpp"
#include "tests/failover/rig.hpp"

namespace swerve::failover {

using namespace test;
using Op = Expression::Op;

namespace {

constexpr auto P = CheckState::pass;
constexpr auto F = CheckState::fail;
constexpr auto U = CheckState::unknown;
constexpr Standing nothing_stands{};

Expression all_of(std::uint32_t checks) {
    std::vector<Expression> members;
    for (CheckId id = 0; id < checks; ++id) members.push_back(uses(id));
    return combine(Op::all, std::move(members));
}

Verdict verdict(const Health& health, const std::vector<CheckState>& states, Verdict before) {
    return judge(health, states, before, nothing_stands).verdict;
}

std::string reason(const Health& health, const std::vector<CheckState>& states, Verdict now) {
    static constexpr std::array names{"web", "db", "vault", "disk"};
    return verdict_reason(health, states, now,
                          [](CheckId id) { return CheckWords{names[id], "refused"}; });
}

const std::vector<Effect> one_of_each{Effect::withdraw, Effect::degrade, Effect::gate,
                                      Effect::alarm};

}  // namespace

TEST_CASE("judge: one check of each effect, from every verdict") {
    const Health health = health_of(all_of(4), std::nullopt, Counted{one_of_each});
    for (const Verdict before : {Verdict::unknown, Verdict::down}) {
        CAPTURE(to_string(before));
        const Verdict undecided = before;
        CHECK(verdict(health, {P, P, P, P}, before) == Verdict::up);
        CHECK(verdict(health, {P, P, P, F}, before) == Verdict::up);
        CHECK(verdict(health, {P, F, P, U}, before) == Verdict::degraded);
        CHECK(verdict(health, {P, U, P, P}, before) == Verdict::degraded);
        CHECK(verdict(health, {P, P, F, P}, before) == Verdict::down);
        CHECK(verdict(health, {P, P, U, P}, before) == undecided);
        CHECK(verdict(health, {U, P, P, P}, before) == undecided);
        CHECK(verdict(health, {U, P, F, P}, before) == undecided);
        CHECK(verdict(health, {F, P, P, P}, before) == Verdict::down);
    }
    for (const Verdict before : {Verdict::up, Verdict::degraded}) {
        CAPTURE(to_string(before));
        for (const CheckState gate : {P, F, U}) {
            CHECK(verdict(health, {P, P, gate, F}, before) == Verdict::up);
            CHECK(verdict(health, {P, F, gate, P}, before) == Verdict::degraded);
            CHECK(verdict(health, {P, U, gate, P}, before) == Verdict::degraded);
            CHECK(verdict(health, {F, P, gate, P}, before) == Verdict::down);
            CHECK(verdict(health, {U, P, gate, P}, before) == Verdict::down);
        }
    }
}

TEST_CASE("judge: where nothing remains there is nothing to fail") {
    for (const Effect effect : {Effect::degrade, Effect::gate, Effect::alarm}) {
        const Health health = health_of(uses(0), std::nullopt, Counted{{effect}});
        CHECK(verdict(health, {F}, Verdict::up) ==
              (effect == Effect::degrade ? Verdict::degraded : Verdict::up));
        CHECK(verdict(health, {P}, Verdict::unknown) == Verdict::up);
        CHECK(verdict(health, {F}, Verdict::unknown) == (effect == Effect::degrade
                                                             ? Verdict::degraded
                                                         : effect == Effect::gate ? Verdict::down
                                                                                  : Verdict::up));
    }
    const Health health = health_of(uses(0), std::nullopt, Counted{{Effect::alarm}});
    CHECK(reason(health, {F}, Verdict::up) == "it depends on no check");
}

TEST_CASE("judge: any and at_least ask among those that count") {
    const Expression any = combine(Op::any, {uses(0), uses(1)});
    const Health health = health_of(any, std::nullopt, Counted{{Effect::withdraw, Effect::gate}});
    CHECK(verdict(health, {F, P}, Verdict::up) == Verdict::down);  // the gate keeps nothing up
    CHECK(verdict(health, {P, F}, Verdict::unknown) == Verdict::up);
    const Expression two = combine(Op::at_least, {uses(0), uses(1), uses(2)}, 2);
    const Health most = health_of(two, std::nullopt,
                                  Counted{{Effect::withdraw, Effect::withdraw, Effect::degrade}});
    CHECK(verdict(most, {P, F, P}, Verdict::up) == Verdict::down);
    CHECK(verdict(most, {P, P, F}, Verdict::up) == Verdict::up);
}

TEST_CASE("judge: degraded_when degrades when it passes, and never otherwise") {
    const Health health =
        health_of(uses(0), uses(1), Counted{{Effect::withdraw, Effect::withdraw}});
    CHECK(verdict(health, {P, P}, Verdict::up) == Verdict::degraded);
    CHECK(verdict(health, {P, F}, Verdict::degraded) == Verdict::up);
    CHECK(verdict(health, {F, P}, Verdict::up) == Verdict::down);
    CHECK(reason(health, {P, P}, Verdict::degraded) == "check db passes");
}

TEST_CASE("judge: a degraded_when without evidence makes nothing better, and nothing worse") {
    const Health health =
        health_of(uses(0), uses(1), Counted{{Effect::withdraw, Effect::withdraw}});
    CHECK(verdict(health, {P, U}, Verdict::up) == Verdict::up);
    for (const Verdict before : {Verdict::degraded, Verdict::unknown, Verdict::down}) {
        CAPTURE(to_string(before));
        CHECK(verdict(health, {P, U}, before) == Verdict::degraded);
    }
    CHECK(reason(health, {P, U}, Verdict::degraded) == "check db is undecided (refused)");
    CHECK(verdict(health, {P, F}, Verdict::degraded) == Verdict::up);
}

TEST_CASE("judge: no gate keeps from starting what upstreams see already") {
    const Health health =
        health_of(all_of(2), std::nullopt, Counted{{Effect::withdraw, Effect::gate}});
    for (const CheckState gate : {F, U}) {
        CHECK(judge(health, {P, gate}, Verdict::unknown, {.started = true}).verdict == Verdict::up);
        CHECK(judge(health, {P, gate}, Verdict::unknown, {}).verdict != Verdict::up);
        CHECK(judge(health, {F, gate}, Verdict::unknown, {.started = true}).verdict ==
              Verdict::down);
    }
}

TEST_CASE("judge: the reason names the checks that decide, and says what is a gate") {
    const Health health = health_of(all_of(4), std::nullopt, Counted{one_of_each});
    CHECK(reason(health, {F, F, F, F}, Verdict::down) == "check web fails (refused)");
    CHECK(reason(health, {P, F, F, F}, Verdict::down) == "gate: check vault fails (refused)");
    CHECK(reason(health, {P, P, U, P}, Verdict::unknown) ==
          "gate: check vault is undecided (refused)");
    CHECK(reason(health, {P, F, F, F}, Verdict::degraded) == "check db fails (refused)");
    CHECK(reason(health, {P, P, F, F}, Verdict::up) == "check web passes, check db passes");
}

TEST_CASE("judge: what a reload made undecided stands, each for itself") {
    const Health health =
        health_of(all_of(2), std::nullopt, Counted{{Effect::withdraw, Effect::degrade}});
    const auto with = [&](std::vector<CheckState> states, Verdict before, Standing standing) {
        return judge(health, states, before, standing).verdict;
    };
    for (const Verdict before : {Verdict::up, Verdict::degraded}) {
        CHECK(with({P, U}, before, {.verdict = false, .degree = true}) == before);
        CHECK(with({U, P}, before, {.verdict = true, .degree = false}) == before);
        CHECK(with({U, U}, before, {.verdict = true, .degree = true}) == before);
        CHECK(with({U, P}, before, {.verdict = false, .degree = true}) == Verdict::down);
        CHECK(with({P, F}, before, {.verdict = true, .degree = true}) == Verdict::degraded);
        CHECK(with({P, P}, before, {.verdict = true, .degree = true}) == Verdict::up);
    }
    CHECK(judge(health, {P, U}, Verdict::up, {}).serving_decided);
    CHECK_FALSE(judge(health, {P, U}, Verdict::up, {}).degree_decided);
}

TEST_CASE("judge: random expressions and effects against the rules, from scratch") {
    constexpr std::uint32_t checks = 4;
    std::size_t verdicts[4]{};
    for (std::uint64_t seed = 1; seed <= 3000; ++seed) {
        CAPTURE(seed);
        Random random(seed);
        const Expression expression = random_expression(random, checks, 3);
        std::vector<Effect> effects;
        for (CheckId id = 0; id < checks; ++id) {
            effects.push_back(static_cast<Effect>(random.below(4)));
        }
        const Health health = health_of(expression, std::nullopt, Counted{effects});
        Verdict before = Verdict::unknown;
        for (int step = 0; step < 20; ++step) {
            std::vector<CheckState> states;
            for (CheckId id = 0; id < checks; ++id) {
                states.push_back(static_cast<CheckState>(random.below(3)));
            }
            const auto over = [&](std::initializer_list<Effect> counted) {
                return evaluate_only(expression, states, [&](CheckId id) {
                    return std::ranges::count(counted, effects[id]) > 0;
                });
            };
            const CheckState stay = over({Effect::withdraw});
            const CheckState start = over({Effect::withdraw, Effect::gate});
            const bool serving = before == Verdict::up || before == Verdict::degraded;
            const Verdict now = verdict(health, states, before);
            ++verdicts[static_cast<std::size_t>(now)];
            REQUIRE((now == Verdict::up || now == Verdict::degraded) ==
                    (stay == P && (serving || start == P)));
            if (now == Verdict::up || now == Verdict::degraded) {
                REQUIRE((now == Verdict::up) == (over({Effect::withdraw, Effect::degrade}) == P));
            }
            if (now == Verdict::unknown) {
                REQUIRE(before == Verdict::unknown);
                REQUIRE((stay == U || (stay == P && start == U)));
            }
            REQUIRE_FALSE(reason(health, states, now).empty());
            before = now;
        }
    }
    for (const std::size_t count : verdicts) CHECK(count > 500);
}

}  // namespace swerve::failover
