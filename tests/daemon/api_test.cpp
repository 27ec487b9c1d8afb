#include <doctest/doctest.h>
#include <unistd.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <filesystem>

#include "daemon/operations/client_input.hpp"
#include "tests/support/http_client.hpp"
#include "tests/support/running_operations.hpp"

using namespace swerve;
using namespace swerve::test;
namespace json = boost::json;

namespace {

[[nodiscard]] daemon::OperationsOptions impatient() {
    daemon::OperationsOptions out;
    out.main_deadline = 30ms;
    return out;
}

/// Every error says what is wrong and what to do.
void check_error(const HttpAnswer& answer, int status, const std::string& code) {
    CAPTURE(answer.body);
    REQUIRE(answer.status == status);
    CHECK(answer.error_code() == code);
    CHECK_FALSE(answer.message().empty());
    CHECK_FALSE(answer.hint().empty());
    CHECK(answer.json().at("schema") == "swerve.error/1");
    CHECK(answer.json().at("boottime_ns").is_number());
}

}  // namespace

TEST_CASE("api: every JSON answer begins with schema, time and boottime") {
    RunningOperations running;
    REQUIRE(running.started);
    const std::pair<const char*, const char*> calls[] = {
        {"/v1/status", "swerve.status/1"},
        {"/v1/neighbors", "swerve.neighbors/1"},
        {"/v1/bfd", "swerve.bfd/1"},
        {"/v1/services", "swerve.services/1"},
        {"/v1/checks", "swerve.checks/1"},
        {"/v1/routes", "swerve.routes/1"},
        {"/v1/adj-out", "swerve.adj_out/1"},
        {"/v1/failovers", "swerve.failovers/1"},
        {"/v1/events", "swerve.events/1"},
        {"/v1/config", "swerve.config/1"},
        {"/v1/explain?prefix=198.51.100.0/24", "swerve.explain/1"}};
    for (const auto& [path, schema] : calls) {
        CAPTURE(path);
        const auto answer = ask_http(running.socket(), "GET", path);
        CHECK(answer.status == 200);
        CHECK(answer.header.find("application/json") != std::string::npos);
        CHECK(answer.json().at("schema") == schema);
        CHECK(answer.json().at("time").is_string());
        CHECK(answer.json().at("boottime_ns").is_number());
    }
}

TEST_CASE("api: a name narrows a list, an unknown one is no_such_object") {
    RunningOperations running;
    const auto one = ask_http(running.socket(), "GET", "/v1/neighbors/upstream-b");
    CHECK(one.json().at("neighbors").as_array().size() == 1);
    check_error(ask_http(running.socket(), "GET", "/v1/neighbors/nobody"), 404, "no_such_object");
    check_error(ask_http(running.socket(), "GET", "/v1/bfd/nobody"), 404, "no_such_object");
    const auto without = ask_http(running.socket(), "GET", "/v1/bfd/upstream-a");
    check_error(without, 404, "no_such_object");
    CHECK(without.hint().find("bfd: {}") != std::string::npos);
    check_error(ask_http(running.socket(), "GET", "/v1/services/a%2Fb%00"), 404, "no_such_object");
    check_error(ask_http(running.socket(), "GET", "/v1/checks/no%ff"), 404, "no_such_object");
    check_error(ask_http(running.socket(), "GET", "/v1/failovers/7"), 404, "no_such_object");
    check_error(ask_http(running.socket(), "GET", "/v1/failovers/seven"), 400, "bad_request");
}

TEST_CASE("api: unknown paths are not_found") {
    RunningOperations running;
    for (const auto* path : {"/", "/v1", "/v2/status", "/v1/status/x", "/v1/neighbors/",
                             "/v1/neighbors/a/b", "/v1/neighbors/a/probe", "/v1/checks//probe",
                             "/v1/checks/web/probe/x", "//v1/status", "/v1/../etc/passwd"}) {
        CAPTURE(path);
        check_error(ask_http(running.socket(), "GET", path), 404, "not_found");
    }
    check_error(ask_http(running.socket(), "GET", "/v1/%zz"), 400, "bad_request");
    check_error(ask_http(running.socket(), "GET", "http://x/v1/status"), 400, "bad_request");
}

TEST_CASE("api: a method that a path does not have is refused with the one it has") {
    RunningOperations running;
    const auto put = ask_http(running.socket(), "PUT", "/v1/status");
    check_error(put, 405, "method_not_allowed");
    CHECK(put.header.find("Allow: GET") != std::string::npos);
    const auto get = ask_http(running.socket(), "GET", "/v1/drain");
    check_error(get, 405, "method_not_allowed");
    CHECK(get.header.find("Allow: POST") != std::string::npos);
    const auto head = ask_http(running.socket(), "HEAD", "/v1/status");
    CHECK(head.status == 405);
    CHECK(head.body.empty());
}

