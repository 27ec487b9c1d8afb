// How the bounds are derived. The failure begins at 0; the worst attempt is one that began just
// before and still passed. Jitter only shortens the interval, so the next one begins at `interval`
// at the latest, and after the first failure they come at `fast_interval`, or when the one before
// has ended, whichever is later. A check needs n = min(fall, window.failures) failures in a row.
//
//   fails_fast   interval + (n − 1) × fast_interval: an answer takes no time.
//   hangs        interval + timeout + (n − 1) × max(fast_interval, timeout): every attempt takes
//                all of its timeout (DESIGN.md §4.6).
//   alternates   The first failure is the second attempt, at 2 × interval. With fall 1 that is all.
//                Otherwise the window must fill: k failures are 2k − 1 results, so 2 × (k − 1) more
//                attempts at fast_interval; if `window.of` holds fewer results, it never does.
//   event        trust: 0, the event is the failure. confirm: the attempt that it starts may take
//                its timeout, and begins event_spacing after that of an earlier event.
//   not(check)   What fails the service is that the check passes: after p attempts in a row at
//                `interval`, where p is the larger of `rise` and what makes a window full of
//                failures clean enough. Hangs and events make no check pass.
//
//   only_if      A check is undecided at once when one that it depends on fails, and takes the
//                service with it, beneath `not` too: the longest of their bounds counts.
//
// A hang shows to no check that asks for no answer (ProbeType::sees_hangs). A failure that shows
// to too few checks for the expression to turn has no bound.
//
// What the machine takes for its own work (DESIGN.md §4.6: 5 ms) comes on top, and for an event
// right behind another one of the same probe the 20 ms in which the daemon merges them.

#include "swerve/conf/rto.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "conf/draft.hpp"
#include "swerve/health/probe_fields.hpp"

