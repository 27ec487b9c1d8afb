// Cilium cannot be installed where Swerve is built: a stand-in answers as its source says.

#include <doctest/doctest.h>

#include "tests/probes/api_stand_in.hpp"

using namespace swerve;
using namespace swerve::health;
using namespace swerve::health::testing;
using namespace std::chrono_literals;

namespace {

std::string series(std::string_view cluster, std::string_view value) {
    return "cilium_clustermesh_remote_cluster_readiness_status{source_cluster=\"fra1\","
           "source_node_name=\"fra1/node-1\",target_cluster=\"" +
           std::string{cluster} + "\"} " + std::string{value} + "\n";
}

const std::string others =
    "# HELP cilium_nodes_all_num Number of nodes\n# TYPE cilium_nodes_all_num gauge\n"
    "cilium_nodes_all_num 3\n";

FieldMap meshed(const ApiStandIn& agent, std::vector<std::string> clusters) {
    return {{"url", text(agent.url())},
            {"metrics_url", text(agent.url("/metrics"))},
            {"clusters", {std::move(clusters)}}};
}

}  // namespace

TEST_CASE("cilium: the agent, on a stand-in") {
    Loop loop;
    ApiStandIn agent(loop);
    FieldMap values{{"url", text(agent.url())}};
    agent.answer("/healthz", 200, "");
    Outcome outcome = loop.attempt("cilium", values);
    CHECK(outcome.result == ProbeResult::pass);
    CHECK(outcome.reason == "the agent is healthy");
    CHECK(agent.requests().back().find("\r\nbrief: true\r\n") != std::string::npos);
    CHECK(agent.requests().back().find("\r\nrequire-k8s-connectivity: false\r\n") !=
          std::string::npos);
    values["needs_kubernetes"] = {true};
    (void)loop.attempt("cilium", values);
    CHECK(agent.requests().back().find("\r\nrequire-k8s-connectivity: true\r\n") !=
          std::string::npos);
    agent.answer("/healthz", 503, "");
    outcome = loop.attempt("cilium", values);
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == "the agent is not healthy (HTTP 503); cilium status --brief says why");
    agent.answer("/healthz", 404, "404 page not found");
    CHECK(loop.attempt("cilium", values).reason ==
          "HTTP 404 instead of 200, it says '404 page not found'");
}

TEST_CASE("cilium: the clusters of its mesh, on a stand-in") {
    Loop loop;
    ApiStandIn agent(loop);
    const FieldMap values = meshed(agent, {"ams1", "lon1"});
    agent.answer("/healthz", 200, "");
    const auto judged = [&](const std::string& page) {
        agent.answer("/metrics", 200, page);
        return loop.attempt("cilium", values);
    };
    Outcome outcome = judged(others + series("ams1", "1") + series("lon1", "1"));
    CHECK(outcome.result == ProbeResult::pass);
    CHECK(outcome.reason == "the agent is healthy, 2 clusters are ready");
    outcome = judged(others + series("ams1", "1") + series("lon1", "0"));
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == "clusters not ready: lon1");
    // A cluster that nobody has connected, and one of which only the name begins alike.
    outcome = judged(others + series("ams1", "1") + series("lon10", "1"));
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == "clusters not in the mesh of this agent: lon1");
    CHECK(judged(series("ams1", "1") + series("lon1", "NaN")).result == ProbeResult::fail);
    CHECK(judged(others).result == ProbeResult::unknown);
    CHECK(judged("").result == ProbeResult::unknown);
    CHECK(judged("<html></html>").result == ProbeResult::unknown);
    agent.answer("/metrics", 404, "");
    CHECK(loop.attempt("cilium", values).reason ==
          "the agent is healthy, but its metrics: HTTP 404");
    agent.answer("/healthz", 503, "");
    CHECK(loop.attempt("cilium", values).result == ProbeResult::fail);
}

TEST_CASE("cilium: metrics that nobody serves say nothing of the agent, those that hang do") {
    Loop loop;
    ApiStandIn agent(loop);
    agent.answer("/healthz", 200, "");
    FieldMap values = meshed(agent, {"ams1"});
    const std::string nobody = "127.0.0.1:" + std::to_string(free_port());
    values["metrics_url"] = text("http://" + nobody + "/metrics");
    const Outcome outcome = loop.attempt("cilium", values);
    CHECK(outcome.result == ProbeResult::unknown);
    CHECK(outcome.reason.starts_with("the agent is healthy, but its metrics: "));
    Server hanging(loop, says_and_stays("HTTP/1.1 200 OK\r\n\r\n" + series("ams1", "1")));
    values["metrics_url"] = text("http://" + hanging.endpoint().to_string() + "/metrics");
    const Outcome late = loop.attempt("cilium", values, 80ms);
    CHECK(late.result == ProbeResult::fail);
    CHECK(late.reason.starts_with("no answer within 80ms, "));
}

TEST_CASE("cilium: values that make no probe") {
    CHECK(fault_of("cilium", {}) == "none");
    CHECK(find_probe_type("cilium")->target({}) == "http://127.0.0.1:9879");
    CHECK(
        fault_of("cilium", {{"metrics_url", text("127.0.0.1:9962")}}).starts_with("metrics_url: "));
    CHECK(fault_of("cilium", {{"clusters", {std::vector<std::string>{}}}}) == "clusters: is empty");
    CHECK(fault_of("cilium", {{"clusters", {std::vector<std::string>{"a\"b"}}}})
              .starts_with("clusters: "));
}