TEST_CASE("api: a percent-escaped prefix selects routes") {
    RunningOperations running;
    const auto answer =
        ask_http(running.socket(), "GET", "/v1/routes?prefix=2001:db8::%2F32&limit=5");
    REQUIRE(answer.status == 200);
    CHECK(answer.json().at("routes").as_array().size() == 1);
    running.on_loop([&] {
        const auto& request = running.main->requests.back();
        CHECK(request.prefix == prefix("2001:db8::/32"));
        CHECK(request.received);
        CHECK(request.received_limit == 5);
    });
}

TEST_CASE("api: parameters are checked") {
    RunningOperations running;
    for (const auto* path :
         {"/v1/routes?prefix=198.51.100.1/24", "/v1/routes?prefix=x",
          "/v1/routes?prefix=10.0.0.0/33", "/v1/routes?limit=0", "/v1/routes?limit=10001",
          "/v1/routes?limit=-1", "/v1/routes?limit=1x", "/v1/routes?color=red",
          "/v1/routes?limit=1&limit=2", "/v1/status?x", "/v1/explain",
          "/v1/explain?prefix=", "/v1/events?since=a", "/v1/events?follow=yes", "/metrics?x=1"}) {
        CAPTURE(path);
        check_error(ask_http(running.socket(), "GET", path), 400, "bad_request");
    }
    CHECK(ask_http(running.socket(), "GET", "/v1/routes?limit=10000").status == 200);
    const auto host_bits = ask_http(running.socket(), "GET", "/v1/explain?prefix=198.51.100.7/24");
    CHECK(host_bits.hint() == "the prefix is 198.51.100.0/24");
}

TEST_CASE("api: drain reaches main with who, for how long and why") {
    RunningOperations running;
    const auto answer = ask_http(running.socket(), "POST", "/v1/drain",
                                 R"({"service":"portal","for_s":600,"reason":"disk \u0007"})");
    REQUIRE(answer.status == 200);
    CHECK(answer.json().at("schema") == "swerve.done/1");
    CHECK(answer.json().at("done") == true);
    CHECK(answer.json().at("text") == "drain of portal is in force for 600 s");
    CHECK(answer.json().at("saved") == true);
    CHECK(answer.json().at("note").is_null());
    running.on_loop([&] {
        REQUIRE(running.main->sets.size() == 1);
        const auto& set = running.main->sets[0];
        CHECK(std::get<std::string>(set.subject) == "portal");
        CHECK(set.value.kind == failover::OverrideKind::drain);
        CHECK(set.value.reason == "disk \\x07");
        CHECK(set.value.who == daemon::user_name(::getuid()));
        CHECK(set.lasting == 600s);
    });
    const auto line = json::parse(running.audit()).as_object();
    CHECK(line.at("schema") == "swerve.command/1");
    CHECK(line.at("command") == "drain");
    CHECK(line.at("subject") == "portal");
    CHECK(line.at("who").as_string() == daemon::user_name(::getuid()));
    CHECK(line.at("for_s").as_double() == 600.0);
}

TEST_CASE("api: stop reaches main as it was asked for, and is refused with its sentence") {
    RunningOperations running;
    const auto plain = ask_http(running.socket(), "POST", "/v1/stop");
    REQUIRE(plain.status == 200);
    CHECK(plain.json().at("done") == true);
    const auto planned = ask_http(running.socket(), "POST", "/v1/stop",
                                  R"({"planned_restart":true,"reason":"upgrade"})");
    CHECK(planned.status == 200);
    const std::string who = daemon::user_name(::getuid());
    running.on_loop([&] {
        const auto& stops = running.main->stops;
        REQUIRE(stops.size() == 2);
        CHECK_FALSE(stops[0].planned_restart);
        CHECK(stops[0].reason == "stopped by " + who);
        CHECK(stops[1].planned_restart);
        CHECK(stops[1].reason == "stopped by " + who + ": upgrade");
        running.main->why_not_stopped = "no neighbor has graceful_restart";
    });
    const auto refused =
        ask_http(running.socket(), "POST", "/v1/stop", R"({"planned_restart":true})");
    check_error(refused, 409, "not_applied");
    check_error(ask_http(running.socket(), "POST", "/v1/stop", R"({"planned_restart":1})"), 400,
                "bad_request");
    check_error(ask_http(running.socket(), "POST", "/v1/stop", R"({"hard":true})"), 400,
                "bad_request");
    CHECK(running.audit().find("stop --planned-restart") != std::string::npos);
}

