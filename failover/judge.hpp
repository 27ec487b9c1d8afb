#pragma once
// From the states of checks to a verdict, by what each check may do (HEALTH.md §0).

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "failover/decide.hpp"
#include "swerve/failover/policy.hpp"
#include "swerve/health/expression.hpp"

namespace swerve::failover {

/// `healthy_when` of a service over the checks that count for each question; where nothing remains
/// there is nothing to fail.
struct Health {
    std::optional<health::Expression> stay;   ///< withdraw checks: whether it may be announced
    std::optional<health::Expression> full;   ///< and degrade checks: whether in full
    std::optional<health::Expression> start;  ///< withdraw and gate checks: whether it may start
    std::optional<health::Expression> degraded_when;
};
/// Which checks count for each of these questions.
struct Counted {
    /// `effects`: of every check.
    explicit Counted(const std::vector<Effect>& effects);

    std::vector<bool> stay;
    std::vector<bool> full;
    std::vector<bool> start;
};
[[nodiscard]] Health health_of(const health::Expression& healthy_when,
                               const std::optional<health::Expression>& degraded_when,
                               const Counted& counted);

/// What of a verdict stands though checks that a restart or a reload made new are undecided.
struct Standing {
    bool verdict = false;
    bool degree = false;   ///< up or degraded
    bool started = false;  ///< upstreams see it already, so that no gate keeps it from starting
};

struct Judgement {
    Verdict verdict;
    bool serving_decided;  ///< whether it may be announced
    bool degree_decided;
};
[[nodiscard]] Judgement judge(const Health& health, const std::vector<health::CheckState>& states,
                              Verdict before, Standing standing);

/// The expression that makes the verdict what it is; null: it depends on no check.
struct Deciding {
    const health::Expression* expression;
    bool gate;  ///< it only keeps the service from starting
};
[[nodiscard]] Deciding deciding(const Health& health, const std::vector<health::CheckState>& states,
                                Verdict verdict);

/// "gate: check vault fails (sealed, 3 of 3)".
[[nodiscard]] std::string verdict_reason(const Health& health,
                                         const std::vector<health::CheckState>& states,
                                         Verdict verdict,
                                         const std::function<CheckWords(std::uint32_t)>& words_of);

}  // namespace swerve::failover
