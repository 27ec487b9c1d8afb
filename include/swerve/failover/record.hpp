#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "swerve/base/time.hpp"
#include "swerve/failover/policy.hpp"

namespace swerve::failover {

/// One change from announcing to not announcing, with a time for every stage it reached.
struct FailoverRecord {
    struct Neighbor {
        NeighborId neighbor;
        std::string name;
        std::optional<TimePoint> written;       ///< last octet of the withdraw handed to the kernel
        std::optional<TimePoint> acknowledged;  ///< that octet acknowledged by the neighbor's TCP
        /// When the session ended first, which withdraws as well.
        std::optional<TimePoint> session_lost;
        bool cancelled = false;  ///< announced again before the withdraw was written
    };
    std::uint64_t id = 0;
    std::string subject;  ///< service, or prefix for an override on one prefix
    std::uint32_t prefixes = 0;
    std::string reason;
    WallTime wall;             ///< of `verdict`
    TimePoint first_evidence;  ///< first failed evidence; an operator's command counts as its own
    TimePoint verdict;         ///< the decision to withdraw
    std::vector<Neighbor> neighbors;  ///< those that held a route

    /// Every neighbor has acknowledged, lost its session, or was not told after all.
    [[nodiscard]] bool complete() const;
};

/// Opens a record per withdrawal and fills in the stages as the wire reports them. Keeps the
/// last 256, and those that are still open.
class Recorder {
public:
    static constexpr std::size_t kept = 256;  ///< and all that are still open

    /// `neighbors` of the record are those that hold a route at this moment; it must not be empty.
    /// Returns the record's id.
    std::uint64_t open(FailoverRecord record);
    /// Everything withdrawn so far has been handed to the kernel of this neighbor's session.
    void written(TimePoint now, NeighborId neighbor);
    /// Everything that was written up to `written_until` (inclusive) has been acknowledged.
    void acknowledged(TimePoint now, NeighborId neighbor, TimePoint written_until);
    /// Nothing is to be withdrawn from this neighbor any more that was not written yet.
    void cancelled(NeighborId neighbor);
    /// What the neighbor has not acknowledged yet it loses with the session.
    void session_lost(TimePoint now, NeighborId neighbor);

    /// Ids of the records that became complete since the last call.
    [[nodiscard]] std::vector<std::uint64_t> take_completed();
    [[nodiscard]] const std::deque<FailoverRecord>& records() const { return records_; }
    [[nodiscard]] const FailoverRecord* find(std::uint64_t id) const;

private:
    /// Applies `change` to what is still open for this neighbor.
    template <class Change>
    void update(NeighborId neighbor, Change change);

    std::deque<FailoverRecord> records_;
    std::vector<std::uint64_t> open_;  ///< ids of incomplete records, ascending
    std::vector<std::uint64_t> completed_;
    std::uint64_t next_id_ = 1;
};

}  // namespace swerve::failover