TEST_CASE("api: a planned restart is refused while the state cannot be saved") {
    RunningOperations running;
    const auto blocked = std::filesystem::path{running.directory.path()} / "state.tmp";
    std::filesystem::create_directory(blocked);
    const auto planned = [&] {
        return ask_http(running.socket(), "POST", "/v1/stop", R"({"planned_restart":true})");
    };
    const auto refused = planned();
    check_error(refused, 409, "not_applied");
    CHECK(refused.body.find("the state cannot be saved") != std::string::npos);
    CHECK(refused.body.find("Is a directory") != std::string::npos);
    running.on_loop([&] { CHECK(running.main->stops.empty()); });
    CHECK(ask_http(running.socket(), "POST", "/v1/stop").status == 200);
    std::filesystem::remove(blocked);
    CHECK(planned().status == 200);
    running.on_loop([&] { CHECK(running.main->stops.size() == 2); });
}

TEST_CASE("api: observed asks main for what neighbors say about own prefixes") {
    RunningOperations running;
    const auto answer =
        ask_http(running.socket(), "GET", "/v1/observed?prefix=198.51.100.0%2F24&limit=7");
    REQUIRE(answer.status == 200);
    CHECK(answer.json().at("schema") == "swerve.observed/1");
    CHECK(answer.json().at("cut") == false);
    running.on_loop([&] {
        const auto& request = running.main->requests.back();
        CHECK(request.observed);
        CHECK(request.observed_limit == 7);
        CHECK(request.prefix == prefix("198.51.100.0/24"));
        CHECK_FALSE(request.received);
    });
}

TEST_CASE("api: announce and withdraw act on a prefix, undrain and auto clear") {
    RunningOperations running;
    const std::string of_prefix = R"({"prefix":"198.51.100.0/24"})";
    CHECK(ask_http(running.socket(), "POST", "/v1/announce", of_prefix).status == 200);
    CHECK(ask_http(running.socket(), "POST", "/v1/withdraw", of_prefix).status == 200);
    const auto undrain =
        ask_http(running.socket(), "POST", "/v1/undrain", R"({"service":"portal"})");
    CHECK(undrain.json().at("text") == "1 drain on portal cleared");
    for (const auto* subject : {"portal", "198.51.100.0/24"}) {
        CHECK(ask_http(running.socket(), "POST", "/v1/auto",
                       json::serialize(json::object{{"subject", subject}}))
                  .status == 200);
    }
    running.on_loop([&] {
        const auto& main = *running.main;
        REQUIRE(main.sets.size() == 2);
        CHECK(std::get<Prefix>(main.sets[0].subject) == prefix("198.51.100.0/24"));
        CHECK(main.sets[0].value.kind == failover::OverrideKind::announce);
        CHECK(main.sets[1].value.kind == failover::OverrideKind::withdraw);
        CHECK_FALSE(main.sets[1].lasting.has_value());
        REQUIRE(main.clears.size() == 3);
        CHECK(main.clears[0].only == failover::OverrideKind::drain);
        CHECK_FALSE(main.clears[1].only.has_value());
        CHECK(std::holds_alternative<Prefix>(main.clears[2].subject));
    });
}

TEST_CASE("api: clearing what is not there is done and says so") {
    RunningOperations running;
    running.on_loop([&] { running.main->cleared = 0; });
    const auto answer = ask_http(running.socket(), "POST", "/v1/auto", R"({"subject":"portal"})");
    CHECK(answer.status == 200);
    CHECK(answer.json().at("text") == "there was no override on portal");
}

TEST_CASE("api: a neighbor is commanded by name") {
    RunningOperations running;
    const auto command = [&](const std::string& body) {
        return ask_http(running.socket(), "POST", "/v1/neighbor", body);
    };
    for (const auto* word : {"enable", "disable", "reset", "refresh"}) {
        const auto answer = command(json::serialize(
            json::object{{"neighbor", "upstream-a"}, {"command", word}, {"reason", "fiber"}}));
        CHECK(answer.status == 200);
        CHECK(answer.json().at("saved") == true);
    }
    running.on_loop([&] {
        const auto& taken = running.main->neighbor_commands;
        REQUIRE(taken.size() == 4);
        CHECK(taken[1].command == daemon::NeighborCommand::disable);
        CHECK(taken[1].name == "upstream-a");
        CHECK(taken[1].reason == "fiber");
        CHECK(taken[1].who == daemon::user_name(::getuid()));
        running.main->neighbor_known = false;
    });
    check_error(command(R"({"neighbor":"nobody","command":"reset"})"), 404, "no_such_object");
    for (const auto* body : {R"({"neighbor":"upstream-a"})", R"({"command":"reset"})",
                             R"({"neighbor":"upstream-a","command":"stop"})",
                             R"({"neighbor":"upstream-a","command":"reset","for_s":5})"}) {
        CAPTURE(body);
        check_error(command(body), 400, "bad_request");
    }
}

