#include "daemon/operations/api_error.hpp"

#include <boost/json/object.hpp>

#include "daemon/operations/json_text.hpp"
#include "daemon/operations/views.hpp"
#include "swerve/base/clock.hpp"

namespace swerve::daemon {

namespace json = boost::json;

namespace {

[[nodiscard]] unsigned http_status(ApiError code) {
    switch (code) {
        case ApiError::bad_request:
            return 400;
        case ApiError::not_found:
        case ApiError::no_such_object:
            return 404;
        case ApiError::method_not_allowed:
            return 405;
        case ApiError::refused:
        case ApiError::not_applied:
            return 409;
        case ApiError::invalid_configuration:
            return 422;
        case ApiError::too_large:
            return 413;
        case ApiError::busy:
            return 503;
        case ApiError::main_silent:
            break;
    }
    return 504;
}

}  // namespace

std::string_view to_string(ApiError code) {
    switch (code) {
        case ApiError::bad_request:
            return "bad_request";
        case ApiError::not_found:
            return "not_found";
        case ApiError::no_such_object:
            return "no_such_object";
        case ApiError::method_not_allowed:
            return "method_not_allowed";
        case ApiError::refused:
            return "refused";
        case ApiError::invalid_configuration:
            return "invalid_configuration";
        case ApiError::not_applied:
            return "not_applied";
        case ApiError::too_large:
            return "too_large";
        case ApiError::busy:
            return "busy";
        case ApiError::main_silent:
            break;
    }
    return "main_silent";
}

HttpResponse error_response(ApiError code, std::string_view message, std::string_view hint) {
    return error_response(code, message, hint, {});
}

HttpResponse error_response(ApiError code, std::string_view message, std::string_view hint,
                            json::object more) {
    json::object error{{"code", json_string(to_string(code))},
                       {"message", json_string(message)},
                       {"hint", json_string(hint)}};
    for (auto& member : more) error.emplace(member.key(), std::move(member.value()));
    json::object body = views::envelope("swerve.error/1", wall_now(), BootClock::now());
    body["error"] = std::move(error);
    return {.status = http_status(code), .body = to_text(body) + "\n"};
}

}  // namespace swerve::daemon
