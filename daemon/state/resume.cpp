#include "daemon/state/resume.hpp"

#include <fmt/format.h>

#include <utility>

namespace swerve::daemon {
namespace {

/// As the process that begins now would have saved it. Evidence and deadlines stay as old as they
/// are. Times of another boot say nothing here, so that its state is only written once more.
failover::SavedState begun(failover::SavedState state, const failover::Restored& restored,
                           const failover::BootFacts& boot) {
    if (state.boot_id != boot.boot_id) return state;
    state.started = boot.now;
    state.crashes = restored.crashes;
    state.ended_clean = false;
    state.planned_restart = false;
    return state;
}

}  // namespace

failover::Restored resume(StateStore& store, const failover::BootFacts& boot) {
    failover::FoundState found = store.load();
    failover::Restored restored = failover::restore(found, boot);
    if (!found.state) return restored;
    const auto saved = store.save(begun(std::move(*found.state), restored, boot));
    if (!saved) {
        restored.earned.clear();
        restored.alarms.push_back(
            fmt::format("{}; this start is not counted, so that checks need their full rise before "
                        "anything is announced",
                        saved.error()));
    }
    return restored;
}

}  // namespace swerve::daemon
