#pragma once
// The state file (DESIGN.md §4.7): two generations, each versioned and checksummed, written in turn
// and never in place. No clock and no loop: operations calls it.

#include <array>
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
    /// One that cannot be read, because of damage or because a later version wrote it, counts as
    /// damage and is left alone. To be called once, before save().
    [[nodiscard]] failover::FoundState load();

    /// Takes the place of the older generation; one that could not be read is put aside as
    /// `….unread` for a person to look at. The error is a sentence; the newer generation is as it
    /// was.
    [[nodiscard]] Result<void, std::string> save(const failover::SavedState& state);

    /// A sign of life, cheap and not synced; loss costs only the freshness of evidence.
    [[nodiscard]] Result<void, std::string> alive(const std::string& boot_id, TimePoint now);

private:
    Disk& disk_;
    std::uint64_t sequence_ = 0;        ///< of the newest generation
    std::size_t next_ = 0;              ///< the slot that save() writes
    std::array<bool, 2> unreadable_{};  ///< by slot
};

}  // namespace swerve::daemon
