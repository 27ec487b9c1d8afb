#pragma once
// The decision as one pure machine: outcomes and an operator's words go in, routes to advertise or
// withdraw come out, each with its reason. Sessions, sockets and probes are somebody else's.

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "swerve/base/result.hpp"
#include "swerve/base/time.hpp"
#include "swerve/failover/policy.hpp"
#include "swerve/health/tracker.hpp"

namespace swerve::failover {

/// What a service's checks say together.
enum class Verdict : std::uint8_t { unknown, up, degraded, down };
[[nodiscard]] std::string_view to_string(Verdict verdict);

/// What Swerve wants the network to see.
enum class Intent : std::uint8_t { announce, degrade, drain, withdraw };
[[nodiscard]] std::string_view to_string(Intent intent);

/// What the network sees of a prefix: `degraded` with the attributes of `degrade`, `draining` with
/// GRACEFUL_SHUTDOWN (RFC 8326).
enum class Shown : std::uint8_t { nothing, draining, degraded, announced };
[[nodiscard]] std::string_view to_string(Shown shown);

/// An operator's word. Precedence: withdraw > drain > announce > verdict.
enum class OverrideKind : std::uint8_t { announce, drain, withdraw };
[[nodiscard]] std::string_view to_string(OverrideKind kind);

struct Override {
    OverrideKind kind;
    std::string reason;  ///< the operator's text, escaped; may be empty
    std::string who;     ///< user name or uid of the peer of the control socket
    WallTime set_at;
    std::optional<TimePoint> expires;

