// What effects, degrees and damping show of themselves: views, events, metrics.

#include <doctest/doctest.h>

#include "daemon/operations/event_view.hpp"
#include "daemon/operations/metrics.hpp"
#include "daemon/operations/views.hpp"
#include "tests/support/snapshot.hpp"

using namespace swerve;
using namespace swerve::test;
namespace json = boost::json;
namespace views = swerve::daemon::views;
using failover::Shown;

namespace {

/// The sample with its service drained, and what is left of the stages.
[[nodiscard]] daemon::Snapshot drained(Shown shown, std::optional<Duration> degraded,
                                       std::optional<Duration> leaving) {
    daemon::Snapshot out = sample_snapshot();
    auto& service = out.site.services[0];
    service.intent = failover::Intent::drain;
    service.drain = failover::Override{.kind = failover::OverrideKind::drain,
                                       .reason = "",
                                       .who = "alice",
                                       .set_at = sample_wall,
                                       .expires = {}};
    service.shown = shown;
    if (degraded) service.degraded_until = sample_now + *degraded;
    if (leaving) service.leaving_until = sample_now + *leaving;
    return out;
}

[[nodiscard]] json::object only_service(const daemon::Snapshot& snapshot) {
    return views::services(snapshot).at(0).as_object();
}

template <class What>
[[nodiscard]] daemon::EventView view_of(What what) {
    return daemon::view_of({sample_now, sample_wall, std::move(what)}, sample_config());
}

[[nodiscard]] std::string scrape(const daemon::Snapshot& snapshot) {
    const daemon::EventCounters counters;
    return daemon::render(daemon::collect({.snapshot = snapshot,
                                           .counters = counters,
                                           .log_counts = {},
                                           .audit_failures = 0,
                                           .reloads = {},
                                           .process = {}}));
}

[[nodiscard]] bool has_line(const std::string& text, const std::string& line) {
    return text.find("\n" + line + "\n") != std::string::npos;
}

}  // namespace

TEST_CASE("views: the stages of a drain have their ends") {
    const json::object first = only_service(drained(Shown::degraded, 4s, 9s));
    CHECK(first.at("shown") == "degraded");
    CHECK(first.at("drain_stage") == "degraded");
    CHECK(first.at("drain_stage_s").as_double() == 4.0);
    CHECK(first.at("withdrawn_in_s").as_double() == 9.0);
    CHECK(first.at("return_s").is_null());
    const json::object second = only_service(drained(Shown::draining, {}, 5s));
    CHECK(second.at("drain_stage") == "graceful_shutdown");
    CHECK(second.at("drain_stage_s").as_double() == 5.0);
    const json::object last = only_service(drained(Shown::nothing, {}, {}));
    CHECK(last.at("drain_stage") == "withdrawn");
    CHECK(last.at("drain_stage_s").is_null());
    CHECK(last.at("withdrawn_in_s").is_null());
}

TEST_CASE("views: a return has its end, and is no stage of a drain") {
    daemon::Snapshot snapshot = sample_snapshot();
    snapshot.site.services[0].shown = Shown::degraded;
    snapshot.site.services[0].degraded_until = sample_now + 3s;
    const json::object view = only_service(snapshot);
    CHECK(view.at("return_s").as_double() == 3.0);
    CHECK(view.at("drain_stage").is_null());
    CHECK(view.at("safe_to_stop") == false);
}

