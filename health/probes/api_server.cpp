#include "health/probes/api_server.hpp"

#include <array>
#include <utility>

#include "health/probes/json_answer.hpp"
#include "health/probes/runtime.hpp"

namespace swerve::health {

Result<HttpServer, FieldFault> api_server(const FieldMap& values, std::string_view own_path) {
    auto server = http_server(values);
    if (!server) return server;
    std::string& path = server->path;
    if (path.find('?') != std::string::npos) {
        return fail(FieldFault{"url", "has a query, which the probe chooses itself",
                               "leave out ? and the rest"});
    }
    if (path.ends_with(own_path)) path.erase(path.size() - own_path.size());
    while (path.ends_with('/')) path.pop_back();
    return server;
}

std::string api_path(const HttpServer& server, std::string_view path) {
    return server.path + std::string{path};
}

Result<boost::json::value, Outcome> json_answer(const HttpAnswer& answer, std::string_view who,
                                                bool secret) {
    const std::string begin = "HTTP " + std::to_string(answer.status);
    if (answer.cut) return fail(unsure(begin + ", but the body is longer than is looked at"));
    auto document = parse_json(answer.body);
    if (!document) {
        std::string reason = begin + ", but no answer of " + std::string{who};
        if (!secret) reason += ": " + document.error();
        return fail(unsure(std::move(reason)));
    }
    return std::move(*document);
}

Outcome refused(const HttpAnswer& answer, bool secret) {
    static constexpr std::array<std::int64_t, 1> expected{200};
    // Where a redirect leads to may repeat the secret as well.
    if (secret) {
        return wrong_status({.status = answer.status, .location = {}, .body = {}}, expected, true);
    }
    Outcome out = wrong_status(answer, expected, true);
    const std::string_view body = answer.body;
    const std::string_view line = body.substr(0, body.find_first_of("\r\n"));
    if (!line.empty()) out.reason += ", it says " + quoted(line);
    return out;
}

std::string api_caveat(const FieldMap& values, std::string_view general) {
    const auto* tls = get<FieldMap>(values, "tls");
    const auto* insecure = tls == nullptr ? nullptr : get<bool>(*tls, "insecure");
    if (insecure != nullptr && *insecure) {
        return "the certificate is not verified, so any server passes for this one";
    }
    return std::string{general};
}

std::string url_target(const FieldMap& values) {
    const auto* url = get<std::string>(values, "url");
    return url == nullptr ? "" : *url;
}

}  // namespace swerve::health
