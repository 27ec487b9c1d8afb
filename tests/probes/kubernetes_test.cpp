// No Kubernetes runs where Swerve is built: a stand-in answers as an API server does.

#include <doctest/doctest.h>
#include <sys/stat.h>

#include "health/probes/readyz.hpp"
#include "tests/probes/api_stand_in.hpp"

using namespace swerve;
using namespace swerve::health;
using namespace swerve::health::testing;

namespace {

constexpr std::string_view ready =
    "[+]ping ok\n[+]log ok\n[+]etcd ok\n[+]informer-sync ok\nreadyz check passed\n";
constexpr std::string_view not_ready =
    "[+]ping ok\n[-]etcd failed: reason withheld\n[+]log ok\n"
    "[-]poststarthook/rbac/bootstrap-roles failed: reason withheld\nreadyz check failed\n";

}  // namespace

TEST_CASE("readyz: what an API server says") {
    Readyz readyz = parse_readyz(ready);
    CHECK(readyz.is_readyz);
    CHECK(readyz.is_closed);
    CHECK(readyz.passed == 4);
    CHECK(readyz.failed == 0);
    readyz = parse_readyz(not_ready);
    CHECK_FALSE(readyz.is_closed);
    CHECK(readyz.passed == 2);
    CHECK(readyz.failed == 2);
    CHECK(readyz.failed_names ==
          std::vector<std::string>{"etcd", "poststarthook/rbac/bootstrap-roles"});
    CHECK_FALSE(parse_readyz("ok").is_readyz);
    CHECK_FALSE(parse_readyz("okay").is_readyz);
    CHECK_FALSE(parse_readyz("").is_readyz);
    CHECK_FALSE(parse_readyz("<html>[-]etcd</html>").is_readyz);
    CHECK(parse_readyz("[-]").failed_names == std::vector<std::string>{""});
    std::string many;
    for (int i = 0; i < 1000; ++i) many += "[-]a failed\n";
    CHECK(parse_readyz(many).failed == 1000);
    CHECK(parse_readyz(many).failed_names.size() == readyz_names_kept);
}

TEST_CASE("kubernetes: ready, and which checks fail, on a stand-in") {
    Loop loop;
    ApiStandIn server(loop);
    const FieldMap values{{"url", text(server.url())}};
    server.answer("/readyz?verbose", 200, std::string{ready});
    Outcome outcome = loop.attempt("kubernetes", values);
    CHECK(outcome.result == ProbeResult::pass);
    CHECK(outcome.reason == "ready, 4 checks passed");
    server.answer("/readyz?verbose", 500, std::string{not_ready});
    outcome = loop.attempt("kubernetes", values);
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason ==
          "not ready: etcd, poststarthook/rbac/bootstrap-roles failed (HTTP 500)");
    std::string many;
    for (int i = 0; i < 7; ++i) many += "[-]hook-" + std::to_string(i) + " failed\n";
    server.answer("/readyz?verbose", 500, many);
    CHECK(loop.attempt("kubernetes", values).reason ==
          "not ready: hook-0, hook-1, hook-2, hook-3, hook-4 and 2 more failed (HTTP 500)");
}

TEST_CASE("kubernetes: what is no answer of an API server") {
    Loop loop;
    ApiStandIn server(loop);
    const FieldMap values{{"url", text(server.url("/readyz"))}};
    server.answer("/readyz?verbose", 200, "<html>welcome</html>");
    CHECK(loop.attempt("kubernetes", values).result == ProbeResult::unknown);
    // Any server says ok; and a text may have lost its end.
    for (const std::string& foreign :
         {std::string{"ok"}, std::string{"[+]ping ok\n"}, std::string{"readyz check passed\n"},
          std::string{"[+]ping ok\nreadyz check passed\n<html>\n"}}) {
        CAPTURE(foreign);
        server.answer("/readyz?verbose", 200, foreign);
        CHECK(loop.attempt("kubernetes", values).result == ProbeResult::unknown);
    }
    std::string endless = "readyz check passed\n";
    while (endless.size() <= 64UZ * 1024) endless.insert(0, "[+]ping ok\n");
    server.answer("/readyz?verbose", 200, endless);
    CHECK(loop.attempt("kubernetes", values).reason ==
          "HTTP 200, but the answer is longer than 64 KiB");
    for (const unsigned status : {401U, 403U}) {
        server.answer("/readyz?verbose", status, R"({"kind":"Status","reason":"Forbidden"})");
        CHECK(loop.attempt("kubernetes", values).result == ProbeResult::unknown);
    }
    server.answer("/readyz?verbose", 503, "upstream connect error\nmore");
    const Outcome outcome = loop.attempt("kubernetes", values);
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == "HTTP 503 instead of 200, it says 'upstream connect error'");
    server.answer("/readyz?verbose", 500, "[-]\x1b[2J failed\n");
    CHECK(loop.attempt("kubernetes", values).reason == "not ready: \\x1b[2J failed (HTTP 500)");
}

TEST_CASE("kubernetes: the token goes along and into no reason") {
    const TempDir dir;
    const std::string file = dir.write("token", "eyJhbGciOi-s33cr3t\n");
    REQUIRE(::chmod(file.c_str(), 0600) == 0);
    Loop loop;
    ApiStandIn server(loop);
    const FieldMap values{{"url", text(server.url())}, {"token_file", text(file)}};
    server.answer("/readyz?verbose", 200, std::string{ready});
    CHECK(loop.attempt("kubernetes", values).result == ProbeResult::pass);
    CHECK(server.requests().back().find("Authorization: Bearer eyJhbGciOi-s33cr3t\r\n") !=
          std::string::npos);
    for (const unsigned status : {200U, 403U, 500U}) {
        server.answer("/readyz?verbose", status, "no such token eyJhbGciOi-s33cr3t");
        CHECK(loop.attempt("kubernetes", values).reason.find("s33cr3t") == std::string::npos);
    }
}

TEST_CASE("kubernetes: hostile servers") { survives_hostile_servers("kubernetes", ""); }
