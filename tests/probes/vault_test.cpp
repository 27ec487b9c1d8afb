// Vault cannot be installed where Swerve is built: a stand-in answers with the published table.

#include <doctest/doctest.h>

#include "tests/probes/api_stand_in.hpp"

using namespace swerve;
using namespace swerve::health;
using namespace swerve::health::testing;

namespace {

constexpr std::string_view serving =
    R"({"initialized":true,"sealed":false,"standby":false,"version":"1.17.2"})";

struct Case {
    unsigned status;
    ProbeResult plain;
    ProbeResult standby_ok;
    ProbeResult performance_standby_ok;
    std::string_view reason;
};

constexpr auto pass = ProbeResult::pass;
constexpr auto no = ProbeResult::fail;

}  // namespace

TEST_CASE("vault: the table of statuses, on a stand-in") {
    const Case cases[] = {
        {200, pass, pass, pass, "active (HTTP 200)"},
        {429, no, pass, no, "standby (HTTP 429), and `standby_ok` is not set"},
        {472, no, no, no,
         "secondary for disaster recovery, which serves nobody until it is promoted (HTTP 472)"},
        {473, no, no, pass,
         "performance standby (HTTP 473), and `performance_standby_ok` is not set"},
        {474, no, no, no, "standby that cannot reach the active node (HTTP 474)"},
        {501, no, no, no, "not initialized (HTTP 501)"},
        {503, no, no, no, "sealed (HTTP 503)"},
        {530, no, no, no, "removed from the cluster (HTTP 530)"},
        {500, no, no, no, "HTTP 500 instead of 200, it says 'nothing'"},
    };
    Loop loop;
    ApiStandIn vault(loop);
    for (const Case& expected : cases) {
        CAPTURE(expected.status);
        vault.answer("/v1/sys/health", expected.status,
                     expected.status == 500 ? "nothing" : std::string{serving});
        FieldMap values{{"url", text(vault.url())}};
        const Outcome outcome = loop.attempt("vault", values);
        CHECK(outcome.result == expected.plain);
        CHECK(outcome.reason == expected.reason);
        values["standby_ok"] = {true};
        CHECK(loop.attempt("vault", values).result == expected.standby_ok);
        values["standby_ok"] = {false};
        values["performance_standby_ok"] = {true};
        CHECK(loop.attempt("vault", values).result == expected.performance_standby_ok);
    }
}

TEST_CASE("vault: who answers 200 or 429 must be Vault") {
    Loop loop;
    ApiStandIn server(loop);
    const FieldMap values{{"url", text(server.url())}, {"standby_ok", {true}}};
    for (const unsigned status : {200U, 429U}) {
        server.answer("/v1/sys/health", status, "<html>slow down</html>");
        CHECK(loop.attempt("vault", values).result == ProbeResult::unknown);
        server.answer("/v1/sys/health", status, R"({"status":"up"})");
        CHECK(loop.attempt("vault", values).result == ProbeResult::unknown);
    }
    server.answer("/v1/sys/health", 200, R"({"initialized":true,"sealed":true})");
    Outcome outcome = loop.attempt("vault", values);
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == "HTTP 200, but the body says sealed");
    server.answer("/v1/sys/health", 200, R"({"initialized":false,"sealed":false})");
    CHECK(loop.attempt("vault", values).reason == "HTTP 200, but the body says not initialized");
    server.answer("/v1/sys/health", 403, "");
    CHECK(loop.attempt("vault", values).result == ProbeResult::unknown);
}

TEST_CASE("vault: a proxy that finds no node is not a node that is sealed") {
    Loop loop;
    ApiStandIn server(loop);
    const FieldMap values{{"url", text(server.url())}};
    for (const std::string body : {"<html>no server</html>", "", R"({"sealed":"yes"})"}) {
        server.answer("/v1/sys/health", 503, body);
        const Outcome outcome = loop.attempt("vault", values);
        CHECK(outcome.result == ProbeResult::fail);
        CHECK(outcome.reason ==
              "HTTP 503, but not in Vault's words: does a proxy in front find no node?");
    }
    server.answer("/v1/sys/health", 501, "");
    CHECK(loop.attempt("vault", values).reason.starts_with("HTTP 501, but not in Vault's words"));
}

TEST_CASE("vault: the path is the probe's, behind that of a proxy") {
    Loop loop;
    ApiStandIn vault(loop);
    vault.answer("/v1/sys/health", 200, std::string{serving});
    vault.answer("/vault/v1/sys/health", 200, std::string{serving});
    for (const std::string path : {"", "/", "/v1/sys/health", "/vault", "/vault/"}) {
        CAPTURE(path);
        CHECK(loop.attempt("vault", {{"url", text(vault.url(path))}}).result == ProbeResult::pass);
    }
    CHECK(vault.requests().back().find("oken") == std::string::npos);
    CHECK(fault_of("vault", {{"url", text("http://192.0.2.1:8200/?standbyok=true")}}) ==
          "url: has a query, which the probe chooses itself");
    CHECK(fault_of("vault", {{"url", text("http://vault.example/")}}).starts_with("url: "));
}

TEST_CASE("vault: explain says that a certificate is not verified") {
    const ProbeType& type = *find_probe_type("vault");
    FieldMap values{{"url", text("https://192.0.2.31:8200")}};
    CHECK(type.caveat(values).starts_with("a service that keeps the secrets"));
    values["tls"] = {FieldMap{{"insecure", {true}}}};
    CHECK(type.caveat(values).starts_with("the certificate is not verified"));
}

TEST_CASE("vault: hostile servers") { survives_hostile_servers("vault", ""); }
