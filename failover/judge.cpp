#include "failover/judge.hpp"

namespace swerve::failover {

namespace {

using health::CheckState;
using health::Expression;

CheckState state_of(const std::optional<Expression>& expression,
                    const std::vector<CheckState>& states) {
    return expression ? health::evaluate(*expression, states) : CheckState::pass;
}

bool serves(Verdict verdict) { return verdict == Verdict::up || verdict == Verdict::degraded; }

}  // namespace

Counted::Counted(const std::vector<Effect>& effects) {
    for (const Effect effect : effects) {
        stay.push_back(effect == Effect::withdraw);
        full.push_back(effect == Effect::withdraw || effect == Effect::degrade);
        start.push_back(effect == Effect::withdraw || effect == Effect::gate);
    }
}

Health health_of(const Expression& healthy_when, const std::optional<Expression>& degraded_when,
                 const Counted& counted) {
    return {health::restricted(healthy_when, counted.stay),
            health::restricted(healthy_when, counted.full),
            health::restricted(healthy_when, counted.start), degraded_when};
}

Judgement judge(const Health& health, const std::vector<CheckState>& states, Verdict before,
                Standing standing) {
    CheckState serving = state_of(health.stay, states);
    // What keeps a service from starting takes nothing away from one that has started.
    const bool started = serves(before) || standing.started;
    if (serving == CheckState::pass && !started) serving = state_of(health.start, states);
    const CheckState full = state_of(health.full, states);
    const CheckState worse =
        health.degraded_when ? health::evaluate(*health.degraded_when, states) : CheckState::fail;
    Judgement out{Verdict::down, serving != CheckState::unknown,
                  full != CheckState::unknown && worse != CheckState::unknown};
    if (serving == CheckState::fail) return out;
    if (serving == CheckState::unknown) {
        // HEALTH.md §0: what was decided once and has lost its evidence since counts as failed;
        // what a reload made undecided gets the time to be decided.
        if (before == Verdict::unknown || standing.verdict) out.verdict = before;
        const bool known_worse = worse == CheckState::pass || full == CheckState::fail;
        if (out.verdict == Verdict::up && known_worse) out.verdict = Verdict::degraded;
        return out;
    }
    const bool stands = standing.degree && serves(before) && !out.degree_decided;
    if (worse == CheckState::pass || full == CheckState::fail) {
        out.verdict = Verdict::degraded;
    } else if (stands) {
        out.verdict = before;
    } else {
        // No evidence makes nothing better: what is not known to be in full order is so only if it
        // was.
        const bool better = worse == CheckState::fail || before == Verdict::up;
        out.verdict = full == CheckState::pass && better ? Verdict::up : Verdict::degraded;
    }
    return out;
}

Deciding deciding(const Health& health, const std::vector<CheckState>& states, Verdict verdict) {
    const auto of = [](const std::optional<Expression>& expression, bool gate = false) {
        return Deciding{expression ? &*expression : nullptr, gate};
    };
    if (state_of(health.stay, states) != CheckState::pass) return of(health.stay);
    if (!serves(verdict)) return of(health.start, true);
    const CheckState worse =
        health.degraded_when ? health::evaluate(*health.degraded_when, states) : CheckState::fail;
    const bool by_condition =
        worse == CheckState::pass ||
        (worse == CheckState::unknown && state_of(health.full, states) == CheckState::pass);
    return verdict == Verdict::degraded && by_condition ? of(health.degraded_when)
                                                        : of(health.full);
}

std::string verdict_reason(const Health& health, const std::vector<CheckState>& states,
                           Verdict verdict,
                           const std::function<CheckWords(std::uint32_t)>& words_of) {
    const auto [expression, gate] = deciding(health, states, verdict);
    if (expression == nullptr) return "it depends on no check";
    return (gate ? "gate: " : "") + verdict_reason(*expression, states, words_of);
}

}  // namespace swerve::failover
