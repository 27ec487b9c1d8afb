#include "failover/decide.hpp"

#include <doctest/doctest.h>

#include "tests/failover/rig.hpp"

namespace swerve::failover {

using namespace test;

namespace {

Override word(OverrideKind kind) { return {kind, "", "root", WallTime{}, std::nullopt}; }

}  // namespace

TEST_CASE("decide: withdraw over drain over announce over verdict, and stop over all") {
    const Override withdraw = word(OverrideKind::withdraw);
    const Override drain = word(OverrideKind::drain);
    const Override announce = word(OverrideKind::announce);
    for (const Verdict verdict : {Verdict::unknown, Verdict::up, Verdict::down}) {
        CHECK(decide({verdict, true, &drain, &announce}) ==
              Decision{Intent::withdraw, Cause::stopping, Shown::nothing});
        CHECK(decide({verdict, false, &drain, &withdraw}) ==
              Decision{Intent::withdraw, Cause::withdraw, Shown::nothing});
        CHECK(decide({verdict, false, &drain, &announce}) ==
              Decision{Intent::drain, Cause::drain, Shown::nothing});
        CHECK(decide({verdict, false, nullptr, &announce}) ==
              Decision{Intent::announce, Cause::announce, Shown::announced});
    }
    CHECK(decide({Verdict::up}) == Decision{Intent::announce, Cause::verdict, Shown::announced});
    CHECK(decide({Verdict::down}) == Decision{Intent::withdraw, Cause::verdict, Shown::nothing});
    CHECK(decide({Verdict::unknown}) == Decision{Intent::withdraw, Cause::verdict, Shown::nothing});
}

TEST_CASE("decide: a young drain shows what would be announced without it, as leaving") {
    const Override drain = word(OverrideKind::drain);
    const Override announce = word(OverrideKind::announce);
    const Override withdraw = word(OverrideKind::withdraw);
    const auto shown = [&](Verdict verdict, const Override* prefix, bool held = false,
                           Leaving leaving = Leaving::everything) {
        return decide({.verdict = verdict,
                       .drain = &drain,
                       .prefix = prefix,
                       .held = held,
                       .leaving = leaving})
            .shown;
    };
    CHECK(shown(Verdict::up, nullptr) == Shown::draining);
    CHECK(shown(Verdict::up, nullptr, true) == Shown::nothing);
    CHECK(shown(Verdict::up, &withdraw) == Shown::nothing);
    CHECK(shown(Verdict::down, nullptr) == Shown::nothing);
    CHECK(shown(Verdict::unknown, nullptr) == Shown::nothing);
    CHECK(shown(Verdict::down, &announce) == Shown::draining);
    CHECK(shown(Verdict::up, nullptr, false, Leaving::words) == Shown::nothing);
    CHECK(shown(Verdict::up, &announce, false, Leaving::words) == Shown::draining);
    CHECK(shown(Verdict::up, &announce, false, Leaving::nothing) == Shown::nothing);
    CHECK(decide({.verdict = Verdict::up,
                  .stopping = true,
                  .drain = &drain,
                  .leaving = Leaving::everything})
              .shown == Shown::nothing);
}

TEST_CASE("decide: the reason is the cause's own sentence") {
    const Override drain{OverrideKind::drain, "kernel update", "anna", WallTime{}, std::nullopt};
    const Override announce{OverrideKind::announce, "", "", WallTime{}, std::nullopt};
    CHECK(reason_of({Verdict::up}, "check web passes", "") == "check web passes");
    CHECK(reason_of({.verdict = Verdict::up, .drain = &drain}, "check web passes", "") ==
          "drained by anna: kernel update");
    CHECK(reason_of({.prefix = &announce}, "", "") == "announced by an operator");
    CHECK(reason_of({.stopping = true, .drain = &drain}, "", "SIGTERM") ==
          "the daemon is stopping: SIGTERM");
}

TEST_CASE("decide: the checks to blame are those that make the expression what it is") {
    constexpr auto P = CheckState::pass;
    constexpr auto F = CheckState::fail;
    constexpr auto U = CheckState::unknown;
    using Ids = std::vector<std::uint32_t>;
    const Expression all = combine(Expression::Op::all, {uses(0), uses(1), uses(2)});
    const Expression any = combine(Expression::Op::any, {uses(0), uses(1), uses(2)});
    CHECK(deciding_checks(all, {P, F, U}) == Ids{1});
    CHECK(deciding_checks(all, {P, P, U}) == Ids{2});
    CHECK(deciding_checks(all, {P, P, P}) == Ids{0, 1, 2});
    CHECK(deciding_checks(any, {P, F, U}) == Ids{0});
    CHECK(deciding_checks(any, {F, F, F}) == Ids{0, 1, 2});
    const Expression nested =
        combine(Expression::Op::all, {uses(0), combine(Expression::Op::negation, {any})});
    CHECK(deciding_checks(nested, {F, P, F}) == Ids{0, 1});
    CHECK(deciding_checks(always(), {}) == Ids{});
}

TEST_CASE("decide: a sentence names three checks and counts the rest") {
    std::vector<Expression> members;
    for (CheckId id = 0; id < 5; ++id) members.push_back(uses(id));
    const auto words = [](CheckId) { return CheckWords{"web", "refused"}; };
    CHECK(verdict_reason(combine(Expression::Op::any, members),
                         std::vector<CheckState>(5, CheckState::fail), words) ==
          "check web fails (refused), check web fails (refused), check web fails (refused) and 2 "
          "more");
}

}  // namespace swerve::failover
