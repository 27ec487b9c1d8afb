#include "swerve/failover/record.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace swerve::failover {

namespace {

bool settled(const FailoverRecord::Neighbor& neighbor) {
    return neighbor.session_lost || neighbor.cancelled || neighbor.acknowledged;
}

}  // namespace

bool FailoverRecord::complete() const { return std::ranges::all_of(neighbors, settled); }

std::uint64_t Recorder::open(FailoverRecord record) {
    assert(!record.neighbors.empty());
    record.id = next_id_++;
    open_.push_back(record.id);
    const std::uint64_t id = record.id;
    records_.push_back(std::move(record));
    // One that is still open stays: a site may withdraw more services in one turn than are kept.
    while (records_.size() > kept && records_.front().complete()) records_.pop_front();
    return id;
}

void Recorder::written(TimePoint now, NeighborId neighbor) {
    update(neighbor, [now](FailoverRecord::Neighbor& entry) {
        if (!entry.written) entry.written = now;
    });
}

void Recorder::acknowledged(TimePoint now, NeighborId neighbor, TimePoint written_until) {
    update(neighbor, [now, written_until](FailoverRecord::Neighbor& entry) {
        if (entry.written && *entry.written <= written_until) entry.acknowledged = now;
    });
}

void Recorder::cancelled(NeighborId neighbor) {
    update(neighbor, [](FailoverRecord::Neighbor& entry) {
        if (!entry.written) entry.cancelled = true;
    });
}

void Recorder::session_lost(TimePoint now, NeighborId neighbor) {
    update(neighbor, [now](FailoverRecord::Neighbor& entry) { entry.session_lost = now; });
}

std::vector<std::uint64_t> Recorder::take_completed() { return std::exchange(completed_, {}); }

const FailoverRecord* Recorder::find(std::uint64_t id) const {
    // Ids are consecutive, so the first one tells where any other stands.
    if (records_.empty() || id < records_.front().id || id >= next_id_) return nullptr;
    return &records_[id - records_.front().id];
}

template <class Change>
void Recorder::update(NeighborId neighbor, Change change) {
    std::erase_if(open_, [&](std::uint64_t id) {
        FailoverRecord& record = records_[id - records_.front().id];
        for (FailoverRecord::Neighbor& entry : record.neighbors) {
            if (entry.neighbor == neighbor && !settled(entry)) change(entry);
        }
        if (!record.complete()) return false;
        completed_.push_back(id);
        return true;
    });
}

}  // namespace swerve::failover
