#include <doctest/doctest.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <boost/json/parse.hpp>
#include <filesystem>
#include <fstream>
#include <thread>

#include "daemon/operations/client_input.hpp"
#include "tests/support/http_client.hpp"
#include "tests/support/running_operations.hpp"

using namespace swerve;
using namespace swerve::test;
namespace json = boost::json;

namespace {

constexpr auto base = R"(site: fra1
local_as: 64500
router_id: 192.0.2.1
owned: [198.51.100.0/24, 203.0.113.0/24]
neighbors:
  upstream-a: {address: 192.0.2.254, remote_as: 64496}
  upstream-b: {address: 192.0.2.253, remote_as: 64496}
checks:
  web: {tcp: {endpoint: "198.51.100.1:80"}}
services:
  portal: {prefixes: [198.51.100.0/24], healthy_when: web}
)";

[[nodiscard]] std::string replaced(std::string text, const std::string& from,
                                   const std::string& to) {
    const auto at = text.find(from);
    REQUIRE(at != std::string::npos);
    return text.replace(at, from.size(), to);
}

[[nodiscard]] std::string with_hold_time() {
    return replaced(base, "upstream-a: {address", "upstream-a: {hold_time: 30s, address");
}

class Reloading : public RunningOperations {
public:
    Reloading() : RunningOperations({}, false, base) {}
    [[nodiscard]] HttpAnswer reload(const std::string& body = "{}") {
        return ask_http(socket(), "POST", "/v1/reload", body);
    }
    [[nodiscard]] std::string metrics() { return ask_http(socket(), "GET", "/metrics").body; }
    [[nodiscard]] std::size_t applied() {
        std::size_t out = 0;
        on_loop([&] { out = main->changes.size(); });
        return out;
    }
};

[[nodiscard]] bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

/// Of an address of ours alone; nobody else takes it in the moment between.
[[nodiscard]] std::string free_endpoint() {
    const auto address = boost::asio::ip::make_address_v4("127.0.23.7");
    boost::asio::io_context io;
    const boost::asio::ip::tcp::acceptor probe{io, {address, 0}};
    return "127.0.23.7:" + std::to_string(probe.local_endpoint().port());
}

}  // namespace

TEST_CASE("reload: what changed reaches main, and is told with what it meets") {
    Reloading running;
    running.write_file(replaced(with_hold_time(), "prefixes: [198.51.100.0/24]",
                                "prefixes: [198.51.100.0/24, 203.0.113.0/24]"));
    const auto answer = running.reload();
    REQUIRE(answer.status == 200);
    const json::object body = answer.json();
    CHECK(body.at("schema") == "swerve.reload/1");
    CHECK(body.at("applied") == true);
    const json::object& change = body.at("change").as_object();
    const json::object reset = change.at("resets").as_array().at(0).as_object();
    CHECK(reset.at("neighbor") == "upstream-a");
    CHECK(reset.at("established") == true);
    const json::object route = change.at("routes").as_array().at(0).as_object();
    CHECK(route.at("service") == "portal");
    CHECK(route.at("announced") == true);
    CHECK(route.at("added").to_number<int>() == 1);
    CHECK(route.at("kept").to_number<int>() == 1);
    CHECK(running.applied() == 1);
    CHECK(has(running.metrics(), "swerve_config_reloads_total{result=\"success\"} 1\n"));
    const auto line =
        json::parse(running.audit().substr(running.audit().rfind("{\"schema\":\"swerve.command")))
            .as_object();
    CHECK(line.at("command") == "reload");
    CHECK(line.at("who").as_string() == daemon::user_name(::getuid()));
    // From now on the new configuration is what a file is compared with.
    CHECK(running.reload().json().at("change").as_object().at("keys").as_array().empty());
    CHECK(running.applied() == 1);
}

