#include "tests/sim/belief.hpp"

#include <algorithm>
#include <utility>

namespace swerve::sim {

using health::CheckState;
using health::ProbeResult;

namespace {

constexpr std::size_t longest_window = 32;

/// DESIGN.md §4.6, worst case of a hang.
Duration until_found_down(const health::TrackerPolicy& policy) {
    return policy.interval + policy.timeout +
           (policy.fall - 1) * std::max(policy.fast_interval, policy.timeout);
}

/// As many passes as empty the window of failures, the first one behind an attempt that hung.
Duration until_found_up(const health::TrackerPolicy& policy) {
    return std::max(policy.interval, policy.timeout + health::answer_grace) +
           (std::max(policy.rise, policy.window_of) + 1) * policy.interval;
}

/// Until a stall of the probe loop is noticed and what stood before is believed no more.
Duration until_disbelieved(const health::TrackerPolicy& policy) {
    return std::max<Duration>(policy.interval * policy.fall,
                              policy.interval + health::answer_grace) +
           policy.timeout + policy.hold_unknown;
}

/// At least `count` of the members: a member adds one if it may pass, and one to those in doubt.
Possible at_least(std::size_t count, const std::vector<Possible>& members) {
    std::size_t may_pass = 0;
    std::size_t must_pass = 0;
    std::size_t may_not_fail = 0;
    std::size_t must_not_fail = 0;
    for (const Possible state : members) {
        may_pass += state.has(CheckState::pass) ? 1U : 0U;
        must_pass += state.only(CheckState::pass) ? 1U : 0U;
        may_not_fail += state.only(CheckState::fail) ? 0U : 1U;
        must_not_fail += state.has(CheckState::fail) ? 0U : 1U;
    }
    Possible out;
    if (may_pass >= count) out.add(CheckState::pass);
    if (must_not_fail < count) out.add(CheckState::fail);
    if (must_pass < count && may_not_fail >= count) out.add(CheckState::unknown);
    return out;
}

}  // namespace

std::optional<Possible> possible(const health::Expression& rule,
                                 const std::vector<Possible>& checks,
                                 const std::function<bool(std::uint32_t)>& counts) {
    using Op = health::Expression::Op;
    if (rule.op == Op::check) {
        return counts(rule.check) ? std::optional{checks.at(rule.check)} : std::nullopt;
    }
    std::vector<Possible> members;
    for (const health::Expression& member : rule.of) {
        if (const auto state = possible(member, checks, counts)) members.push_back(*state);
    }
    if (members.empty() && !rule.of.empty()) return std::nullopt;
    if (rule.op == Op::all) return at_least(members.size(), members);
    if (rule.op == Op::any) return at_least(1, members);
    if (rule.op == Op::at_least) {
        return at_least(std::min<std::size_t>(rule.count, members.size()), members);
    }
    const Possible inner = members.front();
    Possible out;
    if (inner.has(CheckState::pass)) out.add(CheckState::fail);
    if (inner.has(CheckState::fail)) out.add(CheckState::pass);
    if (inner.has(CheckState::unknown)) out.add(CheckState::unknown);
    return out;
}

void CheckBelief::told(TimePoint now, ProbeResult result, bool late) {
    if (!asked_) return;
    if (result == ProbeResult::unknown) {
        passes_ = 0;
        return;
    }
    const bool failed = result == ProbeResult::fail;
    window_.push_back(failed);
    if (window_.size() > longest_window) window_.pop_front();
    // Late evidence may or may not have counted: it allows more and rules out nothing.
    if (late) {
        doubt_ = longest_window;
    } else {
        heard_ = now;
        if (doubt_ > 0) --doubt_;
    }
    if (!failed) {
        failures_ = late ? failures_ : 0;
        // `rise` passes in a row, one of them if it was earned before.
        if (++passes_ >= (earned_ ? 1 : policy_.rise)) {
            states_.add(CheckState::pass);
            earned_ = false;
        }
        return;
    }
    bad_news_ = now;
    passes_ = late ? passes_ : 0;
    ++failures_;
    if (condemned() || decisive_since_) states_.add(CheckState::fail);
    if (condemned() && doubt_ == 0) states_ = Possible{CheckState::fail};
}

bool CheckBelief::condemned() const {
    const auto recent = std::min<std::size_t>(policy_.window_of, window_.size());
    const auto in_window =
        std::count(window_.end() - static_cast<std::ptrdiff_t>(recent), window_.end(), true);
    return failures_ >= policy_.fall ||
           in_window >= static_cast<std::ptrdiff_t>(policy_.window_failures);
}

void CheckBelief::event(TimePoint now, ProbeResult finding) {
    if (!asked_) return;
    if (policy_.on_event == health::OnEvent::confirm || finding == ProbeResult::unknown) {
        decisive_since_ = now;
        return;
    }
    heard_ = now;
    if (finding == ProbeResult::pass) return;
    // Trusted: it flips the check at once.
    bad_news_ = now;
    states_ = Possible{CheckState::fail};
    passes_ = 0;
    window_.push_back(true);
    // The attempt that was in flight counts no more, whatever comes of it.
    doubt_ = longest_window;
}

void CheckBelief::retime(TimePoint now, const health::TrackerPolicy& policy) {
    policy_ = policy;
    doubt_ = longest_window;
    disturbed(now);
}

void CheckBelief::asked(TimePoint now, bool asked) {
    if (std::exchange(asked_, asked) == asked) return;
    clean_since_ = now;
    heard_ = now;
    states_ = Possible{CheckState::unknown};
    decisive_since_.reset();
    passes_ = 0;
    failures_ = 0;
    doubt_ = 0;
    window_.clear();
}

Possible CheckBelief::now(TimePoint now, const RealService& truth) {
    if (!asked_) return states_;
    const bool lost = policy_.on_unknown == health::OnUnknown::fail;
    if (lost && now - heard_ >= policy_.hold_unknown) states_.add(CheckState::unknown);
    const auto passed = [&](std::optional<TimePoint> since, Duration bound) {
        return since && now > std::max(*since, clean_since_) + bound + slack;
    };
    std::optional<TimePoint> quiet = silent_since_;
    if (truth.condition() == Condition::mute) {
        quiet = quiet ? std::min(*quiet, truth.since()) : truth.since();
    }
    if (quiet) {
        if (now > std::max({*quiet, heard_, clean_since_}) + until_disbelieved(policy_) + slack) {
            if (lost) states_ = Possible{CheckState::unknown};
            passes_ = 0;
        }
        if (silent_since_) return states_;
    }
    if (passed(truth.good_since(), until_found_up(policy_)) &&
        now > bad_news_ + until_found_up(policy_)) {
        states_ = Possible{CheckState::pass};
        decisive_since_.reset();
        earned_ = false;
    }
    if (passed(truth.down_since(), until_found_down(policy_))) {
        states_ = Possible{CheckState::fail};
        decisive_since_.reset();
        earned_ = false;
    }
    // An attempt that an event asked for is decisive; it is asked for anew by each event.
    if (decisive_since_ && truth.down_since() && *truth.down_since() <= *decisive_since_ &&
        now > std::max(*decisive_since_, clean_since_) + policy_.timeout + slack) {
        states_ = Possible{CheckState::fail};
        decisive_since_.reset();
    }
    return states_;
}

}  // namespace swerve::sim
