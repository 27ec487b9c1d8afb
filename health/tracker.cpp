#include "swerve/health/tracker.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "swerve/base/overloaded.hpp"

namespace swerve::health {

namespace {

/// Jitter takes at most a tenth off the normal interval, so that checks of equal interval drift
/// apart and the bound of DESIGN.md §4.6 still holds.
constexpr unsigned jitter_percent_low = 90;

/// DESIGN.md §4.6: interval × fall + timeout without an outcome is stale evidence; with a small
/// `fall` that is before the attempt which is due can be given up, and a hang of the service would
/// look like one of the probe loop.
Duration freshness(const TrackerPolicy& policy) {
    return std::max(policy.interval * policy.fall, policy.interval + answer_grace) + policy.timeout;
}

std::string seconds(Duration duration) {
    return fmt::format("{:g} s", std::chrono::duration<double>(duration).count());
}

/// An adapter that leaves a finding's time out, or whose clock was read after ours, gets our time.
TimePoint time_of(const Outcome& outcome, TimePoint now) {
    return outcome.finished == TimePoint{} ? now : std::min(outcome.finished, now);
}

}  // namespace

std::string_view to_string(CheckState state) {
    switch (state) {
        case CheckState::unknown:
            return "unknown";
        case CheckState::pass:
            return "pass";
        case CheckState::fail:
            break;
    }
    return "fail";
}

Duration detection_bound(const TrackerPolicy& policy) {
    return policy.interval + policy.timeout +
           (policy.fall - 1) * std::max(policy.fast_interval, policy.timeout);
}

Tracker::Tracker(TrackerPolicy policy, std::uint64_t seed) : policy_(policy), random_(seed) {}

void Tracker::handle(TimePoint now, const TrackerEvent& event, TrackerActions& out) {
    std::visit(Overloaded{
                   [&](const Begin& begin) {
                       earned_ = begin.earned;
                       suspended_ = false;
                       refresh(now);
                       if (in_flight()) return;  // an event was faster
                       deadlines_.set(Timer::attempt, now + begin.splay);
                       if (begin.splay <= Duration::zero()) start_attempt(now, out);
                   },
                   [&](const ProbeFinished& finished) {
                       if (finished.attempt != attempt_ || !in_flight()) return;
                       deadlines_.clear(Timer::give_up);
                       refresh(now);
                       conclude(now, finished.outcome, out);
                       schedule(now, out);
                   },
                   [&](const SourceEvent& source) {
                       if (!suspended_) source_event(now, source, out);
                   },
                   [&](const Suspend& suspend) { this->suspend(now, suspend, out); },
               },
               event);
}

void Tracker::reconfigure(TimePoint now, const TrackerPolicy& policy) {
    policy_ = policy;
    if (window_.size() > policy_.window_of) {
        window_.erase(window_.begin(), window_.end() - policy_.window_of);
    }
    if (suspended_) return;
    if (lost_since_) deadlines_.set(Timer::hold, *lost_since_ + policy_.hold_unknown);
    refresh(now);
    const TimePoint latest = now + (fast_ ? policy_.fast_interval : policy_.interval);
    if (const auto at = deadlines_.get(Timer::attempt); at && *at > latest) {
        deadlines_.set(Timer::attempt, latest);
    }
}

void Tracker::tick(TimePoint now, TrackerActions& out) {
    if (deadlines_.take_expired(Timer::give_up, now)) {
        const auto reason = fmt::format("the probe loop gave no answer within {}",
                                        seconds(policy_.timeout + answer_grace));
        conclude(now, {ProbeResult::unknown, reason, began_, now}, out);
        schedule(now, out);
    }
    if (deadlines_.take_expired(Timer::stale, now)) {
        says_nothing(now, "no result for " + seconds(freshness(policy_)), out);
    }
    if (deadlines_.take_expired(Timer::hold, now) && policy_.on_unknown == OnUnknown::fail) {
        // Not a failure: `not` would make a pass of it, and evidence of nothing starts nothing.
        flip(CheckState::unknown,
             fmt::format("no evidence for {}: {}", seconds(policy_.hold_unknown), lost_reason_),
             *std::exchange(lost_since_, std::nullopt), out);
    }
    if (deadlines_.take_expired(Timer::attempt, now)) start_attempt(now, out);
}

unsigned Tracker::window_failures() const {
    return static_cast<unsigned>(
        std::ranges::count_if(window_, [](const WindowEntry& entry) { return entry.failed; }));
}

void Tracker::start_attempt(TimePoint now, TrackerActions& out) {
    deadlines_.clear(Timer::attempt);
    deadlines_.set(Timer::give_up, now + policy_.timeout + answer_grace);
    began_ = now;
    event_at_ = std::exchange(again_, std::nullopt);
    if (event_at_) event_attempt_ = now;
    out.emplace_back(StartProbe{++attempt_, policy_.timeout});
}

/// Start to start, but never two attempts at a time: one that ran beyond the next one's slot is
/// followed at once.
void Tracker::schedule(TimePoint now, TrackerActions& out) {
    TimePoint slot = began_ + (fast_ ? policy_.fast_interval
                                     : random_.shortened(policy_.interval, jitter_percent_low));
    if (again_) slot = std::min(slot, event_attempt_.value_or(began_) + event_spacing);
    if (slot <= now) return start_attempt(now, out);
    deadlines_.set(Timer::attempt, slot);
}

void Tracker::source_event(TimePoint now, const SourceEvent& event, TrackerActions& out) {
    const Outcome& finding = event.finding;
    const bool trusted = policy_.on_event == OnEvent::trust;
    if (trusted && finding.result == ProbeResult::pass) {
        // DESIGN.md §4.14: a live successor. It proves that somebody is there, not that he serves.
        refresh(now);
        evidence_returned();
        last_ = finding;
        return;
    }
    if (!trusted || finding.result == ProbeResult::unknown) {
        return look_again(now, time_of(finding, now), out);
    }
    // What the attempt in flight saw may be older than the event, so nobody waits for it any more.
    const bool superseded = in_flight();
    deadlines_.clear(Timer::give_up);
    again_.reset();
    event_at_ = time_of(finding, now);
    refresh(now);
    conclude(now, finding, out);
    if (superseded) schedule(now, out);
}

/// An attempt for an earlier event is let end, for events that always began it anew would leave it
/// no time to; its failure counts in full, and another one follows it.
void Tracker::look_again(TimePoint now, TimePoint event_at, TrackerActions& out) {
    again_ = again_.value_or(event_at);
    if (in_flight() && event_at_) return;
    const TimePoint earliest = event_attempt_ ? *event_attempt_ + event_spacing : now;
    if (earliest <= now) return start_attempt(now, out);
    deadlines_.set(Timer::attempt,
                   std::min(earliest, deadlines_.get(Timer::attempt).value_or(earliest)));
}

/// An attempt in flight is not listened to any more.
void Tracker::suspend(TimePoint now, const Suspend& suspend, TrackerActions& out) {
    suspended_ = true;
    deadlines_.clear_all();
    lost_since_.reset();
    again_.reset();
    passes_ = 0;
    failures_ = 0;
    window_.clear();
    fast_ = false;
    reason_ = suspend.reason;
    if (state_ == CheckState::unknown) return;
    flip(CheckState::unknown, suspend.reason, suspend.first_evidence.value_or(now), out);
}

void Tracker::conclude(TimePoint now, const Outcome& outcome, TrackerActions& out) {
    last_ = outcome;
    note(now, outcome);
    switch (outcome.result) {
        case ProbeResult::pass:
            passed(time_of(outcome, now), outcome.reason, out);
            break;
        case ProbeResult::fail:
            failed(time_of(outcome, now), outcome.reason, out);
            break;
        case ProbeResult::unknown:
            says_nothing(now, outcome.reason, out);
            break;
    }
    event_at_.reset();
}

void Tracker::note(TimePoint now, const Outcome& outcome) {
    ++results_[static_cast<std::size_t>(outcome.result)];
    auto reason = !history_.empty() && *history_.back().reason == outcome.reason
                      ? history_.back().reason
                      : std::make_shared<const std::string>(outcome.reason);
    if (history_.size() == kept_results) history_.pop_front();
    history_.push_back({time_of(outcome, now), outcome.finished - outcome.started, outcome.result,
                        event_at_.has_value(), std::move(reason)});
}

void Tracker::passed(TimePoint finished, const std::string& reason, TrackerActions& out) {
    evidence_returned();
    failures_ = 0;
    if (passes_++ == 0) streak_since_ = finished;
    remember(finished, false);
    const unsigned window_failed = window_failures();
    if (window_failed == 0) fast_ = false;
    if (state_ == CheckState::pass) return;
    const unsigned rise = earned_ ? 1 : policy_.rise;
    if (passes_ >= rise && window_failed < policy_.window_failures) {
        flip(CheckState::pass, fmt::format("{}, {} of {}", reason, passes_, rise), streak_since_,
             out);
        recovered_ = finished;
    } else if (passes_ >= policy_.rise) {
        reason_ = fmt::format("{} again, but {} of the last {} failed: needs fewer than {}", reason,
                              window_failed, window_.size(), policy_.window_failures);
    } else if (state_ == CheckState::unknown) {
        reason_ = fmt::format("{}, {} of {} passes", reason, passes_, policy_.rise);
    }
}

void Tracker::failed(TimePoint finished, const std::string& reason, TrackerActions& out) {
    evidence_returned();
    earned_ = false;
    passes_ = 0;
    if (failures_++ == 0) streak_since_ = finished;
    remember(finished, true);
    if (state_ == CheckState::fail) return;
    if (event_at_) {
        flip(CheckState::fail, reason + ", seen by an event", std::min(*event_at_, streak_since_),
             out);
    } else if (failures_ >= policy_.fall) {
        flip(CheckState::fail, fmt::format("{}, {} of {}", reason, failures_, policy_.fall),
             streak_since_, out);
    } else if (window_failures() >= policy_.window_failures) {
        flip(CheckState::fail,
             fmt::format("{}, {} of the last {}", reason, window_failures(), window_.size()),
             first_failure_in_window(), out);
    } else {
        fast_ = true;
        if (state_ == CheckState::unknown) {
            reason_ = fmt::format("{}, {} of {} failures", reason, failures_, policy_.fall);
        }
    }
}

/// No evidence either way: it starts nothing, but what stands is believed for a while only.
void Tracker::says_nothing(TimePoint now, const std::string& reason, TrackerActions& out) {
    passes_ = 0;
    if (state_ == CheckState::unknown) reason_ = reason;
    if (state_ == CheckState::unknown || lost_since_) return;
    lost_since_ = now;
    lost_reason_ = reason;
    const TimePoint until = now + policy_.hold_unknown;
    deadlines_.set(Timer::hold, until);
    if (state_ == CheckState::pass) {
        out.emplace_back(EvidenceLost{reason, until, policy_.on_unknown});
    }
}

void Tracker::evidence_returned() {
    deadlines_.clear(Timer::hold);
    lost_since_.reset();
}

void Tracker::refresh(TimePoint now) { deadlines_.set(Timer::stale, now + freshness(policy_)); }

void Tracker::remember(TimePoint finished, bool failed) {
    window_.push_back({finished, failed});
    if (window_.size() > policy_.window_of) window_.erase(window_.begin());
}

TimePoint Tracker::first_failure_in_window() const {
    return std::ranges::find_if(window_,
                                [this](const WindowEntry& entry) {
                                    return entry.failed && entry.finished >= recovered_;
                                })
        ->finished;
}

void Tracker::flip(CheckState to, std::string reason, TimePoint first_evidence,
                   TrackerActions& out) {
    const CheckState from = std::exchange(state_, to);
    reason_ = std::move(reason);
    fast_ = false;
    earned_ = false;
    first_evidence_ = first_evidence;
    out.emplace_back(CheckChanged{from, to, reason_, first_evidence});
}

}  // namespace swerve::health
