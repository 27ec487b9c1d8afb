#include "swerve/failover/explain.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "failover/judge.hpp"
#include "swerve/base/span.hpp"

namespace swerve::failover {

namespace {

using health::CheckState;
using Mark = ExplainStep::Mark;

/// A line names this many neighbors or prefixes at most.
constexpr std::size_t named = 3;

/// Everything the chain is told from, looked up once.
struct Facts {
    const SiteView& site;
    const Prefix& prefix;
    const std::vector<NeighborFacts>& neighbors;
    const std::vector<std::string>& caveats;
    TimePoint now;
    const SiteView::Service* service = nullptr;  ///< null: none has this prefix
    const Override* word = nullptr;              ///< on the prefix
    Inputs inputs{};
    Decision decision{};
    std::string waiting{};  ///< what a verdict that is for more waits for
    bool owned = false;
    std::size_t able = 0;     ///< established neighbors that carry the prefix
    std::size_t holding = 0;  ///< of these, how many were sent the route
};

const SiteView::Service* service_of(const SiteView& site, const Prefix& prefix) {
    for (const SiteView::Service& service : site.services) {
        for (const bgp::BlockRef& block : service.prefixes) {
            if (block->family() == prefix.family() && block->find(prefix)) return &service;
        }
    }
    return nullptr;
}

Facts facts_of(const SiteView& site, const Prefix& prefix,
               const std::vector<NeighborFacts>& neighbors, const std::vector<std::string>& caveats,
               TimePoint now) {
    Facts facts{site, prefix, neighbors, caveats, now};
    facts.owned = std::ranges::any_of(site.owned,
                                      [&](const Prefix& block) { return block.contains(prefix); });
    facts.service = service_of(site, prefix);
    const auto word = site.prefix_overrides.find(prefix);
    if (word != site.prefix_overrides.end()) facts.word = &word->second;
    facts.inputs = {
        .stopping = site.stopping, .prefix = facts.word, .held = site.hold_until.has_value()};
    if (facts.service != nullptr) {
        facts.inputs.verdict = facts.service->verdict;
        if (facts.service->drain) facts.inputs.drain = &*facts.service->drain;
        const SiteView::Service& service = *facts.service;
        facts.inputs.leaving = leaving_of(service.leaving_until.has_value(), service.shown);
        facts.inputs.leaving_degraded = service.drain && service.degraded_until;
        facts.inputs.returning = !service.drain && service.degraded_until;
        if (facts.inputs.returning) facts.waiting = describe_return(*service.degraded_until, now);
        if (service.damped) {
            facts.inputs.allowed = service.shown;
            facts.waiting = describe(service.damping, *service.damped, service.shown, now);
        }
    }
    facts.decision = decide(facts.inputs);
    for (const NeighborFacts& neighbor : neighbors) {
        if (!neighbor.established) continue;
        facts.able += neighbor.carries ? 1U : 0U;
        facts.holding += neighbor.advertised ? 1U : 0U;
    }
    return facts;
}

std::string reason(const Facts& facts) {
    if (!facts.owned) return "it is outside everything in owned";
    if (facts.service == nullptr && facts.decision.cause == Cause::verdict) {
        return "no service has it and no operator announced it";
    }
    return reason_of(facts.inputs, facts.service != nullptr ? facts.service->verdict_reason : "",
                     facts.site.stop_reason, facts.waiting);
}

ExplainStep owned_step(const Facts& facts) {
    for (const Prefix& block : facts.site.owned) {
        if (block.contains(facts.prefix)) return {"owned", Mark::ok, "inside " + block.to_string()};
    }
    std::string list;
    for (const Prefix& block : facts.site.owned) {
        list += (list.empty() ? "" : ", ") + block.to_string();
    }
    return {"owned", Mark::blocked,
            fmt::format("outside everything in owned ({}); it can never be announced", list)};
}

/// A shorter prefix of a service that covers this one is what the caller may have meant.
std::string nearest(const Facts& facts) {
    for (const SiteView::Service& service : facts.site.services) {
        for (const bgp::BlockRef& block : service.prefixes) {
            if (block->family() != facts.prefix.family()) continue;
            for (unsigned length = facts.prefix.length(); length-- > 0;) {
                const auto cover = Prefix::masked(facts.prefix.address(), length);
                if (cover && block->find(*cover)) {
                    return fmt::format("; {} of service {} covers it", cover->to_string(),
                                       service.name);
                }
            }
        }
    }
    return "";
}

ExplainStep service_step(const Facts& facts) {
    if (facts.service != nullptr) {
        const auto name_of = [&](std::uint32_t check) -> std::string_view {
            return facts.site.checks[check].name;
        };
        const auto& condition = facts.service->degraded_when;
        return {"service", Mark::ok,
                fmt::format("of service {}, healthy when {}{}", facts.service->name,
                            health::to_string(facts.service->healthy_when, name_of),
                            condition ? ", degraded when " + health::to_string(*condition, name_of)
                                      : std::string{})};
    }
    const bool manual = facts.decision.announces();
    return {"service", manual ? Mark::info : Mark::blocked,
            fmt::format("of no service{}{}", manual ? ": a manual route" : "", nearest(facts))};
}

/// "for another 59m59s".
std::string still(const Facts& facts, TimePoint until) {
    return "for another " + span_text(until - facts.now);
}

/// One step per word in force, the deciding one marked; those it outranks are told as well.
void override_steps(const Facts& facts, std::vector<ExplainStep>& out) {
    const std::size_t before = out.size();
    if (facts.inputs.stopping) {
        out.push_back({"override", Mark::blocked,
                       fmt::format("the daemon is stopping: {}", facts.site.stop_reason)});
    }
    const auto add = [&](const Override* word, Cause cause) {
        if (word == nullptr) return;
        const bool decides = facts.decision.cause == cause;
        const Mark mark = !decides                     ? Mark::info
                          : facts.decision.announces() ? Mark::ok
                                                       : Mark::blocked;
        out.push_back({"override", mark,
                       fmt::format("{}, {}{}", describe(*word),
                                   word->expires ? still(facts, *word->expires) : "until cleared",
                                   decides ? "" : " (outranked)")});
    };
    const bool withdraws = facts.word != nullptr && facts.word->kind == OverrideKind::withdraw;
    add(facts.word, withdraws ? Cause::withdraw : Cause::announce);
    add(facts.inputs.drain, Cause::drain);
    if (out.size() == before) out.push_back({"override", Mark::info, "none"});
}

/// After a series of crashes; told even where an operator's word or the verdict makes it idle.
void hold_step(const Facts& facts, std::vector<ExplainStep>& out) {
    if (!facts.site.hold_until || facts.service == nullptr) return;
    const bool decides = facts.decision.cause == Cause::held;
    out.push_back({"hold", decides ? Mark::blocked : Mark::info,
                   fmt::format("the daemon ended unexpectedly several times in a row: no verdict "
                               "announces {}",
                               still(facts, *facts.site.hold_until))});
}

/// What a check may do, where that is not what most may.
std::string_view effect_text(Effect effect) {
    switch (effect) {
        case Effect::withdraw:
            return "";
        case Effect::degrade:
            return "; it can degrade only";
        case Effect::gate:
            return "; a gate: it is needed to start, and an alarm later";
        case Effect::alarm:
            break;
    }
    return "; an alarm only";
}

/// "web: fail (HTTP 503, 3 of 3); 3/3 failures, last result: HTTP 503".
std::string check_text(const SiteView::Check& check, std::string_view caveat) {
    std::string text = fmt::format("{}: {}", check.name, health::to_string(check.state));
    if (check.state != CheckState::unknown) text += fmt::format(" ({})", check.reason);
    if (check.failures > 0) {
        text += fmt::format("; {}/{} failures", std::min(check.failures, check.policy.fall),
                            check.policy.fall);
    } else if (check.passes > 0) {
        text += fmt::format("; {}/{} passes", std::min(check.passes, check.policy.rise),
                            check.policy.rise);
    }
    if (check.window_failures > 0) {
        text += fmt::format("; {} failures among the last {} (limit {})", check.window_failures,
                            check.policy.window_of, check.policy.window_failures);
    }
    text += check.last ? "; last result " + std::string{to_string(check.last->result)} + ": " +
                             check.last->reason
                       : "; no result yet";
    if (check.held_until) text += "; the last verdict is held without evidence";
    if (check.without_evidence) text += "; its last state stands without evidence";
    if (!check.only_if.empty()) text += fmt::format("; asked only while {} passes", check.only_if);
    text += effect_text(check.effect);
    if (!caveat.empty()) text += fmt::format("; note: {}", caveat);
    return text;
}

Health health_of(const SiteView& site, const SiteView::Service& service) {
    std::vector<Effect> effects;
    effects.reserve(site.checks.size());
    for (const SiteView::Check& check : site.checks) effects.push_back(check.effect);
    return failover::health_of(service.healthy_when, service.degraded_when, Counted{effects});
}

/// Of `healthy_when` and `degraded_when`.
std::vector<CheckId> checks_of(const SiteView::Service& service) {
    std::vector<CheckId> checks = health::checks_of(service.healthy_when);
    if (!service.degraded_when) return checks;
    std::vector<CheckId> all;
    std::ranges::set_union(checks, health::checks_of(*service.degraded_when),
                           std::back_inserter(all));
    return all;
}

void check_steps(const Facts& facts, std::vector<ExplainStep>& out) {
    if (facts.service == nullptr) return;
    const SiteView::Service& service = *facts.service;
    const bool up = service.verdict == Verdict::up || service.verdict == Verdict::degraded;
    const bool outranked = !facts.decision.follows_verdict() && facts.decision.cause != Cause::held;
    const Mark against = outranked ? Mark::info : Mark::blocked;
    out.push_back({"checks", up ? Mark::ok : against,
                   fmt::format("verdict {}: {}{}", to_string(service.verdict),
                               service.verdict_reason, outranked ? " (outranked)" : "")});

    std::vector<CheckState> states;
    states.reserve(facts.site.checks.size());
    for (const SiteView::Check& check : facts.site.checks) states.push_back(check.state);
    const Health health = health_of(facts.site, service);
    const auto* expression = deciding(health, states, service.verdict).expression;
    const auto those =
        expression != nullptr ? deciding_checks(*expression, states) : std::vector<CheckId>{};
    for (const std::uint32_t id : checks_of(service)) {
        const bool decides = std::ranges::binary_search(those, id);
        const Mark mark = decides ? (up ? Mark::ok : against) : Mark::info;
        const std::string_view caveat =
            id < facts.caveats.size() ? std::string_view{facts.caveats[id]} : std::string_view{};
        out.push_back({"checks", mark, check_text(facts.site.checks[id], caveat)});
    }
}

/// What the verdict would be shown with by now, but for damping or for the stage of a return.
void waiting_step(const Facts& facts, std::vector<ExplainStep>& out) {
    if (facts.service == nullptr || facts.waiting.empty()) return;
    const bool decides =
        facts.decision.cause == Cause::damping || facts.decision.cause == Cause::returning;
    const bool shown = facts.decision.shown != Shown::nothing;
    out.push_back({facts.service->damped ? "damping" : "return",
                   decides && !shown ? Mark::blocked : Mark::info, facts.waiting});
}

/// Why no neighbor holds a route that is wanted.
std::string why_none(const Facts& facts) {
    if (facts.neighbors.empty()) return "there is no neighbor";
    std::vector<const NeighborFacts*> carriers;
    for (const NeighborFacts& neighbor : facts.neighbors) {
        if (neighbor.carries) carriers.push_back(&neighbor);
    }
    if (carriers.empty()) return "no neighbor carries this service and family";
    if (facts.able > 0) return "it is about to be sent";
    std::string list;
    for (std::size_t i = 0; i < std::min(carriers.size(), named); ++i) {
        list += fmt::format("{}{}: {}", i == 0 ? "" : ", ", carriers[i]->name, carriers[i]->detail);
    }
    if (carriers.size() > named) list += fmt::format(", {} more", carriers.size() - named);
    return fmt::format("no neighbor that carries it is established ({})", list);
}

ExplainStep sessions_step(const Facts& facts) {
    const std::string count =
        fmt::format("{} of {} established neighbors hold it", facts.holding, facts.able);
    if (facts.decision.intent == Intent::drain && facts.decision.shown != Shown::nothing) {
        const TimePoint end = *facts.service->leaving_until;
        std::string stage = "with GRACEFUL_SHUTDOWN " + still(facts, end);
        if (facts.decision.shown == Shown::degraded) {
            const TimePoint then = *facts.service->degraded_until;
            stage = "degraded " + still(facts, then);
            if (end > then) stage += ", then with GRACEFUL_SHUTDOWN for " + span_text(end - then);
        }
        return {"sessions", Mark::info, fmt::format("{}, {}; then it is withdrawn", count, stage)};
    }
    if (!facts.decision.announces()) {
        const bool held = facts.holding > 0;
        return {"sessions", Mark::info,
                held ? fmt::format("{} still; the withdraw is on its way", count)
                     : std::string{"no neighbor holds it"}};
    }
    if (facts.holding > 0) return {"sessions", Mark::ok, count};
    return {"sessions", Mark::blocked, fmt::format("{}: {}", count, why_none(facts))};
}

std::string summary_of(const Facts& facts) {
    const std::string subject = facts.prefix.to_string();
    const std::string why = reason(facts);
    if (!facts.owned) return fmt::format("{} is NOT OURS: {}", subject, why);
    if (facts.decision.announces()) {
        if (facts.holding == 0) {
            return fmt::format("{} is WANTED but not announced: {}", subject, why_none(facts));
        }
        return fmt::format("{} is ANNOUNCED{} to {} of {} established neighbors: {}", subject,
                           facts.decision.intent == Intent::degrade ? " DEGRADED" : "",
                           facts.holding, facts.able, why);
    }
    const std::string_view what = facts.decision.shown != Shown::nothing ? "DRAINING"
                                  : facts.holding > 0                    ? "BEING WITHDRAWN"
                                                                         : "WITHDRAWN";
    return fmt::format("{} is {}: {}", subject, what, why);
}

}  // namespace

Explanation explain(const SiteView& site, const Prefix& prefix,
                    const std::vector<NeighborFacts>& neighbors,
                    const std::vector<std::string>& caveats, TimePoint now) {
    const Facts facts = facts_of(site, prefix, neighbors, caveats, now);
    Explanation explanation{.prefix = prefix,
                            .announced = facts.holding > 0,
                            .wanted = facts.owned && facts.decision.announces(),
                            .summary = summary_of(facts),
                            .steps = {owned_step(facts)}};
    if (!facts.owned) return explanation;
    explanation.steps.push_back(service_step(facts));
    override_steps(facts, explanation.steps);
    hold_step(facts, explanation.steps);
    check_steps(facts, explanation.steps);
    waiting_step(facts, explanation.steps);
    explanation.steps.push_back(sessions_step(facts));
    return explanation;
}

}  // namespace swerve::failover