TEST_CASE("views: it is safe to stop once a drained service is gone and all have acknowledged it") {
    daemon::Snapshot snapshot = drained(Shown::nothing, {}, {});
    CHECK(only_service(snapshot).at("safe_to_stop") == false);  // upstream-a holds it
    snapshot.neighbors[0].sent.clear();
    CHECK(only_service(snapshot).at("safe_to_stop") == true);
    snapshot.failovers.push_back(sample_failover(1));
    CHECK(only_service(snapshot).at("safe_to_stop") == true);
    snapshot.failovers.back().neighbors[0].acknowledged.reset();
    CHECK(only_service(snapshot).at("safe_to_stop") == false);
    snapshot.failovers.back().subject = "other";
    CHECK(only_service(snapshot).at("safe_to_stop") == true);
    // An override withdrew a part of it, which a neighbor still holds.
    snapshot.failovers.back().subject = "198.51.100.0/24";
    CHECK(only_service(snapshot).at("safe_to_stop") == false);
    snapshot.failovers.back().subject = "198.51.100.128/25";
    CHECK(only_service(snapshot).at("safe_to_stop") == false);
    snapshot.failovers.back().subject = "198.51.96.0/21";
    CHECK(only_service(snapshot).at("safe_to_stop") == true);
    snapshot.site.services[0].shown = Shown::draining;
    CHECK(only_service(snapshot).at("safe_to_stop") == false);
    snapshot.site.services[0].shown = Shown::nothing;
    snapshot.site.services[0].drain.reset();  // its verdict may bring it back at any time
    CHECK(only_service(snapshot).at("safe_to_stop") == false);
}

TEST_CASE("views: damping shows its penalty, and until when and why something waits") {
    daemon::Snapshot snapshot = sample_snapshot();
    auto& service = snapshot.site.services[0];
    service.damping = failover::Damping{{failover::DampingProfile::cisco, 5s, 12}};
    const json::object calm = only_service(snapshot).at("damping").as_object();
    CHECK(calm.at("profile") == "cisco");
    CHECK(calm.at("penalty").as_double() == 0.0);
    CHECK(calm.at("suppressed_above").as_double() > 0.0);
    CHECK(calm.at("hold_down_s").as_double() == 5.0);
    CHECK(calm.at("changes_per_hour").to_number<int>() == 12);
    CHECK(calm.at("wait_s").is_null());
    CHECK(calm.at("cause").is_null());
    service.damping.announced(sample_now - 2s);
    service.damping.withdrawn(sample_now);
    service.damped = {sample_now + 250s, failover::Damping::Cause::changes_per_hour};
    const json::object waits = only_service(snapshot).at("damping").as_object();
    CHECK(waits.at("penalty").as_double() > 0.0);
    CHECK(waits.at("withdrawals_last_hour").to_number<int>() == 1);
    CHECK(waits.at("wait_s").as_double() == 250.0);
    CHECK(waits.at("cause") == "changes_per_hour");
}

TEST_CASE("views: a check shows what it may do, on what it depends and its alarm") {
    daemon::Snapshot snapshot = sample_snapshot();
    auto& web = snapshot.site.checks[0];
    const json::object calm = views::checks(snapshot).at(0).as_object();
    CHECK(calm.at("scope") == "local");
    CHECK(calm.at("effect") == "withdraw");
    CHECK(calm.at("only_if").is_null());
    CHECK(calm.at("alarm").is_null());
    CHECK(calm.at("history").is_null());
    CHECK(calm.at("on_unknown") == "fail");
    CHECK(calm.at("unknown_hold_s").as_double() == 30.0);
    CHECK(calm.at("without_evidence") == false);
    web.scope = failover::Scope::shared;
    web.effect = failover::Effect::gate;
    web.only_if = "db";
    web.alarm = "web fails";
    web.policy.on_unknown = health::OnUnknown::hold;
    const json::object busy = views::checks(snapshot).at(0).as_object();
    CHECK(busy.at("scope") == "shared");
    CHECK(busy.at("effect") == "gate");
    CHECK(busy.at("only_if") == "db");
    CHECK(busy.at("alarm") == "web fails");
    CHECK(busy.at("on_unknown") == "hold");
}

