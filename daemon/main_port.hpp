#pragma once
// The door between operations and main. Calls come from the operations loop; completions run there
// too. Nothing waits.

#include <functional>
#include <memory>
#include <optional>
#include <variant>

#include "daemon/snapshot.hpp"
#include "swerve/failover/site.hpp"

namespace swerve::daemon {

class MainPort {
public:
    using SubjectId = std::variant<failover::ServiceId, Prefix>;

    MainPort() = default;
    MainPort(const MainPort&) = delete;
    MainPort& operator=(const MainPort&) = delete;
    virtual ~MainPort() = default;

    virtual void snapshot(SnapshotRequest request,
                          std::function<void(std::shared_ptr<const Snapshot>)> done) = 0;

    /// `lasting`: absent means until cleared. `done` gets the refusal, or nothing when the override
    /// is in force.
    virtual void set_override(SubjectId subject, failover::Override value,
                              std::optional<Duration> lasting,
                              std::function<void(std::optional<failover::Refusal>)> done) = 0;
    /// `done` gets how many overrides were cleared.
    virtual void clear_overrides(SubjectId subject, std::optional<failover::OverrideKind> only,
                                 std::function<void(std::size_t)> done) = 0;
};

}  // namespace swerve::daemon
