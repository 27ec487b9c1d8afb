// POST /v1/checks/NAME/probe: one attempt by hand, which changes nothing.

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>

#include "daemon/operations/ask.hpp"
#include "daemon/operations/command.hpp"
#include "daemon/operations/json_text.hpp"
#include "daemon/operations/view_parts.hpp"
#include "daemon/operations/views.hpp"
#include "swerve/base/clock.hpp"
#include "swerve/health/probe_fields.hpp"

namespace swerve::daemon {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

/// Attempts by hand are work that no schedule bounds.
constexpr unsigned most_at_once = 4;
/// Checks may wait for an hour; who tries one by hand must not hold a place for as long.
constexpr Duration longest = std::chrono::seconds{30};
/// Behind the timeout of the check.
constexpr Duration answer_within = std::chrono::seconds{1};

[[nodiscard]] HttpResponse trial_response(const conf::Check& check, const ProbeTrial& trial) {
    const health::Outcome& outcome = trial.outcome;
    const health::ProbeType* type = health::find_probe_type(check.probe.type);
    json::array steps;
    for (const ProbeStep& step : trial.steps) {
        steps.push_back(json::object{{"at_s", seconds(step.at)}, {"text", json_string(step.text)}});
    }
    json::object body = views::envelope("swerve.probe/1", wall_now(), BootClock::now());
    body["check"] = json_string(check.name);
    body["type"] = json_string(check.probe.type);
    body["target"] =
        type == nullptr ? nullptr : views::text_or_null(type->target(check.probe.fields));
    body["timeout_s"] = seconds(check.timing.timeout);
    body["result"] = json_string(health::to_string(outcome.result));
    body["reason"] = json_string(outcome.reason);
    body["duration_s"] = seconds(outcome.finished - outcome.started);
    body["steps"] = std::move(steps);
    return {.body = to_text(body) + "\n"};
}

}  // namespace

asio::awaitable<HttpResponse> probe(ApiContextRef context, ApiCall call) {
    const auto body = parse_body(call.body.empty() ? "{}" : call.body, {});
    if (!body) co_return input_response(body.error());
    const auto config = context->config;  // a reload may replace it meanwhile
    const Command command{"probe run", call.who, call.name, {}, {}};
    const auto check = std::ranges::find(config->checks, call.name, &conf::Check::name);
    if (check == config->checks.end()) {
        co_return fault_response(*context, command, no_such("check", call.name));
    }
    if (context->probes_by_hand >= most_at_once) {
        co_return fault_response(
            *context, command,
            {ApiError::busy, fmt::format("{} attempts by hand are under way", most_at_once),
             "wait until one of them has ended"});
    }
    conf::Check tried = *check;
    tried.timing.timeout = std::min(tried.timing.timeout, longest);
    ++context->probes_by_hand;
    // The attempt counts until it ends, whether or not somebody still waits for it.
    using Done = std::function<void(ProbeTrial)>;
    const std::function<void(Done)> start = [&](Done done) {
        context->main.probe_once(tried, [done, weak = std::weak_ptr{context}](ProbeTrial trial) {
            if (const auto held = weak.lock()) --held->probes_by_hand;
            done(std::move(trial));
        });
    };
    const auto trial = co_await ask<ProbeTrial>(tried.timing.timeout + answer_within, start);
    if (!trial) {
        co_return fault_response(
            *context, command,
            {ApiError::main_silent, "the probes loop gave no answer",
             "try again; if it stays so, the watchdog ends the daemon: look at its log"});
    }
    record(*context, command,
           fmt::format("{}: {}", health::to_string(trial->outcome.result), trial->outcome.reason));
    co_return trial_response(tried, *trial);
}

}  // namespace swerve::daemon
