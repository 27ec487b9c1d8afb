#include "daemon/operations/bfd_view.hpp"

#include <doctest/doctest.h>

#include <boost/json/array.hpp>
#include <vector>

#include "daemon/operations/metrics.hpp"
#include "tests/support/snapshot.hpp"

using namespace swerve;
using namespace swerve::test;
namespace json = boost::json;
namespace views = swerve::daemon::views;

namespace {

[[nodiscard]] json::object session(const daemon::Snapshot& snapshot, std::string_view name) {
    return views::bfd(snapshot, name).at("bfd").as_array().at(0).as_object();
}

[[nodiscard]] json::object of_neighbor(const daemon::Snapshot& snapshot, std::string_view name) {
    return views::neighbors(snapshot, name).at(0).at("bfd").as_object();
}

[[nodiscard]] std::string hint(const daemon::Snapshot& snapshot) {
    return views::bfd_hint(snapshot, snapshot.neighbors[1]);
}

/// The texts of the stage "bfd", each with its mark in front.
[[nodiscard]] std::vector<std::string> told(const daemon::Snapshot& snapshot) {
    std::vector<std::string> out;
    const json::object chain = views::explain(snapshot, prefix("198.51.100.0/24"));
    for (const auto& step : chain.at("steps").as_array()) {
        if (step.at("stage") != "bfd") continue;
        out.push_back(std::string{step.at("mark").as_string()} + " " +
                      std::string{step.at("text").as_string()});
    }
    return out;
}

[[nodiscard]] std::string scrape(const daemon::Snapshot& snapshot,
                                 const daemon::EventCounters& counters = {}) {
    return daemon::render(daemon::collect({.snapshot = snapshot,
                                           .counters = counters,
                                           .log_counts = {},
                                           .audit_failures = 0,
                                           .reloads = {},
                                           .process = {}}));
}

/// The sample whose upstream-b waits for BFD, as `bfd.strict` has it.
[[nodiscard]] daemon::Snapshot strict_sample() {
    auto out = sample_with_bfd();
    auto config = std::make_shared<conf::Config>(*out.config);
    config->neighbors[1].bfd->strict = true;
    out.config = config;
    for (std::size_t i = 0; i < 2; ++i) out.neighbors[i].config = &config->neighbors[i];
    out.neighbors[1].state = bgp::State::idle;
    out.neighbors[1].waits_for_bfd = true;
    out.neighbors[1].next_retry.reset();
    return out;
}

}  // namespace

TEST_CASE("bfd view: a session that is Up, with what either side has and what came of it") {
    auto snapshot = sample_with_bfd();
    auto& one = snapshot.bfd.sessions[0].session;
    one.config.authentication = {.type = bfd::AuthType::meticulous_keyed_sha1, .key_id = 3};
    one.config.key.multihop = true;
    one.config.hops = 4;
    CHECK(session(snapshot, "upstream-a").at("cause").is_null());
    one.last_down = bfd::Cause::detection_time_expired;
    const json::object up = session(snapshot, "upstream-a");
    CHECK(up.at("neighbor") == "upstream-a");
    CHECK(up.at("state") == "up");
    CHECK(up.at("since") == "2027-01-15T07:59:50.000Z");
    CHECK(up.at("up_s") == 10.0);
    CHECK(up.at("cause") == "detection_time_expired");
    CHECK(up.at("hint").is_null());
    CHECK(up.at("local_address") == "192.0.2.1");
    CHECK(up.at("remote_address") == "192.0.2.254");
    CHECK(up.at("multihop") == true);
    CHECK(up.at("hops") == 4);
    CHECK(up.at("source_port") == 49152);
    CHECK(up.at("discriminator") == 7);
    CHECK(up.at("min_tx_s") == 0.05);
    CHECK(up.at("min_rx_s") == 0.1);
    CHECK(up.at("multiplier") == 3);
    CHECK(up.at("transmit_interval_s") == 0.05);
    CHECK(up.at("detection_time_s") == 1.5);
    CHECK(up.at("neighbor_detection_time_s") == 0.15);
    CHECK(up.at("neighbor_says") == json::object{{"state", "up"},
                                                 {"diagnostic", nullptr},
                                                 {"discriminator", 8},
                                                 {"min_tx_s", 0.3},
                                                 {"min_rx_s", 0.02},
                                                 {"multiplier", 5},
                                                 {"demand", false}});
    CHECK(up.at("auth") == json::object{{"type", "meticulous_keyed_sha1"}, {"key_id", 3}});
    CHECK(up.at("packets_sent") == 40);
    CHECK(up.at("packets_received") == 30);
    CHECK(up.at("discarded").as_object().size() == bfd::discard_count);
    CHECK(up.at("trouble").is_null());
}

