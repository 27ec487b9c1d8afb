#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <string_view>

#include "daemon/operations/http_message.hpp"

namespace swerve::daemon {

/// The error codes of docs/api.md; each has one HTTP status.
enum class ApiError : std::uint8_t {
    bad_request,
    not_found,
    no_such_object,
    method_not_allowed,
    refused,
    invalid_configuration,
    not_applied,
    too_large,
    busy,
    main_silent,
};
[[nodiscard]] std::string_view to_string(ApiError code);

/// `swerve.error/1`. Both texts may hold what a client sent; `hint` says what to do.
[[nodiscard]] HttpResponse error_response(ApiError code, std::string_view message,
                                          std::string_view hint);
/// With further members of `error`.
[[nodiscard]] HttpResponse error_response(ApiError code, std::string_view message,
                                          std::string_view hint, boost::json::object more);

}  // namespace swerve::daemon
