// The commands of the control socket. Each leaves a line in the audit file, whatever came of it.

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/parse.hpp>
#include <cmath>
#include <set>
#include <string>

#include "daemon/operations/api.hpp"
#include "daemon/operations/api_error.hpp"
#include "daemon/operations/ask.hpp"
#include "daemon/operations/client_input.hpp"
#include "daemon/operations/json_text.hpp"
#include "daemon/operations/views.hpp"
#include "swerve/base/clock.hpp"
#include "swerve/base/escape.hpp"

namespace swerve::daemon {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

using Answer = asio::awaitable<HttpResponse>;
using failover::OverrideKind;
using Subject = MainPort::Subject;

constexpr std::size_t deepest_body = 4;  // a command is one flat object
constexpr std::int64_t longest_override_s = 365LL * 24 * 3600;
constexpr std::size_t longest_reason = 512;
constexpr std::string_view memory_note =
    "overrides are kept in memory only in this version: a restart of swerved forgets them";

/// What a command says, checked; subject still as text.
struct Command {
    std::string verb;
    std::string who;
    std::string subject;
    std::optional<Duration> lasting;
    std::string reason;
};

struct Fault {
    ApiError code;
    std::string message;
    std::string hint;
};
template <class T>
using Checked = Result<T, Fault>;

[[nodiscard]] auto bad(std::string message, std::string hint) {
    return fail(Fault{ApiError::bad_request, std::move(message), std::move(hint)});
}

[[nodiscard]] Checked<json::object> parse_body(const std::string& body) {
    if (body.empty()) {
        return bad("a command needs a body", R"(send JSON, such as {"service": "portal"})");
    }
    json::parse_options options;
    options.max_depth = deepest_body;
    boost::system::error_code error;
    const json::value value = json::parse(body, error, json::storage_ptr{}, options);
    if (error) {
        return bad(fmt::format("the body is not JSON: {}", error.message()),
                   R"(send one object, such as {"service": "portal"})");
    }
    if (!value.is_object()) {
        return bad("the body is not a JSON object",
                   R"(send one object, such as {"service": "portal"})");
    }
    return value.get_object();
}

[[nodiscard]] Checked<void> check_names(const json::object& body,
                                        const std::vector<std::string_view>& known) {
    for (const auto& member : body) {
        const std::string_view key = member.key();
        if (std::ranges::count(known, key) > 0) continue;
        return bad(fmt::format("the field '{}' is not known here", escape(key, 64)),
                   fmt::format("fields of this command: {}", fmt::join(known, ", ")));
    }
    return {};
}

[[nodiscard]] Checked<std::string> string_field(const json::object& body, std::string_view name,
                                                bool required) {
    const json::value* value = body.if_contains(name);
    if (value == nullptr || (value->is_null() && !required)) {
        if (!required) return std::string{};
        return bad(fmt::format("the field '{}' is missing", name),
                   fmt::format(R"(send {{"{}": "…"}})", name));
    }
    if (!value->is_string() || (required && value->get_string().empty())) {
        return bad(fmt::format("the field '{}' is not a text", name),
                   fmt::format(R"(send {{"{}": "…"}})", name));
    }
    return std::string{value->get_string()};
}

[[nodiscard]] Checked<std::optional<Duration>> lasting_field(const json::object& body) {
    const json::value* value = body.if_contains("for_s");
    if (value == nullptr || value->is_null()) return std::nullopt;
    const std::string hint =
        fmt::format("whole seconds, 1 to {} (a year); leave it out for no end", longest_override_s);
    boost::system::error_code inexact;
    const auto number = value->is_double() ? 0 : value->to_number<std::int64_t>(inexact);
    if (inexact || number < 1 || number > longest_override_s) {
        return bad(fmt::format("for_s: {} is not a duration", escape(to_text(*value), 64)), hint);
    }
    return std::chrono::seconds{number};
}

[[nodiscard]] Checked<Command> parse_command(std::string_view verb, std::string_view subject,
                                             const std::vector<std::string_view>& optional,
                                             const ApiCall& call) {
    const auto body = parse_body(call.body);
    if (!body) return fail(body.error());
    std::vector<std::string_view> known{subject};
    known.insert(known.end(), optional.begin(), optional.end());
    if (const auto good = check_names(*body, known); !good) return fail(good.error());
    const auto of = string_field(*body, subject, true);
    if (!of) return fail(of.error());
    const auto lasting = lasting_field(*body);
    if (!lasting) return fail(lasting.error());
    const auto reason = string_field(*body, "reason", false);
    if (!reason) return fail(reason.error());
    if (reason->size() > longest_reason) {
        return bad(fmt::format("the reason has {} octets", reason->size()),
                   fmt::format("at most {}", longest_reason));
    }
    return Command{std::string{verb}, call.who, *of, *lasting, escape(*reason, longest_reason)};
}

[[nodiscard]] bool has_service(const conf::Config& config, std::string_view name) {
    return std::ranges::find(config.services, name, &conf::Service::name) != config.services.end();
}

[[nodiscard]] Checked<Subject> service_subject(const conf::Config& config,
                                               const std::string& name) {
    if (has_service(config, name)) return name;
    return fail(Fault{ApiError::no_such_object,
                      fmt::format("there is no service '{}'", escape(name, 64)),
                      "GET /v1/services lists them"});
}

[[nodiscard]] Checked<Subject> prefix_subject(const std::string& text) {
    const auto prefix = parse_prefix(text);
    if (!prefix) return bad(prefix.error().message, prefix.error().hint);
    return *prefix;
}

/// A service of that name, else a prefix.
[[nodiscard]] Checked<Subject> any_subject(const conf::Config& config, const std::string& text) {
    if (has_service(config, text)) return text;
    if (text.find('/') != std::string::npos) return prefix_subject(text);
    return service_subject(config, text);
}

[[nodiscard]] Fault refused(failover::Refusal refusal, const Command& command,
                            const conf::Config& config) {
    const std::string subject = escape(command.subject, 64);
    switch (refusal) {
        case failover::Refusal::not_owned: {
            std::vector<std::string> owned;
            owned.reserve(config.owned.size());
            for (const auto& prefix : config.owned) owned.push_back(prefix.to_string());
            return {ApiError::refused, fmt::format("{} lies outside 'owned'", subject),
                    fmt::format("owned: {}", fmt::join(owned, ", "))};
        }
        case failover::Refusal::no_such_object:
            return {ApiError::no_such_object,
                    fmt::format("this site has no route {} to {}", subject, command.verb),
                    "GET /v1/routes lists them"};
        case failover::Refusal::stopping:
            break;
    }
    return {ApiError::refused, "the daemon is stopping and announces nothing any more",
            "wait for its end and start it again"};
}

/// The line of a command in the audit file and the log. Overrides that come of it are events of
/// their own; this one says who asked, also when nothing came of it.
void record(const ApiContext& context, const Command& command, std::string_view outcome) {
    json::object line = views::envelope("swerve.command/1", wall_now(), BootClock::now());
    line["command"] = json_string(command.verb);
    line["subject"] = json_string(command.subject);
    line["who"] = json_string(command.who);
    line["for_s"] = command.lasting ? json::value(seconds(*command.lasting)) : nullptr;
    line["reason"] = command.reason.empty() ? nullptr : json_string(command.reason);
    line["outcome"] = json_string(outcome);
    context.audit->append(to_text(line));
    context.logger->info("event=command command={} subject={} who={} text={}", command.verb,
                         quoted(command.subject), quoted(command.who), quoted(outcome));
}

[[nodiscard]] HttpResponse fault_response(const ApiContext& context, const Command& command,
                                          const Fault& fault) {
    record(context, command, fmt::format("{}: {}", to_string(fault.code), fault.message));
    return error_response(fault.code, fault.message, fault.hint);
}

[[nodiscard]] HttpResponse silent_response(const ApiContext& context, const Command& command) {
    record(context, command, "main_silent: not known whether it took effect");
    return main_silent(context);
}

[[nodiscard]] HttpResponse done_response(const ApiContext& context, const Command& command,
                                         const std::string& text) {
    record(context, command, text);
    json::object body = views::envelope("swerve.done/1", wall_now(), BootClock::now());
    body["done"] = true;
    body["text"] = json_string(text);
    body["note"] = json_string(memory_note);
    return {.body = to_text(body) + "\n"};
}

[[nodiscard]] HttpResponse input_response(const Fault& fault) {
    return error_response(fault.code, fault.message, fault.hint);
}

Answer set_override(ApiContextRef context, Command command, Subject subject, OverrideKind kind) {
    failover::Override value{.kind = kind,
                             .reason = command.reason,
                             .who = command.who,
                             .set_at = wall_now(),
                             .expires = {}};
    using Done = std::function<void(std::optional<failover::Refusal>)>;
    const std::function<void(Done)> start = [&](Done done) {
        context->main.set_override(subject, value, command.lasting, std::move(done));
    };
    const auto answer =
        co_await ask<std::optional<failover::Refusal>>(context->main_deadline, start);
    if (!answer) co_return silent_response(*context, command);
    if (*answer) {
        co_return fault_response(*context, command, refused(**answer, command, *context->config));
    }
    const std::string until =
        command.lasting ? fmt::format("for {} s", command.lasting->count() / 1'000'000'000)
                        : "until it is cleared";
    co_return done_response(
        *context, command,
        fmt::format("{} of {} is in force {}", failover::to_string(kind), command.subject, until));
}

Answer clear_overrides(ApiContextRef context, Command command, Subject subject,
                       std::optional<OverrideKind> only) {
    using Done = std::function<void(std::size_t)>;
    const std::function<void(Done)> start = [&](Done done) {
        context->main.clear_overrides(subject, only, std::move(done));
    };
    const auto cleared = co_await ask<std::size_t>(context->main_deadline, start);
    if (!cleared) co_return silent_response(*context, command);
    const std::string_view what = only ? "drain" : "override";
    co_return done_response(*context, command,
                            *cleared == 0
                                ? fmt::format("there was no {} on {}", what, command.subject)
                                : fmt::format("{} {}{} on {} cleared", *cleared, what,
                                              *cleared == 1 ? "" : "s", command.subject));
}

Answer set_on_prefix(ApiContextRef context, ApiCall call, std::string_view verb,
                     OverrideKind kind) {
    const auto command = parse_command(verb, "prefix", {"for_s", "reason"}, call);
    if (!command) co_return input_response(command.error());
    const auto subject = prefix_subject(command->subject);
    if (!subject) co_return input_response(subject.error());
    co_return co_await set_override(std::move(context), *command, *subject, kind);
}

}  // namespace

Answer announce(ApiContextRef context, ApiCall call) {
    return set_on_prefix(std::move(context), std::move(call), "announce", OverrideKind::announce);
}

Answer withdraw(ApiContextRef context, ApiCall call) {
    return set_on_prefix(std::move(context), std::move(call), "withdraw", OverrideKind::withdraw);
}

Answer drain(ApiContextRef context, ApiCall call) {
    const std::vector<std::string_view> optional{"for_s", "reason"};
    const auto command = parse_command("drain", "service", optional, call);
    if (!command) co_return input_response(command.error());
    const auto subject = service_subject(*context->config, command->subject);
    if (!subject) co_return fault_response(*context, *command, subject.error());
    co_return co_await set_override(std::move(context), *command, *subject, OverrideKind::drain);
}

Answer undrain(ApiContextRef context, ApiCall call) {
    const std::vector<std::string_view> optional{"reason"};
    const auto command = parse_command("undrain", "service", optional, call);
    if (!command) co_return input_response(command.error());
    const auto subject = service_subject(*context->config, command->subject);
    if (!subject) co_return fault_response(*context, *command, subject.error());
    co_return co_await clear_overrides(std::move(context), *command, *subject, OverrideKind::drain);
}

Answer clear(ApiContextRef context, ApiCall call) {
    const std::vector<std::string_view> optional;
    const auto command = parse_command("auto", "subject", optional, call);
    if (!command) co_return input_response(command.error());
    const auto subject = any_subject(*context->config, command->subject);
    if (!subject) co_return fault_response(*context, *command, subject.error());
    co_return co_await clear_overrides(std::move(context), *command, *subject, std::nullopt);
}

}  // namespace swerve::daemon
