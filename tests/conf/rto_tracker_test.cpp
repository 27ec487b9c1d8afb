// The bounds of conf::promises against the tracker itself: never exceeded, and nearly reached.

#include <algorithm>
#include <chrono>
#include <map>

#include "swerve/base/random.hpp"
#include "swerve/conf/rto.hpp"
#include "tests/conf/rig.hpp"

namespace swerve::conf {
namespace {

using namespace std::chrono_literals;
using health::CheckState;
using health::ProbeResult;
using health::Tracker;
using health::TrackerPolicy;

/// `recovers`: a check that stands beneath `not`; its failure is that it passes.
enum class Kind : std::uint8_t { fails_fast, hangs, alternates, event, recovers };

Duration between(Random& random, Duration low, Duration high) {
    return low + Duration{static_cast<Duration::rep>(
                     random.below(static_cast<std::uint64_t>((high - low).count()) + 1))};
}

/// One check, and a service that breaks at a moment near one at which an attempt begins.
class Trial {
public:
    Trial(const TrackerPolicy& policy, Kind kind, Random& random)
        : kind_(kind), random_(random), policy_(policy), tracker_(policy, random.next()) {}

    /// From the moment it broke to the flip; nothing if there was none within `patience`.
    std::optional<Duration> run(Duration patience) {
        const CheckState before = kind_ == Kind::recovers ? CheckState::fail : CheckState::pass;
        const CheckState after = kind_ == Kind::recovers ? CheckState::pass : CheckState::fail;
        tracker_.handle(now_, health::Begin{}, actions_);
        take_actions();
        for (unsigned i = 0; i < 4 * (policy_.window_of + policy_.rise + policy_.fall); ++i)
            step({});
        REQUIRE(tracker_.state() == before);
        // Just behind the begin of an attempt that still passes, or anywhere.
        const std::uint64_t seen = attempts_;
        while (attempts_ == seen) step({});
        broke_ = now_ + 1ns;
        if (random_.below(2) == 0) broke_ = now_ + between(random_, 1ns, policy_.interval);
        const TimePoint rumour =
            broke_ - between(random_, 0ns, 2 * health::event_spacing + policy_.timeout);
        if (kind_ == Kind::event && rumour > now_ && random_.below(2) == 0) {
            step(rumour);
            tell(rumour);
        }
        step(broke_);
        broken_ = true;
        first_passes_ = random_.below(2) == 0;
        break_what_is_under_way();
        if (kind_ == Kind::event) tell(broke_);
        while (tracker_.state() != after) {
            if (now_ > broke_ + patience) return std::nullopt;
            step({});
        }
        return now_ - broke_;
    }

private:
    struct Answer {
        std::uint64_t attempt;
        TimePoint at;
        ProbeResult result;
    };

    /// What the service does with a request that begins now.
    Answer answer_to(std::uint64_t attempt) {
        const Duration at_once{};
        if (!broken_) {
            // Of what alternates, all answers are quick.
            const Duration latest = kind_ == Kind::alternates ? at_once : policy_.timeout / 4;
            const auto result = kind_ == Kind::recovers ? ProbeResult::fail : ProbeResult::pass;
            return {attempt, now_ + between(random_, 0ns, latest), result};
        }
        switch (kind_) {
            case Kind::fails_fast:
                return {attempt, now_, ProbeResult::fail};
            case Kind::alternates:
                return {attempt, now_,
                        (requests_++ % 2 == 0) == first_passes_ ? ProbeResult::pass
                                                                : ProbeResult::fail};
            case Kind::recovers:
                return {attempt, now_, ProbeResult::pass};
            case Kind::hangs:
            case Kind::event:
                break;
        }
        return {attempt, now_ + policy_.timeout, ProbeResult::fail};
    }

    void break_what_is_under_way() {
        if (!answer_) return;
        if (kind_ == Kind::fails_fast || kind_ == Kind::recovers) {
            *answer_ = {answer_->attempt, now_, ProbeResult::fail};
        }
        if (kind_ == Kind::hangs || kind_ == Kind::event) {
            *answer_ = {answer_->attempt, began_ + policy_.timeout, ProbeResult::fail};
        }
    }

    void tell(TimePoint when) {
        const bool dead = broken_;
        tracker_.handle(when,
                        health::SourceEvent{
                            {dead ? ProbeResult::fail : ProbeResult::pass, "event", when, when}},
                        actions_);
        take_actions();
    }

