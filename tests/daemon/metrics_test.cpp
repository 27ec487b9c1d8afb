#include "daemon/operations/metrics.hpp"

#include <doctest/doctest.h>

#include <array>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "daemon/operations/event_counters.hpp"
#include "tests/support/snapshot.hpp"

using namespace swerve;
using namespace swerve::test;

namespace {

[[nodiscard]] std::string scrape(const daemon::Snapshot& snapshot,
                                 const daemon::EventCounters& counters = {}) {
    daemon::LogCounter::Counts logged{};
    logged[spdlog::level::warn] = 3;
    return daemon::render(daemon::collect({.snapshot = snapshot,
                                           .counters = counters,
                                           .log_counts = logged,
                                           .audit_failures = 0,
                                           .reloads = {},
                                           .process = daemon::read_process_facts()}));
}

[[nodiscard]] bool has_line(const std::string& text, const std::string& line) {
    return text.starts_with(line + "\n") || text.find("\n" + line + "\n") != std::string::npos;
}

/// Counters that saw one of everything.
[[nodiscard]] daemon::EventCounters busy_counters() {
    const conf::Config config = sample_config();
    daemon::EventCounters out;
    const auto count = [&](auto what) {
        out.count({sample_now, sample_wall, std::move(what)}, config);
    };
    count(daemon::SessionEvent{"upstream-a", true, "", {}, false});
    count(daemon::SessionEvent{"upstream-a", false, "x",
                               bgp::Notification{bgp::ErrorCode::cease, 2}, true});
    count(daemon::BfdEvent{"upstream-a", bfd::State::up, bfd::State::down, "x",
                           bfd::Cause::detection_time_expired});
    count(daemon::VerdictEvent{"portal", failover::Verdict::up, failover::Verdict::down, "x"});
    count(daemon::EvidenceEvent{"web", "x", sample_now});
    count(daemon::DaemonEvent{daemon::DaemonEvent::Kind::alarm, "x"});
    count(daemon::FailoverCompleted{sample_failover(1)});
    auto of_prefix = sample_failover(2);
    of_prefix.subject = "198.51.100.0/24";
    count(daemon::FailoverCompleted{of_prefix});
    return out;
}

/// The rules of `promtool check metrics` that matter here.
void lint(const std::string& text) {
    static const std::regex name_shape{"(swerve|process)_[a-z][a-z0-9_]*[a-z0-9]"};
    static const std::regex unit_shape{
        ".*_(milliseconds|ms|microseconds|us|minutes|hours|kilobytes|kb|mb|octets|percent)(_total)"
        "?"};
    std::map<std::string, std::string> types;
    std::set<std::string> series;
    std::istringstream lines{text};
    std::string help_for;
    for (std::string line; std::getline(lines, line);) {
        CAPTURE(line);
        std::istringstream words{line};
        std::string mark;
        std::string kind;
        std::string name;
        words >> mark >> kind >> name;
        if (kind == "HELP" && mark == "#") {
            help_for = name;
            CHECK(line.size() > name.size() + 10);
        } else if (mark == "#") {
            std::string type;
            words >> type;
            CHECK(help_for == name);
            CHECK(types.emplace(name, type).second);
            CHECK(std::regex_match(name, name_shape));
            CHECK_FALSE(std::regex_match(name, unit_shape));
            CHECK(name.ends_with("_total") == (type == "counter"));
        } else {
            CHECK(series.insert(line.substr(0, line.rfind(' '))).second);
            std::string base = line.substr(0, line.find_first_of("{ "));
            if (!types.contains(base))
                base = std::regex_replace(base, std::regex{"_(bucket|sum|count)$"}, "");
            CHECK(types.contains(base));
        }
    }
    CHECK(types.size() > 30);
}

}  // namespace

TEST_CASE("metrics: the text keeps the rules of Prometheus") {
    lint(scrape(sample_with_bfd(), busy_counters()));
}

TEST_CASE("metrics: names and help are written down in docs/metrics.md") {
    std::ostringstream page;
    page << std::ifstream{SWERVE_SOURCE_DIR "/docs/metrics.md"}.rdbuf();
    for (const auto& family : daemon::collect({.snapshot = sample_with_bfd(),
                                               .counters = busy_counters(),
                                               .log_counts = {},
                                               .audit_failures = 0,
                                               .reloads = {},
                                               .process = {}})) {
        CHECK_MESSAGE(page.str().find("`" + family.name + "`") != std::string::npos, family.name);
    }
}