TEST_CASE("api: a command whose outcome cannot be saved is done, and says that it is not") {
    RunningOperations running;
    // A directory stands where the file is to be written.
    std::filesystem::create_directory(running.directory.path() + "/state.tmp");
    const auto answer = ask_http(running.socket(), "POST", "/v1/drain", R"({"service":"portal"})");
    REQUIRE(answer.status == 200);
    CHECK(answer.json().at("done") == true);
    CHECK(answer.json().at("saved") == false);
    CHECK(answer.json().at("note").as_string().find("a restart will forget it") !=
          std::string::npos);
    CHECK(running.audit().find("\"kind\":\"alarm\"") != std::string::npos);
}

TEST_CASE("api: adj-out asks for one neighbor, one prefix, so many") {
    RunningOperations running;
    const std::string path = "/v1/adj-out?neighbor=upstream-a&prefix=198.51.100.0%2F24&limit=7";
    CHECK(ask_http(running.socket(), "GET", path).status == 200);
    running.on_loop([&] {
        const auto& request = running.main->requests.back();
        CHECK(request.adj_out);
        CHECK_FALSE(request.received);
        CHECK(request.adj_out_neighbor == "upstream-a");
        CHECK(request.prefix == prefix("198.51.100.0/24"));
        CHECK(request.adj_out_limit == 7);
    });
    check_error(ask_http(running.socket(), "GET", "/v1/adj-out?neighbor=nobody"), 404,
                "no_such_object");
    check_error(ask_http(running.socket(), "GET", "/v1/adj-out?limit=0"), 400, "bad_request");
}

TEST_CASE("api: an override lasts from a second to a year") {
    RunningOperations running;
    const auto drain = [&](const std::string& lasting) {
        return ask_http(running.socket(), "POST", "/v1/drain",
                        R"({"service":"portal","for_s":)" + lasting + "}");
    };
    CHECK(drain("1").status == 200);
    CHECK(drain("31536000").status == 200);
    CHECK(drain("null").status == 200);
    for (const auto* bad :
         {"0", "31536001", "-5", "1.5", "\"60\"", "18446744073709551615", "1e400", "true", "[]"}) {
        CAPTURE(bad);
        check_error(drain(bad), 400, "bad_request");
    }
}

TEST_CASE("api: bodies that are no command are refused") {
    RunningOperations running;
    const std::string nested =
        R"({"service":)" + std::string(30'000, '[') + std::string(30'000, ']') + "}";
    for (const auto& body : std::vector<std::string>{
             "", "x", "{", "[]", "\"portal\"", "null", R"({"service":"portal"} trailing)",
             R"({"service":5})", R"({"service":""})", R"({"service":null})", R"({})",
             R"({"service":"portal","reason":7})", R"({"service":"portal","color":"red"})",
             R"({"prefix":"198.51.100.0/24"})", std::string("{\"service\":\"\xff\"}"),
             R"({"service":"portal","reason":")" + std::string(513, 'x') + "\"}", nested}) {
        CAPTURE(body.substr(0, 60));
        check_error(ask_http(running.socket(), "POST", "/v1/drain", body), 400, "bad_request");
    }
    check_error(
        ask_http(running.socket(), "POST", "/v1/undrain", R"({"service":"portal","for_s":5})"), 400,
        "bad_request");
    check_error(
        ask_http(running.socket(), "POST", "/v1/withdraw", R"({"prefix":"198.51.100.1/24"})"), 400,
        "bad_request");
    running.on_loop([&] { CHECK(running.main->sets.empty()); });
}

TEST_CASE("api: an unknown service is no_such_object, for auto as well") {
    RunningOperations running;
    check_error(ask_http(running.socket(), "POST", "/v1/drain", R"({"service":"nothing"})"), 404,
                "no_such_object");
    check_error(ask_http(running.socket(), "POST", "/v1/auto", R"({"subject":"nothing"})"), 404,
                "no_such_object");
    check_error(ask_http(running.socket(), "POST", "/v1/auto", R"({"subject":"10.0.0.1/8"})"), 400,
                "bad_request");
}

