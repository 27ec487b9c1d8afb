#include "failover/decide.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "swerve/base/span.hpp"

namespace swerve::failover {

namespace {

using health::CheckState;
using health::Expression;

/// A sentence stays a line: beyond this many checks it only says how many more there are.
constexpr std::size_t named_checks = 3;

void collect_deciding(const Expression& expression, const std::vector<CheckState>& states,
                      std::vector<std::uint32_t>& out) {
    if (expression.op == Expression::Op::check) out.push_back(expression.check);
    if (expression.op == Expression::Op::negation) {
        return collect_deciding(expression.of.front(), states, out);
    }
    const CheckState whole = health::evaluate(expression, states);
    for (const Expression& member : expression.of) {
        if (health::evaluate(member, states) == whole) collect_deciding(member, states, out);
    }
}

std::string sentence(CheckState state, const CheckWords& words) {
    switch (state) {
        case CheckState::pass:
            return fmt::format("check {} passes", words.name);
        case CheckState::fail:
            return fmt::format("check {} fails ({})", words.name, words.reason);
        case CheckState::unknown:
            break;
    }
    return fmt::format("check {} is undecided ({})", words.name, words.reason);
}

}  // namespace

std::string_view to_string(Verdict verdict) {
    switch (verdict) {
        case Verdict::unknown:
            return "unknown";
        case Verdict::up:
            return "up";
        case Verdict::degraded:
            return "degraded";
        case Verdict::down:
            break;
    }
    return "down";
}

std::string_view to_string(Intent intent) {
    switch (intent) {
        case Intent::announce:
            return "announce";
        case Intent::degrade:
            return "degrade";
        case Intent::drain:
            return "drain";
        case Intent::withdraw:
            break;
    }
    return "withdraw";
}

std::string_view to_string(Shown shown) {
    switch (shown) {
        case Shown::nothing:
            return "nothing";
        case Shown::draining:
            return "draining";
        case Shown::degraded:
            return "degraded";
        case Shown::announced:
            break;
    }
    return "announced";
}

std::string_view to_string(Scope scope) { return scope == Scope::local ? "local" : "shared"; }

std::string_view to_string(Effect effect) {
    switch (effect) {
        case Effect::withdraw:
            return "withdraw";
        case Effect::degrade:
            return "degrade";
        case Effect::gate:
            return "gate";
        case Effect::alarm:
            break;
    }
    return "alarm";
}

std::string_view to_string(OverrideKind kind) {
    switch (kind) {
        case OverrideKind::announce:
            return "announce";
        case OverrideKind::drain:
            return "drain";
        case OverrideKind::withdraw:
            break;
    }
    return "withdraw";
}

Leaving leaving_of(bool in_stages, Shown shown) {
    if (!in_stages) return Leaving::nothing;
    return shown == Shown::nothing ? Leaving::words : Leaving::everything;
}

Decision decide(const Inputs& inputs) {
    const auto has = [&](OverrideKind kind) {
        return inputs.prefix != nullptr && inputs.prefix->kind == kind;
    };
    const auto withdraw = [](Cause cause) {
        return Decision{Intent::withdraw, cause, Shown::nothing};
    };
    const auto announce = [](Cause cause) {
        return Decision{Intent::announce, cause, Shown::announced};
    };
    const auto degrade = [](Cause cause) {
        return Decision{Intent::degrade, cause, Shown::degraded};
    };
    if (inputs.stopping) return withdraw(Cause::stopping);
    if (has(OverrideKind::withdraw)) return withdraw(Cause::withdraw);
    if (inputs.drain != nullptr) {
        // RFC 8326 §4.1: what would be announced without the drain says for a while that it leaves.
        Inputs undrained = inputs;
        undrained.drain = nullptr;
        if (inputs.leaving == Leaving::words) undrained.verdict = Verdict::down;
        const bool leaves = inputs.leaving != Leaving::nothing && decide(undrained).announces();
        const Shown stage = inputs.leaving_degraded ? Shown::degraded : Shown::draining;
        return {Intent::drain, Cause::drain, leaves ? stage : Shown::nothing};
    }
    if (has(OverrideKind::announce)) return announce(Cause::announce);
    // Nothing is announced before its verdict is up (DESIGN.md §4.4), so unknown is as good as
    // down.
    if (inputs.verdict == Verdict::unknown || inputs.verdict == Verdict::down) {
        return withdraw(Cause::verdict);
    }
    if (inputs.held) return withdraw(Cause::held);
    if (inputs.allowed == Shown::nothing) return withdraw(Cause::damping);
    if (inputs.verdict == Verdict::degraded) return degrade(Cause::verdict);
    if (inputs.returning) return degrade(Cause::returning);
    return inputs.allowed == Shown::announced ? announce(Cause::verdict) : degrade(Cause::damping);
}

std::string reason_of(const Inputs& inputs, std::string_view verdict_reason,
                      std::string_view stop_reason, std::string_view waiting) {
    switch (decide(inputs).cause) {
        case Cause::stopping:
            return fmt::format("the daemon is stopping: {}", stop_reason);
        case Cause::withdraw:
        case Cause::announce:
            return describe(*inputs.prefix);
        case Cause::drain:
            return describe(*inputs.drain);
        case Cause::held:
            return "announcements wait, because the daemon ended unexpectedly several times in a "
                   "row";
        case Cause::damping:
        case Cause::returning:
            return std::string{waiting};
        case Cause::verdict:
            break;
    }
    return std::string{verdict_reason};
}

std::string describe(const Override& word) {
    const std::string_view what = word.kind == OverrideKind::withdraw ? "withdrawn"
                                  : word.kind == OverrideKind::drain  ? "drained"
                                                                      : "announced";
    return fmt::format("{} by {}{}{}", what, word.who.empty() ? "an operator" : word.who,
                       word.reason.empty() ? "" : ": ", word.reason);
}

std::string describe(const Damping& damping, const Damping::Wait& wait, Shown shown,
                     TimePoint now) {
    const DampingPolicy& policy = damping.policy();
    const std::string what =
        fmt::format("{} {}", shown == Shown::nothing ? "announcements wait" : "full routes wait",
                    span_text(wait.until - now));
    switch (wait.cause) {
        case Damping::Cause::penalty:
            return fmt::format(
                "{}: upstreams that damp like {} would suppress the routes (penalty {:.0f}, and "
                "room for one more withdraw is needed)",
                what, to_string(policy.profile), damping.penalty(now));
        case Damping::Cause::hold_down:
            return fmt::format("{}: hold_down is {} from a withdraw on", what,
                               span_text(policy.hold_down));
        case Damping::Cause::changes_per_hour:
            break;
    }
    return fmt::format("{}: withdrawn {} times within an hour, and changes_per_hour allows no more",
                       what, damping.withdrawals(now));
}

std::string describe_return(TimePoint until, TimePoint now) {
    return fmt::format("degraded for another {}, because it has come back only now",
                       span_text(until - now));
}

Verdict verdict_of(CheckState state) {
    switch (state) {
        case CheckState::pass:
            return Verdict::up;
        case CheckState::fail:
            return Verdict::down;
        case CheckState::unknown:
            break;
    }
    return Verdict::unknown;
}

std::vector<std::uint32_t> deciding_checks(const Expression& expression,
                                           const std::vector<CheckState>& states) {
    std::vector<std::uint32_t> checks;
    collect_deciding(expression, states, checks);
    std::ranges::sort(checks);
    const auto repeated = std::ranges::unique(checks);
    checks.erase(repeated.begin(), repeated.end());
    return checks;
}

std::string verdict_reason(const Expression& expression, const std::vector<CheckState>& states,
                           const std::function<CheckWords(std::uint32_t)>& words_of) {
    const auto checks = deciding_checks(expression, states);
    if (checks.empty()) return "it depends on no check";
    std::string text;
    for (std::size_t i = 0; i < std::min(checks.size(), named_checks); ++i) {
        text += (i == 0 ? "" : ", ") + sentence(states[checks[i]], words_of(checks[i]));
    }
    if (checks.size() > named_checks) {
        text += fmt::format(" and {} more", checks.size() - named_checks);
    }
    return text;
}

}  // namespace swerve::failover
