// A real monitor with its managers where Ceph is installed, and everywhere a stand-in that serves
// pages as the exporter of the manager of Ceph 16 writes them.

#include <doctest/doctest.h>
#include <poll.h>
#include <signal.h>

#include "health/probes/ceph_page.hpp"
#include "tests/probes/ceph_rig.hpp"
#include "tests/probes/support.hpp"

using namespace swerve;
using namespace swerve::health;
using namespace swerve::health::testing;
using namespace std::chrono_literals;

namespace {

std::string page(std::string_view status, std::string_view details = "") {
    return "\n# HELP ceph_health_status Cluster health status\n"
           "# TYPE ceph_health_status untyped\n"
           "ceph_health_status " +
           std::string{status} +
           "\n# HELP ceph_mon_quorum_status Monitors in quorum\n"
           "# TYPE ceph_mon_quorum_status gauge\n"
           "ceph_mon_quorum_status{ceph_daemon=\"mon.a\"} 1.0\n"
           "# HELP ceph_health_detail healthcheck status by type (0=inactive, 1=active)\n"
           "# TYPE ceph_health_detail gauge\n" +
           std::string{details};
}

std::string detail(std::string_view name, std::string_view severity, std::string_view value) {
    return "ceph_health_detail{name=\"" + std::string{name} + "\",severity=\"" +
           std::string{severity} + "\"} " + std::string{value} + "\n";
}

std::string http(std::string_view status, const std::string& body) {
    return "HTTP/1.1 " + std::string{status} + "\r\nContent-Type: text/plain;charset=utf-8\r\n" +
           "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

FieldMap asking(std::string url) { return {{"url", text(std::move(url))}}; }

/// Looks again, ten times a second, until the outcome is of this kind.
Outcome eventually(Loop& loop, const FieldMap& values, ProbeResult expected,
                   const std::string& reason = "") {
    Outcome out;
    bool is_there = false;
    for (int i = 0; i < 600 && !is_there; ++i) {
        if (i > 0) ::poll(nullptr, 0, 100);
        out = loop.attempt("ceph", values);
        is_there = out.result == expected && (reason.empty() || out.reason == reason);
    }
    CHECK_MESSAGE(is_there, "the last one: ", out.reason);
    return out;
}

/// What is made of a stand-in of the exporter that answers like this.
Outcome told(const std::string& answer, const std::string& worst = "", Duration timeout = 5s) {
    Loop loop;
    Server server(loop, says(answer));
    FieldMap values = asking("http://" + server.endpoint().to_string() + "/metrics");
    if (!worst.empty()) values["worst"] = text(worst);
    return loop.attempt("ceph", values, timeout);
}

/// The judgement of a page, fed whole and octet by octet, which must not matter.
std::string judged(const std::string& text, CephHealth worst = CephHealth::warn, bool cut = false) {
    CephPage whole;
    CephPage dripping;
    whole.feed(text);
    for (const char& each : text) dripping.feed({&each, 1});
    if (!cut) whole.end();
    if (!cut) dripping.end();
    const Outcome outcome = whole.judge(worst, cut);
    CHECK(dripping.judge(worst, cut).reason == outcome.reason);
    return std::string{to_string(outcome.result)} + ": " + outcome.reason;
}

}  // namespace

TEST_CASE("ceph: a real monitor and its managers") {
    if (!Ceph::is_possible()) return;
    const Ceph ceph;
    Loop loop;
    const FieldMap values = asking(ceph.url());
    FieldMap strict = values;
    strict["worst"] = text("ok");
    Outcome outcome = loop.attempt("ceph", strict);
    CHECK(outcome.result == ProbeResult::pass);
    CHECK(outcome.reason == "HEALTH_OK");

    ceph.control({"osd", "set", "noout"});
    outcome = eventually(loop, strict, ProbeResult::fail);
    CHECK(outcome.reason == "HEALTH_WARN: OSDMAP_FLAGS");
    outcome = loop.attempt("ceph", values);
    CHECK(outcome.result == ProbeResult::pass);
    CHECK(outcome.reason == "HEALTH_WARN: OSDMAP_FLAGS");

    ceph.control({"config", "set", "mon", "mon_data_avail_crit", "100"});
    outcome = eventually(loop, values, ProbeResult::fail);
    CHECK(outcome.reason == "HEALTH_ERR: MON_DISK_CRIT, OSDMAP_FLAGS");
    ceph.control({"config", "set", "mon", "mon_data_avail_crit", "0"});
    eventually(loop, values, ProbeResult::pass);

    // Until it listens its refusal is unknown as well.
    const std::string empty = "an empty page, as a standby manager shows: ask the active one";
    eventually(loop, asking(ceph.standby_url()), ProbeResult::unknown, empty);

    ceph.manager().signal(SIGSTOP);
    outcome = loop.attempt("ceph", values, 100ms);
    ceph.manager().signal(SIGCONT);
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason.starts_with("no answer within 100ms, "));
}

TEST_CASE("ceph: health up to the worst that is allowed passes") {
    Outcome outcome = told(http("200 OK", page("0.0")));
    CHECK(outcome.result == ProbeResult::pass);
    CHECK(outcome.reason == "HEALTH_OK");
    CHECK(told(http("200 OK", page("0.0")), "ok").result == ProbeResult::pass);

    const std::string warning = page(
        "1.0", detail("OSD_DOWN", "HEALTH_WARN", "1.0") + detail("MON_DOWN", "HEALTH_WARN", "0.0"));
    outcome = told(http("200 OK", warning));
    CHECK(outcome.result == ProbeResult::pass);
    CHECK(outcome.reason == "HEALTH_WARN: OSD_DOWN");
    outcome = told(http("200 OK", warning), "ok");
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == "HEALTH_WARN: OSD_DOWN");

    const std::string error = page(
        "2.0", detail("OSD_DOWN", "HEALTH_WARN", "1.0") + detail("OSD_FULL", "HEALTH_ERR", "1.0"));
    outcome = told(http("200 OK", error));
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == "HEALTH_ERR: OSD_FULL, OSD_DOWN");
}

