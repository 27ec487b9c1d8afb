#include "swerve/health/expression.hpp"

#include <doctest/doctest.h>

#include <array>

namespace swerve::health {

namespace {

using Op = Expression::Op;
constexpr auto P = CheckState::pass;
constexpr auto F = CheckState::fail;
constexpr auto U = CheckState::unknown;

Expression check(std::uint32_t id) { return {.op = Op::check, .check = id}; }
Expression of(Op op, std::vector<Expression> members, std::uint32_t count = 0) {
    return {.op = op, .check = 0, .count = count, .of = std::move(members)};
}

}  // namespace

TEST_CASE("expression: all, any and not follow Kleene's tables") {
    struct Row {
        CheckState a, b, all, any;
    };
    constexpr std::array<Row, 9> rows{{{P, P, P, P},
                                       {P, F, F, P},
                                       {P, U, U, P},
                                       {F, P, F, P},
                                       {F, F, F, F},
                                       {F, U, F, U},
                                       {U, P, U, P},
                                       {U, F, F, U},
                                       {U, U, U, U}}};
    for (const Row& row : rows) {
        const std::vector states{row.a, row.b};
        CHECK(evaluate(of(Op::all, {check(0), check(1)}), states) == row.all);
        CHECK(evaluate(of(Op::any, {check(0), check(1)}), states) == row.any);
    }
    CHECK(evaluate(of(Op::negation, {check(0)}), {P}) == F);
    CHECK(evaluate(of(Op::negation, {check(0)}), {F}) == P);
    CHECK(evaluate(of(Op::negation, {check(0)}), {U}) == U);
}

TEST_CASE("expression: at_least is decided as soon as enough pass or too few could") {
    const Expression two = of(Op::at_least, {check(0), check(1), check(2)}, 2);
    CHECK(evaluate(two, {P, P, U}) == P);
    CHECK(evaluate(two, {P, U, F}) == U);
    CHECK(evaluate(two, {U, F, F}) == F);
    CHECK(evaluate(two, {P, F, F}) == F);
    CHECK(evaluate(two, {U, U, U}) == U);
}

TEST_CASE("expression: all of nothing is always, any of nothing is never") {
    CHECK(evaluate(of(Op::all, {}), {}) == P);
    CHECK(evaluate(of(Op::any, {}), {}) == F);
    CHECK(to_string(of(Op::all, {}), [](std::uint32_t) { return ""; }) == "always");
}

TEST_CASE("expression: nested expressions print, and name each check once") {
    const Expression nested =
        of(Op::all, {check(3), of(Op::any, {check(1), check(2)}), of(Op::negation, {check(1)}),
                     of(Op::at_least, {check(0), check(3)}, 1)});
    constexpr std::array<std::string_view, 4> names{"web", "db-a", "db-b", "app"};
    CHECK(to_string(nested, [&](std::uint32_t id) { return names[id]; }) ==
          "all(app, any(db-a, db-b), not(db-a), at_least(1, web, app))");
    CHECK(checks_of(nested) == std::vector<std::uint32_t>{0, 1, 2, 3});
    CHECK(evaluate(nested, {U, F, P, P}) == P);
}

}  // namespace swerve::health
