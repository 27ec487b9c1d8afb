#include <doctest/doctest.h>
#include <poll.h>
#include <signal.h>

#include "health/probes/etcd_answer.hpp"
#include "tests/probes/etcd_rig.hpp"

using namespace swerve;
using namespace swerve::health;
using namespace swerve::health::testing;
using namespace std::chrono_literals;

namespace {

FieldMap asking(std::string url) { return {{"url", text(std::move(url))}}; }

/// Looks again, twenty times a second, until the outcome is of this kind.
Outcome eventually(Loop& loop, const FieldMap& values, ProbeResult expected) {
    Outcome out;
    bool is_there = false;
    for (int i = 0; i < 600 && !is_there; ++i) {
        if (i > 0) ::poll(nullptr, 0, 50);
        out = loop.attempt("etcd", values, 2s);
        is_there = out.result == expected;
    }
    CHECK(is_there);
    return out;
}

/// What is made of a stand-in that answers every request like this.
Outcome told(const std::string& answer) {
    Loop loop;
    Server server(loop, says(answer));
    return loop.attempt("etcd", asking("http://" + server.endpoint().to_string()));
}

std::string http(std::string_view status, const std::string& body) {
    return "HTTP/1.1 " + std::string{status} +
           "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

}  // namespace

TEST_CASE("etcd: a member passes while a quorum answers, and fails without") {
    if (!EtcdCluster::is_possible()) return;
    Loop loop;
    const EtcdCluster cluster;
    for (std::size_t i = 0; i < EtcdCluster::size; ++i) {
        const Outcome outcome = eventually(loop, asking(cluster.url(i)), ProbeResult::pass);
        CHECK(outcome.reason == "healthy: a quorum answers");
    }
    // Two of three are a quorum; the third may have led, so there is an election.
    cluster.process(2).signal(SIGSTOP);
    eventually(loop, asking(cluster.url(0)), ProbeResult::pass);
    const Outcome stopped = loop.attempt("etcd", asking(cluster.url(2)), 100ms);
    CHECK(stopped.result == ProbeResult::fail);
    CHECK(stopped.reason.starts_with("no answer within 100ms, waiting for the header from "));

    cluster.process(1).signal(SIGSTOP);
    // The first answers after the loss may still hang: the read waits for the quorum.
    const Outcome lost = eventually(loop, asking(cluster.url(0)), ProbeResult::fail);
    CHECK(lost.finished - lost.started < 3s);
    Outcome outcome;
    CHECK(loop.run_until([&] {
        outcome = loop.attempt("etcd", asking(cluster.url(0)), 2s);
        return outcome.reason == "unhealthy: no leader, no quorum, or an alarm is raised" ||
               outcome.reason.starts_with("unhealthy: '");
    }));
    CHECK(outcome.result == ProbeResult::fail);

    cluster.process(1).signal(SIGCONT);
    eventually(loop, asking(cluster.url(0)), ProbeResult::pass);
    cluster.process(0).kill();
    eventually(loop, asking(cluster.url(0)), ProbeResult::fail);
}

TEST_CASE("etcd: TLS with a certificate of our own") {
    if (!EtcdCluster::is_possible()) return;
    Loop loop;
    const Certificates certificates;
    const EtcdOverTls member(certificates);
    FieldMap values = asking(member.url());
    values["tls"] = {FieldMap{{"ca_file", text(certificates.file("ca.pem"))},
                              {"certificate_file", text(certificates.file("good.pem"))},
                              {"key_file", text(certificates.file("good.key"))}}};
    eventually(loop, values, ProbeResult::pass);
    values["tls"] = {FieldMap{{"ca_file", text(certificates.file("ca.pem"))}}};
    const Outcome outcome = loop.attempt("etcd", values);
    CHECK(outcome.result != ProbeResult::pass);
    values["tls"] = {FieldMap{{"ca_file", text(certificates.file("other.pem"))}}};
    CHECK(loop.attempt("etcd", values).reason.find(" refused: ") != std::string::npos);
}

TEST_CASE("etcd: what a stand-in may say") {
    CHECK(told(http("200 OK", R"({"health":"true","reason":""})")).result == ProbeResult::pass);
    const std::string unavailable = "503 Service Unavailable";
    Outcome outcome = told(http(unavailable, R"({"health":"false","reason":"ALARM NOSPACE"})"));
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == "unhealthy: 'ALARM NOSPACE'");
    CHECK(told(http("404 Not Found", "404 page not found\n")).reason ==
          "HTTP 404: no /health of etcd here");
    CHECK(told(http("500 Internal Server Error", "")).reason == "HTTP 500 instead of 200");
    outcome = told(http("200 OK", std::string(64UZ * 1024 + 1, ' ')));
    CHECK(outcome.result == ProbeResult::unknown);
    CHECK(outcome.reason == "the answer to /health is longer than 64 KiB");
    CHECK(told(http("200 OK", std::string(1000, '['))).result == ProbeResult::unknown);
    CHECK(told(std::string("\x00\x00\x06\x04\x00", 5)).result == ProbeResult::fail);
}

TEST_CASE("etcd: answers of every version") {
    const auto fault = [](unsigned status, std::string_view body) {
        const auto found = etcd_fault(status, body);
        return found ? std::string{to_string(found->result)} + ": " + found->reason : "none";
    };
    CHECK(fault(200, R"({"health":"true"})") == "none");
    CHECK(fault(200, R"({"health":true})") == "none");
    CHECK(fault(503, R"({"health":"false"})") ==
          "fail: unhealthy: no leader, no quorum, or an alarm is raised");
    CHECK(fault(503, R"({"health":"false","reason":"RAFT NO LEADER"})") ==
          "fail: unhealthy: 'RAFT NO LEADER'");
    CHECK(fault(200, R"({"health":"false"})").starts_with("fail: "));
    CHECK(fault(503, R"({"health":"true"})").starts_with("fail: "));
    CHECK(fault(503, "no server").starts_with("fail: HTTP 503: no JSON"));
    CHECK(fault(200, R"({"health":"yes"})") ==
          "unknown: no answer of etcd's /health: health is 'yes'");
    CHECK(fault(200, "{}") == "unknown: no answer of etcd's /health: JSON without health");
    CHECK(fault(200, "true").starts_with("unknown: "));
    CHECK(fault(200, "").starts_with("unknown: "));
    CHECK(fault(503, R"({"reason":"\u0007"})") == "fail: unhealthy: '\\x07'");
}

TEST_CASE("etcd: values that make no probe") {
    CHECK(fault_of("etcd", asking("http://198.51.100.1:2379")) == "none");
    CHECK(fault_of("etcd", asking("http://198.51.100.1:2379/health")) == "none");
    CHECK(fault_of("etcd", asking("http://198.51.100.1:2379/health?serializable=true")) ==
          "url: a query has no place in the URL of a member");
    FieldMap values = asking("https://198.51.100.1:2379");
    const ProbeType& type = *find_probe_type("etcd");
    CHECK(type.caveat(values).empty());
    values["tls"] = {FieldMap{{"insecure", {true}}}};
    CHECK(type.caveat(values).starts_with("the certificate is not verified"));
    CHECK(type.target(values) == "https://198.51.100.1:2379");
}
