#pragma once
// What a hook or a webhook is told, and who is told what.

#include <cstddef>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "daemon/operations/event_view.hpp"
#include "daemon/speaker/event.hpp"
#include "swerve/base/time.hpp"
#include "swerve/conf/config.hpp"

namespace swerve::daemon {

struct Notice {
    std::string id;  ///< the same at every attempt to deliver it, and of no other notice
    conf::Occasion occasion;
    std::string site;
    std::string service;  ///< empty: an alarm that concerns no service, or several
    std::string from;     ///< intents; empty for an alarm
    std::string to;
    std::string reason;
    std::size_t prefix_count = 0;  ///< of the service
    WallTime time;
    /// Of an alarm of a check: those that use it. Absent: it concerns all.
    std::optional<std::set<std::string>> concerned = std::nullopt;
};

/// What listeners are told of an event: a service's new intent, or, as an alarm, whatever the log
/// has as critical. A verdict is not told: the intent that follows from it is.
[[nodiscard]] std::optional<Notice> notice_of(const Event& event, const EventView& view,
                                              const conf::Config& config, std::string id);

/// What a listener wants to hear. Services by name, for their ids change with the configuration.
class Audience {
public:
    /// `services` absent: all.
    Audience(std::set<conf::Occasion> on,
             const std::optional<std::vector<failover::ServiceId>>& services,
             const conf::Config& config);

    /// An alarm that concerns no service is for everybody who wants alarms; that of a check, for
    /// who wants one of the services that use it.
    [[nodiscard]] bool wants(const Notice& notice) const;

private:
    std::set<conf::Occasion> on_;
    std::optional<std::set<std::string>> services_;
};

}  // namespace swerve::daemon
