#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "failover/site_parts.hpp"
#include "swerve/base/deadlines.hpp"

namespace swerve::failover {

using health::CheckState;

/// A check is asked while the one that it depends on passes, and unknown otherwise.
void Site::Parts::ask(TimePoint now, CheckId id, Duration splay, SiteActions& out) {
    Check& check = checks[id];
    const auto parent = policy.checks[id].only_if;
    if (!parent || states[*parent] == CheckState::pass) {
        if (std::exchange(check.asked, true)) return;
        check.asked_at = now;
        // What was earned before a restart is no evidence long after it.
        const bool earned = std::exchange(check.earned, false) && now - began <= continuation;
        return track(now, id, health::Begin{.splay = splay, .earned = earned}, out);
    }
    check.asked = false;
    check.decided = false;
    const std::string_view what = states[*parent] == CheckState::fail ? "fails" : "is undecided";
    track(now, id,
          health::Suspend{fmt::format("not asked: check {} {}", policy.checks[*parent].name, what),
                          checks[*parent].since == now ? checks[*parent].tracker.first_evidence()
                                                       : std::nullopt},
          out);
    if (is_moot(id)) wait_no_more_for(now, id, out);
}

/// Whether a check is not asked because one that it depends on, in turn, fails: no time decides it.
bool Site::Parts::is_moot(CheckId id) const {
    if (checks[id].asked) return false;
    for (auto at = policy.checks[id].only_if; at; at = policy.checks[*at].only_if) {
        if (states[*at] == CheckState::fail) return true;
    }
    return false;
}

/// A verdict that stands over a reload does so while checks are being decided. One that was never
/// asked changes nothing when it is moot, and neither do those that depend on it.
void Site::Parts::wait_no_more_for(TimePoint now, CheckId id, SiteActions& out) {
    for (const ServiceId service : checks[id].services) {
        if (services[service].stands_until) judge(now, service, now, out);
    }
    for (const CheckId dependent : checks[id].dependents) wait_no_more_for(now, dependent, out);
}

/// Of a verdict stands only what is not settled by counting what is moot as failed.
void Site::Parts::end_standing(ServiceId id) {
    Service& service = services[id];
    if (!service.stands_until) return;
    const auto settled = [&](const std::optional<health::Expression>& expression) {
        if (!expression || health::evaluate(*expression, states) != CheckState::unknown) {
            return true;
        }
        std::vector<CheckId> moot = health::checks_of(*expression);
        std::erase_if(moot, [&](CheckId check) { return !is_moot(check); });
        if (moot.empty()) return false;
        auto counted = states;
        for (const CheckId check : moot) counted[check] = CheckState::fail;
        return health::evaluate(*expression, counted) != CheckState::unknown;
    };
    if (settled(service.health.stay)) service.standing.verdict = false;
    if (settled(service.health.full) && settled(service.health.degraded_when)) {
        service.standing.degree = false;
    }
    if (!service.standing.verdict && !service.standing.degree) service.stands_until.reset();
}

void Site::Parts::ask_dependents(TimePoint now, CheckId id, SiteActions& out) {
    for (const CheckId dependent : checks[id].dependents) {
        ask(now, dependent, Duration::zero(), out);
    }
}

/// An alarm that was raised ends when the check passes (a gate: keeps nothing from starting), is
/// not asked, or may do more than alarm; not because the service went down for another reason.
void Site::Parts::update_alarm(CheckId id, SiteActions& out) {
    Check& check = checks[id];
    std::string why = alarm_of(id);
    if (why.empty() == check.alarm.empty()) return;
    out.emplace_back(CheckAlarm{id, !why.empty(),
                                why.empty()
                                    ? fmt::format("check {} is no alarm any more ({})",
                                                  policy.checks[id].name, check.tracker.reason())
                                    : why});
    check.alarm = std::move(why);
}

/// Empty: none.
std::string Site::Parts::alarm_of(CheckId id) const {
    const Check& check = checks[id];
    const std::string& name = policy.checks[id].name;
    if (check.tracker.without_evidence()) {
        return fmt::format("check {} has no evidence ({}), and its last state stands: {}", name,
                           check.tracker.lost_reason(), to_string(states[id]));
    }
    const Effect effect = policy.checks[id].effect;
    if (!check.asked || (!check.decided && !is_overdue(id))) return {};
    const std::string_view state = states[id] == CheckState::pass   ? "passes"
                                   : states[id] == CheckState::fail ? "fails"
                                                                    : "is undecided";
    const std::string what = fmt::format("check {} {} ({})", name, state, check.tracker.reason());
    if (effect == Effect::alarm) return states[id] == CheckState::pass ? std::string{} : what;
    if (effect != Effect::gate) return {};
    bool keeps = false;
    for (const ServiceId service : check.services) {
        if (!keeps_from_starting(id, service)) continue;
        keeps = true;
        const Verdict verdict = services[service].verdict;
        if (verdict != Verdict::up && verdict != Verdict::degraded) continue;
        return fmt::format("gate: {}; service {} stays announced, and could not start again", what,
                           policy.services[service].name);
    }
    return keeps ? check.alarm : std::string{};
}

/// Whether a check of which nothing is heard but that nothing is known has had its time.
bool Site::Parts::is_overdue(CheckId id) const {
    const Check& check = checks[id];
    return check.asked && !check.decided &&
           latest >= check.asked_at + policy.checks[id].tracker.hold_unknown;
}

/// An expression may do without a gate, or ask for one that does not pass.
bool Site::Parts::keeps_from_starting(CheckId id, ServiceId service) const {
    const auto& start = services[service].health.start;
    if (!start || health::evaluate(*start, states) == CheckState::pass) return false;
    return std::ranges::binary_search(deciding_checks(*start, states), id);
}

/// When its tracker, or what is made of its silence, has to be looked at.
std::optional<TimePoint> Site::Parts::next_look(CheckId id) const {
    const Check& check = checks[id];
    const auto next = check.tracker.next_deadline();
    const Effect effect = policy.checks[id].effect;
    const bool may_alarm = effect == Effect::alarm || effect == Effect::gate;
    if (!may_alarm || !check.asked || check.decided || is_overdue(id)) return next;
    return earlier(next, check.asked_at + policy.checks[id].tracker.hold_unknown);
}

}  // namespace swerve::failover
