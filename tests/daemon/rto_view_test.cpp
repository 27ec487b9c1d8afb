#include "daemon/operations/rto_view.hpp"

#include <doctest/doctest.h>

#include <boost/json/object.hpp>

#include "daemon/operations/event_counters.hpp"
#include "daemon/operations/json_text.hpp"
#include "daemon/operations/metrics.hpp"
#include "tests/support/snapshot.hpp"

using namespace swerve;
using namespace swerve::test;
namespace views = swerve::daemon::views;

namespace {

/// The sample with a promise.
[[nodiscard]] daemon::Snapshot promising(Duration rto) {
    auto out = sample_snapshot();
    auto config = std::make_shared<conf::Config>(*out.config);
    config->services[0].rto = rto;
    config->checks[0].probe.fields["expect"] = {std::string{"ok"}};
    out.config = config;
    for (std::size_t i = 0; i < out.neighbors.size(); ++i) {
        out.neighbors[i].config = &config->neighbors[i];
    }
    return out;
}

[[nodiscard]] std::string case_of(const daemon::Snapshot& snapshot, std::string_view failure) {
    const auto services = views::rto(snapshot);
    for (const auto& each : services.at(0).at("cases").as_array()) {
        if (each.at("failure").as_string() == failure) return daemon::to_text(each);
    }
    return "none";
}

}  // namespace

TEST_CASE("rto view: each kind of failure, with the hold times that were negotiated") {
    auto snapshot = promising(3400ms);
    CHECK(case_of(snapshot, "hangs") ==
          R"({"failure":"hangs","bound_s":3.4,"because":"check web: 1s + 800ms + 2 × 800ms",)"
          R"("key":"checks.web.timeout","kept":true})");
    CHECK(case_of(snapshot, "host_dies").find(R"("bound_s":9.0)") != std::string::npos);
    CHECK(case_of(snapshot, "host_dies").ends_with(R"("kept":false})"));
    snapshot.neighbors[0].negotiated->hold_time = 60s;
    CHECK(case_of(snapshot, "host_dies").find("upstream-a: hold time 1m, negotiated") !=
          std::string::npos);
    snapshot.neighbors[0].negotiated->hold_time = 0s;
    CHECK(case_of(snapshot, "host_dies").find(R"("bound_s":null)") != std::string::npos);
    CHECK(views::rto(snapshot, "portal").size() == 1);
    CHECK(views::rto(snapshot, "other").empty());
    CHECK(views::rto(sample_snapshot()).at(0).at("rto_s").is_null());
}

TEST_CASE("rto view: the neighbor's BFD counts while it is Up, with the silence it waits for") {
    auto snapshot = sample_with_bfd();
    establish(snapshot.neighbors[1], {});
    auto holds = views::negotiated_holds(snapshot);
    REQUIRE(holds.size() == 2);
    CHECK(holds[0].neighbor == "upstream-a");
    CHECK(holds[0].hold_time == 9s);
    // Not our detection time of 1.5 s: whoever misses a dead host is its neighbor.
    CHECK(holds[0].bfd_detection == 150ms);
    CHECK_FALSE(holds[1].bfd_detection);
    // The slower of the two, which has no BFD for now, is what counts.
    const std::string slow = case_of(snapshot, "host_dies");
    CHECK(slow.find(R"("bound_s":9.0)") != std::string::npos);
    CHECK(slow.find("upstream-b") != std::string::npos);
    snapshot.neighbors.pop_back();
    auto config = std::make_shared<conf::Config>(*snapshot.config);
    config->neighbors.pop_back();
    snapshot.config = config;
    snapshot.neighbors[0].config = config->neighbors.data();
    const std::string fast = case_of(snapshot, "host_dies");
    CHECK(fast.find(R"("bound_s":0.15)") != std::string::npos);
    CHECK(fast.find("upstream-a: BFD 150ms, negotiated") != std::string::npos);
    snapshot.bfd.sessions[0].session.state = bfd::State::init;
    CHECK_FALSE(views::negotiated_holds(snapshot)[0].bfd_detection);
}

TEST_CASE("rto view: beside it what the last failovers took, the newest first") {
    auto snapshot = promising(600ms);
    for (std::uint64_t id = 1; id <= 12; ++id) snapshot.failovers.push_back(sample_failover(id));
    snapshot.failovers.back().neighbors[0].acknowledged = sample_now + 1ns;
    snapshot.failovers[0].subject = "198.51.100.0/24";
    const auto services = views::rto(snapshot);
    const auto& list = services.at(0).at("failovers").as_array();
    REQUIRE(list.size() == 10);
    CHECK(list[0].at("id").to_number<int>() == 12);
    CHECK_FALSE(list[0].at("kept").as_bool());
    CHECK(list[1].at("took_s").as_double() == doctest::Approx(0.501));
    CHECK(list[1].at("kept").as_bool());
}

TEST_CASE(
    "rto view: a failover takes until the last neighbor has acknowledged, or lost its session") {
    auto record = sample_failover(1);
    CHECK(views::took(record) == 501ms);
    record.neighbors.push_back({.neighbor = 1,
                                .name = "upstream-b",
                                .written = sample_now,
                                .acknowledged = {},
                                .session_lost = {}});
    CHECK_FALSE(views::took(record));
    // Written, but it never arrived: only the hold timer ended the session.
    record.neighbors[1].session_lost = sample_now + 8s;
    CHECK(views::took(record) == 8600ms);
    record.neighbors = {{.neighbor = 0,
                         .name = "upstream-a",
                         .written = {},
                         .acknowledged = {},
                         .session_lost = sample_now}};
    CHECK(views::took(record) == 600ms);
    record.neighbors[0].session_lost.reset();
    record.neighbors[0].cancelled = true;
    CHECK_FALSE(views::took(record));
}

TEST_CASE("metrics: a promise, and how often it was broken; nothing where nothing is promised") {
    daemon::EventCounters counters;
    const auto text = [&](const daemon::Snapshot& snapshot) {
        return daemon::render(daemon::collect({.snapshot = snapshot,
                                               .counters = counters,
                                               .log_counts = {},
                                               .audit_failures = 0,
                                               .reloads = {},
                                               .process = {}}));
    };
    const auto snapshot = promising(501ms);
    auto slow = sample_failover(2);
    *slow.neighbors[0].acknowledged += 1ns;
    for (const auto& record : {sample_failover(1), slow}) {
        counters.count({sample_now, sample_wall, daemon::FailoverCompleted{record}},
                       *snapshot.config);
    }
    CHECK(text(snapshot).find("\nswerve_service_rto_seconds{service=\"portal\"} 0.501\n") !=
          std::string::npos);
    CHECK(text(snapshot).find("\nswerve_failover_over_rto_total{service=\"portal\"} 1\n") !=
          std::string::npos);
    CHECK(text(sample_snapshot()).find("rto") == std::string::npos);
}
