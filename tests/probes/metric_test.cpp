#include <doctest/doctest.h>

#include "health/probes/metrics_page.hpp"
#include "health/probes/threshold.hpp"
#include "tests/probes/pki.hpp"
#include "tests/support/skipped.hpp"

using namespace swerve;
using namespace swerve::health;
using namespace swerve::health::testing;
using namespace std::chrono_literals;

namespace {

/// The series found on a page, as "series=value" with a blank behind each; whole, and cut after
/// every octet, which must not matter.
std::string found_on(std::string_view page, const SeriesSelector& selector) {
    const auto read = [&](std::size_t piece) {
        std::string out;
        MetricsPage reader(selector, [&out](std::string_view series, double value) {
            out += std::string{series} + "=" + number_text(value) + " ";
        });
        for (std::size_t at = 0; at < page.size(); at += piece) {
            reader.feed(page.substr(at, piece));
        }
        reader.end();
        if (reader.unreadable() > 0) out += std::to_string(reader.unreadable()) + " unreadable";
        return out;
    };
    const std::string whole = read(page.size() + 1);
    CHECK(read(1) == whole);
    CHECK(read(7) == whole);
    return whole;
}

std::string found_on(std::string_view page) { return found_on(page, {.name = "up", .labels = {}}); }

FieldMap asking(std::string url, std::string name, FieldMap more) {
    more["url"] = text(std::move(url));
    more["name"] = text(std::move(name));
    return more;
}
FieldMap at_least(double value, std::vector<std::string> labels = {}) {
    FieldMap out{{"at_least", {value}}};
    if (!labels.empty()) out["labels"] = {std::move(labels)};
    return out;
}
FieldMap any(FieldMap more) {
    more["match"] = text("any");
    return more;
}

Outcome judged(const std::string& page, const std::string& name, const FieldMap& more) {
    Loop loop;
    Server server(loop, says("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(page.size()) +
                             "\r\n\r\n" + page));
    return loop.attempt("metric",
                        asking("http://" + server.endpoint().to_string() + "/metrics", name, more));
}

constexpr std::size_t page_limit = 4UZ * 1024 * 1024;

}  // namespace

TEST_CASE("metrics page: series, their values and what stands around them") {
    CHECK(found_on("# HELP up Whether.\n# TYPE up gauge\nup 1\nother 2\n") == "up=1 ");
    CHECK(found_on("up 1") == "up=1 ");
    CHECK(found_on("up 1\r\n") == "up=1 ");
    CHECK(found_on("  up\t 1.5e3  1700000000000\n") == "up=1500 ");
    CHECK(found_on("up{} 1\nup{a=\"b\"} 2\nup { a = \"b\" , } 3\n") ==
          "up{}=1 up{a=\"b\"}=2 up { a = \"b\" , }=3 ");
    CHECK(found_on("up +Inf\nup -Inf\nup NaN\nup 0\n") == "up=inf up=-inf up=nan up=0 ");
    CHECK(found_on("up 1 # {trace=\"x\"} 0.5\n# EOF\n") == "up=1 ");
    CHECK(found_on("up_total 1\nupper 2\nxup 3\nup:sum 4\n").empty());
    CHECK(found_on("\n\n\nup 1\n\n") == "up=1 ");
    CHECK(found_on("up{a=\"}\"} 1\nup{a=\" up 2\"} 3\n") == "up{a=\"}\"}=1 up{a=\" up 2\"}=3 ");
}

