#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "failover/site_parts.hpp"

namespace swerve::failover {

using health::CheckState;

/// A check is asked while the one that it depends on passes, and unknown otherwise.
void Site::Parts::ask(TimePoint now, CheckId id, Duration splay, SiteActions& out) {
    Check& check = checks[id];
    const auto parent = policy.checks[id].only_if;
    if (!parent || states[*parent] == CheckState::pass) {
        if (std::exchange(check.asked, true)) return;
        track(now, id, health::Begin{.splay = splay, .earned = std::exchange(check.earned, false)},
              out);
        return;
    }
    check.asked = false;
    check.decided = false;
    const std::string_view what = states[*parent] == CheckState::fail ? "fails" : "is undecided";
    track(now, id,
          health::Suspend{fmt::format("not asked: check {} {}", policy.checks[*parent].name, what)},
          out);
}

void Site::Parts::ask_dependents(TimePoint now, CheckId id, SiteActions& out) {
    for (const CheckId dependent : checks[id].dependents) {
        ask(now, dependent, Duration::zero(), out);
    }
}

/// An alarm that was raised ends when the check passes, is not asked, or may do more than alarm;
/// not because the service went down for another reason.
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
    const bool may_alarm = effect == Effect::alarm || effect == Effect::gate;
    if (!may_alarm || states[id] == CheckState::pass || !check.decided) return {};
    const std::string what = fmt::format("check {} {} ({})", name,
                                         states[id] == CheckState::fail ? "fails" : "is undecided",
                                         check.tracker.reason());
    if (effect == Effect::alarm) return what;
    const auto serving = std::ranges::find_if(check.services, [&](ServiceId service) {
        const Verdict verdict = services[service].verdict;
        return verdict == Verdict::up || verdict == Verdict::degraded;
    });
    if (serving != check.services.end()) {
        return fmt::format("gate: {}; service {} stays announced, and could not start again", what,
                           policy.services[*serving].name);
    }
    return check.alarm;
}

}  // namespace swerve::failover
