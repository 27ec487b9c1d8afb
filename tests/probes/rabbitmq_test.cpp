#include <doctest/doctest.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>

#include <boost/asio/use_awaitable.hpp>

#include "health/probes/rabbitmq_answer.hpp"
#include "tests/probes/rabbitmq_rig.hpp"

using namespace swerve;
using namespace swerve::health;
using namespace swerve::health::testing;
using namespace std::chrono_literals;
namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

const Rabbitmq& rabbitmq() {
    static const Rabbitmq running;
    return running;
}

FieldMap asking(std::string url, std::string password_file, std::string user = "swerve") {
    return {{"url", text(std::move(url))},
            {"username", text(std::move(user))},
            {"password_file", text(std::move(password_file))}};
}
FieldMap asking(const Rabbitmq& server, std::string user = "swerve") {
    return asking(server.url(), server.password_file(), std::move(user));
}

FieldMap with_ports(FieldMap values, std::vector<std::int64_t> ports) {
    values["listeners"] = {std::move(ports)};
    return values;
}

/// Of federation alone, as a check with scope shared should be.
FieldMap federated(FieldMap values, std::vector<std::string> upstreams,
                   const std::string& virtual_host = "/") {
    values["alarms"] = {false};
    values["virtual_hosts"] = {false};
    values["federation"] = {
        FieldMap{{"virtual_host", text(virtual_host)}, {"upstreams", {std::move(upstreams)}}}};
    return values;
}

/// Looks again, twenty times a second, until the outcome is of this kind.
Outcome eventually(Loop& loop, const FieldMap& values, ProbeResult expected) {
    Outcome out;
    bool is_there = false;
    for (int i = 0; i < 600 && !is_there; ++i) {
        if (i > 0) ::poll(nullptr, 0, 50);
        out = loop.attempt("rabbitmq", values);
        is_there = out.result == expected;
    }
    CHECK(is_there);
    return out;
}

/// A stand-in for the management API, which says the same to whoever asks.
Outcome told(const std::string& answer, Duration timeout = 5s) {
    Loop loop;
    const TempDir dir;
    const std::string secret = dir.write("password", "secret\n");
    ::chmod(secret.c_str(), S_IRUSR);
    Server server(loop, says(answer));
    return loop.attempt("rabbitmq", asking("http://" + server.endpoint().to_string(), secret),
                        timeout);
}

std::string http(std::string_view status, const std::string& body) {
    return "HTTP/1.1 " + std::string{status} +
           "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

/// Leaves what is asked first in `asked`, and closes.
asio::awaitable<void> listen_once(tcp::socket socket, std::string& asked) {
    asked.resize(4096);
    const std::size_t count =
        co_await socket.async_read_some(asio::buffer(asked), asio::use_awaitable);
    asked.resize(count);
}

std::string reason_of(const std::optional<Outcome>& fault) {
    return fault ? std::string{to_string(fault->result)} + ": " + fault->reason : "none";
}

}  // namespace

TEST_CASE("rabbitmq: a healthy node passes") {
    if (!Rabbitmq::is_possible()) return;
    Loop loop;
    const Outcome outcome =
        loop.attempt("rabbitmq", with_ports(asking(rabbitmq()), {rabbitmq().amqp_port()}));
    CHECK(outcome.result == ProbeResult::pass);
    CHECK(outcome.reason ==
          "no alarms, virtual hosts up, listening on " + std::to_string(rabbitmq().amqp_port()));
}

TEST_CASE("rabbitmq: a listener that is missing is named") {
    if (!Rabbitmq::is_possible()) return;
    Loop loop;
    const FieldMap values = with_ports(asking(rabbitmq()), {rabbitmq().amqp_port(), 1});
    const Outcome outcome = loop.attempt("rabbitmq", values);
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == "no listener on port 1");
}

