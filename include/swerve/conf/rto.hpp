#pragma once
// What a configuration can promise: the longest time from the first moment in which the site could
// not serve to the last packet that neighbors send to it, for each kind of failure.

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "swerve/base/time.hpp"
#include "swerve/conf/config.hpp"

namespace swerve::conf {

/// `event`: something tells of it between attempts. `daemon_dies`: swerved ends without a word, and
/// the kernel with it closes its sessions. `host_dies`: nobody is left to close them.
enum class Failure : std::uint8_t { fails_fast, hangs, alternates, event, daemon_dies, host_dies };
[[nodiscard]] std::string_view to_string(Failure failure);

/// What a session has negotiated; absent from the list: the configured values count.
struct NegotiatedHold {
    std::string neighbor;  ///< as configured: the sessions of a range have one each
    Duration hold_time;    ///< 0: none, a dead host is never noticed without BFD
    /// After which silence the neighbor's BFD session goes down; absent: it is not Up.
    std::optional<Duration> bfd_detection{};
};

/// One line of the table.
struct WorstCase {
    Failure failure;
    std::optional<Duration> bound;  ///< absent: no bound
    std::string
        because;      ///< what makes it so long, one phrase: "check web: 1s + 800ms + 2 × 800ms"
    std::string key;  ///< what to change for a shorter one: "checks.web.interval"
};

/// How it stands with the `rto` of one service.
struct Promise {
    std::string service;
    std::optional<Duration> rto;
    std::vector<WorstCase> cases;  ///< one per Failure that applies, in its order
};

/// What neighbors need beyond our last octet is not in it: that is theirs. One per service, in
/// their order; with `wanted`, without cases for those of which it says no.
[[nodiscard]] std::vector<Promise> promises(
    const Config& config, const std::vector<NegotiatedHold>& negotiated = {},
    const std::function<bool(failover::ServiceId)>& wanted = {});

/// Whether the promise, if there is one, holds where this failure happens.
[[nodiscard]] bool is_kept(const Promise& promise, const WorstCase& worst);

}  // namespace swerve::conf
