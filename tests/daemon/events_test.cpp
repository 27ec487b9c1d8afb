#include <doctest/doctest.h>
#include <sys/stat.h>

#include <boost/json/parse.hpp>
#include <filesystem>
#include <fstream>

#include "daemon/actions/notice.hpp"
#include "daemon/operations/event_ring.hpp"
#include "daemon/operations/event_view.hpp"
#include "daemon/operations/json_text.hpp"
#include "tests/support/http_client.hpp"
#include "tests/support/running_operations.hpp"

using namespace swerve;
using namespace swerve::test;
namespace json = boost::json;

namespace {

template <class What>
[[nodiscard]] daemon::Event event_of(What what) {
    return {sample_now, sample_wall, std::move(what)};
}

template <class What>
[[nodiscard]] daemon::EventView view_of(What what) {
    return daemon::view_of(event_of(std::move(what)), sample_config());
}

[[nodiscard]] daemon::SessionEvent session_down() {
    return {.name = "upstream-a",
            .up = false,
            .reason = "hold timer expired",
            .notification = bgp::Notification{bgp::ErrorCode::hold_timer_expired, 0},
            .notification_sent = true};
}

[[nodiscard]] json::object numbered(std::uint64_t id) { return {{"id", id}}; }

[[nodiscard]] std::size_t lines_of(const std::string& text) {
    return static_cast<std::size_t>(std::ranges::count(text, '\n'));
}

}  // namespace

TEST_CASE("events: each kind names its type, subject and severity") {
    using daemon::Severity;
    const auto up = view_of(daemon::SessionEvent{"upstream-a", true, "", {}, false});
    CHECK(up.type == "session_up");
    CHECK(up.subject == "upstream-a");
    CHECK(up.severity == Severity::info);
    const auto down = view_of(session_down());
    CHECK(down.type == "session_down");
    CHECK(down.severity == Severity::warning);
    CHECK(down.detail.at("notification_sent") == true);
    const auto gone = view_of(daemon::BestPathEvent{prefix("198.51.100.0/24"), "site-a", ""});
    CHECK(gone.type == "best_path");
    CHECK(gone.detail ==
          json::object{{"prefix", "198.51.100.0/24"}, {"from", "site-a"}, {"to", nullptr}});
    const auto check = view_of(
        daemon::CheckEvent{"web", health::CheckState::pass, health::CheckState::fail, "refused"});
    CHECK(check.type == "check");
    CHECK(check.subject == "web");
    CHECK(check.detail == json::object{{"from", "pass"}, {"to", "fail"}, {"reason", "refused"}});
    const auto lost = view_of(daemon::EvidenceEvent{"web", "no answer", sample_now + 30s});
    CHECK(lost.type == "evidence_lost");
    CHECK(lost.severity == Severity::critical);
    const auto verdict = view_of(daemon::VerdictEvent{"portal", failover::Verdict::up,
                                                      failover::Verdict::down, "web fails"});
    CHECK(verdict.type == "verdict");
    CHECK(verdict.subject == "portal");
    CHECK(verdict.severity == Severity::critical);
    const auto intent = view_of(daemon::IntentEvent{"portal", failover::Intent::withdraw,
                                                    failover::Intent::announce, "verdict up"});
    CHECK(intent.type == "intent");
    CHECK(intent.severity == Severity::info);
    const auto alarm =
        view_of(daemon::DaemonEvent{daemon::DaemonEvent::Kind::alarm, "probes loop is late"});
    CHECK(alarm.type == "daemon");
    CHECK(alarm.subject == "fra1");
    CHECK(alarm.severity == Severity::critical);
    const auto failover = view_of(daemon::FailoverCompleted{sample_failover(3)});
    CHECK(failover.type == "failover");
    CHECK(failover.detail.at("id").to_number<int>() == 3);
    CHECK(failover.text.find("written after 0.050 ms") != std::string::npos);
}