TEST_CASE("ceph: a standby manager says nothing of the cluster") {
    Outcome outcome = told(http("200 OK", ""));
    CHECK(outcome.result == ProbeResult::unknown);
    CHECK(outcome.reason == "an empty page, as a standby manager shows: ask the active one");
    outcome = told(http("500 Internal Server Error", "keep on looking"));
    CHECK(outcome.result == ProbeResult::unknown);
    CHECK(outcome.reason == "HTTP 500 instead of 200: the manager says nothing of the cluster");
    CHECK(told(http("503 Service Unavailable", "")).result == ProbeResult::unknown);
    outcome = told(http("200 OK", "<html>Ceph Exporter</html>"));
    CHECK(outcome.result == ProbeResult::unknown);
    outcome = told(http("200 OK", "node_load1 0.5\n"));
    CHECK(outcome.reason ==
          "no ceph_health_status on the page: is this the exporter of Ceph's manager?");
}

TEST_CASE("ceph: a manager that is gone, or hangs, or does not end") {
    Loop loop;
    const std::string nowhere = "http://127.0.0.1:" + std::to_string(free_port());
    Outcome outcome = loop.attempt("ceph", asking(nowhere));
    CHECK(outcome.result == ProbeResult::unknown);
    CHECK(outcome.reason.starts_with("connection refused"));
    CHECK(outcome.reason.ends_with(": the manager says nothing of the cluster"));
    CHECK(told("").result == ProbeResult::unknown);
    CHECK(told("SSH-2.0-OpenSSH_9.2\r\n").result == ProbeResult::unknown);

    Server silent(loop, says_and_stays("HTTP/1.1 200 OK\r\n\r\n" + page("0.0")));
    outcome = loop.attempt("ceph", asking("http://" + silent.endpoint().to_string()), 100ms);
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason.starts_with("no answer within 100ms, "));

    outcome = told("HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + page("2"));
    CHECK(outcome.reason == "HEALTH_ERR");  // closed early, but said
    outcome = told("HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + page("0"));
    CHECK(outcome.result == ProbeResult::unknown);

    std::string huge = "HTTP/1.1 200 OK\r\n\r\n" + std::string(4UZ * 1024 * 1024, '\n');
    CHECK(told(huge + page("2")).reason == "no ceph_health_status in the first 4 MiB of the page");
    huge = "HTTP/1.1 200 OK\r\n\r\n" + page("1.0") + std::string(4UZ * 1024 * 1024, '\n');
    CHECK(told(huge).result == ProbeResult::pass);
    CHECK(told("HTTP/1.1 200 OK\r\n\r\n" + std::string(1UZ << 20U, '\0')).result ==
          ProbeResult::unknown);
}

TEST_CASE("ceph: odd pages") {
    CHECK(judged("ceph_health_status 0") == "pass: HEALTH_OK");
    CHECK(judged("ceph_health_status 3\n") ==
          "unknown: ceph_health_status is 3, which says nothing");
    CHECK(judged("ceph_health_status NaN\n").starts_with("unknown: ceph_health_status is "));
    CHECK(judged("ceph_health_status 0.5\n").starts_with("unknown: ceph_health_status is 0.5"));
    CHECK(
        judged("ceph_health_status 1e300\n").starts_with("unknown: ceph_health_status is 1e+300"));
    CHECK(judged("ceph_health_status ok\n") ==
          "unknown: the value of ceph_health_status cannot be read");
    CHECK(judged("ceph_health_status_of_mine 0\n").starts_with("unknown: no ceph_health_status"));
    CHECK(judged("ceph_health_status 0\nceph_health_status{a=\"b\"} 2\n") == "fail: HEALTH_ERR");
    CHECK(judged("ceph_health_status{a=\"b\"} 2\nceph_health_status 0\n") == "fail: HEALTH_ERR");
    CHECK(judged("ceph_health_status 0\nceph_health_status 1\n", CephHealth::ok) ==
          "fail: HEALTH_WARN");
    std::string many = "ceph_health_status 1\n";
    for (const std::string name : {"A", "B", "C", "D"}) many += detail(name, "HEALTH_WARN", "1");
    CHECK(judged(many) == "pass: HEALTH_WARN: A, B, C, D");
    many += detail("E", "HEALTH_WARN", "1") + detail("F", "HEALTH_WARN", "1");
    CHECK(judged(many) == "pass: HEALTH_WARN: A, B, C, D and more");
    CHECK(judged("ceph_health_status 2\n" +
                 detail("\x1b[31m" + std::string(60, 'x'), "HEALTH_ERR", "1")) ==
          "fail: HEALTH_ERR: \\x1b[31m" + std::string(35, 'x') + "…");
    CHECK(judged("", CephHealth::warn, true) ==
          "unknown: no ceph_health_status in the first 4 MiB of the page");
}

TEST_CASE("ceph: values that make no probe") {
    FieldMap values = asking("http://198.51.100.1:9283");
    CHECK(fault_of("ceph", values) == "none");
    for (const std::string good : {"ok", "warn"}) {
        values["worst"] = text(good);
        CHECK(fault_of("ceph", values) == "none");
    }
    values["worst"] = text("error");
    CHECK(fault_of("ceph", values) == "worst: 'error' is neither ok nor warn");
    const ProbeType& type = *find_probe_type("ceph");
    CHECK(type.caveat(asking("https://198.51.100.1:9283")).empty());
    CHECK(type.target(values) == "http://198.51.100.1:9283");
}
