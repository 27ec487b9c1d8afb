#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json/serialize.hpp>
#include <utility>

#include "swerve/base/escape.hpp"
#include "swerve/net/prefix.hpp"
#include "tools/swervectl/answer.hpp"
#include "tools/swervectl/commands.hpp"
#include "tools/swervectl/wait.hpp"

namespace swerve::ctl {

namespace json = boost::json;
using std::chrono::milliseconds;

namespace {

// Not every change that matters is an event (the bytes of an announcement leave after it), so the
// question is asked again at this pace.
constexpr milliseconds pace{100};

/// Whether this daemon is a collector, which answers from what it received.
Outcome<bool> is_collector(const Client& client) {
    const auto reply = client.get("/v1/status");
    if (!reply) return fail(reply.error());
    return text_at(reply->body, "mode") == "collector";
}

Outcome<Observation> best_route(const Client& client, const std::string& prefix, bool wanted) {
    const auto reply = client.get("/v1/routes?prefix=" + percent_encoded(prefix));
    if (!reply) return fail(reply.error());
    for (const json::object& route : objects_at(reply->body, "received")) {
        if (text_at(route, "prefix") == prefix && flag_at(route, "best")) {
            return Observation{wanted, "the best route is " + text_at(route, "neighbor") + "'s"};
        }
    }
    return Observation{!wanted, "there is no route"};
}

/// Whether the chain of explain is blocked at a stage.
bool blocked_at(const json::object& explanation, std::string_view stage) {
    return std::ranges::any_of(objects_at(explanation, "steps"), [&](const json::object& step) {
        return text_at(step, "stage") == stage && text_at(step, "mark") == "blocked";
    });
}

Failure no_such_route(std::string message, std::string hint) {
    return {Exit::no_such_object, "no_such_object", std::move(message), std::move(hint)};
}

Outcome<json::object> explanation_of(const Client& client, const std::string& prefix) {
    auto reply = client.get("/v1/explain?prefix=" + percent_encoded(prefix));
    if (!reply) return fail(reply.error());
    if (blocked_at(reply->body, "owned")) {
        return fail(
            no_such_route(prefix + " is outside everything in owned",
                          "name a prefix within owned; `swervectl show config` has the list"));
    }
    return std::move(reply->body);
}

/// Nothing here could ever have announced the prefix: it has no service and no word in force. A
/// blocked override is a word in force, the stop of the daemon among them.
bool is_nobodys(const json::object& explanation) {
    return blocked_at(explanation, "service") && !blocked_at(explanation, "override") &&
           !flag_at(explanation, "announced");
}

/// `first`: nothing was seen of the prefix before. Later its route may have ended, as awaited.
Outcome<Observation> sent_route(const Client& client, const std::string& prefix, bool wanted,
                                bool first) {
    const auto explanation = explanation_of(client, prefix);
    if (!explanation) return fail(explanation.error());
    if (!wanted && first && is_nobodys(*explanation)) {
        return fail(no_such_route(prefix + " is of no service and has no override",
                                  "`swervectl show routes` lists the routes of this site"));
    }
    return Observation{flag_at(*explanation, "announced") == wanted,
                       text_at(*explanation, "summary")};
}

Outcome<Observation> session(const Client& client, const std::string& name) {
    const auto reply = client.get("/v1/neighbors/" + percent_encoded(name));
    if (!reply) {
        // A collector's neighbors come as they please.
        if (reply.error().exit != Exit::no_such_object) return fail(reply.error());
        const auto collector = is_collector(client);
        if (!collector) return fail(collector.error());
        if (*collector) return Observation{false, "no such neighbor yet"};
        return fail(reply.error());
    }
    for (const json::object& neighbor : objects_at(reply->body, "neighbors")) {
        const std::string state = text_at(neighbor, "state");
        const std::string error = text_at(neighbor, "last_error");
        return Observation{state == "established",
                           "it is " + state + (error == "-" ? "" : ": " + error)};
    }
    return Observation{false, "no such neighbor"};
}

Outcome<Observation> verdict(const Client& client, const std::string& service,
                             const std::string& wanted) {
    const auto reply = client.get("/v1/services/" + percent_encoded(service));
    if (!reply) return fail(reply.error());
    for (const json::object& found : objects_at(reply->body, "services")) {
        const std::string is = text_at(found, "verdict");
        return Observation{is == wanted, "it is " + is + ": " + text_at(found, "verdict_reason")};
    }
    return Observation{false, "no such service"};
}

Outcome<Question> route_question(const std::string& value, bool wanted) {
    if (const auto valid = require_prefix(value); !valid) return fail(valid.error());
    // The daemon prints prefixes in canonical form.
    const std::string prefix = Prefix::parse(value)->to_string();
    return [prefix, wanted, first = true](const Client& client) mutable -> Outcome<Observation> {
        const auto collector = is_collector(client);
        if (!collector) return fail(collector.error());
        return *collector ? best_route(client, prefix, wanted)
                          : sent_route(client, prefix, wanted, std::exchange(first, false));
    };
}

Outcome<Question> verdict_question(const std::string& value) {
    static constexpr std::array<std::string_view, 4> verdicts{"up", "degraded", "down", "unknown"};
    const auto colon = value.rfind(':');
    if (colon == std::string::npos || colon == 0) {
        return fail(usage("verdict= takes SERVICE:up, :degraded, :down or :unknown"));
    }
    const std::string service = value.substr(0, colon);
    const std::string wanted = value.substr(colon + 1);
    if (std::ranges::find(verdicts, wanted) == verdicts.end()) {
        return fail(
            usage(fmt::format("'{}' is no verdict: up, degraded, down, unknown", escape(wanted))));
    }
    return [service, wanted](const Client& client) { return verdict(client, service, wanted); };
}

Outcome<Question> parse_condition(const std::string& condition) {
    const auto equals = condition.find('=');
    const std::string kind = condition.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : condition.substr(equals + 1);
    if (!value.empty()) {
        if (kind == "announced" || kind == "withdrawn")
            return route_question(value, kind == "announced");
        if (kind == "verdict") return verdict_question(value);
        if (kind == "session") {
            return [value](const Client& client) { return session(client, value); };
        }
    }
    return fail(
        usage(fmt::format("'{}' is no condition", escape(condition)),
              "use announced=PREFIX, withdrawn=PREFIX, session=NAME or verdict=SERVICE:up"));
}

Exit report(const Context& context, const std::string& condition, Clock::duration waited) {
    const double seconds = std::chrono::duration<double>(waited).count();
    if (context.json) {
        json::object out = document("swerve.wait/1");
        out["condition"] = condition;
        out["met"] = true;
        out["waited_s"] = seconds;
        print_json(json::serialize(out));
    } else {
        fmt::print("{} after {}\n", condition, human_time(seconds));
    }
    return Exit::done;
}

}  // namespace

Outcome<Exit> wait_for(const Context& context, const std::string& condition,
                       const std::string& timeout) {
    const auto question = parse_condition(condition);
    if (!question) return fail(question.error());
    const auto patience = parse_duration("--timeout", timeout);
    if (!patience) return fail(patience.error());
    const auto waited = await(context.client, *question, condition, *patience);
    if (!waited) return fail(waited.error());
    return report(context, condition, *waited);
}

Outcome<Clock::duration> await(const Client& client, const Question& question,
                               const std::string& what, std::optional<milliseconds> patience) {
    const auto started = Clock::now();
    // Followed before the first question, so that nothing happens unseen between the two.
    auto stream = client.follow(std::nullopt);
    if (!stream) return fail(stream.error());
    while (true) {
        const auto seen = question(client);
        if (!seen) return fail(seen.error());
        const auto waited = Clock::now() - started;
        if (seen->met) return waited;
        auto next = pace;
        if (patience) {
            if (waited >= *patience) {
                const double limit = std::chrono::duration<double>(*patience).count();
                return fail(Failure{Exit::timeout, "timeout",
                                    fmt::format("{} did not come within {:g} s", what, limit),
                                    seen->seen});
            }
            next = std::min(pace, std::chrono::ceil<milliseconds>(*patience - waited));
        }
        const auto event = stream->next(next);
        // A stream that was cut off for being slow costs promptness only; a daemon that is gone
        // fails the next question.
        if (!event) {
            auto again = client.follow(std::nullopt);
            if (!again) return fail(again.error());
            *stream = std::move(*again);
        }
    }
}

}  // namespace swerve::ctl
