#pragma once
// The state file (DESIGN.md §4.7): two generations, each versioned and checksummed, written in turn
// and never in place. No clock and no loop: operations calls it.

#include <cstdint>
#include <string>

#include "daemon/state/disk.hpp"
#include "swerve/base/result.hpp"
#include "swerve/base/time.hpp"
#include "swerve/failover/saved_state.hpp"

namespace swerve::daemon {

class StateStore {
public:
    explicit StateStore(Disk& disk) : disk_(disk) {}

    /// Reads both generations and the last sign of life; takes the newest generation that is whole.
    /// A generation of a later version is left alone and counts as damage.
    [[nodiscard]] failover::FoundState load();

    /// Writes over the older generation. The error is a sentence; the newer generation is as it
    /// was.
    [[nodiscard]] Result<void, std::string> save(const failover::SavedState& state);

    /// A sign of life, cheap and not synced; loss costs only the freshness of evidence.
    [[nodiscard]] Result<void, std::string> alive(const std::string& boot_id, TimePoint now);

private:
    Disk& disk_;
    std::uint64_t sequence_ = 0;  ///< of the newest generation
    bool next_is_a_ = true;       ///< which one is the older
};

}  // namespace swerve::daemon