TEST_CASE("metrics: sessions, services and checks") {
    auto snapshot = sample_snapshot();
    snapshot.neighbors[0].counters.sent[2] = 7;
    snapshot.neighbors[0].unsent_octets = 42;
    const std::string text = scrape(snapshot);
    for (const auto* line :
         {R"(swerve_bgp_session_up{neighbor="upstream-a"} 1)",
          R"(swerve_bgp_session_up{neighbor="upstream-b"} 0)",
          R"(swerve_bgp_session_state{neighbor="upstream-b",state="active"} 1)",
          R"(swerve_bgp_session_state{neighbor="upstream-b",state="established"} 0)",
          R"(swerve_bgp_messages_sent_total{neighbor="upstream-a",type="update"} 7)",
          R"(swerve_bgp_out_queue_bytes{neighbor="upstream-a"} 42)",
          R"(swerve_bgp_hold_time_seconds{neighbor="upstream-a"} 9)",
          R"(swerve_bgp_session_established_timestamp_seconds{neighbor="upstream-a"} 1799999990)",
          R"(swerve_bgp_prefixes_advertised{neighbor="upstream-a",afi="ipv6",safi="unicast"} 1)",
          R"(swerve_service_healthy{service="portal"} 1)",
          R"(swerve_service_drained{service="portal"} 0)",
          R"(swerve_prefix_announced{service="portal",prefix="198.51.100.0/24"} 1)",
          R"(swerve_check_success{check="web",type="tcp"} 1)",
          R"(swerve_check_runs_total{check="web",result="fail"} 2)",
          R"(swerve_check_consecutive_failures{check="web"} 0)",
          R"(swerve_check_duration_seconds{check="web"} 0.002)",
          R"(swerve_event_loop_worst_lateness_seconds{loop="main"} 0.002)",
          R"(swerve_log_messages_total{level="warning"} 3)"}) {
        CHECK_MESSAGE(has_line(text, line), line);
    }
    CHECK(text.find(R"(hold_time_seconds{neighbor="upstream-b")") == std::string::npos);
    CHECK(text.find(R"(established_timestamp_seconds{neighbor="upstream-b")") == std::string::npos);
}

TEST_CASE("metrics: a prefix that nobody holds is not announced, whatever is wanted") {
    auto snapshot = sample_snapshot();
    snapshot.neighbors[0].sent.clear();
    CHECK(has_line(scrape(snapshot),
                   R"(swerve_prefix_announced{service="portal",prefix="198.51.100.0/24"} 0)"));
}

TEST_CASE("metrics: what is seen of a prefix elsewhere has three answers") {
    auto snapshot = sample_snapshot();
    CHECK(scrape(snapshot).find("swerve_prefix_visible") == std::string::npos);
    snapshot.observed = {
        {prefix("198.51.100.0/24"), bgp::Visibility::not_seen, {}, {}, {}},
        {prefix("2001:db8::/32"), bgp::Visibility::not_observable, {}, {}, {}},
    };
    const std::string text = scrape(snapshot);
    lint(text);
    for (const auto* line :
         {R"(swerve_prefix_visible{prefix="198.51.100.0/24",state="seen"} 0)",
          R"(swerve_prefix_visible{prefix="198.51.100.0/24",state="not_seen"} 1)",
          R"(swerve_prefix_visible{prefix="198.51.100.0/24",state="not_observable"} 0)",
          R"(swerve_prefix_visible{prefix="2001:db8::/32",state="not_observable"} 1)"}) {
        CHECK_MESSAGE(has_line(text, line), line);
    }
}

TEST_CASE("metrics: series per prefix up to a thousand prefixes, none above") {
    const auto with = [](std::uint32_t count) {
        auto snapshot = sample_snapshot();
        std::vector<Prefix> many;
        for (std::uint32_t i = 0; i < count; ++i) {
            many.push_back(*Prefix::masked(Address::v4(0x0a000000U + (i << 8U)), 24));
        }
        snapshot.site.services[0].prefixes = {block(many)};
        return scrape(snapshot);
    };
    CHECK(with(1000).find("swerve_prefix_announced{") != std::string::npos);
    const std::string above = with(1001);
    CHECK(above.find("swerve_prefix_announced") == std::string::npos);
    CHECK(has_line(above, R"(swerve_service_prefixes{service="portal"} 1001)"));
}

TEST_CASE("metrics: events are counted") {
    const std::string text = scrape(sample_snapshot(), busy_counters());
    for (
        const auto* line :
        {R"(swerve_bgp_session_transitions_total{neighbor="upstream-a",to="down"} 1)",
         R"(swerve_bgp_notifications_total{neighbor="upstream-a",direction="sent",code="6",subcode="2"} 1)",
         R"(swerve_service_transitions_total{service="portal",to="down"} 1)",
         R"(swerve_detection_seconds_bucket{service="portal",le="0.25"} 0)",
         R"(swerve_detection_seconds_bucket{service="portal",le="0.5"} 1)",
         R"(swerve_detection_seconds_count{service="portal"} 1)",
         R"(swerve_detection_seconds_count{service=""} 1)",
         R"(swerve_withdraw_latency_seconds_bucket{service="portal",le="+Inf"} 1)",
         "swerve_check_evidence_lost_total 1", "swerve_alarms_total 1"}) {
        CHECK_MESSAGE(has_line(text, line), line);
    }
}

TEST_CASE("metrics: a histogram counts its bound in, and what is above in +Inf alone") {
    constexpr std::array bounds{1.0, 2.0};
    daemon::Histogram histogram{bounds};
    for (const double value : {0.5, 1.0, 1.5, 2.0, 2.1}) histogram.observe(value);
    CHECK(histogram.cumulative(0) == 2);
    CHECK(histogram.cumulative(1) == 4);
    CHECK(histogram.count() == 5);
    CHECK(histogram.sum() == doctest::Approx(7.1));
}

TEST_CASE("metrics: label values are escaped") {
    auto snapshot = sample_snapshot();
    snapshot.neighbors[0].description = "a \"b\" \\ c\nd\xff";
    const std::string text = scrape(snapshot);
    CHECK(text.find(R"(description="a \"b\" \\ c\\x0ad\\xff")") != std::string::npos);
}

TEST_CASE("metrics: the process knows itself") {
    const auto facts = daemon::read_process_facts();
    CHECK(facts.resident_bytes > 1'000'000);
    CHECK(facts.virtual_bytes >= facts.resident_bytes);
    CHECK(facts.open_descriptors >= 3);
    CHECK(facts.most_descriptors >= facts.open_descriptors);
}