TEST_CASE("metrics page: what cannot be read is counted") {
    for (const std::string_view line :
         {"up", "up x", "up{", "up{a", "up{a=", "up{a=b} 1", "up{a=\"b} 1", "up{a=\"b\" 1",
          "up{a=\"b\"c=\"d\"} 1", "up{=\"b\"} 1", "up{1a=\"b\"} 1", "up{a=\"b\\", "up{,} 1",
          "up{a=\"b\"}", "up 0x10", "up 1,5", "up\xff 1"}) {
        CAPTURE(line);
        CHECK(found_on(line) == "1 unreadable");
    }
    CHECK(found_on("up{a=\"" + std::string(17'000, 'x') + "\"} 1\nup 2\n") == "up=2 1 unreadable");
    CHECK(found_on("other{a=\"" + std::string(17'000, 'x') + "\"} 1\nup 2\n") == "up=2 ");
    // Cut, its value would be another one.
    CHECK(found_on("up" + std::string(16 * 1024 - 4, ' ') + "12\n") == "up=12 ");
    CHECK(found_on("up" + std::string(16 * 1024 - 3, ' ') + "12\n") == "1 unreadable");
    // What follows the cut of a long line must not pass for a line of its own.
    CHECK(found_on("# " + std::string(16 * 1024 - 2, 'x') + "up 1\nup 2\n") == "up=2 ");
    std::string many = "up{";
    for (int i = 0; i < 65; ++i) many += "l" + std::to_string(i) + "=\"\",";
    CHECK(found_on(many + "} 1\n") == "1 unreadable");
}

TEST_CASE("metrics page: labels select") {
    const std::string_view page = R"(up{job="db",site="fra1"} 1
up{job="web"} 2
up{job="d\"b\\\n"} 3
up 4
)";
    const auto values = [&](std::vector<std::pair<std::string, std::string>> labels) {
        std::string out = found_on(page, {.name = "up", .labels = std::move(labels)});
        return out.empty() ? out : out.substr(out.rfind('=') + 1, 1);
    };
    CHECK(values({{"job", "db"}}) == "1");
    CHECK(values({{"site", "fra1"}, {"job", "db"}}) == "1");
    CHECK(values({{"job", "web"}}) == "2");
    CHECK(values({{"job", "web"}, {"site", ""}}) == "2");
    CHECK(values({{"job", "db"}, {"site", ""}}).empty());
    CHECK(values({{"job", "d\"b\\\n"}}) == "3");
    CHECK(values({{"job", ""}}) == "4");
    CHECK(values({{"job", "DB"}}).empty());
}

TEST_CASE("metric: all of several series, or any") {
    const std::string page = "depth{q=\"a\"} 5\ndepth{q=\"b\"} 7\nlost NaN\n";
    Outcome outcome = judged(page, "depth", at_least(5));
    CHECK(outcome.result == ProbeResult::pass);
    CHECK(outcome.reason == "depth{q=\"a\"} is 5, of 2 series");
    outcome = judged(page, "depth", at_least(5.5));
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == "depth{q=\"a\"} is 5, less than 5.5, of 2 series");
    CHECK(judged(page, "depth", any(at_least(5.5))).reason == "depth{q=\"b\"} is 7, of 2 series");
    CHECK(judged(page, "depth", any(at_least(8))).result == ProbeResult::fail);
    CHECK(judged(page, "depth", at_least(7, {"q=b"})).reason == "depth{q=\"b\"} is 7");
    CHECK(judged(page, "depth", {{"at_most", {6.0}}}).reason ==
          "depth{q=\"b\"} is 7, more than 6, of 2 series");
    CHECK(judged(page, "lost", at_least(0)).result == ProbeResult::unknown);
    CHECK(judged(page, "lost", at_least(0)).reason == "lost is NaN");
}

TEST_CASE("metric: what is missing or cannot be read is unknown") {
    const auto reason = [](const std::string& page, FieldMap more) {
        const Outcome outcome = judged(page, "up", std::move(more));
        CHECK(outcome.result == ProbeResult::unknown);
        return outcome.reason;
    };
    CHECK(reason("other 1\n", at_least(1)) == "no series up on the page");
    CHECK(reason("up 1\n", at_least(1, {"job=db"})) == "no series up{job=\"db\"} on the page");
    // A manager of Ceph that stands by answers 200 with nothing (HEALTH.md).
    CHECK(reason("", at_least(1)) == "the page holds no metrics");
    CHECK(reason("<html><body>up 1</body></html>", at_least(1)) == "the page holds no metrics");
    CHECK(reason("{\"up\":1}", at_least(1)) == "the page holds no metrics");
    CHECK(reason("up one\n", at_least(1)) == "1 lines of up cannot be read");
    CHECK(reason(std::string("\0\xff\x1b[31m\n\x7f", 9), at_least(1)) ==
          "the page holds no metrics");
}

TEST_CASE("metric: a page of 4 MiB is read, a longer one only as far") {
    const std::string filler = "# " + std::string(1021, 'x') + "\n";
    std::string page;
    while (page.size() + filler.size() <= page_limit - 5) page += filler;
    page += std::string(page_limit - 5 - page.size(), '\n');
    CHECK(judged(page + "up 1\n", "up", at_least(1)).reason == "up is 1");
    const Outcome outcome = judged(page + "\nup 1\n", "up", at_least(1));
    CHECK(outcome.result == ProbeResult::unknown);
    CHECK(outcome.reason == "the page is longer than 4 MiB");
    // What was seen before the cut is enough to fail, and with `any` to pass.
    CHECK(judged("up 0\n" + page + "\n", "up", at_least(1)).result == ProbeResult::fail);
    CHECK(judged("up 1\n" + page + "\n", "up", any(at_least(1))).result == ProbeResult::pass);
    CHECK(judged("up 1\n" + page + "\n", "up", at_least(1)).result == ProbeResult::unknown);
}

TEST_CASE("metric: HAProxy's own page") {
    const Pki pki;
    pki.issue({.file = "site", .common_name = "portal.example", .signer = "ca"});
    pki.join("haproxy.pem", {"site.pem", "site.key"});
    const auto haproxy = Haproxy::start(pki);
    if (!haproxy) {
        swerve::testing::skipped("needs haproxy");
        return;
    }
    Loop loop;
    const auto ask = [&](std::string name, FieldMap more) {
        return loop.attempt("metric",
                            asking(haproxy->url("/metrics"), std::move(name), std::move(more)));
    };
    CHECK(ask("haproxy_process_max_connections", at_least(64)).reason ==
          "haproxy_process_max_connections is 64");
    CHECK(ask("haproxy_frontend_status", at_least(1, {"proxy=plain", "state=UP"})).reason ==
          "haproxy_frontend_status{proxy=\"plain\",state=\"UP\"} is 1");
    CHECK(ask("haproxy_frontend_status", at_least(1)).result == ProbeResult::fail);
    CHECK(ask("haproxy_frontend_status", any(at_least(1))).result == ProbeResult::pass);
    CHECK(ask("haproxy_frontend_status", at_least(1, {"proxy=none"})).result ==
          ProbeResult::unknown);
    const Outcome outcome = loop.attempt(
        "http_json",
        {{"url", text(haproxy->url("/state"))}, {"pointer", text("/lag")}, {"at_most", {2.5}}});
    CHECK(outcome.reason == "HTTP 200, /lag is 2.5");
}

TEST_CASE("metric: values that make no probe") {
    const auto fault = [](std::string name, const FieldMap& more) {
        return fault_of("metric", asking("http://198.51.100.1/metrics", std::move(name), more));
    };
    CHECK(fault("up", at_least(1, {"job=db", "path=/a=b", "none="})) == "none");
    CHECK(fault("up{job=\"db\"}", at_least(1)) == "name: 'up{job=\"db\"}' is no name of a metric");
    CHECK(fault("", at_least(1)) == "name: '' is no name of a metric");
    CHECK(fault("up", at_least(1, {"job"})) == "labels: 'job' is not name=value");
    CHECK(fault("up", at_least(1, {"=db"})) == "labels: '=db' is not name=value");
    CHECK(fault("up", {}) == ": nothing says which value passes");
    FieldMap more = at_least(1);
    more["match"] = text("most");
    CHECK(fault("up", more) == "match: 'most' is neither all nor any");
}