    /// Goes on to whatever comes next, but not beyond `limit`.
    void step(std::optional<TimePoint> limit) {
        for (;;) {
            std::optional<TimePoint> next = tracker_.next_deadline();
            if (answer_) next = std::min(next.value_or(answer_->at), answer_->at);
            REQUIRE(next);
            if (limit && *next >= *limit) {
                now_ = *limit;
                return;
            }
            now_ = std::max(now_, *next);
            if (answer_ && answer_->at <= now_) {
                const Answer answer = *answer_;
                answer_.reset();
                tracker_.handle(
                    now_, health::ProbeFinished{answer.attempt, {answer.result, "", began_, now_}},
                    actions_);
            } else {
                tracker_.tick(now_, actions_);
            }
            take_actions();
            if (!limit) return;
        }
    }

    void take_actions() {
        for (const auto& action : actions_) {
            const auto* start = std::get_if<health::StartProbe>(&action);
            if (start == nullptr) continue;
            began_ = now_;
            ++attempts_;
            answer_ = answer_to(start->attempt);
        }
        actions_.clear();
    }

    Kind kind_;
    Random& random_;
    TrackerPolicy policy_;
    Tracker tracker_;
    health::TrackerActions actions_;
    TimePoint now_{1h};
    TimePoint broke_;
    TimePoint began_;
    bool broken_ = false;
    bool first_passes_ = false;
    std::uint64_t requests_ = 0;
    std::uint64_t attempts_ = 0;
    std::optional<Answer> answer_;
};

TrackerPolicy any_policy(Random& random) {
    TrackerPolicy out;
    out.interval = between(random, 100ms, 3s);
    out.fast_interval = random.below(3) == 0 ? out.interval : between(random, 10ms, out.interval);
    out.timeout = between(random, 10ms, 2s);
    out.rise = 1 + static_cast<unsigned>(random.below(6));
    out.fall = 1 + static_cast<unsigned>(random.below(6));
    out.window_of = 1 + static_cast<unsigned>(random.below(12));
    out.window_failures = 1 + static_cast<unsigned>(random.below(out.window_of));
    return out;
}

/// What is promised of a check with this timing.
WorstCase promised(const TrackerPolicy& policy, Kind kind) {
    static const Config base = config_of(
        head + neighbors +
        "checks:\n  web: {tcp: {endpoint: \"198.51.100.1:80\", expect: ok, hold: true}}\n" +
        services);
    Config config = base;
    config.checks[0].timing = policy;
    if (kind == Kind::recovers) {
        config.services[0].healthy_when = {
            health::Expression::Op::negation, 0, 0, {config.services[0].healthy_when}};
    }
    static const std::map<Kind, Failure> failures{{Kind::fails_fast, Failure::fails_fast},
                                                  {Kind::hangs, Failure::hangs},
                                                  {Kind::alternates, Failure::alternates},
                                                  {Kind::event, Failure::event},
                                                  {Kind::recovers, Failure::fails_fast}};
    const auto cases = promises(config).at(0).cases;
    return *std::ranges::find(cases, failures.at(kind), &WorstCase::failure);
}

double share(Duration part, Duration whole) {
    return static_cast<double>(part.count()) / static_cast<double>(whole.count());
}

TEST_CASE("rto: the tracker never takes longer than promised, and sometimes nearly as long") {
    for (const Kind kind :
         {Kind::fails_fast, Kind::hangs, Kind::alternates, Kind::event, Kind::recovers}) {
        CAPTURE(static_cast<int>(kind));
        double longest = 0;
        for (std::uint64_t seed = 1; seed <= 3000; ++seed) {
            CAPTURE(seed);
            Random random{seed};
            const TrackerPolicy policy = any_policy(random);
            const WorstCase worst = promised(policy, kind);
            if (!worst.bound) continue;
            CAPTURE(worst.because);
            const auto took = Trial{policy, kind, random}.run(*worst.bound);
            REQUIRE(took);
            REQUIRE(*took <= *worst.bound);
            longest = std::max(longest, share(*took, *worst.bound));
        }
        CHECK(longest > 0.97);
    }
}

TEST_CASE("rto: what has no bound because it alternates is not noticed") {
    std::size_t trials = 0;
    for (std::uint64_t seed = 1; seed <= 1000; ++seed) {
        CAPTURE(seed);
        Random random{seed};
        const TrackerPolicy policy = any_policy(random);
        if (promised(policy, Kind::alternates).bound) continue;
        ++trials;
        CHECK_FALSE(Trial(policy, Kind::alternates, random).run(100 * policy.interval));
    }
    CHECK(trials > 100);
}

}  // namespace
}  // namespace swerve::conf
