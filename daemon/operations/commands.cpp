// Operators' words: overrides of services and prefixes, and sessions by hand.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>

#include "daemon/operations/api.hpp"
#include "daemon/operations/ask.hpp"
#include "daemon/operations/client_input.hpp"
#include "daemon/operations/command.hpp"
#include "daemon/operations/json_text.hpp"
#include "daemon/operations/state_keeper.hpp"
#include "swerve/base/clock.hpp"
#include "swerve/base/escape.hpp"

namespace swerve::daemon {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

using Answer = asio::awaitable<HttpResponse>;
using failover::OverrideKind;
using Subject = MainPort::Subject;

constexpr std::int64_t longest_override_s = 365LL * 24 * 3600;

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
    std::vector<std::string_view> known{subject};
    known.insert(known.end(), optional.begin(), optional.end());
    const auto body = parse_body(call.body, known);
    if (!body) return fail(body.error());
    const auto of = string_field(*body, subject, true);
    if (!of) return fail(of.error());
    const auto lasting = lasting_field(*body);
    if (!lasting) return fail(lasting.error());
    const auto reason = reason_field(*body);
    if (!reason) return fail(reason.error());
    return Command{std::string{verb}, call.who, *of, *lasting, *reason};
}

[[nodiscard]] bool has_service(const conf::Config& config, std::string_view name) {
    return std::ranges::find(config.services, name, &conf::Service::name) != config.services.end();
}

[[nodiscard]] Checked<Subject> service_subject(const conf::Config& config,
                                               const std::string& name) {
    if (has_service(config, name)) return name;
    return fail(no_such("service", name));
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
    co_return co_await done_response(
        std::move(context), command,
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
    std::string text = *cleared == 0 ? fmt::format("there was no {} on {}", what, command.subject)
                                     : fmt::format("{} {}{} on {} cleared", *cleared, what,
                                                   *cleared == 1 ? "" : "s", command.subject);
    co_return co_await done_response(std::move(context), command, std::move(text));
}

Answer set_on_prefix(ApiContextRef context, ApiCall call, std::string_view verb,
                     OverrideKind kind) {
    const auto command = parse_command(verb, "prefix", {"for_s", "reason"}, call);
    if (!command) co_return input_response(command.error());
    const auto subject = prefix_subject(command->subject);
    if (!subject) co_return input_response(subject.error());
    co_return co_await set_override(std::move(context), *command, *subject, kind);
}

struct NeighborVerb {
    std::string_view word;
    NeighborCommand command;
    std::string_view done;
};
/// What the configuration keeps down no command brings up.
[[nodiscard]] bool is_admin_down(const conf::Config& config, const std::string& name) {
    return std::ranges::any_of(config.neighbors, [&](const conf::Neighbor& each) {
        return each.name == name && each.admin_down;
    });
}

constexpr std::array<NeighborVerb, 4> neighbor_verbs{
    {{"enable", NeighborCommand::enable, "is enabled"},
     {"disable", NeighborCommand::disable, "is disabled until it is enabled, restarts included"},
     {"reset", NeighborCommand::reset, "is reset: its session ends and is opened anew"},
     {"refresh", NeighborCommand::refresh,
      "is refreshed: it is sent everything once more and asked for its routes"}}};

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

Answer command_neighbor(ApiContextRef context, ApiCall call) {
    const auto body = parse_body(call.body, {"neighbor", "command", "reason"});
    if (!body) co_return input_response(body.error());
    const auto name = string_field(*body, "neighbor", true);
    if (!name) co_return input_response(name.error());
    const auto word = string_field(*body, "command", true);
    if (!word) co_return input_response(word.error());
    const auto reason = reason_field(*body);
    if (!reason) co_return input_response(reason.error());
    const auto* verb = std::ranges::find(neighbor_verbs, *word, &NeighborVerb::word);
    if (verb == neighbor_verbs.end()) {
        co_return input_response(
            {ApiError::bad_request,
             fmt::format("'{}' is no command for a neighbor", escape(*word, 64)),
             "enable, disable, reset or refresh"});
    }
    const Command command{"neighbor " + *word, call.who, *name, {}, *reason};
    const bool admin_down = is_admin_down(*context->config, *name);
    if (admin_down &&
        (verb->command == NeighborCommand::reset || verb->command == NeighborCommand::refresh)) {
        co_return fault_response(
            *context, command,
            {ApiError::not_applied, fmt::format("neighbor {} is admin_down", *name),
             "take admin_down out of the configuration and reload"});
    }
    using Done = std::function<void(bool)>;
    const std::function<void(Done)> start = [&](Done done) {
        context->main.command_neighbor({*name, verb->command, call.who, *reason}, std::move(done));
    };
    const auto known = co_await ask<bool>(context->main_deadline, start);
    if (!known) co_return silent_response(*context, command);
    if (!*known) co_return fault_response(*context, command, no_such("neighbor", *name));
    const bool still_down = admin_down && verb->command == NeighborCommand::enable;
    co_return co_await done_response(
        std::move(context), command,
        fmt::format("neighbor {} {}{}", *name, verb->done,
                    still_down ? "; the configuration still keeps it down (admin_down)" : ""));
}

Answer stop(ApiContextRef context, ApiCall call) {
    // All of it may be left out, and so may the body.
    const auto body =
        parse_body(call.body.empty() ? "{}" : call.body, {"planned_restart", "reason"});
    if (!body) co_return input_response(body.error());
    const auto planned = flag_field(*body, "planned_restart");
    if (!planned) co_return input_response(planned.error());
    const auto reason = reason_field(*body);
    if (!reason) co_return input_response(reason.error());
    const Command command{
        *planned ? "stop --planned-restart" : "stop", call.who, context->config->site, {}, *reason};
    const StopRequest request{
        *planned, fmt::format("stopped by {}{}{}", call.who, reason->empty() ? "" : ": ", *reason)};
    if (*planned) {
        // The next process learns from the state file alone that neighbors keep routes for it.
        const auto saved = co_await context->keeper->save();
        if (!saved) {
            co_return fault_response(
                *context, command,
                {ApiError::not_applied,
                 fmt::format("the state cannot be saved, so that the next start would not know of "
                             "this one's promise: {}",
                             saved.error()),
                 "make room in state_dir, or stop without planned_restart, which withdraws"});
        }
    }
    using Done = std::function<void(std::optional<std::string>)>;
    const std::function<void(Done)> start = [&](Done done) {
        context->main.stop(request, std::move(done));
    };
    const auto why_not = co_await ask<std::optional<std::string>>(context->main_deadline, start);
    if (!why_not) co_return silent_response(*context, command);
    if (*why_not) {
        co_return fault_response(
            *context, command,
            {ApiError::not_applied, **why_not,
             *planned ? "stop without planned_restart withdraws the routes" : "wait for its end"});
    }
    co_return stopping_response(
        *context, command,
        *planned ? "the daemon ends and leaves the routes to its neighbors: start it again at once"
                 : "the daemon withdraws its routes and ends");
}

}  // namespace swerve::daemon