TEST_CASE("rabbitmq: a memory alarm fails") {
    if (!Rabbitmq::is_possible()) return;
    Loop loop;
    FieldMap values = asking(rabbitmq());
    rabbitmq().control({"set_vm_memory_high_watermark", "0"});
    Outcome outcome = eventually(loop, values, ProbeResult::fail);
    CHECK(
        outcome.reason.starts_with("alarm in effect, which blocks publishers: memory on 'swerve-"));
    values["alarms"] = {false};
    CHECK(loop.attempt("rabbitmq", values).result == ProbeResult::pass);
    values["alarms"] = {true};
    rabbitmq().control({"set_vm_memory_high_watermark", "0.9"});
    outcome = eventually(loop, values, ProbeResult::pass);
    CHECK(outcome.reason == "no alarms, virtual hosts up");
}

TEST_CASE("rabbitmq: every upstream expected must have a link that runs") {
    if (!Rabbitmq::is_possible()) return;
    Loop loop;
    const FieldMap base = asking(rabbitmq());
    // The link may still be connecting when the node says that it has started.
    Outcome outcome = eventually(loop, federated(base, {"site-a"}), ProbeResult::pass);
    CHECK(outcome.reason == "federation links running");

    outcome = loop.attempt("rabbitmq", federated(base, {"site-c", "site-a"}));
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == "federation of virtual host '/': no link from 'site-c'");

    outcome = loop.attempt("rabbitmq", federated(base, {"site-a", "site-b"}));
    CHECK(outcome.result == ProbeResult::fail);
    // It says 'starting' while it tries again.
    CHECK(outcome.reason.starts_with("federation of virtual host '/': link from 'site-b' is '"));

    outcome = loop.attempt("rabbitmq", federated(base, {"site-a"}, "quiet"));
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason ==
          "federation of virtual host 'quiet': no link from 'site-a' (nothing listed: may the "
          "user see this virtual host?)");
    outcome = loop.attempt("rabbitmq", federated(asking(rabbitmq(), "stranger"), {"site-a"}));
    CHECK(outcome.result == ProbeResult::fail);

    outcome = loop.attempt("rabbitmq", federated(base, {"site-a"}, "a b/c"));
    CHECK(outcome.result == ProbeResult::unknown);
    CHECK(outcome.reason ==
          "HTTP 404: no virtual host 'a b/c', or the plugin rabbitmq_federation_management is not "
          "enabled");
}

TEST_CASE("rabbitmq: a virtual host that stops takes the federation link with it") {
    if (!Rabbitmq::is_possible()) return;
    Loop loop;
    const FieldMap links = federated(asking(rabbitmq()), {"site-a"});
    eventually(loop, links, ProbeResult::pass);
    rabbitmq().control({"eval", "rabbit_vhost_sup_sup:delete_on_all_nodes(<<\"site-a\">>)."});
    Outcome outcome = eventually(loop, asking(rabbitmq()), ProbeResult::fail);
    CHECK(outcome.reason == "virtual hosts down: 'site-a'");
    outcome = eventually(loop, links, ProbeResult::fail);
    CHECK(outcome.reason.starts_with("federation of virtual host '/': link from 'site-a' is '"));

    rabbitmq().control({"restart_vhost", "--vhost", "site-a"});
    eventually(loop, asking(rabbitmq()), ProbeResult::pass);
    eventually(loop, links, ProbeResult::pass);
}

TEST_CASE("rabbitmq: credentials say nothing of the node, and are in no text") {
    if (!Rabbitmq::is_possible()) return;
    Loop loop;
    const TempDir dir;
    const std::string wrong = dir.write("wrong", "not-the-word\n");
    ::chmod(wrong.c_str(), S_IRUSR);
    std::string texts;
    const ProbeContext context{.owned = {},
                               .step = [&](const std::string& step) { texts += step + "\n"; }};
    const auto said = [&](const FieldMap& values) {
        const Outcome outcome = loop.attempt("rabbitmq", values, 5s, context);
        texts += outcome.reason + "\n" + find_probe_type("rabbitmq")->target(values) + "\n";
        return outcome;
    };
    CHECK(said(asking(rabbitmq())).result == ProbeResult::pass);
    Outcome outcome = said(asking(rabbitmq().url(), wrong));
    CHECK(outcome.result == ProbeResult::unknown);
    CHECK(outcome.reason.ends_with("RabbitMQ says 'Login failed'"));
    outcome = said(asking(rabbitmq(), "nobody"));
    CHECK(outcome.result == ProbeResult::unknown);
    CHECK(outcome.reason.ends_with("RabbitMQ says 'Not management user'"));
    CHECK(said(asking(rabbitmq().url(), dir.file("none"))).result == ProbeResult::unknown);
    CHECK(texts.find(rabbitmq().password()) == std::string::npos);
    CHECK(texts.find("not-the-word") == std::string::npos);
    // "swerve:correct-horse" as basic authentication has it.
    CHECK(texts.find("c3dlcnZl") == std::string::npos);
}

