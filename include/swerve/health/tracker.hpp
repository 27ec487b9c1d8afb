#pragma once
// One check as a pure machine: when to probe, and what the outcomes say together.

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "swerve/base/deadlines.hpp"
#include "swerve/base/random.hpp"
#include "swerve/base/time.hpp"
#include "swerve/health/outcome.hpp"

namespace swerve::health {

/// `confirm`: an event starts an attempt whose failure flips the check; `trust`: the event's own
/// finding flips it.
enum class OnEvent : std::uint8_t { confirm, trust };

/// How long the last verdict is held without evidence before `on_unknown` says what becomes of it
/// (HEALTH.md §0).
inline constexpr Duration unknown_hold = std::chrono::seconds{30};

/// What becomes of a check that has shown no evidence for `unknown_hold`. `fail`: it is unknown
/// again, which a service that was decided counts as failed; `hold`: its state stands, under an
/// alarm, until there is evidence.
enum class OnUnknown : std::uint8_t { fail, hold };

struct TrackerPolicy {
    Duration interval{std::chrono::seconds{1}};  ///< start to start
    Duration fast_interval{std::chrono::milliseconds{
        200}};  ///< from a first failure until the check flips or the window is clean
    Duration timeout{std::chrono::milliseconds{800}};  ///< of one attempt as a whole
    unsigned rise = 5;                                 ///< passes in a row that make the check pass
    unsigned fall = 3;                                 ///< failures in a row that make it fail
    unsigned window_failures = 5;                      ///< or this many failures …
    unsigned window_of = 10;                           ///< … among the last so many results
    OnEvent on_event = OnEvent::confirm;
    OnUnknown on_unknown = OnUnknown::fail;
    Duration hold_unknown = unknown_hold;  ///< `unknown_hold` of the configuration

    friend bool operator==(const TrackerPolicy&, const TrackerPolicy&) = default;
};

/// DESIGN.md §4.6: the longest time from the first moment of a hang to the flip.
[[nodiscard]] Duration detection_bound(const TrackerPolicy& policy);

/// What the outcomes say together. `unknown` before the first flip; later a check whose evidence is
/// gone keeps its state for `unknown_hold` and is then unknown again, which a service that was
/// decided counts as failed.
enum class CheckState : std::uint8_t { unknown, pass, fail };
[[nodiscard]] std::string_view to_string(CheckState state);

// Events.
struct Begin {
    Duration splay{};     ///< the first attempt starts after this
    bool earned = false;  ///< `rise` was earned before a restart: one pass decides
};
struct ProbeFinished {
    std::uint64_t
        attempt;  ///< as in StartProbe; outcomes of an attempt that was given up are ignored
    Outcome outcome;
};
/// An event source saw something (process exit, connection reset, …) and looked again. With
/// `confirm` only the fact counts.
struct SourceEvent {
    Outcome finding;
};
/// What the check depends on (`only_if`) does not pass: no attempt is made and the check is unknown
/// at once, until Begin.
struct Suspend {
    std::string reason;                         ///< one sentence
    std::optional<TimePoint> first_evidence{};  ///< that of the other check's flip; absent: now
};
using TrackerEvent = std::variant<Begin, ProbeFinished, SourceEvent, Suspend>;

// Actions.
struct StartProbe {
    std::uint64_t attempt;
    Duration timeout;
};
/// The check's contribution to the verdict changed.
struct CheckChanged {
    CheckState from;
    CheckState to;
    std::string reason;
    TimePoint first_evidence;  ///< when the first outcome of the streak that led here was known
};
/// Results say nothing (or none arrive) while the last verdict is still held; `until` is when it
/// stops being held, and `then` what becomes of it.
struct EvidenceLost {
    std::string reason;
    TimePoint until;
    OnUnknown then = OnUnknown::fail;
};
using TrackerAction = std::variant<StartProbe, CheckChanged, EvidenceLost>;
using TrackerActions = std::vector<TrackerAction>;

/// How much later than its timeout an attempt's outcome may arrive. Then the probe loop, not the
/// service, is at fault: the attempt is given up and counts as `unknown`.
inline constexpr Duration answer_grace = std::chrono::milliseconds{250};

/// From the start of an attempt that an event asked for to that of the next one at least, so that
/// no storm of events is one of attempts. Between two of them nothing is lost: the later one sees
/// what all events since have told of.
inline constexpr Duration event_spacing = std::chrono::milliseconds{10};

/// One result of the past. Reasons that repeat are shared.
struct PastResult {
    TimePoint finished;
    Duration took;
    ProbeResult result;
    bool by_event;  ///< brought by an event, or by an attempt that one started
    std::shared_ptr<const std::string> reason;
};

/// How many results of each check are kept for `show checks NAME`.
inline constexpr std::size_t kept_results = 60;

class Tracker {
public:
    Tracker(TrackerPolicy policy, std::uint64_t seed);