TEST_CASE("api: a refusal of main is named, hinted and audited") {
    RunningOperations running;
    const auto withdraw = [&](failover::Refusal refusal) {
        running.on_loop([&] { running.main->refusal = refusal; });
        return ask_http(running.socket(), "POST", "/v1/withdraw", R"({"prefix":"203.0.113.0/24"})");
    };
    const auto outside = withdraw(failover::Refusal::not_owned);
    check_error(outside, 409, "refused");
    CHECK(outside.message() == "203.0.113.0/24 lies outside 'owned'");
    CHECK(outside.hint() == "owned: 198.51.100.0/24, 2001:db8::/32");
    check_error(withdraw(failover::Refusal::stopping), 409, "refused");
    check_error(withdraw(failover::Refusal::no_such_object), 404, "no_such_object");
    running.on_loop([&] { running.main->refusal.reset(); });
    const auto forged = ask_http(running.socket(), "POST", "/v1/auto",
                                 R"({"subject":"x\" text=\"done\u000aevent=forged"})");
    check_error(forged, 404, "no_such_object");
    running.on_loop([&] {
        CHECK(running.log.str().find(R"(subject="x\" text=\"done\\x0aevent=forged")") !=
              std::string::npos);
    });
    CHECK(running.audit().find("refused: 203.0.113.0/24 lies outside 'owned'") !=
          std::string::npos);
}

TEST_CASE("api: a silent main is main_silent, and its late answer harms nobody") {
    RunningOperations running{impatient()};
    running.on_loop([&] { running.main->silent = true; });
    check_error(ask_http(running.socket(), "GET", "/v1/status"), 504, "main_silent");
    check_error(ask_http(running.socket(), "POST", "/v1/drain", R"({"service":"portal"})"), 504,
                "main_silent");
    check_error(ask_http(running.socket(), "POST", "/v1/auto", R"({"subject":"portal"})"), 504,
                "main_silent");
    CHECK(ask_http(running.socket(), "GET", "/healthz").status == 503);
    running.on_loop([&] {
        for (const auto& done : running.main->unanswered) done(running.main->answer);
        running.main->silent = false;
    });
    CHECK(ask_http(running.socket(), "GET", "/v1/status").status == 200);
}

TEST_CASE("api: readyz asks for an established session and says why there is none") {
    RunningOperations running;
    CHECK(ask_http(running.socket(), "GET", "/healthz").body == "ok\n");
    CHECK(ask_http(running.socket(), "GET", "/readyz").body == "ok\n");
    const auto with = [&](const std::function<void(daemon::Snapshot&)>& change) {
        auto snapshot = sample_snapshot();
        change(snapshot);
        running.on_loop(
            [&] { running.main->answer = std::make_shared<const daemon::Snapshot>(snapshot); });
        return ask_http(running.socket(), "GET", "/readyz");
    };
    const auto none = with([](auto& snapshot) { snapshot.neighbors[0].state = bgp::State::idle; });
    CHECK(none.status == 503);
    CHECK(none.body.find("upstream-b: active: connection refused") != std::string::npos);
    CHECK(with([](auto& snapshot) { snapshot.site.stopping = true; }).status == 503);
    CHECK(with([](auto&) {}).status == 200);
}

TEST_CASE("api: the configuration is shown as YAML with all defaults") {
    RunningOperations running;
    const auto answer = ask_http(running.socket(), "GET", "/v1/config");
    CHECK(answer.json().at("file") == "fra1.yaml");
    const std::string yaml{answer.json().at("yaml").as_string()};
    CHECK(yaml.find("\nlocal_as: 64500\n") != std::string::npos);
    CHECK(yaml.find("fast_interval: 200ms") != std::string::npos);
}

TEST_CASE("api: the TCP listener answers GET alone") {
    RunningOperations running{{}, true};
    REQUIRE(running.started);
    CHECK(ask_http(running.http(), "GET", "/v1/status").status == 200);
    CHECK(ask_http(running.http(), "GET", "/metrics").status == 200);
    const auto post = ask_http(running.http(), "POST", "/v1/drain", R"({"service":"portal"})");
    check_error(post, 405, "method_not_allowed");
    CHECK(post.hint() == "commands are taken on the control socket alone");
    CHECK(ask_http(running.http(), "HEAD", "/healthz").status == 405);
    running.on_loop([&] { CHECK(running.main->sets.empty()); });
}

TEST_CASE("api: a uid without a name is shown as a number") {
    CHECK(daemon::user_name(0) == "root");
    CHECK(daemon::user_name(4'000'000) == "uid 4000000");
}
