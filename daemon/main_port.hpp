#pragma once
// The door between operations and main. Calls come from the operations loop; completions run there
// too. Nothing waits. Objects are told by name: main may have another configuration by the time it
// gets there.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "daemon/probe_runner.hpp"
#include "daemon/snapshot.hpp"
#include "daemon/speaker/speaker.hpp"
#include "swerve/failover/site.hpp"

namespace swerve::daemon {

struct StopRequest {
    bool planned_restart = false;
    std::string reason;
};

class MainPort {
public:
    /// Name of a service, or a prefix.
    using Subject = std::variant<std::string, Prefix>;

    MainPort() = default;
    MainPort(const MainPort&) = delete;
    MainPort& operator=(const MainPort&) = delete;
    virtual ~MainPort() = default;

    virtual void snapshot(SnapshotRequest request,
                          std::function<void(std::shared_ptr<const Snapshot>)> done) = 0;

    /// `lasting`: absent means until cleared. `done` gets the refusal, or nothing when the override
    /// is in force.
    virtual void set_override(Subject subject, failover::Override value,
                              std::optional<Duration> lasting,
                              std::function<void(std::optional<failover::Refusal>)> done) = 0;
    /// `done` gets how many overrides were cleared.
    virtual void clear_overrides(Subject subject, std::optional<failover::OverrideKind> only,
                                 std::function<void(std::size_t)> done) = 0;
    /// `done` gets whether there is such a neighbor.
    virtual void command_neighbor(CommandNeighbor command, std::function<void(bool)> done) = 0;

    /// Applies a change whose `before` is the configuration in force. `done` gets why not (a
    /// listener that cannot be bound, a daemon that is stopping), in one sentence; then nothing has
    /// changed.
    virtual void apply(std::shared_ptr<const conf::Change> change,
                       std::function<void(std::optional<std::string>)> done) = 0;

    /// Calls `done` when every neighbor's TCP has acknowledged all that was withdrawn, or its
    /// session is lost.
    virtual void when_settled(std::function<void()> done) = 0;

    /// Ends the daemon as SIGTERM does; with `planned_restart` neighbors that keep the routes for
    /// it are told nothing (RFC 4724). `done` gets why not, in one sentence, or nothing when the
    /// end has begun.
    virtual void stop(StopRequest request,
                      std::function<void(std::optional<std::string>)> done) = 0;

    /// One attempt of a check by hand, of which nothing else hears (ProbeRunner::run_once). `done`
    /// comes within the check's timeout and a little.
    virtual void probe_once(const conf::Check& check, std::function<void(ProbeTrial)> done) = 0;

    /// What is to outlive the process as main knows it; the caller adds boot and process.
    virtual void saved_state(std::function<void(failover::SavedState)> done) = 0;
};

}  // namespace swerve::daemon
