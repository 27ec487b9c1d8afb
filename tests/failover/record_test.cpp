#include "swerve/failover/record.hpp"

#include <doctest/doctest.h>

namespace swerve::failover {

using namespace std::chrono_literals;

namespace {

using Ids = std::vector<std::uint64_t>;

TimePoint at(Duration since) { return TimePoint{since}; }

FailoverRecord record(std::initializer_list<NeighborId> holders) {
    FailoverRecord out{.subject = "portal"};
    for (const NeighborId holder : holders) out.neighbors.push_back({.neighbor = holder});
    return out;
}

}  // namespace

TEST_CASE("recorder: a record is complete when every holder acknowledged or lost its session") {
    Recorder recorder;
    const auto id = recorder.open(record({0, 1}));
    CHECK(id == 1);
    recorder.written(at(1s), 0);
    recorder.written(at(2s), 1);
    recorder.acknowledged(at(3s), 0, at(1s));
    CHECK_FALSE(recorder.find(id)->complete());
    CHECK(recorder.take_completed().empty());
    recorder.session_lost(at(4s), 1);
    CHECK(recorder.find(id)->complete());
    CHECK(recorder.take_completed() == Ids{id});
    CHECK(recorder.take_completed().empty());
    const FailoverRecord& found = *recorder.find(id);
    CHECK(found.neighbors[0].written == at(1s));
    CHECK(found.neighbors[0].acknowledged == at(3s));
    CHECK_FALSE(found.neighbors[0].session_lost);
    CHECK(found.neighbors[1].written == at(2s));
    CHECK_FALSE(found.neighbors[1].acknowledged);
    CHECK(found.neighbors[1].session_lost == at(4s));
}

TEST_CASE("recorder: an acknowledgement counts for what was written up to it") {
    Recorder recorder;
    recorder.open(record({0}));
    recorder.written(at(1s), 0);
    recorder.open(record({0}));
    recorder.written(at(2s), 0);
    CHECK(recorder.find(1)->neighbors[0].written == at(1s));  // the first time stays
    recorder.acknowledged(at(3s), 0, at(2s) - 1ns);
    CHECK(recorder.take_completed() == Ids{1});
    recorder.acknowledged(at(4s), 0, at(2s));
    CHECK(recorder.take_completed() == Ids{2});
    CHECK(recorder.find(1)->neighbors[0].acknowledged == at(3s));
}

TEST_CASE("recorder: nothing is acknowledged before it was written") {
    Recorder recorder;
    recorder.open(record({0}));
    recorder.acknowledged(at(1s), 0, at(1s));
    CHECK_FALSE(recorder.find(1)->neighbors[0].acknowledged);
    recorder.written(at(2s), 1);  // another neighbor
    CHECK_FALSE(recorder.find(1)->neighbors[0].written);
}

TEST_CASE("recorder: a withdraw that is cancelled before it was written is not waited for") {
    Recorder recorder;
    recorder.open(record({0, 1}));
    recorder.written(at(1s), 0);
    recorder.cancelled(0);  // too late, it is on the wire
    recorder.cancelled(1);
    CHECK(recorder.take_completed().empty());
    CHECK_FALSE(recorder.find(1)->neighbors[0].cancelled);
    CHECK(recorder.find(1)->neighbors[1].cancelled);
    recorder.written(at(2s), 1);  // of another withdraw
    CHECK_FALSE(recorder.find(1)->neighbors[1].written);
    recorder.acknowledged(at(3s), 0, at(1s));
    CHECK(recorder.take_completed() == Ids{1});
}

TEST_CASE("recorder: the last 256 are kept, and every one that is still open") {
    Recorder recorder;
    for (int i = 0; i < 500; ++i) recorder.open(record({0}));
    CHECK(recorder.records().size() == 500);
    recorder.session_lost(at(1s), 0);
    CHECK(recorder.take_completed().size() == 500);
    CHECK(recorder.find(1) != nullptr);
    recorder.open(record({0}));
    CHECK(recorder.records().size() == 256);
    CHECK(recorder.find(245) == nullptr);
    CHECK(recorder.find(246)->id == 246);
    CHECK(recorder.find(501)->id == 501);
    CHECK(recorder.find(502) == nullptr);
}

}  // namespace swerve::failover