namespace swerve::conf {

namespace {

using health::Expression;
using health::TrackerPolicy;

/// Of one check or several; nothing where the failure does not show there.
using Bound = std::optional<WorstCase>;

/// Longer chains of `only_if` are refused.
constexpr unsigned longest_chain = 16;
/// Checks that a reason names.
constexpr std::size_t most_named = 3;

std::string text(Duration duration) { return format_duration(duration); }

/// " + 2 × 200ms", or nothing for none.
std::string times(unsigned count, Duration each) {
    return count == 0 ? "" : fmt::format(" + {} × {}", count, text(each));
}

unsigned failures_needed(const TrackerPolicy& timing) {
    return std::min(timing.fall, timing.window_failures);
}

/// One key of a check and how much of its bound it makes up.
struct Share {
    std::string_view key;
    Duration part;
};

std::string largest(const Check& check, std::initializer_list<Share> shares) {
    const Share& share = std::ranges::max(shares, {}, &Share::part);
    return fmt::format("checks.{}.{}", check.name, share.key);
}

WorstCase fails_fast(const Check& check) {
    const TrackerPolicy& timing = check.timing;
    const unsigned more = failures_needed(timing) - 1;
    const Duration rest = more * timing.fast_interval;
    return {.failure = Failure::fails_fast,
            .bound = timing.interval + rest,
            .because = fmt::format("check {}: {}{}", check.name, text(timing.interval),
                                   times(more, timing.fast_interval)),
            .key = largest(check, {{"interval", timing.interval}, {"fast_interval", rest}})};
}

WorstCase hangs(const Check& check) {
    TrackerPolicy timing = check.timing;
    timing.fall = failures_needed(timing);
    const unsigned more = timing.fall - 1;
    const Duration each = std::max(timing.fast_interval, timing.timeout);
    const bool slow = timing.timeout >= timing.fast_interval;
    return {.failure = Failure::hangs,
            .bound = health::detection_bound(timing),
            .because = fmt::format("check {}: {} + {}{}", check.name, text(timing.interval),
                                   text(timing.timeout), times(more, each)),
            .key = largest(check, {{"interval", timing.interval},
                                   {"timeout", timing.timeout + (slow ? more * each : Duration{})},
                                   {"fast_interval", slow ? Duration{} : more * each}})};
}

WorstCase alternates(const Check& check) {
    const TrackerPolicy& timing = check.timing;
    const std::string window = "checks." + check.name + ".window";
    const unsigned more = timing.fall == 1 ? 0 : 2 * (timing.window_failures - 1);
    if (more >= timing.window_of) {
        return {.failure = Failure::alternates,
                .bound = {},
                .because = fmt::format("check {}: every second result fails, and {} of the last {} "
                                       "never do",
                                       check.name, timing.window_failures, timing.window_of),
                .key = window};
    }
    const Duration rest = more * timing.fast_interval;
    return {.failure = Failure::alternates,
            .bound = 2 * timing.interval + rest,
            .because = fmt::format("check {}: 2 × {}{}", check.name, text(timing.interval),
                                   times(more, timing.fast_interval)),
            .key = rest > 2 * timing.interval ? window
                                              : largest(check, {{"interval", timing.interval}})};
}

Bound event(const Check& check) {
    const auto* type = health::find_probe_type(check.probe.type);
    if (type == nullptr || !type->has_events(check.probe.fields)) return std::nullopt;
    WorstCase out{.failure = Failure::event,
                  .bound = Duration{},
                  .because = "check " + check.name + ": trusts the event",
                  .key = "checks." + check.name + ".on_event"};
    if (check.timing.on_event == health::OnEvent::trust) return out;
    out.bound = health::event_spacing + check.timing.timeout;
    out.because = fmt::format("check {}: {} between two attempts for events + {}", check.name,
                              text(health::event_spacing), text(check.timing.timeout));
    out.key = "checks." + check.name + ".timeout";
    return out;
}

/// Until a check that has failed for long passes.
WorstCase passes(const Check& check) {
    const TrackerPolicy& timing = check.timing;
    const unsigned clean = timing.window_of - timing.window_failures + 1;
    const unsigned count = std::max(timing.rise, clean);
    return {
        .failure = Failure::fails_fast,
        .bound = count * timing.interval,
        .because =
            fmt::format("check {} passes: {} × {}", check.name, count, text(timing.interval)),
        .key = fmt::format("checks.{}.{}", check.name, timing.rise >= clean ? "rise" : "window")};
}

bool sees_hangs(const Check& check) {
    const auto* type = health::find_probe_type(check.probe.type);
    return type != nullptr && type->sees_hangs(check.probe.fields);
}

/// What one check takes to show the failure by failing or, beneath `not`, by passing.
Bound own_bound(const Check& check, Failure failure, bool negated) {
    switch (failure) {
        case Failure::fails_fast:
            return negated ? passes(check) : fails_fast(check);
        case Failure::hangs:
            return negated || !sees_hangs(check) ? std::nullopt : Bound{hangs(check)};
        case Failure::alternates:
            return negated ? std::nullopt : Bound{alternates(check)};
        case Failure::event:
            return negated ? std::nullopt : event(check);
        case Failure::daemon_dies:
        case Failure::host_dies:
            break;
    }
    return std::nullopt;
}

bool is_longer(const WorstCase& a, const WorstCase& b) {
    return !a.bound || (b.bound && *a.bound > *b.bound);
}

/// The same of a check together with those that it depends on: it is undecided as soon as one of
/// them fails, whatever it stands beneath.
Bound bound_of(const Config& config, const Check& check, Failure failure, bool negated) {
    Bound out = own_bound(check, failure, negated);
    auto above = check.only_if;
    for (unsigned depth = 0; above && depth < longest_chain; ++depth) {
        const Check& parent = config.checks[*above];
        Bound bound = own_bound(parent, failure, false);
        if (bound && (!out || is_longer(*bound, *out))) {
            bound->because = fmt::format("check {} depends on {}", check.name, bound->because);
            out = std::move(bound);
        }
        above = parent.only_if;
    }
    return out;
}

/// How many members must turn for the expression to fail (beneath `not`: to pass).
std::size_t members_needed(const Expression& expression, bool negated) {
    const std::size_t size = expression.of.size();
    switch (expression.op) {
        case Expression::Op::all:
            return negated ? size : 1;
        case Expression::Op::any:
            return negated ? 1 : size;
        case Expression::Op::at_least:
            return negated ? expression.count : size - expression.count + 1;
        case Expression::Op::check:
        case Expression::Op::negation:
            break;
    }
    return 1;
}

/// A failure may show to no more members than are needed, and those may be the slowest.
Bound worst(const Config& config, const Expression& expression, Failure failure, bool negated) {
    if (expression.op == Expression::Op::check) {
        return bound_of(config, config.checks[expression.check], failure, negated);
    }
    const bool inverts = expression.op == Expression::Op::negation;
    Bound out;
    std::size_t showing = 0;
    for (const Expression& member : expression.of) {
        Bound bound = worst(config, member, failure, negated != inverts);
        if (!bound) continue;
        ++showing;
        if (!out || is_longer(*bound, *out)) out = std::move(bound);
    }
    return showing >= members_needed(expression, negated) ? out : std::nullopt;
}

/// That a failure shows to too few checks: the case that nobody notices.
WorstCase unseen(const Config& config, const Service& service, const Expression& rule,
                 Failure failure) {
    std::string blind;
    std::size_t count = 0;
    for (const failover::CheckId id : health::checks_of(rule)) {
        const Check& check = config.checks[id];
        if (bound_of(config, check, failure, false) || ++count > most_named) continue;
        const std::string why =
            health::find_probe_type(check.probe.type)->caveat(check.probe.fields);
        blind += fmt::format("{}check {}: {}", blind.empty() ? "" : "; ", check.name,
                             why.empty() ? "it asks for no answer" : why);
    }
    if (count > most_named) blind += fmt::format("; and {} more", count - most_named);
    return {.failure = failure,
            .bound = {},
            .because = blind.empty() ? "it makes no check pass beneath not" : std::move(blind),
            .key = "services." + service.name + ".healthy_when"};
}

bool carries_any(const Neighbor& neighbor, failover::ServiceId id, const Service& service) {
    return !neighbor.admin_down && std::ranges::any_of(service.prefixes, [&](const auto& block) {
        return carries(neighbor, id, block->family());
    });
}

/// What the sessions with one neighbor have negotiated, the slowest of each.
struct Agreed {
    bool any = false;
    Duration hold_time{};
    bool without_hold_time = false;  ///< of any
    Duration detection{};
    bool without_bfd = false;  ///< of any: it is not Up
};

Agreed agreed_with(const Neighbor& neighbor, const std::vector<NegotiatedHold>& negotiated) {
    Agreed out;
    for (const NegotiatedHold& hold : negotiated) {
        if (hold.neighbor != neighbor.name) continue;
        out.any = true;
        out.hold_time = std::max(out.hold_time, hold.hold_time);
        out.without_hold_time = out.without_hold_time || hold.hold_time == Duration{};
        out.detection = std::max(out.detection, hold.bfd_detection.value_or(Duration{}));
        out.without_bfd = out.without_bfd || !hold.bfd_detection;
    }
    return out;
}

/// Until its hold time tells a neighbor that nobody is there any more.
WorstCase runs_out(const Neighbor& neighbor, const Agreed& agreed) {
    const Duration hold = agreed.any ? agreed.hold_time : neighbor.hold_time;
    const bool is_down = neighbor.bfd && agreed.any && agreed.without_bfd;
    WorstCase out{.failure = Failure::host_dies,
                  .bound = hold,
                  .because = fmt::format("neighbor {}: hold time {}, {}{}", neighbor.name,
                                         text(hold), agreed.any ? "negotiated" : "as configured",
                                         is_down ? "; BFD is not Up" : ""),
                  .key = "neighbors." + neighbor.name + ".hold_time"};
    if (agreed.without_hold_time || hold == Duration{}) {
        out.bound.reset();
        out.because = fmt::format("neighbor {}: no hold time{}, so it never notices", neighbor.name,
                                  is_down ? ", and BFD is not Up" : "");
    }
    return out;
}

/// Until BFD does; nothing where there is none, or it does not watch the session.
Bound detects(const Neighbor& neighbor, const Agreed& agreed) {
    if (!neighbor.bfd || (agreed.any && agreed.without_bfd)) return std::nullopt;
    const bfd::Timing& timing = neighbor.bfd->timing;
    const bfd::Timing defaults{};
    const bool is_patient =
        timing.multiplier > defaults.multiplier && timing.min_tx <= defaults.min_tx;
    return WorstCase{
        .failure = Failure::host_dies,
        .bound = agreed.any ? agreed.detection : timing.multiplier * timing.min_tx,
        .because = agreed.any ? fmt::format("neighbor {}: BFD {}, negotiated", neighbor.name,
                                            text(agreed.detection))
                              : fmt::format("neighbor {}: BFD {} × {}, as configured",
                                            neighbor.name, timing.multiplier, text(timing.min_tx)),
        .key = fmt::format("neighbors.{}.bfd.{}", neighbor.name,
                           is_patient ? "multiplier" : "interval")};
}

/// The longest that a neighbor without a word from us keeps routes: its hold time or, if that is
/// shorter, the detection time of BFD, and behind it the time for a restart, for which some keep
/// them then, too (RFC 8538 §4, RFC 5882 §4.3).
WorstCase holds_on(const Neighbor& neighbor, const std::vector<NegotiatedHold>& negotiated) {
    const Agreed agreed = agreed_with(neighbor, negotiated);
    WorstCase out = runs_out(neighbor, agreed);
    if (auto detected = detects(neighbor, agreed); detected && is_longer(out, *detected)) {
        out = *std::move(detected);
    }
    if (!out.bound || !neighbor.restart_time) return out;
    if (*neighbor.restart_time > *out.bound) {
        out.key = "neighbors." + neighbor.name + ".graceful_restart.restart_time";
    }
    *out.bound += *neighbor.restart_time;
    out.because += fmt::format(" + {} for a restart", text(*neighbor.restart_time));
    return out;
}

/// The kernel closes the sessions of a process that dies, and neighbors drop the routes at once,
/// unless they were asked to keep them (RFC 4724).
WorstCase forgets(const Neighbor& neighbor) {
    WorstCase out{.failure = Failure::daemon_dies,
                  .bound = Duration{},
                  .because = "the kernel closes the sessions",
                  .key = {}};
    if (!neighbor.restart_time) return out;
    out.bound = *neighbor.restart_time;
    out.because = fmt::format("neighbor {}: keeps the routes for a restart of {}", neighbor.name,
                              text(*neighbor.restart_time));
    out.key = "neighbors." + neighbor.name + ".graceful_restart.restart_time";
    return out;
}

/// By check: whether its failure takes routes away.
std::vector<bool> withdrawing(const Config& config) {
    std::vector<bool> out;
    for (const Check& check : config.checks) {
        out.push_back(check.effect == failover::Effect::withdraw);
    }
    return out;
}

/// What the checks of one service can promise.
std::vector<WorstCase> seen_by_checks(const Config& config, const Service& service,
                                      const std::vector<bool>& counted) {
    std::vector<WorstCase> out;
    const auto rule = health::restricted(service.healthy_when, counted);
    if (!rule || is_always(*rule)) {
        for (const Failure failure : {Failure::fails_fast, Failure::hangs}) {
            out.push_back({.failure = failure,
                           .bound = {},
                           .because = "no check withdraws it",
                           .key = "services." + service.name + ".healthy_when"});
        }
        return out;
    }
    for (const Failure failure :
         {Failure::fails_fast, Failure::hangs, Failure::alternates, Failure::event}) {
        const bool is_owed = failure == Failure::fails_fast || failure == Failure::hangs;
        if (auto bound = worst(config, *rule, failure, false)) {
            out.push_back(*std::move(bound));
        } else if (is_owed) {
            out.push_back(unseen(config, service, *rule, failure));
        }
    }
    return out;
}

/// What its neighbors do when nobody withdraws it any more.
std::vector<WorstCase> left_to_neighbors(const Config& config, failover::ServiceId id,
                                         const std::vector<NegotiatedHold>& negotiated) {
    Bound daemon;
    Bound host;
    for (const Neighbor& neighbor : config.neighbors) {
        if (!carries_any(neighbor, id, config.services[id])) continue;
        auto forgotten = forgets(neighbor);
        if (!daemon || is_longer(forgotten, *daemon)) daemon = std::move(forgotten);
        auto held = holds_on(neighbor, negotiated);
        if (!host || is_longer(held, *host)) host = std::move(held);
    }
    std::vector<WorstCase> out;
    if (daemon) out.push_back(*std::move(daemon));
    if (host) out.push_back(*std::move(host));
    return out;
}

}  // namespace

std::string_view to_string(Failure failure) {
    static constexpr std::array<std::string_view, 6> words{
        "fails_fast", "hangs", "alternates", "event", "daemon_dies", "host_dies"};
    return words[static_cast<std::size_t>(failure)];
}

bool is_kept(const Promise& promise, const WorstCase& worst) {
    return !promise.rto || (worst.bound && *worst.bound <= *promise.rto);
}

std::vector<Promise> promises(const Config& config, const std::vector<NegotiatedHold>& negotiated,
                              const std::function<bool(failover::ServiceId)>& wanted) {
    const std::vector<bool> counted = withdrawing(config);
    std::vector<Promise> out;
    for (failover::ServiceId id = 0; id < config.services.size(); ++id) {
        const Service& service = config.services[id];
        Promise& promise = out.emplace_back(Promise{service.name, service.rto, {}});
        if (wanted && !wanted(id)) continue;
        promise.cases = seen_by_checks(config, service, counted);
        std::ranges::move(left_to_neighbors(config, id, negotiated),
                          std::back_inserter(promise.cases));
    }
    return out;
}

}  // namespace swerve::conf