TEST_CASE("events: BFD is told when it comes Up and when it leaves Up, and why") {
    using daemon::Severity;
    const auto up = view_of(daemon::BfdEvent{"upstream-a", bfd::State::init, bfd::State::up, ""});
    CHECK(up.type == "bfd_up");
    CHECK(up.severity == Severity::info);
    CHECK(up.subject == "upstream-a");
    CHECK(up.text == "BFD with upstream-a is Up");
    CHECK(up.detail == json::object{{"neighbor", "upstream-a"},
                                    {"from", "init"},
                                    {"to", "up"},
                                    {"cause", nullptr},
                                    {"reason", nullptr}});
    const auto went = [](bfd::Cause cause) {
        return view_of(daemon::BfdEvent{"upstream-a", bfd::State::up, bfd::State::down,
                                        "nothing arrived for 900ms", cause});
    };
    const auto down = went(bfd::Cause::detection_time_expired);
    CHECK(down.type == "bfd_down");
    CHECK(down.severity == Severity::warning);
    CHECK(down.text == "BFD with upstream-a is Down: nothing arrived for 900ms");
    CHECK(down.detail.at("cause") == "detection_time_expired");
    CHECK(went(bfd::Cause::neighbor_signaled_down).severity == Severity::warning);
    CHECK(went(bfd::Cause::path_down).severity == Severity::warning);
    // As with the sessions of BGP, listeners hear of what follows for a service alone.
    const conf::Config config = sample_config();
    const auto event = event_of(daemon::BfdEvent{"upstream-a", bfd::State::up, bfd::State::down,
                                                 "x", bfd::Cause::detection_time_expired});
    CHECK_FALSE(daemon::notice_of(event, daemon::view_of(event, config), config, "1"));
    // Somebody has switched it off: no failure (RFC 5882 §3.2).
    CHECK(went(bfd::Cause::neighbor_admin_down).severity == Severity::info);
    CHECK(went(bfd::Cause::admin_down).severity == Severity::info);
}

TEST_CASE("events: a limit on prefixes tells which one, and when the neighbor is tried again") {
    const auto limit = view_of(daemon::PrefixLimitEvent{
        "upstream-a", daemon::PrefixLimitEvent::Of::kept, 101, 100, 15min});
    CHECK(limit.type == "prefix_limit");
    CHECK(limit.severity == daemon::Severity::critical);
    CHECK(limit.subject == "upstream-a");
    CHECK(limit.text ==
          "neighbor upstream-a has told 101 routes that are kept, more than its limit of 100: its "
          "session ended and is tried again in 15m00s");
    CHECK(limit.detail ==
          json::object{{"of", "kept"}, {"routes", 101}, {"limit", 100}, {"idle_s", 900.0}});
    const auto octets = view_of(daemon::PrefixLimitEvent{
        "upstream-a", daemon::PrefixLimitEvent::Of::kept_octets, 2001, 2000, 15min});
    CHECK(octets.text.find("2001 octets of routes that are kept, more than its limit of 2000") !=
          std::string::npos);
    CHECK(
        octets.detail ==
        json::object{{"of", "kept_octets"}, {"octets", 2001}, {"limit", 2000}, {"idle_s", 900.0}});
}

TEST_CASE("events: an override names who set it, a cleared one has no kind") {
    const failover::Override value{failover::OverrideKind::drain, "disk", "alice", sample_wall,
                                   sample_now + 60s};
    const auto set = view_of(failover::OverrideChanged{"portal", value, false});
    CHECK(set.detail == json::object{{"kind", "drain"},
                                     {"reason", "disk"},
                                     {"who", "alice"},
                                     {"expires_s", 60.0},
                                     {"expired", false}});
    const auto expired = view_of(failover::OverrideChanged{"portal", {}, true});
    CHECK(expired.detail.at("kind").is_null());
    CHECK(expired.detail.at("expired") == true);
    CHECK(expired.text == "override on portal expired");
}

TEST_CASE("events: the object has the members of swerve.event/1") {
    const auto event = event_of(session_down());
    const auto object = daemon::to_json(daemon::view_of(event, sample_config()), event, 17);
    CHECK(object.at("schema") == "swerve.event/1");
    CHECK(object.at("id").to_number<int>() == 17);
    CHECK(object.at("time") == "2027-01-15T08:00:00.000Z");
    CHECK(object.at("severity") == "warning");
    CHECK(object.at("detail").as_object().at("neighbor") == "upstream-a");
}

TEST_CASE("events: text from a neighbor cannot break a line") {
    auto down = session_down();
    down.reason = "gone\nevent=\"forged\" \xff";
    const auto event = event_of(down);
    const auto object = daemon::to_json(daemon::view_of(event, sample_config()), event, 1);
    const std::string line = daemon::to_text(object);
    CHECK(line.find('\n') == std::string::npos);
    CHECK(json::parse(line).as_object().at("detail").as_object().at("reason") ==
          "gone\\x0aevent=\"forged\" \\xff");
}