TEST_CASE("bfd view: sessions stand in the order of the neighbors, one without a neighbor last") {
    auto snapshot = sample_with_bfd();
    std::swap(snapshot.bfd.sessions[0], snapshot.bfd.sessions[1]);
    snapshot.bfd.sessions.insert(snapshot.bfd.sessions.begin(), snapshot.bfd.sessions[0]);
    snapshot.bfd.sessions[0].session.config.owner = 99;
    const json::object whole = views::bfd(snapshot);
    CHECK(whole.at("schema") == "swerve.bfd/1");
    const json::array& list = whole.at("bfd").as_array();
    REQUIRE(list.size() == 3);
    CHECK(list[0].at("neighbor") == "upstream-a");
    CHECK(list[1].at("neighbor") == "upstream-b");
    CHECK(list[2].at("neighbor").is_null());
    CHECK(list[0].as_object().size() == list[2].as_object().size());
    CHECK(views::bfd(snapshot, "upstream-b").at("bfd").as_array().size() == 1);
    CHECK(views::bfd(snapshot, "nobody").at("bfd").as_array().empty());
}

TEST_CASE("bfd view: the loop, with packets of no session and how late its timer is") {
    auto snapshot = sample_with_bfd();
    snapshot.bfd.discarded[static_cast<std::size_t>(bfd::Discard::unknown_discriminator)] = 5;
    snapshot.bfd.lateness.buckets[0] = 98;
    snapshot.bfd.lateness.buckets[1] = 1;
    snapshot.bfd.lateness.buckets[3] = 1;
    snapshot.bfd.lateness.sum = 7ms;
    json::object whole = views::bfd(snapshot);
    CHECK(whole.at("discarded").at("unknown_discriminator") == 5);
    CHECK(whole.at("lateness") == json::object{{"count", 100},
                                               {"sum_s", 0.007},
                                               {"within_99_percent_s", 0.00025},
                                               {"within_s", 0.001}});
    CHECK(whole.at("realtime") == false);
    CHECK(whole.at("realtime_wanted") == false);
    // Behind the last bound there is none.
    snapshot.bfd.lateness.buckets.back() = 1;
    whole = views::bfd(snapshot);
    CHECK(whole.at("lateness").at("within_s").is_null());
    CHECK(whole.at("lateness").at("within_99_percent_s") == 0.001);
    whole = views::bfd(sample_with_bfd());
    CHECK(whole.at("lateness").at("within_99_percent_s").is_null());
}

TEST_CASE("bfd view: a session that is not Up says where to look") {
    auto snapshot = sample_with_bfd();
    auto& view = snapshot.bfd.sessions[1];
    auto& one = view.session;
    CHECK(hint(snapshot) ==
          "nothing arrives: is BFD on at 192.0.2.253 with 192.0.2.1 as its neighbor, and does UDP "
          "port 3784 get through?");
    one.config.key.multihop = true;
    one.cause = bfd::Cause::detection_time_expired;
    one.diagnostic = bfd::Diagnostic::detection_time_expired;
    CHECK(hint(snapshot) ==
          "nothing arrives (Control Detection Time Expired): is BFD on at 192.0.2.253 with "
          "192.0.2.1 as its neighbor, and does UDP port 4784 get through?");
    // What it said before it fell silent is no news.
    one.neighbor = bfd::Packet{.state = bfd::State::up};
    CHECK(hint(snapshot).starts_with("nothing arrives (Control"));
    one.cause = bfd::Cause::neighbor_agrees;
    one.state = bfd::State::init;
    one.neighbor = bfd::Packet{.diagnostic = bfd::Diagnostic::detection_time_expired,
                               .state = bfd::State::down};
    CHECK(hint(snapshot) ==
          "the neighbor is heard and says Down (Control Detection Time Expired): does UDP port "
          "4784 get through to it, and does it refuse our packets?");
    one.neighbor->state = bfd::State::admin_down;
    CHECK(hint(snapshot) == "the neighbor has switched it off (AdminDown)");
    one.neighbor.reset();
    one.counters.discarded[static_cast<std::size_t>(bfd::Discard::authentication_failed)] = 9;
    one.counters.discarded[static_cast<std::size_t>(bfd::Discard::too_short)] = 2;
    CHECK(hint(snapshot) ==
          "its packets are refused (authentication_failed, 9 times): is `auth` the same over "
          "there?");
    one.counters.discarded[static_cast<std::size_t>(bfd::Discard::ttl_too_low)] = 10;
    CHECK(hint(snapshot).find("is it further away than `multihop` says?") != std::string::npos);
    view.trouble = "cannot bind 192.0.2.1: Address not available";
    CHECK(hint(snapshot) == view.trouble);
    one.state = bfd::State::up;
    CHECK(hint(snapshot).empty());
}