TEST_CASE("rabbitmq: a node that hangs fails at the deadline") {
    if (!Rabbitmq::is_possible()) return;
    Loop loop;
    const FieldMap values = asking(rabbitmq());
    rabbitmq().signal(SIGSTOP);
    const Outcome outcome = loop.attempt("rabbitmq", values, 100ms);
    rabbitmq().signal(SIGCONT);
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason.starts_with("no answer within 100ms, waiting for the header from "));
    // It may have answered the first question before it stopped.
    CHECK(outcome.reason.find(" (/api/health/checks/") != std::string::npos);
    eventually(loop, values, ProbeResult::pass);
}

TEST_CASE("rabbitmq: what a stand-in of the API may say") {
    const std::string unavailable = "503 Service Unavailable";
    Outcome outcome = told(http("200 OK", R"({"status":"ok"})"));
    CHECK(outcome.result == ProbeResult::pass);
    outcome = told(http(unavailable, "<html>no server is available</html>"));
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason.starts_with("HTTP 503: no JSON: "));
    outcome = told(http("200 OK", "<html>welcome</html>"));
    CHECK(outcome.result == ProbeResult::unknown);
    CHECK(told(http("200 OK", "")).result == ProbeResult::unknown);
    CHECK(told(http("500 Internal Server Error", "")).reason == "HTTP 500 instead of 200");
    CHECK(told(http("401 Unauthorized", "")).result == ProbeResult::unknown);
    CHECK(told(http("404 Not Found", "")).reason.starts_with("HTTP 404: no management API here"));
    outcome = told("HTTP/1.1 301 Moved\r\nLocation: http://198.51.100.1/\r\n\r\n");
    CHECK(outcome.result == ProbeResult::fail);
    outcome = told(http("200 OK", std::string(64UZ * 1024 + 1, ' ')));
    CHECK(outcome.result == ProbeResult::unknown);
    CHECK(outcome.reason.ends_with("/local-alarms is longer than 64 KiB"));
    CHECK(told(http("200 OK", std::string(1000, '['))).result == ProbeResult::unknown);
    CHECK(told("AMQP\x00\x00\x09\x01").result == ProbeResult::fail);
    CHECK(told("").reason.ends_with(" closed without an answer (/api/health/checks/local-alarms)"));
}

TEST_CASE("rabbitmq: a path in the URL is a prefix of the API's") {
    Loop loop;
    const TempDir dir;
    const std::string secret = dir.write("password", "secret\n");
    ::chmod(secret.c_str(), S_IRUSR);
    std::string asked;
    Server server(loop, [&](tcp::socket socket) { return listen_once(std::move(socket), asked); });
    const std::string url = "http://" + server.endpoint().to_string();
    loop.attempt("rabbitmq", asking(url + "/mq/", secret));
    CHECK(asked.starts_with("GET /mq/api/health/checks/local-alarms HTTP/1.1\r\n"));
    loop.attempt("rabbitmq", federated(asking(url, secret), {"a"}, "a/b c"));
    CHECK(asked.starts_with(
        "GET /api/federation-links/a%2Fb%20c?columns=upstream,status,error HTTP/1.1\r\n"));
}

