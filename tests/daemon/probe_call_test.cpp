// POST /v1/checks/NAME/probe, and the history of one check.

#include <doctest/doctest.h>

#include <boost/json/parse.hpp>
#include <thread>
#include <vector>

#include "tests/support/http_client.hpp"
#include "tests/support/running_operations.hpp"

using namespace swerve;
using namespace swerve::test;
namespace json = boost::json;

namespace {

[[nodiscard]] daemon::ProbeTrial trial(health::ProbeResult result) {
    return {{result, "HTTP 200", sample_now, sample_now + 3ms},
            {{20us, "connecting to 198.51.100.1:80"}, {2ms, "connected"}}};
}

[[nodiscard]] HttpAnswer probe_web(const RunningOperations& running) {
    return ask_http(running.socket(), "POST", "/v1/checks/web/probe");
}

}  // namespace

TEST_CASE("probe by hand: the answer has the outcome and every step with its time") {
    RunningOperations running;
    running.on_loop([&] { running.main->trial = trial(health::ProbeResult::pass); });
    const auto answer = probe_web(running);
    REQUIRE(answer.status == 200);
    const json::object body = answer.json();
    CHECK(body.at("schema") == "swerve.probe/1");
    CHECK(body.at("check") == "web");
    CHECK(body.at("type") == "tcp");
    CHECK(body.at("target") == "tcp://198.51.100.1:80");
    CHECK(body.at("result") == "pass");
    CHECK(body.at("reason") == "HTTP 200");
    CHECK(body.at("duration_s").as_double() == 0.003);
    CHECK(body.at("steps") ==
          json::array{json::object{{"at_s", 0.00002}, {"text", "connecting to 198.51.100.1:80"}},
                      json::object{{"at_s", 0.002}, {"text", "connected"}}});
    running.on_loop([&] { CHECK(running.main->probed == std::vector<std::string>{"web"}); });
    const auto line = json::parse(running.audit()).as_object();
    CHECK(line.at("command") == "probe run");
    CHECK(line.at("subject") == "web");
    CHECK(line.at("outcome") == "pass: HTTP 200");
}

TEST_CASE("probe by hand: there has to be such a check, and a method and a body that fit") {
    RunningOperations running;
    const auto missing = ask_http(running.socket(), "POST", "/v1/checks/nothing/probe");
    CHECK(missing.status == 404);
    CHECK(missing.error_code() == "no_such_object");
    const auto get = ask_http(running.socket(), "GET", "/v1/checks/web/probe");
    CHECK(get.status == 405);
    CHECK(get.header.find("Allow: POST") != std::string::npos);
    const auto body = ask_http(running.socket(), "POST", "/v1/checks/web/probe", R"({"x":1})");
    CHECK(body.error_code() == "bad_request");
    running.on_loop([&] { CHECK(running.main->probed.empty()); });
}

TEST_CASE("probe by hand: four at a time, the fifth is refused, and one that ends makes room") {
    RunningOperations running;
    running.on_loop([&] { running.main->silent = true; });
    std::vector<std::jthread> clients;
    for (int i = 0; i < 4; ++i) {
        clients.emplace_back([&] { CHECK(probe_web(running).status == 200); });
    }
    std::size_t waiting = 0;
    while (waiting < 4) {
        running.on_loop([&] { waiting = running.main->unanswered_probes.size(); });
    }
    const auto fifth = probe_web(running);
    CHECK(fifth.status == 503);
    CHECK(fifth.error_code() == "busy");
    CHECK(fifth.message() == "4 attempts by hand are under way");
    running.on_loop([&] {
        for (auto& done : running.main->unanswered_probes) done(trial(health::ProbeResult::fail));
        running.main->unanswered_probes.clear();
        running.main->silent = false;
    });
    clients.clear();
    CHECK(probe_web(running).status == 200);
}

TEST_CASE("probe by hand: no attempt waits for more than 30 s, whatever its check may") {
    RunningOperations running({}, false,
                              "site: fra1\nlocal_as: 64500\nrouter_id: 192.0.2.1\n"
                              "owned: [198.51.100.0/24]\n"
                              "neighbors:\n  a: {address: 192.0.2.254, remote_as: 64496}\n"
                              "checks:\n  web: {tcp: {endpoint: \"198.51.100.1:80\"}, interval: "
                              "1h, timeout: 1h}\n");
    running.on_loop([&] { running.main->trial = trial(health::ProbeResult::pass); });
    CHECK(probe_web(running).json().at("timeout_s").as_double() == 30.0);
    running.on_loop([&] { CHECK(running.main->probe_timeouts == std::vector<Duration>{30s}); });
}

TEST_CASE("checks: the history of one check is asked for by its name alone") {
    RunningOperations running;
    auto snapshot = sample_snapshot();
    const auto reason = std::make_shared<const std::string>("refused");
    snapshot.history_of = "web";
    snapshot.history = {{sample_now - 2s, 1ms, health::ProbeResult::pass, false, nullptr},
                        {sample_now - 1s, 3ms, health::ProbeResult::fail, true, reason}};
    running.on_loop(
        [&] { running.main->answer = std::make_shared<const daemon::Snapshot>(snapshot); });
    const auto one = ask_http(running.socket(), "GET", "/v1/checks/web").json();
    const json::array past = one.at("checks").at(0).at("history").as_array();
    REQUIRE(past.size() == 2);
    CHECK(past[0].at("result") == "pass");
    CHECK(past[0].at("reason").is_null());
    CHECK(past[1] == json::object{{"finished", "2027-01-15T07:59:59.000Z"},
                                  {"duration_s", 0.003},
                                  {"age_s", 1.0},
                                  {"result", "fail"},
                                  {"by_event", true},
                                  {"reason", "refused"}});
    running.on_loop([&] { CHECK(running.main->requests.back().history_of == "web"); });
    (void)ask_http(running.socket(), "GET", "/v1/checks");
    running.on_loop([&] { CHECK(running.main->requests.back().history_of.empty()); });
}