TEST_CASE("bfd view: a neighbor shows its BFD, and null where it has none") {
    auto snapshot = sample_with_bfd();
    snapshot.neighbors[1].bfd = bfd::Report{
        .owner = 1,
        .state = bfd::State::down,
        .cause = bfd::Cause::neighbor_signaled_down,
        .diagnostic = bfd::Diagnostic::neighbor_signaled_down,
        .neighbor_diagnostic = bfd::Diagnostic::detection_time_expired,
    };
    CHECK(of_neighbor(snapshot, "upstream-a") == json::object{{"state", "up"},
                                                              {"since", "2027-01-15T07:59:50.000Z"},
                                                              {"cause", nullptr},
                                                              {"diagnostic", nullptr},
                                                              {"neighbor_diagnostic", nullptr},
                                                              {"detection_time_s", 1.5},
                                                              {"neighbor_detection_time_s", 0.15},
                                                              {"strict", false},
                                                              {"waits", false},
                                                              {"hint", nullptr}});
    const json::object down = of_neighbor(snapshot, "upstream-b");
    CHECK(down.at("cause") == "neighbor_signaled_down");
    CHECK(down.at("diagnostic") == "Neighbor Signaled Session Down");
    CHECK(down.at("neighbor_diagnostic") == "Control Detection Time Expired");
    CHECK(down.at("detection_time_s").is_null());
    CHECK_FALSE(down.at("hint").is_null());
    // A change that main has not heard of yet.
    snapshot.bfd.sessions[0].session.state = bfd::State::down;
    CHECK(of_neighbor(snapshot, "upstream-a").at("state") == "up");
    CHECK(of_neighbor(snapshot, "upstream-a").at("since").is_null());

    const auto without = sample_snapshot();
    CHECK(views::neighbors(without).at(0).at("bfd").is_null());
}

TEST_CASE("bfd view: a neighbor that is kept down has no session and says why") {
    auto snapshot = sample_with_bfd();
    snapshot.bfd.sessions.pop_back();
    snapshot.neighbors[1].bfd.reset();
    CHECK(of_neighbor(snapshot, "upstream-b").at("state") == "down");
    CHECK(views::without_bfd(snapshot, "upstream-b") == "it is about to begin, or the daemon ends");
    snapshot.neighbors[1].disabled = true;
    const json::object disabled = of_neighbor(snapshot, "upstream-b");
    CHECK(disabled.at("state") == "admin_down");
    CHECK(disabled.at("hint") == "an operator keeps that neighbor down");
    const json::object whole = views::bfd(snapshot);
    CHECK(whole.at("bfd").as_array().size() == 1);
    CHECK(whole.at("no_session") ==
          json::array{json::object{{"neighbor", "upstream-b"},
                                   {"hint", "an operator keeps that neighbor down"}}});
    CHECK(views::without_bfd(snapshot, "nobody") == "GET /v1/neighbors lists the neighbors");
}

TEST_CASE("bfd view: explain names a neighbor that waits for BFD, and where to look") {
    auto snapshot = strict_sample();
    CHECK(told(sample_with_bfd()).empty());
    const std::string text =
        "upstream-b waits for BFD to be Up (bfd.strict): nothing arrives: is BFD on at 192.0.2.253 "
        "with 192.0.2.1 as its neighbor, and does UDP port 3784 get through?";
    CHECK(told(snapshot) == std::vector<std::string>{"info " + text});
    snapshot.neighbors[0].state = bgp::State::idle;
    snapshot.neighbors[0].sent.clear();
    CHECK(told(snapshot) == std::vector<std::string>{"blocked " + text});
    const json::object chain = views::explain(snapshot, prefix("198.51.100.0/24"));
    CHECK(chain.at("summary").as_string().find("upstream-b: waits for BFD") != json::string::npos);
    snapshot.site.services[0].verdict = failover::Verdict::down;
    CHECK(told(snapshot).empty());
}