    friend bool operator==(const Override&, const Override&) = default;
};

// Events.
struct Begin {};
struct ProbeFinished {
    CheckId check;
    std::uint64_t attempt;
    health::Outcome outcome;
};
struct SourceEvent {
    CheckId check;
    health::Outcome finding;
};
/// `withdraw`/`announce` on a prefix, `drain` on a service.
struct SetOverride {
    std::variant<ServiceId, Prefix> subject;
    Override value;
};
/// Clears every override on it; on a service also those on its prefixes.
struct ClearOverrides {
    std::variant<ServiceId, Prefix> subject;
    std::optional<OverrideKind> only;  ///< absent: every kind
};
/// SIGTERM: withdraw everything and announce nothing again.
struct StopAnnouncing {
    std::string reason;
};
/// Another policy takes over. Checks, services and overrides are told by name.
struct Reconfigure {
    SitePolicy policy;
    /// By new CheckId: the check whose evidence still counts; absent where the probe is another one
    /// or new. Of a check that stays but whose timing changed the counters go on.
    std::vector<std::optional<CheckId>> checks;
};
using SiteEvent = std::variant<Begin, ProbeFinished, SourceEvent, SetOverride, ClearOverrides,
                               StopAnnouncing, Reconfigure>;

// Actions.
struct StartProbe {
    CheckId check;
    std::uint64_t attempt;
    Duration timeout;
};
/// Prefixes to be advertised with the attributes of their service; a manual route has none and gets
/// the neighbors' export alone.
struct Advertise {
    std::optional<ServiceId> service;
    bgp::BlockRef block;
    bgp::IdRange range;
    Shown shown = Shown::announced;  ///< with which attributes; never `nothing`
};
struct Withdraw {
    bgp::BlockRef block;
    bgp::IdRange range;
};
/// One decision that takes routes away; stands in front of its Withdraw actions. The driver opens a
/// FailoverRecord if anyone held them.
struct FailoverBegan {
    std::string subject;
    std::string reason;
    TimePoint first_evidence;
    TimePoint verdict;
};
struct CheckChanged {
    CheckId check;
    health::CheckState from;
    health::CheckState to;
    std::string reason;
};
struct EvidenceLost {
    CheckId check;
    std::string reason;
    TimePoint until;
    health::OnUnknown then = health::OnUnknown::fail;
};
/// What a check shows calls for somebody, though it changes no verdict: a gate does not pass while
/// a service that uses it is announced, a check of effect `alarm` does not pass, or the state of a
/// check stands without evidence (`on_unknown: hold`). Taken back when that is over.
struct CheckAlarm {
    CheckId check;
    bool raised;
    std::string reason;
    /// Of a check that a reload dropped, whose id is one of before; else empty.
    std::string dropped = {};
};
struct VerdictChanged {
    ServiceId service;
    Verdict from;
    Verdict to;
    std::string reason;
};
struct IntentChanged {
    ServiceId service;
    Intent from;
    Intent to;
    std::string reason;
};
struct OverrideChanged {
    std::string subject;
    std::optional<Override> value;  ///< absent: cleared or expired
    bool expired = false;
    std::string why = {};  ///< of the daemon's own accord; empty: an operator's doing, or expired
};
/// The announcement of a service, or its better attributes, begins to wait for the sake of
/// upstreams that damp; the reason to wait becomes another one; or (`wait` absent) it is over.
struct DampingChanged {
    ServiceId service;
    std::optional<Damping::Wait> wait;
    std::string reason;
};
/// What is to be announced has to be asked anew (Site::for_each_announced), after these hand-overs
/// between manual routes and services; follows a Reconfigure in place of Advertise and Withdraw.
struct RoutesReplaced {
    std::vector<bgp::Handover> hand_overs;
};
using SiteAction = std::variant<StartProbe, Advertise, Withdraw, FailoverBegan, CheckChanged,
                                EvidenceLost, CheckAlarm, VerdictChanged, IntentChanged,
                                OverrideChanged, DampingChanged, RoutesReplaced>;
using SiteActions = std::vector<SiteAction>;

struct Restored;
struct SavedState;

/// Why an operator's word was not taken: the prefix is outside `owned`; there is no such service,
/// or nothing on this prefix that could be withdrawn, or the kind does not go with the subject; the
/// daemon is stopping.
enum class Refusal : std::uint8_t { not_owned, no_such_object, stopping };

/// A copy of everything the decision knows, for operations (status, explain). Prefix sets are
/// shared, not copied.
struct SiteView {
    struct Check {
        std::string name;
        health::TrackerPolicy policy;
        health::CheckState state;
        std::string reason;
        TimePoint since;
        unsigned passes;
        unsigned failures;
        unsigned window_failures;
        std::optional<health::Outcome> last;
        std::optional<TimePoint> held_until;
        std::array<std::uint64_t, 3> results;  ///< by health::ProbeResult, since start
        Scope scope = Scope::local;
        Effect effect = Effect::withdraw;
        std::string only_if = {};  ///< name of the check it depends on; empty: none
        /// Its state stands though `held_until` has passed (`on_unknown: hold`).
        bool without_evidence = false;
        std::string alarm = {};  ///< of the CheckAlarm in force; empty: none
    };
    struct Service {
        std::string name;
        std::vector<bgp::BlockRef> prefixes;
        health::Expression healthy_when;
        Verdict verdict;
        std::string verdict_reason;
        TimePoint verdict_since;
        Intent intent;
        std::string intent_reason;
        TimePoint intent_since;
        std::optional<Override> drain;
        /// End of the stages of the drain: until then the routes stand with GRACEFUL_SHUTDOWN (or,
        /// until `degraded_until`, with their degraded attributes), then they are withdrawn.
        std::optional<TimePoint> leaving_until = {};
        std::optional<health::Expression> degraded_when = {};
        /// What is shown of prefixes without a word of their own.
        Shown shown = Shown::nothing;
        /// First stage of a drain with `drain.degrade_for`, or of a return with
        /// `return.degrade_for`: until then it is announced with its degraded attributes.
        std::optional<TimePoint> degraded_until = {};
        /// What holds back its announcement, or its full one, though the verdict is for it.
        std::optional<Damping::Wait> damped = {};
        Damping damping{DampingPolicy{}};  ///< what it has cost upstreams so far
    };
    std::string site;
    std::vector<Prefix> owned;
    std::vector<Check> checks;
    std::vector<Service> services;
    std::map<Prefix, Override> prefix_overrides;
    std::vector<Prefix> manual_routes;  ///< announced by an operator, of no service
    bool stopping = false;
    std::string stop_reason;                   ///< empty unless stopping
    std::optional<TimePoint> hold_until = {};  ///< as Restored::hold_until, while it lasts
};

class Site {
public:
    Site(SitePolicy policy, const Restored& restored);
    ~Site();
    Site(Site&&) noexcept;
    Site& operator=(Site&&) noexcept;

    void handle(TimePoint now, const SiteEvent& event, SiteActions& out);
    void tick(TimePoint now, SiteActions& out);
    [[nodiscard]] std::optional<TimePoint> next_deadline() const;

    /// Whether an operator's word would be taken; asked before the event is handed in. A word that
    /// is refused and handed in all the same changes nothing.
    [[nodiscard]] std::optional<Refusal> refuses(const std::variant<ServiceId, Prefix>& subject,
                                                 OverrideKind kind) const;

    /// Calls `visit` with every route that is to be announced.
    void for_each_announced(const std::function<void(const Advertise&)>& visit) const;

    /// Whether every service has had its first verdict.
    [[nodiscard]] bool decided() const;

    [[nodiscard]] SiteView view() const;
    /// The last results of a check, oldest first.
    [[nodiscard]] const std::deque<health::PastResult>& history(CheckId check) const;
    [[nodiscard]] const SitePolicy& policy() const;
    /// Overrides, check states and damping for SavedState.
    void save(TimePoint now, WallTime wall, SavedState& into) const;

private:
    struct Parts;
    std::unique_ptr<Parts> parts_;
};

}  // namespace swerve::failover
