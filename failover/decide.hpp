#pragma once
// From what is known to what the network shall see. Pure, and the only place where the precedence
// of DESIGN.md §1 is written down: withdraw > drain > announce > verdict.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "swerve/failover/site.hpp"
#include "swerve/health/expression.hpp"

namespace swerve::failover {

/// What of a service still stands because its drain is young. A verdict that falls meanwhile ends
/// that for what stood by it, and not for what an operator announced.
enum class Leaving : std::uint8_t { nothing, words, everything };

/// `in_stages`: the drain has not come to its withdraw yet; `shown`: what is shown of the prefixes
/// that stand by the verdict, which is nothing once it fell.
[[nodiscard]] Leaving leaving_of(bool in_stages, Shown shown);

/// What bears on one service, or on one prefix when its override is given as well.
struct Inputs {
    Verdict verdict = Verdict::unknown;
    bool stopping = false;
    const Override* drain = nullptr;   ///< on the service
    const Override* prefix = nullptr;  ///< announce or withdraw, on the prefix
    bool held = false;                 ///< after a series of crashes no verdict announces yet
    Leaving leaving = Leaving::nothing;
    bool leaving_degraded = false;     ///< first stage of the drain: `drain.degrade_for`
    bool returning = false;            ///< first stage of a return: `return.degrade_for`
    Shown allowed = Shown::announced;  ///< the most that damping lets the verdict show
};

/// What decided.
enum class Cause : std::uint8_t {
    stopping,
    withdraw,
    drain,
    announce,
    held,
    damping,
    returning,
    verdict
};

struct Decision {
    Intent intent;
    Cause cause;
    Shown shown;

    [[nodiscard]] bool announces() const {
        return intent == Intent::announce || intent == Intent::degrade;
    }
    /// Whether the verdict alone has led to this, so that it may have to wait to show more.
    [[nodiscard]] bool follows_verdict() const {
        return cause == Cause::verdict || cause == Cause::returning || cause == Cause::damping;
    }
    friend bool operator==(const Decision&, const Decision&) = default;
};

[[nodiscard]] Decision decide(const Inputs& inputs);

/// One sentence for the cause of decide(inputs); `waiting`: what a verdict that is for more waits
/// for.
[[nodiscard]] std::string reason_of(const Inputs& inputs, std::string_view verdict_reason,
                                    std::string_view stop_reason, std::string_view waiting = "");

/// "announcements wait 7m12s: upstreams that damp like cisco would suppress the routes (penalty
/// 1432, and room for one more withdraw is needed)". `shown`: what is shown meanwhile.
[[nodiscard]] std::string describe(const Damping& damping, const Damping::Wait& wait, Shown shown,
                                   TimePoint now);
/// "degraded for another 30s, because it came back only now".
[[nodiscard]] std::string describe_return(TimePoint until, TimePoint now);

/// "withdrawn by root: maintenance".
[[nodiscard]] std::string describe(const Override& word);

[[nodiscard]] Verdict verdict_of(health::CheckState state);

/// The checks that make the expression what it is: of an `all` that fails the failing members, of
/// an `any` that passes the passing ones. Ascending, each once.
[[nodiscard]] std::vector<std::uint32_t> deciding_checks(
    const health::Expression& expression, const std::vector<health::CheckState>& states);

/// What verdict_reason may ask of a check.
struct CheckWords {
    std::string_view name;
    std::string_view reason;
};

/// "check web fails (HTTP 503, 3 of 3)".
[[nodiscard]] std::string verdict_reason(const health::Expression& expression,
                                         const std::vector<health::CheckState>& states,
                                         const std::function<CheckWords(std::uint32_t)>& words_of);

}  // namespace swerve::failover
