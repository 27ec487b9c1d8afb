#pragma once
// Stands in for main: answers on the operations loop with what the test prepared, or not at all.
// Written before the loop runs or in a turn of it.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/main_port.hpp"

namespace swerve::test {

class FakeMainPort final : public daemon::MainPort {
public:
    struct Set {
        Subject subject;
        failover::Override value;
        std::optional<Duration> lasting;
    };
    struct Clear {
        Subject subject;
        std::optional<failover::OverrideKind> only;
    };

    void snapshot(daemon::SnapshotRequest request,
                  std::function<void(std::shared_ptr<const daemon::Snapshot>)> done) override {
        requests.push_back(request);
        if (silent) {
            unanswered.push_back(std::move(done));
        } else {
            done(answer);
        }
    }
    void set_override(Subject subject, failover::Override value, std::optional<Duration> lasting,
                      std::function<void(std::optional<failover::Refusal>)> done) override {
        sets.push_back({subject, std::move(value), lasting});
        if (!silent) done(refusal);
    }
    void clear_overrides(Subject subject, std::optional<failover::OverrideKind> only,
                         std::function<void(std::size_t)> done) override {
        clears.push_back({subject, only});
        if (!silent) done(cleared);
    }

    void command_neighbor(daemon::CommandNeighbor command,
                          std::function<void(bool)> done) override {
        neighbor_commands.push_back(std::move(command));
        if (!silent) done(neighbor_known);
    }
    void apply(std::shared_ptr<const conf::Change> change,
               std::function<void(std::optional<std::string>)> done) override {
        changes.push_back(change);
        if (silent) return;
        if (!why_not_applied && applied) applied(change);
        done(why_not_applied);
    }
    void stop(daemon::StopRequest request,
              std::function<void(std::optional<std::string>)> done) override {
        stops.push_back(std::move(request));
        if (!silent) done(why_not_stopped);
    }
    void when_settled(std::function<void()> done) override { unsettled.push_back(std::move(done)); }
    void probe_once(const conf::Check& check,
                    std::function<void(daemon::ProbeTrial)> done) override {
        probed.push_back(check.name);
        probe_timeouts.push_back(check.timing.timeout);
        if (silent) {
            unanswered_probes.push_back(std::move(done));
        } else {
            done(trial);
        }
    }
    void saved_state(std::function<void(failover::SavedState)> done) override {
        ++saves_asked;
        if (silent) {
            unanswered_saves.push_back(std::move(done));
        } else {
            done(saved);
        }
    }

    std::shared_ptr<const daemon::Snapshot> answer;
    std::optional<failover::Refusal> refusal;
    std::size_t cleared = 1;
    bool neighbor_known = true;
    std::optional<std::string> why_not_applied;
    /// What main tells before it answers that it has applied a change.
    std::function<void(std::shared_ptr<const conf::Change>)> applied;
    std::optional<std::string> why_not_stopped;
    failover::SavedState saved;
    daemon::ProbeTrial trial;
    bool silent = false;

    std::vector<daemon::SnapshotRequest> requests;
    std::vector<Set> sets;
    std::vector<Clear> clears;
    std::vector<daemon::CommandNeighbor> neighbor_commands;
    std::vector<std::shared_ptr<const conf::Change>> changes;
    std::vector<daemon::StopRequest> stops;
    unsigned saves_asked = 0;
    std::vector<std::function<void()>> unsettled;
    std::vector<std::function<void(std::shared_ptr<const daemon::Snapshot>)>> unanswered;
    std::vector<std::function<void(failover::SavedState)>> unanswered_saves;
    std::vector<std::string> probed;
    std::vector<Duration> probe_timeouts;  ///< of those
    std::vector<std::function<void(daemon::ProbeTrial)>> unanswered_probes;
};

}  // namespace swerve::test
