#pragma once
// What happened, as values. Main makes them after the wire was served; operations turns them into
// log lines, the audit file, JSON and metrics. Objects are told by name, for ids change with the
// configuration.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "swerve/base/time.hpp"
#include "swerve/bfd/packet.hpp"
#include "swerve/bfd/session.hpp"
#include "swerve/bgp/notification.hpp"
#include "swerve/bgp/peer.hpp"
#include "swerve/bgp/rib_in.hpp"
#include "swerve/conf/change.hpp"
#include "swerve/failover/record.hpp"
#include "swerve/failover/site.hpp"

namespace swerve::daemon {

/// A neighbor's session came up or ended; states in between are not events.
struct SessionEvent {
    std::string name;
    bool up;
    std::string reason;
    std::optional<bgp::Notification> notification;  ///< that ended it
    bool notification_sent = false;                 ///< by us
};
/// The BFD session with a neighbor came Up or left Up; the steps on the way up are no events.
struct BfdEvent {
    std::string name;
    bfd::State from;
    bfd::State to;
    std::string reason;
    bfd::Cause cause = bfd::Cause::came_up;
};
/// A neighbor told more routes than it may; its session ends and `idle` passes before the next.
struct PrefixLimitEvent {
    /// Routes that are kept, the octets that they take, or all routes that were received.
    enum class Of : std::uint8_t { kept, kept_octets, received };
    std::string name;
    Of of;
    std::size_t told;   ///< routes or octets
    std::size_t limit;  ///< the same
    Duration idle;
};
/// Collector: a prefix's best path moved to another neighbor, or went away. Names, for collector
/// neighbors come and go.
struct BestPathEvent {
    Prefix prefix;
    std::string from;  ///< empty: none
    std::string to;
};
struct FailoverCompleted {
    failover::FailoverRecord record;
};
struct CheckEvent {
    std::string name;
    health::CheckState from;
    health::CheckState to;
    std::string reason;
};
struct EvidenceEvent {
    std::string name;
    std::string reason;
    TimePoint until;
    health::OnUnknown then = health::OnUnknown::fail;
};
/// See failover::CheckAlarm.
struct CheckAlarmEvent {
    std::string name;
    bool raised;
    std::string reason;
};
struct VerdictEvent {
    std::string name;
    failover::Verdict from;
    failover::Verdict to;
    std::string reason;
};
struct IntentEvent {
    std::string name;
    failover::Intent from;
    failover::Intent to;
    std::string reason;
};
/// The announcement of a service waits for the sake of upstreams that damp, or (`wait` absent)
/// waits no more. That `changes_per_hour` is reached is an alarm: something flaps.
struct DampingEvent {
    std::string name;
    std::optional<failover::Damping::Wait> wait;
    std::string reason;
};
/// What a neighbor was sent has differed for long from what it is to hold, or does so no more.
struct OutOfSyncEvent {
    std::string name;
    bool out_of_sync;
    std::size_t pending_withdrawals;
    std::size_t pending_announcements;
};
/// An operator's `neighbor NAME enable|disable|reset|refresh`.
struct NeighborCommandEvent {
    std::string name;
    std::string command;
    std::string who;
    std::string reason;
};
struct Reloaded {
    std::shared_ptr<const conf::Change> change;
};
struct DaemonEvent {
    enum class Kind : std::uint8_t { started, stopping, alarm };
    Kind kind;
    std::string text;
};

struct Event {
    TimePoint at;
    WallTime wall;
    std::variant<SessionEvent, BfdEvent, BestPathEvent, FailoverCompleted, DaemonEvent, CheckEvent,
                 EvidenceEvent, CheckAlarmEvent, VerdictEvent, IntentEvent, DampingEvent,
                 failover::OverrideChanged, OutOfSyncEvent, PrefixLimitEvent, NeighborCommandEvent,
                 Reloaded>
        what;
};

}  // namespace swerve::daemon
