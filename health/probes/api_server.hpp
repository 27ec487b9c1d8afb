#pragma once
// What the probes of a known API share: the operator names the server, the probe knows the path.

#include <boost/json/value.hpp>
#include <string>
#include <string_view>

#include "health/probes/http_client.hpp"

namespace swerve::health {

/// The server in `url`; its path is what a proxy puts before the API, "/" where there is none.
/// `own_path` at the end of it says nothing new and is left out.
[[nodiscard]] Result<HttpServer, FieldFault> api_server(const FieldMap& values,
                                                        std::string_view own_path);

/// `path` behind the server's own.
[[nodiscard]] std::string api_path(const HttpServer& server, std::string_view path);

/// The JSON of an answer, or the unknown that says why it has none. `who` should have sent it:
/// "Vault". Of the body of whom was given a `secret` the reason says nothing: it may repeat it.
[[nodiscard]] Result<boost::json::value, Outcome> json_answer(const HttpAnswer& answer,
                                                              std::string_view who, bool secret);

/// "HTTP 500 instead of 200", with the first line of what the server says about it, unless it was
/// given a `secret`.
[[nodiscard]] Outcome refused(const HttpAnswer& answer, bool secret);

/// ProbeType::caveat of a probe with the group `tls`: `general`, unless any server would pass.
[[nodiscard]] std::string api_caveat(const FieldMap& values, std::string_view general);

/// ProbeType::target of a probe with a url.
[[nodiscard]] std::string url_target(const FieldMap& values);

}  // namespace swerve::health