TEST_CASE("views: a check names the services that use it, for degraded_when too, each once") {
    daemon::Snapshot snapshot = sample_snapshot();
    snapshot.site.services.push_back(snapshot.site.services[0]);
    snapshot.site.services[1].name = "mail";
    snapshot.site.services[1].degraded_when = health::Expression{};
    CHECK(views::checks(snapshot).at(0).at("services") == json::array{"portal", "mail"});
    snapshot.site.services[1].healthy_when = {.op = health::Expression::Op::all, .of = {}};
    CHECK(views::checks(snapshot).at(0).at("services") == json::array{"portal", "mail"});
    snapshot.site.services[1].degraded_when.reset();
    CHECK(views::checks(snapshot).at(0).at("services") == json::array{"portal"});
}

TEST_CASE("events: degraded is a warning, alarms and what flaps are critical, their ends are not") {
    using daemon::Severity;
    using failover::Damping;
    CHECK(view_of(daemon::VerdictEvent{"portal", failover::Verdict::up, failover::Verdict::degraded,
                                       "cache fails"})
              .severity == Severity::warning);
    const auto raised = view_of(daemon::CheckAlarmEvent{"web", true, "it fails"});
    CHECK(raised.type == "check_alarm");
    CHECK(raised.severity == Severity::critical);
    CHECK(raised.detail == json::object{{"raised", true}, {"reason", "it fails"}});
    CHECK(view_of(daemon::CheckAlarmEvent{"web", false, "it passes"}).severity == Severity::info);
    const auto waits = view_of(daemon::DampingEvent{
        "portal", Damping::Wait{sample_now + 90s, Damping::Cause::penalty}, "it waits"});
    CHECK(waits.severity == Severity::info);
    CHECK(waits.detail ==
          json::object{{"wait_s", 90.0}, {"cause", "penalty"}, {"reason", "it waits"}});
    CHECK(view_of(daemon::DampingEvent{
                      "portal", Damping::Wait{sample_now, Damping::Cause::hold_down, true}, "x"})
              .severity == Severity::critical);
    CHECK(view_of(daemon::DampingEvent{"portal", {}, "over"}).detail.at("cause").is_null());
}

TEST_CASE("events: lost evidence says what becomes of the check") {
    const auto fails = view_of(daemon::EvidenceEvent{"web", "no answer", sample_now + 30s});
    CHECK(fails.text ==
          "check web has no evidence; its last verdict is held for 30.0 s, then it counts as "
          "failed: no answer");
    CHECK(fails.detail.at("then") == "fail");
    const auto holds = view_of(
        daemon::EvidenceEvent{"web", "no answer", sample_now + 30s, health::OnUnknown::hold});
    CHECK(holds.text ==
          "check web has no evidence; its last verdict is held for 30.0 s, then it stands under an "
          "alarm until there is: no answer");
    CHECK(holds.detail.at("then") == "hold");
}

TEST_CASE("metrics: what is shown, what damping counts and what calls for somebody") {
    daemon::Snapshot snapshot = sample_snapshot();
    snapshot.site.services[0].shown = Shown::degraded;
    const std::string calm = scrape(snapshot);
    CHECK(has_line(calm, R"(swerve_service_shown{service="portal",shown="degraded"} 1)"));
    CHECK(has_line(calm, R"(swerve_service_shown{service="portal",shown="announced"} 0)"));
    CHECK(has_line(calm, R"(swerve_service_shown{service="portal",shown="nothing"} 0)"));
    CHECK(has_line(calm, R"(swerve_service_damped{service="portal"} 0)"));
    CHECK(has_line(calm, R"(swerve_service_damping_penalty{service="portal"} 0)"));
    CHECK(has_line(calm, R"(swerve_check_alarm{check="web"} 0)"));
    snapshot.site.services[0].damped = {sample_now + 1s, failover::Damping::Cause::hold_down};
    snapshot.site.checks[0].alarm = "it fails";
    const std::string busy = scrape(snapshot);
    CHECK(has_line(busy, R"(swerve_service_damped{service="portal"} 1)"));
    CHECK(has_line(busy, R"(swerve_check_alarm{check="web"} 1)"));
}