    void handle(TimePoint now, const TrackerEvent& event, TrackerActions& out);
    /// Goes on with another timing; results and streaks count on. The next attempt comes no later
    /// than the new interval asks for.
    void reconfigure(TimePoint now, const TrackerPolicy& policy);
    void tick(TimePoint now, TrackerActions& out);
    [[nodiscard]] std::optional<TimePoint> next_deadline() const { return deadlines_.next(); }

    [[nodiscard]] CheckState state() const { return state_; }
    [[nodiscard]] const TrackerPolicy& policy() const { return policy_; }
    [[nodiscard]] unsigned consecutive_passes() const { return passes_; }
    [[nodiscard]] unsigned consecutive_failures() const { return failures_; }
    [[nodiscard]] unsigned window_failures() const;
    [[nodiscard]] const std::optional<Outcome>& last_outcome() const { return last_; }
    /// Set while the last verdict is held without evidence.
    [[nodiscard]] std::optional<TimePoint> held_until() const {
        return deadlines_.get(Timer::hold);
    }
    /// Whether the state stands though `hold_unknown` has passed without evidence
    /// (OnUnknown::hold).
    [[nodiscard]] bool without_evidence() const { return lost_since_ && !held_until(); }
    /// Why there is no evidence; meaningful while it is held, and while it stands without.
    [[nodiscard]] const std::string& lost_reason() const { return lost_reason_; }
    /// Of the latest flip: when the first outcome of the streak that led to it was known.
    [[nodiscard]] std::optional<TimePoint> first_evidence() const { return first_evidence_; }
    /// Why the state is what it is, one sentence.
    [[nodiscard]] const std::string& reason() const { return reason_; }

    /// Accepted results since start, by ProbeResult; attempts that were given up are `unknown`.
    [[nodiscard]] const std::array<std::uint64_t, 3>& results() const { return results_; }
    /// The last `kept_results` of them, oldest first.
    [[nodiscard]] const std::deque<PastResult>& history() const { return history_; }

private:
    enum class Timer : std::uint8_t { attempt, give_up, stale, hold, count_ };
    struct WindowEntry {
        TimePoint finished;
        bool failed;
    };

    [[nodiscard]] bool in_flight() const { return deadlines_.armed(Timer::give_up); }
    void start_attempt(TimePoint now, TrackerActions& out);
    void schedule(TimePoint now, TrackerActions& out);
    void source_event(TimePoint now, const SourceEvent& event, TrackerActions& out);

    void suspend(TimePoint now, const Suspend& suspend, TrackerActions& out);
    void look_again(TimePoint now, TimePoint event_at, TrackerActions& out);
    void evidence_returned();
    void note(TimePoint now, const Outcome& outcome);
    void conclude(TimePoint now, const Outcome& outcome, TrackerActions& out);
    void passed(TimePoint finished, const std::string& reason, TrackerActions& out);
    void failed(TimePoint finished, const std::string& reason, TrackerActions& out);
    void says_nothing(TimePoint now, const std::string& reason, TrackerActions& out);
    void refresh(TimePoint now);
    void remember(TimePoint finished, bool failed);
    /// Since the last recovery: older failures have had their withdrawal.
    [[nodiscard]] TimePoint first_failure_in_window() const;
    void flip(CheckState to, std::string reason, TimePoint first_evidence, TrackerActions& out);

    TrackerPolicy policy_;
    Random random_;
    Deadlines<Timer> deadlines_;
    std::uint64_t attempt_ = 0;  ///< the latest; earlier ones are no longer listened to
    TimePoint began_;            ///< start of the latest attempt
    /// Set while evidence that an event brought (or that its attempt will bring) is judged: one
    /// failure is decisive.
    std::optional<TimePoint> event_at_;
    /// The first event that the next attempt is to look for.
    std::optional<TimePoint> again_;
    std::optional<TimePoint> event_attempt_;  ///< start of the latest one that an event asked for
    bool fast_ = false;
    bool suspended_ = false;
    bool earned_ = false;  ///< until the first flip
    CheckState state_ = CheckState::unknown;
    unsigned passes_ = 0;
    unsigned failures_ = 0;
    TimePoint streak_since_;           ///< first result of the current streak of either kind
    TimePoint recovered_{};            ///< when it last flipped to pass
    std::vector<WindowEntry> window_;  ///< oldest first
    std::optional<Outcome> last_;
    std::array<std::uint64_t, 3> results_{};
    std::deque<PastResult> history_;
    std::string reason_ = "no result yet";
    std::optional<TimePoint> first_evidence_;  ///< of the latest flip
    std::optional<TimePoint> lost_since_;      ///< of a state that was decided
    std::string lost_reason_;
};

}  // namespace swerve::health