TEST_CASE("bfd view: explain names a neighbor whose session BFD has ended") {
    auto snapshot = sample_with_bfd();
    snapshot.neighbors[1].ended_by =
        daemon::LastNotification{.sent = true,
                                 .notification = {bgp::ErrorCode::cease, bgp::subcode::bfd_down},
                                 .at = sample_now - 5s};
    REQUIRE(told(snapshot).size() == 1);
    CHECK(
        told(snapshot)[0].starts_with("info upstream-b lost its session because our BFD went "
                                      "down, 5s ago; now: nothing arrives: is BFD on"));
    auto& last = *snapshot.neighbors[1].ended_by;
    last.sent = false;
    last.notification = {bgp::ErrorCode::cease, bgp::subcode::hard_reset, {6, 10}};
    snapshot.bfd.sessions[1].session.state = bfd::State::up;
    CHECK(told(snapshot) ==
          std::vector<std::string>{"info upstream-b lost its session because its BFD went down, 5s "
                                   "ago; now: it is Up again"});
    last.notification = {bgp::ErrorCode::cease, bgp::subcode::hard_reset, {6, 2}};
    CHECK(told(snapshot).empty());
}

TEST_CASE("bfd metrics: by neighbor, with the packets of no session beside them") {
    auto snapshot = sample_with_bfd();
    snapshot.bfd.sessions[0].session.counters.downs = 2;
    snapshot.bfd.sessions[0].session.counters.discarded[0] = 3;
    snapshot.bfd.discarded.back() = 4;
    snapshot.bfd.lateness.buckets[0] = 98;
    snapshot.bfd.lateness.buckets[2] = 2;
    snapshot.bfd.lateness.sum = 5ms;
    snapshot.bfd.realtime = true;
    daemon::EventCounters counters;
    for (const auto to : {bfd::State::up, bfd::State::down, bfd::State::up}) {
        const auto from = to == bfd::State::up ? bfd::State::init : bfd::State::up;
        counters.count({sample_now, sample_wall, daemon::BfdEvent{"upstream-a", from, to, ""}},
                       *snapshot.config);
    }
    counters.count(
        {sample_now, sample_wall, daemon::BfdEvent{"gone", bfd::State::up, bfd::State::down, ""}},
        *snapshot.config);
    counters.forget_all_but(*snapshot.config);
    const std::string text = scrape(snapshot, counters);
    CHECK(text.find("\"gone\"") == std::string::npos);
    for (const auto* line :
         {R"(swerve_bfd_session_up{neighbor="upstream-a"} 1)",
          R"(swerve_bfd_session_up{neighbor="upstream-b"} 0)",
          R"(swerve_bfd_detection_time_seconds{neighbor="upstream-a"} 1.5)",
          R"(swerve_bfd_packets_sent_total{neighbor="upstream-a"} 40)",
          R"(swerve_bfd_packets_received_total{neighbor="upstream-a"} 30)",
          R"(swerve_bfd_discards_total{neighbor="upstream-a",reason="bad_version"} 3)",
          R"(swerve_bfd_discards_total{neighbor="upstream-b",reason="bad_version"} 0)",
          R"(swerve_bfd_discards_total{neighbor="",reason="ttl_too_low"} 4)",
          R"(swerve_bfd_session_downs_total{neighbor="upstream-a"} 2)",
          R"(swerve_bfd_session_transitions_total{neighbor="upstream-a",to="up"} 2)",
          R"(swerve_bfd_session_transitions_total{neighbor="upstream-a",to="down"} 1)",
          R"(swerve_bfd_lateness_seconds_count 100)",
          R"(swerve_bfd_lateness_seconds_bucket{le="0.0005"} 100)",
          R"(swerve_bfd_lateness_seconds_sum 0.005)", R"(swerve_bfd_realtime 1)"}) {
        CHECK_MESSAGE(text.find("\n" + std::string{line} + "\n") != std::string::npos, line);
    }
    // Silence has no detection time before the first packet.
    CHECK(text.find(R"(swerve_bfd_detection_time_seconds{neighbor="upstream-b"})") ==
          std::string::npos);
    // Down for good: still a series, for an alert on 0.
    snapshot.bfd.sessions.clear();
    CHECK(scrape(snapshot).find("\nswerve_bfd_session_up{neighbor=\"upstream-a\"} 0\n") !=
          std::string::npos);
    CHECK(scrape(sample_snapshot()).find("swerve_bfd") == std::string::npos);
}