TEST_CASE("rabbitmq: answers of the health checks") {
    const auto fault = [](unsigned status, std::string_view body) {
        return reason_of(rabbitmq_check_fault(status, body));
    };
    CHECK(fault(200, R"({"status":"ok","port":5672})") == "none");
    CHECK(fault(503, R"({"status":"ok"})") == "fail: the check failed without a reason");
    CHECK(fault(200, R"({"status":"failed","missing":25})") == "fail: no listener on port 25");
    CHECK(fault(503, R"({"status":"failed","alarms":[{"resource":"disk","node":"a@b"},
                        {"resource":"memory"},{},7,{"resource":"x"},{"resource":"y"}]})") ==
          "fail: alarm in effect, which blocks publishers: disk on 'a@b', memory, an unnamed "
          "resource, an unnamed resource and 2 more");
    CHECK(fault(503, R"({"status":"failed","alarms":[],"reason":"a\u001b[31m"})") ==
          "fail: the check failed: 'a\\x1b[31m'");
    CHECK(fault(200, "[]").starts_with("unknown: "));
    CHECK(fault(200, R"({"status":1})").starts_with("unknown: "));
}

TEST_CASE("rabbitmq: answers about federation") {
    const auto fault = [](std::string_view body, std::vector<std::string> upstreams) {
        return reason_of(rabbitmq_federation_fault(body, "/", upstreams));
    };
    const std::string running = R"({"upstream":"a","status":"running"})";
    const std::string broken = R"({"upstream":"a","status":"error","error":"econnrefused"})";
    CHECK(fault("[" + running + "]", {"a"}) == "none");
    CHECK(fault("[" + running + "," + running + "]", {"a", "a"}) == "none");
    CHECK(fault("[" + running + "," + broken + "]", {"a"}) ==
          "fail: federation of virtual host '/': link from 'a' is 'error': 'econnrefused'");
    CHECK(fault("[" + running + "]", {"b", "c"}) ==
          "fail: federation of virtual host '/': no link from 'b', no link from 'c'");
    CHECK(fault(R"([7,{},{"upstream":7},{"upstream":"a"}])", {"a"}) ==
          "fail: federation of virtual host '/': link from 'a' is without a status");
    CHECK(fault("[]", {"a"})
              .starts_with(
                  "fail: federation of virtual host '/': no link from 'a' (nothing listed: "));
    CHECK(fault("{}", {"a"}) == "unknown: the list of federation links is an object of 0");
    CHECK(fault("[", {"a"}).starts_with("unknown: the list of federation links: "));
    CHECK(path_segment("/") == "%2F");
    CHECK(path_segment("a-b.c_d~9") == "a-b.c_d~9");
    CHECK(path_segment("?\xc3\xa9 %\n") == "%3F%C3%A9%20%25%0A");
}

TEST_CASE("rabbitmq: values that make no probe") {
    const FieldMap base = asking("http://198.51.100.1:15672", "/secret");
    CHECK(fault_of("rabbitmq", base) == "none");
    FieldMap values = asking("http://198.51.100.1:15672/?a=b", "/secret");
    CHECK(fault_of("rabbitmq", values) == "url: a query has no place in the URL of the API");
    values = base;
    values["alarms"] = {false};
    values["virtual_hosts"] = {false};
    CHECK(fault_of("rabbitmq", values) == "alarms: with everything off nothing is checked");
    CHECK(fault_of("rabbitmq", with_ports(values, {5672})) == "none");
    CHECK(fault_of("rabbitmq", with_ports(base, std::vector<std::int64_t>(17, 5672))) ==
          "listeners: has more than 16 ports");
    CHECK(fault_of("rabbitmq", federated(base, {})).starts_with("federation.upstreams: is empty"));
    CHECK(fault_of("rabbitmq", federated(base, {""})).starts_with("federation.upstreams: "));
    CHECK(fault_of("rabbitmq", federated(base, std::vector<std::string>(65, "a")))
              .starts_with("federation.upstreams: has more"));
    CHECK(fault_of("rabbitmq", federated(base, {"a"}, ""))
              .starts_with("federation.virtual_host: must have"));
    const ProbeType& type = *find_probe_type("rabbitmq");
    CHECK(type.caveat(base).empty());
    CHECK(type.caveat(federated(base, {"a"})).empty());
    values = federated(base, {"a"});
    values["alarms"] = {true};
    CHECK(type.caveat(values).starts_with("federation depends on other sites"));
}
