#include <doctest/doctest.h>

#include <string>

#include "daemon/operations/metrics.hpp"
#include "tests/daemon/actions_bench.hpp"

using namespace swerve;
using namespace swerve::test;

TEST_CASE("actions: what they did is in the metrics, and those are written down") {
    const auto snapshot = sample_snapshot();
    const daemon::EventCounters counters;
    const auto families = daemon::collect({.snapshot = snapshot,
                                           .counters = counters,
                                           .log_counts = {},
                                           .audit_failures = 0,
                                           .reloads = {},
                                           .process = {},
                                           .actions = {.hooks = {{"page", {4, 3, 2, 1}, 5}},
                                                       .webhooks = {{"chat", {7, 6, 5, 4}, 8}}}});
    const std::string text = daemon::render(families);
    for (const auto* line :
         {R"(swerve_hook_runs_total{hook="page",result="success"} 4)",
          R"(swerve_hook_runs_total{hook="page",result="failure"} 3)",
          R"(swerve_hook_runs_total{hook="page",result="timeout"} 2)",
          R"(swerve_hook_runs_total{hook="page",result="not_started"} 1)",
          R"(swerve_hook_dropped_total{hook="page"} 5)",
          R"(swerve_webhook_deliveries_total{webhook="chat",result="delivered"} 7)",
          R"(swerve_webhook_deliveries_total{webhook="chat",result="refused"} 6)",
          R"(swerve_webhook_deliveries_total{webhook="chat",result="given_up"} 5)",
          R"(swerve_webhook_deliveries_total{webhook="chat",result="dropped"} 4)",
          R"(swerve_webhook_queue{webhook="chat"} 8)"}) {
        CHECK_MESSAGE(text.find(std::string{line} + "\n") != std::string::npos, line);
    }
    const std::string page = content_of(SWERVE_SOURCE_DIR "/docs/metrics.md");
    for (const auto& family : families) {
        CHECK_MESSAGE(page.find("`" + family.name + "`") != std::string::npos, family.name);
    }
}
