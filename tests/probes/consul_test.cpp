// Consul cannot be installed where Swerve is built: a stand-in answers as its documentation says.

#include <doctest/doctest.h>
#include <sys/stat.h>

#include "tests/probes/api_stand_in.hpp"

using namespace swerve;
using namespace swerve::health;
using namespace swerve::health::testing;

namespace {

constexpr std::string_view leader = R"("192.0.2.11:8300")";
constexpr std::string_view instance =
    R"({"Node":{"Node":"a"},"Service":{"Service":"web"},"Checks":[{"Status":"passing"}]})";

std::string instances(std::size_t count) {
    std::string out = "[";
    for (std::size_t i = 0; i < count; ++i) out += (i == 0 ? "" : ",") + std::string{instance};
    return out + "]";
}

}  // namespace

TEST_CASE("consul: a leader, on a stand-in") {
    Loop loop;
    ApiStandIn consul(loop);
    const FieldMap values{{"url", text(consul.url())}};
    consul.answer("/v1/status/leader", 200, std::string{leader});
    Outcome outcome = loop.attempt("consul", values);
    CHECK(outcome.result == ProbeResult::pass);
    CHECK(outcome.reason == "leader 192.0.2.11:8300");
    consul.answer("/v1/status/leader", 200, R"("")");
    outcome = loop.attempt("consul", values);
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == "the cluster has no leader");
    consul.answer("/v1/status/leader", 500, "No cluster leader");
    outcome = loop.attempt("consul", values);
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == "HTTP 500 instead of 200, it says 'No cluster leader'");
    consul.answer("/v1/status/leader", 200, R"(["192.0.2.11:8300"])");
    outcome = loop.attempt("consul", values);
    CHECK(outcome.result == ProbeResult::unknown);
    CHECK(outcome.reason == "no answer of Consul: the leader is an array of 1");
    consul.answer("/v1/status/leader", 200, R"("ok")");
    outcome = loop.attempt("consul", values);
    CHECK(outcome.result == ProbeResult::unknown);
    CHECK(outcome.reason == "no answer of Consul: the leader is ok");
}

TEST_CASE("consul: the passing instances of a service, n - 1 and n") {
    Loop loop;
    ApiStandIn consul(loop);
    FieldMap values{{"url", text(consul.url())}, {"service", text("web")}, {"passing", {2L}}};
    const std::string path = "/v1/health/service/web?passing";
    consul.answer("/v1/status/leader", 200, std::string{leader});
    consul.answer(path, 200, instances(2));
    CHECK(loop.attempt("consul", values).reason == "leader 192.0.2.11:8300, 2 passing of web");
    consul.answer(path, 200, instances(1));
    Outcome outcome = loop.attempt("consul", values);
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == "1 passing of web instead of 2");
    consul.answer(path, 200, "[]");
    CHECK(loop.attempt("consul", values).reason ==
          "0 passing of web instead of 2; without service:read a token sees none");
    consul.answer(path, 200, "{}");
    CHECK(loop.attempt("consul", values).result == ProbeResult::unknown);
    // Many instances are more than the 64 KiB of other answers.
    values["passing"] = {1000L};
    consul.answer(path, 200, instances(1000));
    REQUIRE(instances(1000).size() > 65536);
    CHECK(loop.attempt("consul", values).result == ProbeResult::pass);
    consul.answer(path, 200, "[\"" + std::string(1024UZ * 1024, 'x') + "\"]");
    CHECK(loop.attempt("consul", values).result == ProbeResult::unknown);
}

TEST_CASE("consul: the token goes into its header and into no reason") {
    const TempDir dir;
    const std::string file = dir.write("token", "b1gs33cr3t-token\n");
    REQUIRE(::chmod(file.c_str(), 0600) == 0);
    Loop loop;
    ApiStandIn consul(loop);
    FieldMap values{{"url", text(consul.url())}, {"token_file", text(file)}};
    consul.answer("/v1/status/leader", 200, std::string{leader});
    CHECK(loop.attempt("consul", values).result == ProbeResult::pass);
    CHECK(consul.requests().back().find("X-Consul-Token: b1gs33cr3t-token\r\n") !=
          std::string::npos);
    CHECK(consul.requests().back().find("Authorization") == std::string::npos);
    // Servers that repeat what they were told.
    for (const unsigned status : {200U, 403U, 500U}) {
        consul.answer("/v1/status/leader", status, "bad token b1gs33cr3t-token");
        std::string said;
        const ProbeContext context{.owned = {}, .step = [&](std::string step) { said += step; }};
        const Outcome outcome = loop.attempt("consul", values, std::chrono::seconds{5}, context);
        CHECK(outcome.result == (status == 500 ? ProbeResult::fail : ProbeResult::unknown));
        CHECK((outcome.reason + said).find("s33cr3t") == std::string::npos);
    }
    consul.answer("/v1/status/leader", 200, R"("b1gs33cr3t-token:8300")");
    std::string told;
    const ProbeContext context{.owned = {}, .step = [&](std::string step) { told += step; }};
    CHECK(loop.attempt("consul", values, std::chrono::seconds{5}, context).reason ==
          "leader ****************:8300");
    CHECK(told.ends_with("leader ****************:8300"));
    Server babbling(loop, says("b1gs33cr3t-token\r\n\r\n"));
    values["url"] = text("http://" + babbling.endpoint().to_string());
    CHECK(loop.attempt("consul", values).reason == "not HTTP: bad version");
    Server redirecting(loop, says("HTTP/1.1 302 Found\r\nLocation: /?token=b1gs33cr3t-token\r\n"
                                  "Content-Length: 0\r\n\r\n"));
    values["url"] = text("http://" + redirecting.endpoint().to_string());
    CHECK(loop.attempt("consul", values).reason == "HTTP 302 instead of 200");
    values["token_file"] = text(dir.file("missing"));
    const Outcome outcome = loop.attempt("consul", values);
    CHECK(outcome.result == ProbeResult::unknown);
    CHECK(outcome.reason.starts_with("token_file "));
}

TEST_CASE("consul: values that make no probe") {
    FieldMap values{{"url", text("http://192.0.2.1:8500")}, {"passing", {2L}}};
    CHECK(fault_of("consul", values) == "passing: of which service?");
    for (const std::string name : {"", "a b", "a/b", "a?b", "a%20b"}) {
        values["service"] = text(name);
        CHECK(fault_of("consul", values).starts_with("service: "));
    }
}

TEST_CASE("consul: hostile servers") { survives_hostile_servers("consul", ""); }
