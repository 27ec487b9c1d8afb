#pragma once
// One bounded HTTP exchange, as every probe that speaks HTTP makes it: no redirect is followed,
// nothing is decompressed, no more than answer_limit octets of a body are kept.

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "health/probes/tls_client.hpp"
#include "swerve/base/result.hpp"
#include "swerve/health/probe.hpp"
#include "swerve/health/probe_fields.hpp"
#include "swerve/net/address.hpp"

namespace swerve::health {

/// Whom to ask, and as whom.
struct HttpServer {
    Endpoint target;
    bool is_tls = false;
    std::string path;  ///< of the URL, with its query; begins with '/'
    std::string host;  ///< the Host header
    TlsSettings tls;
    std::string username;       ///< with `password_file`: basic authentication (RFC 7617)
    std::string password_file;  ///< read at every attempt
    std::string token_file;     ///< a bearer token (RFC 6750), likewise

    /// Whether anything says who asks: only then does a refusal say nothing of the service.
    [[nodiscard]] bool has_credentials() const {
        return !username.empty() || !token_file.empty() || !tls.certificate_file.empty();
    }
};

/// What a probe that speaks HTTP lists among its fields: url, host and tls, the last three only if
/// its servers ask for credentials.
inline constexpr Field url_field{.name = "url",
                                 .kind = FieldKind::string,
                                 .required = true,
                                 .help = "Whom to ask, http or https; the host is an IP address."};
inline constexpr Field host_field{
    .name = "host",
    .kind = FieldKind::string,
    .help =
        "Host header, and for https the name to ask for and to verify; the URL's host if "
        "absent."};
inline constexpr Field username_field{
    .name = "username",
    .kind = FieldKind::string,
    .help = "User of basic authentication (RFC 7617); needs `password_file`."};
inline constexpr Field password_file_field{
    .name = "password_file",
    .kind = FieldKind::absolute_path,
    .help =
        "File with the password in one line, for its owner and group alone; read at every "
        "attempt."};
inline constexpr Field token_file_field{
    .name = "token_file",
    .kind = FieldKind::absolute_path,
    .help =
        "File with a bearer token (RFC 6750) in one line, for its owner and group alone; read "
        "at every attempt."};

/// Checks url, host, tls and credentials among `values`.
[[nodiscard]] Result<HttpServer, FieldFault> http_server(const FieldMap& values);

/// ProbeType::caveat of a probe that takes the server's word for all it says.
[[nodiscard]] std::string http_caveat(const FieldMap& values);

struct HttpRequest {
    std::string method = "GET";
    std::string path = {};  ///< empty: the server's own
    /// Beyond Host, User-Agent, Accept, Accept-Encoding, Connection and credentials.
    std::vector<std::pair<std::string, std::string>> headers = {};
    std::string body = {};            ///< with Content-Length
    std::size_t limit = 64UZ * 1024;  ///< octets of the answer's body that are kept
    /// Asked with what is there of the body whenever more of it has come; true ends the exchange.
    std::function<bool(std::string_view)> enough = {};
    /// Handed each piece of the body as it comes, which is then not kept: the answer's body stays
    /// empty, and `enough` is not asked.
    std::function<void(std::string_view)> take = {};
    /// What `enough` waits for, as a reason goes on: ", without 'ready'".
    std::string awaited = {};
    /// Called once with the status code before the body is read; false: without its body.
    std::function<bool(unsigned)> wants_body = {};
    /// What stands in `headers` and must not come back in a reason, beside the credentials.
    std::vector<std::string> secrets = {};
};

struct HttpAnswer {
    unsigned status = 0;
    std::string location;  ///< of a redirect, for the reason
    std::string body;
    bool cut = false;  ///< the body is longer than the limit
};

class HttpClient {
public:
    explicit HttpClient(HttpServer server);

    [[nodiscard]] const HttpServer& server() const { return server_; }
    /// The answer, whatever its status; otherwise fail (refused, reset, no HTTP, closed early) or
    /// unknown (our own lack, a secret that cannot be read) with its reason. One connection for
    /// each exchange.
    boost::asio::awaitable<Result<HttpAnswer, Outcome>> exchange(const ProbeContext& context,
                                                                 HttpRequest request);
    /// Makes stars of what the last exchange sent in confidence: a server may repeat it, and
    /// reasons quote answers. For sentences alone: what is judged stays as it came.
    void blot(std::string& text) const;

private:
    struct Credentials {
        std::string authorization;         ///< value of the header; empty: none are sent
        std::vector<std::string> secrets;  ///< what must not come back in a reason
    };
    /// Or why they cannot be read.
    [[nodiscard]] Result<Credentials, std::string> credentials() const;

    HttpServer server_;
    std::string name_;  ///< of the target, for reasons
    TlsClient tls_;
    std::vector<std::string> secrets_;  ///< of the last exchange
};

/// A probe of one server that may be given secrets. Whatever it says, as a reason or a step, is
/// blotted on its way out.
class HttpClientProbe : public Probe {
public:
    explicit HttpClientProbe(HttpServer server) : client_(std::move(server)) {}

    boost::asio::awaitable<Outcome> run(const ProbeContext& context, TimePoint deadline) final;

protected:
    /// One attempt, as run().
    virtual boost::asio::awaitable<Outcome> ask(const ProbeContext& context) = 0;

    HttpClient client_;
};

/// "HTTP 503 instead of 200 or 429", with the redirect that is not followed. 401 and 403 are
/// unknown for whom was given credentials, which may be the wrong ones, and say nothing of the
/// service; who has none expects to be let in, as clients of the site do.
[[nodiscard]] Outcome wrong_status(const HttpAnswer& answer, std::span<const std::int64_t> expected,
                                   bool has_credentials);

}  // namespace swerve::health
