#pragma once
// What happened, as values. Main makes them after the wire was served; operations turns them into
// log lines, the audit file, JSON and metrics.

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "swerve/base/time.hpp"
#include "swerve/bgp/notification.hpp"
#include "swerve/bgp/peer.hpp"
#include "swerve/bgp/rib_in.hpp"
#include "swerve/failover/record.hpp"
#include "swerve/failover/site.hpp"

namespace swerve::daemon {

/// A neighbor's session came up or ended; states in between are not events.
struct SessionEvent {
    failover::NeighborId neighbor;
    std::string name;
    bool up;
    std::string reason;
    std::optional<bgp::Notification> notification;  ///< that ended it
    bool notification_sent = false;                 ///< by us
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
struct DaemonEvent {
    enum class Kind : std::uint8_t { started, stopping, alarm };
    Kind kind;
    std::string text;
};

struct Event {
    TimePoint at;
    WallTime wall;
    std::variant<SessionEvent, BestPathEvent, FailoverCompleted, DaemonEvent,
                 failover::CheckChanged, failover::EvidenceLost, failover::VerdictChanged,
                 failover::IntentChanged, failover::OverrideChanged>
        what;
};

}  // namespace swerve::daemon
