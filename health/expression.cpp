#include "swerve/health/expression.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace swerve::health {

namespace {

/// At least `count` of the members pass: certain as soon as enough pass, impossible as soon as too
/// few could.
CheckState at_least(std::size_t count, const Expression& expression,
                    const std::vector<CheckState>& checks) {
    std::size_t passing = 0;
    std::size_t open = 0;
    for (const Expression& member : expression.of) {
        const CheckState state = evaluate(member, checks);
        passing += state == CheckState::pass ? 1U : 0U;
        open += state == CheckState::unknown ? 1U : 0U;
    }
    if (passing >= count) return CheckState::pass;
    return passing + open < count ? CheckState::fail : CheckState::unknown;
}

CheckState negation(CheckState state) {
    switch (state) {
        case CheckState::pass:
            return CheckState::fail;
        case CheckState::fail:
            return CheckState::pass;
        case CheckState::unknown:
            break;
    }
    return CheckState::unknown;
}

void collect(const Expression& expression, std::vector<std::uint32_t>& out) {
    if (expression.op == Expression::Op::check) out.push_back(expression.check);
    for (const Expression& member : expression.of) collect(member, out);
}

}  // namespace

CheckState evaluate(const Expression& expression, const std::vector<CheckState>& checks) {
    switch (expression.op) {
        case Expression::Op::check:
            return checks[expression.check];
        case Expression::Op::all:
            return at_least(expression.of.size(), expression, checks);
        case Expression::Op::any:
            return at_least(1, expression, checks);
        case Expression::Op::at_least:
            return at_least(expression.count, expression, checks);
        case Expression::Op::negation:
            break;
    }
    return negation(evaluate(expression.of.front(), checks));
}

std::optional<Expression> restricted(const Expression& expression,
                                     const std::vector<bool>& counted) {
    if (expression.op == Expression::Op::check) {
        return counted[expression.check] ? std::optional{expression} : std::nullopt;
    }
    Expression out = expression;
    out.of.clear();
    for (const Expression& member : expression.of) {
        if (auto remains = restricted(member, counted)) out.of.push_back(*std::move(remains));
    }
    if (out.of.empty() && !expression.of.empty()) return std::nullopt;
    out.count = std::min(out.count, static_cast<std::uint32_t>(out.of.size()));
    return out;
}

std::vector<std::uint32_t> checks_of(const Expression& expression) {
    std::vector<std::uint32_t> checks;
    collect(expression, checks);
    std::ranges::sort(checks);
    const auto repeated = std::ranges::unique(checks);
    checks.erase(repeated.begin(), repeated.end());
    return checks;
}

std::string to_string(const Expression& expression,
                      const std::function<std::string_view(std::uint32_t)>& name_of) {
    std::string members;
    for (const Expression& member : expression.of) {
        members += (members.empty() ? "" : ", ") + to_string(member, name_of);
    }
    switch (expression.op) {
        case Expression::Op::check:
            return std::string{name_of(expression.check)};
        case Expression::Op::all:
            return expression.of.empty() ? "always" : "all(" + members + ")";
        case Expression::Op::any:
            return "any(" + members + ")";
        case Expression::Op::at_least:
            return fmt::format("at_least({}, {})", expression.count, members);
        case Expression::Op::negation:
            break;
    }
    return "not(" + members + ")";
}

}  // namespace swerve::health