TEST_CASE("ring: keeps a thousand and gives what follows an id") {
    boost::asio::io_context io;
    daemon::EventRing ring{io.get_executor()};
    CHECK(ring.after(0).empty());
    CHECK(ring.last(10).empty());
    for (std::uint64_t id = 1; id <= 1000; ++id) ring.append(numbered(id));
    CHECK(ring.after(0).size() == 1000);
    CHECK_FALSE(ring.lost_after(0));
    ring.append(numbered(1001));
    CHECK(ring.after(0).size() == 1000);
    CHECK(ring.lost_after(0));
    CHECK_FALSE(ring.lost_after(1));
    CHECK(ring.after(1000).at(0)->at("id").to_number<int>() == 1001);
    CHECK(ring.after(1001).empty());
    CHECK(ring.after(0, 3).size() == 3);
    CHECK(ring.last(10).at(0)->at("id").to_number<int>() == 992);
    CHECK(ring.last(5000).size() == 1000);
}

TEST_CASE("ring: an id of an earlier start is followed by everything there is") {
    boost::asio::io_context io;
    daemon::EventRing ring{io.get_executor()};
    for (std::uint64_t id = 1; id <= 3; ++id) ring.append(numbered(id));
    CHECK(ring.resume(3) == 3);
    CHECK(ring.resume(4) == 0);
    CHECK(ring.resume(500) == 0);
    CHECK(ring.resume(2) == 2);
}

TEST_CASE("operations: an event gets an id, a log line and an audit line") {
    RunningOperations running;
    REQUIRE(running.started);
    running.publish(event_of(session_down()));
    running.publish(event_of(daemon::VerdictEvent{"portal", failover::Verdict::up,
                                                  failover::Verdict::down, "web \"x\" fails"}));
    const auto answer = ask_http(running.socket(), "GET", "/v1/events");
    const json::array events = answer.json().at("events").as_array();
    REQUIRE(events.size() == 2);
    CHECK(events[0].as_object().at("id").to_number<int>() == 1);
    CHECK(events[1].as_object().at("id").to_number<int>() == 2);
    const std::string audit = running.audit();
    CHECK(lines_of(audit) == 2);
    CHECK(json::parse(audit.substr(0, audit.find('\n'))) == events[0]);
    running.stop();
    CHECK(running.log.str() ==
          "warning event=session_down id=1 subject=\"upstream-a\" text=\"session with upstream-a "
          "is down: hold timer expired\"\n"
          "critical event=verdict id=2 subject=\"portal\" text=\"service portal: verdict up -> "
          "down: web \\\"x\\\" fails\"\n");
}

TEST_CASE("operations: best paths of a collector do not fill the audit file") {
    RunningOperations running;
    running.publish(event_of(daemon::BestPathEvent{prefix("198.51.100.0/24"), "", "site-a"}));
    CHECK(running.audit().empty());
    const auto answer = ask_http(running.socket(), "GET", "/v1/events");
    CHECK(answer.json().at("events").as_array().size() == 1);
}

TEST_CASE("audit: a rotated file is opened anew, and the file is not for everybody") {
    RunningOperations running;
    running.publish(event_of(session_down()));
    struct stat file{};
    REQUIRE(::stat(running.audit_path().c_str(), &file) == 0);
    CHECK((file.st_mode & 07U) == 0);
    std::filesystem::rename(running.audit_path(), running.audit_path() + ".1");
    running.publish(event_of(session_down()));
    CHECK(lines_of(running.audit()) == 1);
}

TEST_CASE("audit: a file that cannot be written is warned of once and counted") {
    RunningOperations running;
    std::filesystem::create_directory(running.audit_path());
    running.publish(event_of(session_down()));
    running.publish(event_of(session_down()));
    const auto metrics = ask_http(running.socket(), "GET", "/metrics");
    CHECK(metrics.body.find("swerve_audit_failures_total 2\n") != std::string::npos);
    std::filesystem::remove(running.audit_path());
    running.publish(event_of(session_down()));
    CHECK(lines_of(running.audit()) == 1);
    running.stop();
    const std::string log = running.log.str();
    const auto first = log.find("cannot be written: Is a directory");
    REQUIRE(first != std::string::npos);
    CHECK(log.find("cannot be written", first + 1) == std::string::npos);
    CHECK(log.find("written again") != std::string::npos);
}
