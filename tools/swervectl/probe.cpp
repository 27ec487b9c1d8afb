#include <fmt/format.h>

#include <cmath>
#include <cstdio>

#include "tools/swervectl/answer.hpp"
#include "tools/swervectl/commands.hpp"

namespace swerve::ctl {

namespace json = boost::json;

namespace {

/// How long the daemon may take: the check's own timeout comes first.
Outcome<std::chrono::seconds> patience_for(const Client& client, const std::string& name) {
    const auto reply = client.get("/v1/checks/" + name);
    if (!reply) return fail(reply.error());
    double timeout = 0;
    for (const json::object& check : objects_at(reply->body, "checks")) {
        timeout = number_at(check, "timeout_s").value_or(0);
    }
    return Client::answer_within + std::chrono::seconds{std::lround(std::ceil(timeout))};
}

}  // namespace

Outcome<Exit> probe_once(const Context& context, const std::string& check) {
    const std::string name = percent_encoded(check);
    const auto patience = patience_for(context.client, name);
    if (!patience) return fail(patience.error());
    const auto reply = context.client.post("/v1/checks/" + name + "/probe", {}, *patience);
    if (!reply) return fail(reply.error());
    const json::object& answer = reply->body;
    const std::string result = text_at(answer, "result");
    const Exit exit = result == "pass" ? Exit::done : Exit::failed;
    if (context.json) {
        print_json(reply->text);
        return exit;
    }
    fmt::print("check {}: {} after {}: {}\n", text_at(answer, "check"),
               context.palette.paint(result, style_of(result)), time_at(answer, "duration_s"),
               text_at(answer, "reason"));
    Table steps{{"", ">", ""}};
    for (const json::object& step : objects_at(answer, "steps")) {
        steps.add({{""}, {time_at(step, "at_s")}, {text_at(step, "text")}});
    }
    std::fputs(steps.to_string(context.palette).c_str(), stdout);
    return exit;
}

}  // namespace swerve::ctl