TEST_CASE("reload: a dry run says the same and changes nothing") {
    Reloading running;
    running.write_file(with_hold_time());
    for (int again = 0; again < 2; ++again) {
        const auto answer = running.reload(R"({"dry_run": true})");
        REQUIRE(answer.status == 200);
        CHECK(answer.json().at("applied") == false);
        CHECK(answer.json().at("change").as_object().at("resets").as_array().size() == 1);
    }
    CHECK(running.applied() == 0);
    CHECK(has(running.audit(), "reload --dry-run"));
}

TEST_CASE("reload: a file with faults changes nothing, and all of them are told") {
    Reloading running;
    running.write_file(
        replaced(replaced(base, "64500", "70000x"), "healthy_when: web", "healthy_when: wob"));
    const auto answer = running.reload();
    CHECK(answer.status == 422);
    CHECK(answer.error_code() == "invalid_configuration");
    const json::object error = answer.json().at("error").as_object();
    const json::array& faults = error.at("diagnostics").as_array();
    REQUIRE(faults.size() == 2);
    CHECK(faults[0].as_object().at("line").to_number<int>() == 4);
    CHECK(faults[0].as_object().at("file").as_string() == running.file());
    CHECK(running.applied() == 0);
    CHECK(has(running.audit(), "reload failed: "));
    const std::string metrics = running.metrics();
    CHECK(has(metrics, "swerve_config_last_reload_successful 0\n"));
    CHECK(has(metrics, "swerve_config_reloads_total{result=\"failure\"} 1\n"));
    CHECK(has(metrics, "swerve_alarms_total 1\n"));
    // A dry run of the same is told only to who asked.
    CHECK(running.reload(R"({"dry_run": true})").status == 422);
    CHECK(has(running.metrics(), "swerve_alarms_total 1\n"));
    running.write_file(base);
    CHECK(running.reload().status == 200);
    CHECK(has(running.metrics(), "swerve_config_last_reload_successful 1\n"));
}

TEST_CASE("reload: what needs a restart, a missing file and a body that is none are refused") {
    Reloading running;
    running.write_file(base);
    std::ofstream{running.file()} << "state_dir: /elsewhere\n" << base;
    const auto restart = running.reload();
    CHECK(restart.error_code() == "invalid_configuration");
    CHECK(has(restart.message(), "while the daemon runs"));
    CHECK(has(restart.body, "restart swerved"));
    std::filesystem::remove(running.file());
    CHECK(running.reload().status == 422);
    for (const auto* body : {"[]", "{", R"({"dry_run": 1})", R"({"force": true})"}) {
        CHECK(running.reload(body).status == 400);
    }
    CHECK(running.applied() == 0);
}

TEST_CASE("reload: a refusal of main is told, and the configuration stays") {
    Reloading running;
    running.on_loop(
        [&] { running.main->why_not_applied = "cannot listen for BGP on 127.0.0.1:179"; });
    running.write_file(with_hold_time());
    const auto refused = running.reload();
    CHECK(refused.status == 409);
    CHECK(refused.error_code() == "not_applied");
    CHECK(refused.message() == "cannot listen for BGP on 127.0.0.1:179");
    running.on_loop([&] { running.main->why_not_applied.reset(); });
    CHECK(running.reload().json().at("change").as_object().at("keys").as_array().size() == 1);
}

TEST_CASE("reload: the read-only listener comes, moves and goes with http.listen") {
    Reloading running;
    CHECK_FALSE(running.http_if_any());
    running.write_file(std::string{base} + "http: {listen: \"" + free_endpoint() + "\"}\n");
    REQUIRE(running.reload().status == 200);
    const Endpoint first = running.http();
    CHECK(ask_http(first, "GET", "/healthz").status == 200);

    // One that cannot be had: main is not asked, and the old one serves on.
    running.write_file(std::string{base} + "http: {listen: \"192.0.2.77:9\"}\n");
    CHECK(running.reload().error_code() == "not_applied");
    CHECK(running.applied() == 1);
    CHECK(ask_http(first, "GET", "/healthz").status == 200);

    // A refusal of main leaves it, too.
    running.on_loop([&] { running.main->why_not_applied = "no"; });
    running.write_file(base);
    CHECK(running.reload().status == 409);
    CHECK(ask_http(first, "GET", "/healthz").status == 200);

    running.on_loop([&] { running.main->why_not_applied.reset(); });
    CHECK(running.reload().status == 200);
    CHECK_FALSE(running.http_if_any());
}

