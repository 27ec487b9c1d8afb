#include "daemon/operations/command.hpp"

#include <algorithm>
#include <boost/json/parse.hpp>

#include "daemon/operations/json_text.hpp"
#include "daemon/operations/state_keeper.hpp"
#include "daemon/operations/views.hpp"
#include "swerve/base/clock.hpp"

namespace swerve::daemon {

namespace json = boost::json;

namespace {

constexpr std::size_t deepest_body = 4;  // a command is one flat object
constexpr std::size_t longest_reason = 512;

[[nodiscard]] HttpResponse done(std::string_view text, bool saved, std::string_view note) {
    json::object body = views::envelope("swerve.done/1", wall_now(), BootClock::now());
    body["done"] = true;
    body["text"] = json_string(text);
    body["saved"] = saved;
    body["note"] = note.empty() ? nullptr : json_string(note);
    return {.body = to_text(body) + "\n"};
}

}  // namespace

Checked<json::object> parse_body(const std::string& body,
                                 const std::vector<std::string_view>& known) {
    const std::string hint =
        known.empty() ? "send {}, or nothing"
                      : fmt::format(R"(send one JSON object, such as {{"{}": …}})", known.front());
    if (body.empty()) return bad("a command needs a body", hint);
    json::parse_options options;
    options.max_depth = deepest_body;
    boost::system::error_code error;
    json::value value = json::parse(body, error, json::storage_ptr{}, options);
    if (error) return bad(fmt::format("the body is not JSON: {}", error.message()), hint);
    if (!value.is_object()) return bad("the body is not a JSON object", hint);
    for (const auto& member : value.get_object()) {
        const std::string_view key = member.key();
        if (std::ranges::count(known, key) > 0) continue;
        return bad(fmt::format("the field '{}' is not known here", escape(key, 64)),
                   known.empty()
                       ? "this command has none"
                       : fmt::format("fields of this command: {}", fmt::join(known, ", ")));
    }
    return std::move(value.get_object());
}

Checked<std::string> string_field(const json::object& body, std::string_view name, bool required) {
    const json::value* value = body.if_contains(name);
    const std::string hint = fmt::format(R"(send {{"{}": "…"}})", name);
    if (value == nullptr || (value->is_null() && !required)) {
        if (!required) return std::string{};
        return bad(fmt::format("the field '{}' is missing", name), hint);
    }
    if (!value->is_string() || (required && value->get_string().empty())) {
        return bad(fmt::format("the field '{}' is not a text", name), hint);
    }
    return std::string{value->get_string()};
}

Checked<bool> flag_field(const json::object& body, std::string_view name) {
    const json::value* value = body.if_contains(name);
    if (value == nullptr || value->is_null()) return false;
    if (value->is_bool()) return value->get_bool();
    return bad(fmt::format("{} is neither true nor false", name),
               fmt::format(R"({{"{}": true}})", name));
}

Checked<std::string> reason_field(const json::object& body) {
    const auto reason = string_field(body, "reason", false);
    if (!reason) return reason;
    if (reason->size() > longest_reason) {
        return bad(fmt::format("the reason has {} octets", reason->size()),
                   fmt::format("at most {}", longest_reason));
    }
    return escape(*reason, longest_reason);
}

void record(const ApiContext& context, const Command& command, std::string_view outcome) {
    json::object line = views::envelope("swerve.command/1", wall_now(), BootClock::now());
    line["command"] = json_string(command.verb);
    line["subject"] = json_string(command.subject);
    line["who"] = json_string(command.who);
    line["for_s"] = command.lasting ? json::value(seconds(*command.lasting)) : nullptr;
    line["reason"] = command.reason.empty() ? nullptr : json_string(command.reason);
    line["outcome"] = json_string(outcome);
    context.audit->append(to_text(line));
    context.logger->info("event=command command={} subject={} who={} text={}", quoted(command.verb),
                         quoted(command.subject), quoted(command.who), quoted(outcome));
}

HttpResponse input_response(const Fault& fault) {
    return error_response(fault.code, fault.message, fault.hint);
}

HttpResponse fault_response(const ApiContext& context, const Command& command, const Fault& fault) {
    record(context, command, fmt::format("{}: {}", to_string(fault.code), fault.message));
    return error_response(fault.code, fault.message, fault.hint);
}

HttpResponse silent_response(const ApiContext& context, const Command& command) {
    record(context, command, "main_silent: not known whether it took effect");
    return main_silent(context);
}

boost::asio::awaitable<HttpResponse> done_response(ApiContextRef context, Command command,
                                                   std::string text) {
    const auto saved = co_await context->keeper->save();
    std::string note;
    if (!saved) {
        note = "in force, but not saved: a restart will forget it: " + saved.error();
        context->alarm(fmt::format("{} of {}: {}", command.verb, command.subject, note));
    }
    record(*context, command, saved ? text : text + "; " + note);
    co_return done(text, saved.has_value(), note);
}

HttpResponse stopping_response(const ApiContext& context, const Command& command,
                               std::string_view text) {
    record(context, command, text);
    return done(text, true, {});
}

}  // namespace swerve::daemon
