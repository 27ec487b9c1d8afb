#include "health/probes/http_settings.hpp"

#include <algorithm>
#include <boost/url/authority_view.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

#include "health/probes/runtime.hpp"

namespace swerve::health {
namespace {

namespace urls = boost::urls;

constexpr std::string_view url_hint = "write it as http://198.51.100.1/healthz";

constexpr Field expect_fields[] = {
    {.name = "status",
     .kind = FieldKind::integer_list,
     .fallback = "[200]",
     .help = "Status codes that pass; redirects are not followed.",
     .least = 200,
     .most = 599},
    {.name = "body",
     .kind = FieldKind::string,
     .help = "Text that must occur in the first 64 KiB of the body."},
};

constexpr Field tls_fields[] = {
    {.name = "ca_file",
     .kind = FieldKind::absolute_path,
     .help = "PEM file of the authorities to trust instead of the system's."},
    {.name = "insecure",
     .kind = FieldKind::boolean,
     .fallback = "false",
     .help = "Accept any certificate."},
};

constexpr Field fields[] = {
    {.name = "url",
     .kind = FieldKind::string,
     .required = true,
     .help = "What to GET, http or https; the host is an IP address."},
    {.name = "host",
     .kind = FieldKind::string,
     .help = "Host header, and for https the name to ask for and to verify; the URL's host if "
             "absent."},
    {.name = "expect",
     .kind = FieldKind::group,
     .help = "What the answer must look like.",
     .members = expect_fields},
    {.name = "tls",
     .kind = FieldKind::group,
     .help = "Whom to trust; certificate and name are verified unless told otherwise.",
     .members = tls_fields},
};

FieldFault url_fault(std::string message, std::string_view hint = url_hint) {
    return {"url", std::move(message), std::string{hint}};
}

/// Address and port of the URL, or what is wrong with them.
Result<Endpoint, FieldFault> target_of(const urls::url_view& url, bool tls) {
    const std::string host{url.host_address()};
    if (url.host_type() == urls::host_type::name && !host.empty()) {
        return fail(url_fault(quoted(host) + " is a host name: host names are not in this version",
                              "put the address in the URL and the name in `host`"));
    }
    const auto address = Address::parse(host);
    if (!address) return fail(url_fault(quoted(host) + " is not an IP address"));
    if (const auto unusable = unusable_target(*address)) {
        return fail(url_fault(*unusable, "name the address that clients reach"));
    }
    std::uint16_t port = tls ? 443 : 80;
    if (url.has_port() && !url.port().empty()) {
        port = url.port_number();  // 0 also for what does not fit
        if (port == 0) return fail(url_fault(quoted(std::string{url.port()}) + " is not a port"));
    }
    return Endpoint{*address, port};
}

/// The name or address in a Host header, without its port; nothing if it is neither.
std::optional<std::string> server_name_of(std::string_view host) {
    const auto authority = urls::parse_authority(host);
    if (!authority || authority->has_userinfo()) return std::nullopt;
    std::string name{authority->host_address()};
    if (authority->host_type() != urls::host_type::name) return name;
    const auto fits = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '-' || c == '.' || c == '_';
    };
    if (name.empty() || name.size() > 253 || !std::ranges::all_of(name, fits)) return std::nullopt;
    return name;
}

/// Target, path and Host header from the URL alone.
Result<HttpSettings, FieldFault> from_url(const std::string& text) {
    const auto parsed = urls::parse_uri(text);
    if (!parsed) return fail(url_fault(quoted(text) + " is not a URL"));
    const urls::url_view& url = *parsed;
    const bool tls = url.scheme_id() == urls::scheme::https;
    if (!tls && url.scheme_id() != urls::scheme::http) {
        return fail(url_fault(quoted(text) + " is neither http:// nor https://"));
    }
    if (url.has_userinfo()) {
        return fail(url_fault("a user name or password has no place in a URL", ""));
    }
    if (url.has_fragment()) {
        return fail(url_fault("a fragment is never sent to a server", "leave out # and the rest"));
    }
    const auto target = target_of(url, tls);
    if (!target) return fail(target.error());
    HttpSettings out{.target = *target,
                     .tls = tls,
                     .path = std::string{url.encoded_resource()},
                     .host = std::string{url.encoded_host()},
                     .server_name = target->address.to_string(),
                     .statuses = {200},
                     .body = {},
                     .ca_file = {}};
    if (!out.path.starts_with('/')) out.path.insert(0, "/");
    if (target->port != (tls ? 443 : 80)) out.host += ":" + std::to_string(target->port);
    return out;
}

std::optional<FieldFault> add_expectations(const FieldMap& values, HttpSettings& out) {
    const auto* expect = get<FieldMap>(values, "expect");
    if (expect == nullptr) return std::nullopt;
    if (const auto* statuses = get<std::vector<std::int64_t>>(*expect, "status")) {
        if (statuses->empty()) return FieldFault{"expect.status", "is empty", "name a status code"};
        out.statuses = *statuses;
    }
    if (const auto* body = get<std::string>(*expect, "body")) {
        if (body->empty()) return FieldFault{"expect.body", "is empty", "leave the key out"};
        if (body->size() > answer_limit) {
            return FieldFault{"expect.body", "is longer than 64 KiB", ""};
        }
        out.body = *body;
    }
    return std::nullopt;
}

std::optional<FieldFault> add_trust(const FieldMap& values, HttpSettings& out) {
    const auto* tls = get<FieldMap>(values, "tls");
    if (tls == nullptr) return std::nullopt;
    if (const auto* file = get<std::string>(*tls, "ca_file")) out.ca_file = *file;
    if (const auto* insecure = get<bool>(*tls, "insecure")) out.insecure = *insecure;
    if (!out.tls && (!out.ca_file.empty() || out.insecure)) {
        return FieldFault{"tls", "means nothing for an http:// URL",
                          "write https:// or leave it out"};
    }
    if (out.insecure && !out.ca_file.empty()) {
        return FieldFault{"tls", "`ca_file` and `insecure` contradict each other",
                          "leave one of them out"};
    }
    return std::nullopt;
}

}  // namespace

std::span<const Field> http_fields() { return fields; }

Result<HttpSettings, FieldFault> http_settings(const FieldMap& values) {
    auto out = from_url(*get<std::string>(values, "url"));
    if (!out) return out;
    if (const auto* host = get<std::string>(values, "host")) {
        auto name = server_name_of(*host);
        if (!name) {
            return fail(FieldFault{"host", quoted(*host) + " is not a host name",
                                   "write it as portal.example or portal.example:8080"});
        }
        out->host = *host;
        out->server_name = std::move(*name);
    }
    if (auto fault = add_expectations(values, *out)) return fail(*fault);
    if (auto fault = add_trust(values, *out)) return fail(*fault);
    return out;
}

}  // namespace swerve::health
