// `drain SERVICE --wait`: the stages of a drain as they pass.

#include <fmt/format.h>
#include <unistd.h>

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <csignal>
#include <cstdio>
#include <utility>

#include "tools/swervectl/answer.hpp"
#include "tools/swervectl/commands.hpp"
#include "tools/swervectl/wait.hpp"

namespace swerve::ctl {

namespace json = boost::json;

namespace {

/// What an interrupted wait says; made before, since a handler may not make it.
std::string last_words;

extern "C" void interrupted(int signal) {
    (void)!::write(STDERR_FILENO, last_words.data(), last_words.size());
    // The handler is gone by now, so that this ends the process as though there had been none.
    (void)std::raise(signal);
}

void say_when_interrupted(const std::string& service) {
    last_words = fmt::format(
        "\nswervectl: interrupted: the drain of {0} stays in force; `swervectl undrain {0}` ends "
        "it\n",
        service);
    struct sigaction action{};
    action.sa_handler = interrupted;
    action.sa_flags = static_cast<int>(SA_RESETHAND) | SA_NODEFER;
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) (void)::sigaction(signal, &action, nullptr);
}

struct Stage {
    std::string name;  ///< as in the service's `drain_stage`, or safe_to_stop
    std::string text;
};

Stage stage_of(const json::object& service) {
    if (flag_at(service, "safe_to_stop")) return {"safe_to_stop", "safe to stop"};
    const std::string stage = text_at(service, "drain_stage");
    if (stage == "degraded") return {stage, "announced with its degraded attributes"};
    if (stage == "graceful_shutdown") return {stage, "announced with GRACEFUL_SHUTDOWN"};
    return {stage, "withdrawn; the neighbors have yet to acknowledge it"};
}

/// One line per stage; on a terminal the last one counts down.
class Stages {
public:
    explicit Stages(const Context& context)
        : quiet_(context.json), counts_(::isatty(STDOUT_FILENO) == 1) {}

    void show(const Stage& stage, std::optional<double> left, double at) {
        const bool is_new = passed_.empty() || passed_.back().first != stage.name;
        if (is_new) passed_.emplace_back(stage.name, at);
        if (quiet_) return;
        if (is_new && passed_.size() > 1 && counts_) fmt::print("\n");
        const std::string rest = left ? ", for another " + human_span(*left) : "";
        if (counts_) {
            fmt::print("\r\033[K{}{}", stage.text, rest);
        } else if (is_new) {
            fmt::print("{}{}\n", stage.text, rest);
        }
        std::fflush(stdout);
    }
    void end() const {
        if (!quiet_ && counts_ && !passed_.empty()) fmt::print("\n");
    }
    [[nodiscard]] json::array to_json() const {
        json::array out;
        for (const auto& [name, at] : passed_) {
            out.push_back(json::object{{"stage", name}, {"at_s", at}});
        }
        return out;
    }

private:
    bool quiet_;
    bool counts_;
    std::vector<std::pair<std::string, double>> passed_;  ///< and when it began, in seconds
};

/// A drain that ends before its own stages have passed never becomes safe.
Outcome<void> require_time(const Client& client, const std::string& service, double lasting) {
    const auto reply = client.get("/v1/services/" + percent_encoded(service));
    if (!reply) return fail(reply.error());
    for (const json::object& found : objects_at(reply->body, "services")) {
        const double stages = number_at(found, "drain_takes_s").value_or(0);
        if (lasting > stages) continue;
        return fail(usage(fmt::format("--for: {} is over before the stages of the drain are, which "
                                      "take {}",
                                      human_span(lasting), human_span(stages)),
                          "drain it for longer, or without --wait"));
    }
    return {};
}

/// That the drain is in force no longer. `lasting`: of --for.
Failure ended(const std::string& service, std::optional<double> lasting, double at) {
    // The daemon counts from when it was told, and answers a little later.
    constexpr double behind = 1;
    const bool expired = lasting && at + behind >= *lasting;
    return {Exit::failed, "failed",
            expired ? fmt::format("the drain of {} expired after {}, before it was safe to stop",
                                  service, human_span(*lasting))
                    : "the drain of " + service + " was ended meanwhile",
            expired ? "drain it for longer" : "`swervectl events` shows by whom"};
}

Outcome<Observation> observe(const Client& client, const std::string& service, Stages& stages,
                             Clock::time_point started, std::optional<double> lasting) {
    const auto reply = client.get("/v1/services/" + percent_encoded(service));
    if (!reply) return fail(reply.error());
    for (const json::object& found : objects_at(reply->body, "services")) {
        const std::chrono::duration<double> at = Clock::now() - started;
        if (object_at(found, "drain").empty()) return fail(ended(service, lasting, at.count()));
        const Stage stage = stage_of(found);
        stages.show(stage, number_at(found, "drain_stage_s"), at.count());
        return Observation{stage.name == "safe_to_stop", stage.text};
    }
    return Observation{false, "no such service"};
}

}  // namespace

Outcome<Exit> drain_and_wait(const Context& context, const Words& words,
                             const std::string& timeout) {
    std::optional<std::chrono::milliseconds> patience;
    if (!timeout.empty()) {
        const auto parsed = parse_duration("--timeout", timeout);
        if (!parsed) return fail(parsed.error());
        patience = *parsed;
    }
    const auto body = body_of("service", words);
    if (!body) return fail(body.error());
    const std::optional<double> lasting = number_at(*body, "for_s");
    if (lasting) {
        const auto enough = require_time(context.client, words.subject, *lasting);
        if (!enough) return fail(enough.error());
    }
    const auto reply = context.client.post("/v1/drain", *body);
    if (!reply) return fail(reply.error());
    say_when_interrupted(words.subject);
    if (!context.json) fmt::print("{}\n", text_at(reply->body, "text"));
    const Exit exit = saved(reply->body, context.json);
    const auto started = Clock::now();
    Stages stages{context};
    const Question question = [&](const Client& client) {
        return observe(client, words.subject, stages, started, lasting);
    };
    const auto waited = await(context.client, question, "safe_to_stop=" + words.subject, patience);
    stages.end();
    if (!waited) return fail(waited.error());
    if (context.json) {
        json::object out = document("swerve.drain/1");
        out["service"] = words.subject;
        out["safe_to_stop"] = true;
        out["waited_s"] = std::chrono::duration<double>(*waited).count();
        out["stages"] = stages.to_json();
        out["saved"] = exit == Exit::done;
        print_json(json::serialize(out));
    }
    return exit;
}

}  // namespace swerve::ctl
