#pragma once
// What all commands of the control socket share: a checked body, a line in the audit file whatever
// came of it, and answers.

#include <fmt/format.h>

#include <boost/json/object.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/operations/api.hpp"
#include "daemon/operations/api_error.hpp"
#include "swerve/base/escape.hpp"
#include "swerve/base/result.hpp"
#include "swerve/base/time.hpp"

namespace swerve::daemon {

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

[[nodiscard]] inline auto bad(std::string message, std::string hint) {
    return fail(Fault{ApiError::bad_request, std::move(message), std::move(hint)});
}

/// "there is no service 'x'".
[[nodiscard]] inline Fault no_such(std::string_view kind, std::string_view name) {
    return {ApiError::no_such_object, fmt::format("there is no {} '{}'", kind, escape(name, 64)),
            fmt::format("GET /v1/{}s lists them", kind)};
}

/// The body as an object that has no other fields than these.
[[nodiscard]] Checked<boost::json::object> parse_body(const std::string& body,
                                                      const std::vector<std::string_view>& known);
/// Empty where the field is absent or null.
[[nodiscard]] Checked<std::string> string_field(const boost::json::object& body,
                                                std::string_view name, bool required);
/// False where the field is absent or null.
[[nodiscard]] Checked<bool> flag_field(const boost::json::object& body, std::string_view name);
/// `reason`, safe to show; at most 512 octets.
[[nodiscard]] Checked<std::string> reason_field(const boost::json::object& body);

/// Who asked for what, and what came of it: into the audit file and the log. What a command changes
/// are events of their own.
void record(const ApiContext& context, const Command& command, std::string_view outcome);

[[nodiscard]] HttpResponse input_response(const Fault& fault);
/// With a record.
[[nodiscard]] HttpResponse fault_response(const ApiContext& context, const Command& command,
                                          const Fault& fault);
[[nodiscard]] HttpResponse silent_response(const ApiContext& context, const Command& command);
/// With a record, once what the command changed is on stable storage, or is known not to be:
/// DESIGN.md §4.7.
[[nodiscard]] boost::asio::awaitable<HttpResponse> done_response(ApiContextRef context,
                                                                 Command command, std::string text);

/// The last answer of a daemon that is ending, with a record; what is to outlive it is saved behind
/// it.
[[nodiscard]] HttpResponse stopping_response(const ApiContext& context, const Command& command,
                                             std::string_view text);

}  // namespace swerve::daemon