TEST_CASE("reload: those who wait for the next one share it") {
    Reloading running;
    running.write_file(with_hold_time());
    // On the loop all are asked before the first looks at the file a second time.
    running.reload_as("SIGHUP", 5);
    const auto answer = running.reload();
    CHECK(answer.status == 200);
    CHECK(answer.json().at("change").as_object().at("keys").as_array().empty());
    CHECK(running.applied() == 1);
    CHECK(has(running.metrics(), "swerve_config_reloads_total{result=\"success\"} 2\n"));
    std::size_t lines = 0;
    for (std::size_t at = 0; (at = running.audit().find("\"SIGHUP\"", at)) != std::string::npos;
         ++at)
        ++lines;
    CHECK(lines == 5);
}

TEST_CASE("reload: a file that is being written is waited for") {
    Reloading running;
    std::atomic<bool> end{false};
    // Each state of the file alone would load; only the last is what the writer means.
    std::jthread writer{[&] {
        for (int round = 0; round < 6; ++round) {
            running.write_file(
                replaced(base, "upstream-a: {address",
                         "upstream-a: {hold_time: " + std::to_string(30 + round) + "s, address"));
            std::this_thread::sleep_for(40ms);  // the pace of the writer, not a wait for anybody
        }
        end = true;
    }};
    const auto answer = running.reload();
    REQUIRE(answer.status == 200);
    CHECK(end);
    CHECK(answer.json().at("change").as_object().at("keys").as_array().at(0).as_object().at(
              "after") == "35s");
}

TEST_CASE("reload: a file that never rests is refused in words") {
    Reloading running;
    std::jthread writer{[&](const std::stop_token& stop) {
        while (!stop.stop_requested()) {
            running.write_file(base);
            std::this_thread::sleep_for(20ms);
        }
    }};
    const auto answer = running.reload();
    CHECK(answer.error_code() == "invalid_configuration");
    CHECK(has(answer.message(), "is being written"));
    CHECK(running.applied() == 0);
}

TEST_CASE("reload: a prefix file counts as part of the configuration") {
    Reloading running;
    const std::string list = running.directory.path() + "/list";
    const std::string yaml = replaced(base, "prefixes: [198.51.100.0/24]", "prefixes_file: list");
    std::ofstream{list} << "198.51.100.0/25\n";
    running.write_file(yaml);
    REQUIRE(running.reload().status == 200);
    std::ofstream{list} << "198.51.100.0/25\n198.51.100.128/25\n";
    const auto route =
        running.reload().json().at("change").as_object().at("routes").as_array().at(0).as_object();
    CHECK(route.at("added").to_number<int>() == 1);
    CHECK(route.at("kept").to_number<int>() == 1);
    std::ofstream{list} << "198.51.100.0/25\nnonsense\n";
    const auto bad = running.reload();
    CHECK(bad.error_code() == "invalid_configuration");
    CHECK(has(bad.message(), list + ":2:1"));
}

TEST_CASE("reload: series of what is gone disappear") {
    Reloading running;
    running.publish(
        {sample_now, sample_wall, daemon::SessionEvent{"upstream-b", true, "", {}, false}});
    const std::string series =
        R"(swerve_bgp_session_transitions_total{neighbor="upstream-b",to="up"} 1)";
    CHECK(has(running.metrics(), series));
    running.write_file(
        replaced(base, "  upstream-b: {address: 192.0.2.253, remote_as: 64496}\n", ""));
    REQUIRE(running.reload().status == 200);
    CHECK_FALSE(has(running.metrics(), series));
}
