// The one translation unit that compiles Beast.

#include "health/probes/http_client.hpp"

#include <openssl/evp.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/url/authority_view.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <memory>
#include <type_traits>

#include "health/probes/runtime.hpp"
#include "health/probes/secret.hpp"
#include "swerve/base/escape.hpp"

namespace swerve::health {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
namespace ssl = boost::asio::ssl;
namespace urls = boost::urls;
using asio::ip::tcp;
using boost::system::error_code;

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t header_limit = 16UZ * 1024;
constexpr int interim_limit = 8;
/// How much of a body is read at once.
constexpr std::size_t piece_size = 16UZ * 1024;

constexpr std::string_view url_hint = "write it as http://198.51.100.1/healthz";

/// A body into a buffer of ours: the parser of strings would reserve whatever Content-Length says.
using Parser = http::response_parser<http::buffer_body>;
using Message = http::request<http::string_body>;

bool is_end(const error_code& error) {
    return error == http::error::end_of_stream || error == http::error::partial_message ||
           error == asio::error::eof || error == ssl::error::stream_truncated;
}

bool is_http_fault(const error_code& error) {
    return error.category() == make_error_code(http::error::bad_version).category();
}

/// One exchange over a stream that is ready for it.
template <class Stream>
class Exchange {
public:
    Exchange(const ProbeContext& context, Stream& stream, const HttpRequest& request,
             const Endpoint& target, bool has_secret)
        : context_(context),
          stream_(stream),
          request_(request),
          target_(target),
          name_(target.to_string()),
          has_secret_(has_secret),
          buffer_(answer_limit) {
        buffer_.reserve(4096);
    }

    asio::awaitable<Result<HttpAnswer, Outcome>> run(const Message& message) {
        const auto [error, sent] = co_await http::async_write(stream_, message, as_result);
        if (error) co_return fail(went_wrong(error, "sending to " + name_));
        step(context_, "sent the request, " + std::to_string(sent) + " octets");
        if (auto refused = co_await read_header(message.method() == http::verb::head)) {
            co_return fail(std::move(*refused));
        }
        HttpAnswer answer{.status = parser_->get().result_int(), .location = {}, .body = {}};
        const auto location = parser_->get().find(http::field::location);
        if (answer.status / 100 == 3 && location != parser_->get().end()) {
            answer.location = std::string{location->value().data(), location->value().size()};
        }
        if (request_.wants_body && !request_.wants_body(answer.status)) co_return answer;
        if (auto refused = co_await read_body(answer)) co_return fail(std::move(*refused));
        co_return answer;
    }

private:
    asio::awaitable<std::optional<Outcome>> read_header(bool has_no_body) {
        // RFC 9110 §15.2: interim answers may come before the final one, asked for or not.
        for (int i = 0; i < interim_limit; ++i) {
            parser_ = std::make_unique<Parser>();
            parser_->header_limit(header_limit);
            parser_->body_limit(boost::none);
            parser_->skip(has_no_body);
            const auto [error, count] =
                co_await http::async_read_header(stream_, buffer_, *parser_, as_result);
            if (error) co_return header_failed(error);
            const unsigned status = parser_->get().result_int();
            step(context_, "HTTP " + std::to_string(status) + ", header complete");
            if (status / 100 != 1) break;
        }
        co_return std::nullopt;
    }

    asio::awaitable<std::optional<Outcome>> read_body(HttpAnswer& answer) {
        std::string piece;
        std::size_t seen = 0;
        parser_->eager(true);
        while (!parser_->is_done() && seen < request_.limit) {
            const std::size_t room = std::min(piece_size, request_.limit - seen);
            // What is kept is read to where it stays.
            std::string& into = request_.take ? piece : answer.body;
            const std::size_t at = request_.take ? 0 : seen;
            into.resize(at + room);
            auto& body = parser_->get().body();
            body.data = into.data() + at;
            body.size = room;
            const auto [error, count] =
                co_await http::async_read_some(stream_, buffer_, *parser_, as_result);
            const std::size_t filled = room - body.size;
            into.resize(at + filled);
            if (seen == 0 && filled > 0) {
                step(context_, "first " + std::to_string(filled) + " octets of the body");
            }
            seen += filled;
            if (request_.take) request_.take(piece);
            if (!request_.take && request_.enough && request_.enough(answer.body)) {
                co_return std::nullopt;
            }
            if (error && error != http::error::need_buffer) {
                co_return body_failed(error, answer.status, seen);
            }
        }
        answer.cut = !parser_->is_done();
        co_return std::nullopt;
    }

    [[nodiscard]] Outcome went_wrong(const error_code& error, std::string doing) const {
        if constexpr (std::is_same_v<Stream, TlsStream>) {
            if (auto refused = refused_certificate(error, target_, stream_)) return *refused;
        }
        return from_error(error, std::move(doing), target_);
    }

    [[nodiscard]] Outcome header_failed(const error_code& error) const {
        if (error == http::error::header_limit || error == http::error::buffer_overflow) {
            return failed("the header from " + name_ + " is longer than 16 KiB");
        }
        if (is_end(error)) {
            return failed(name_ + (buffer_.size() == 0 ? " closed without an answer"
                                                       : " closed in the middle of the header"));
        }
        if (is_http_fault(error)) {
            if (has_secret_) return failed("not HTTP: " + error.message());
            const auto data = buffer_.cdata();
            const std::string_view begin{static_cast<const char*>(data.data()),
                                         std::min(data.size(), 32UZ)};
            return failed("not HTTP: " + error.message() + " in " + quoted(begin));
        }
        return went_wrong(error, "waiting for the header from " + name_);
    }

    [[nodiscard]] Outcome body_failed(const error_code& error, unsigned status,
                                      std::size_t length) const {
        if (is_end(error)) {
            return failed("HTTP " + std::to_string(status) + ", but " + name_ + " closed after " +
                          std::to_string(length) + " bytes of the body" + request_.awaited);
        }
        if (is_http_fault(error)) return failed("not HTTP: " + error.message() + " in the body");
        return went_wrong(error, "with " + std::to_string(length) + " bytes of the body from " +
                                     name_ + request_.awaited);
    }

    const ProbeContext& context_;
    Stream& stream_;
    const HttpRequest& request_;
    Endpoint target_;
    std::string name_;
    bool has_secret_;  ///< which the server may repeat, cut anywhere
    boost::beast::flat_buffer buffer_;
    std::unique_ptr<Parser> parser_;
};

Message message_for(const HttpServer& server, const HttpRequest& request,
                    const std::string& authorization) {
    Message out;
    out.method_string(request.method);
    out.target(request.path.empty() ? server.path : request.path);
    out.version(11);
    out.set(http::field::host, server.host);
    out.set(http::field::user_agent, "swerve");
    out.set(http::field::accept, "*/*");
    out.set(http::field::accept_encoding, "identity");
    out.set(http::field::connection, "close");
    if (!authorization.empty()) out.set(http::field::authorization, authorization);
    for (const auto& [name, value] : request.headers) out.set(name, value);
    if (!request.body.empty()) {
        out.body() = request.body;
        out.prepare_payload();
    }
    return out;
}

std::string base64(const std::string& text) {
    std::string out((text.size() + 2) / 3 * 4 + 1, '\0');
    const auto* from = reinterpret_cast<const unsigned char*>(text.data());
    auto* to = reinterpret_cast<unsigned char*>(out.data());
    out.resize(static_cast<std::size_t>(EVP_EncodeBlock(to, from, static_cast<int>(text.size()))));
    return out;
}

/// All that must not be told, and how a text in quotation marks repeats it.
std::vector<std::string> told_secrets(std::vector<std::string> secrets,
                                      std::vector<std::string> more) {
    for (std::string& each : more) secrets.push_back(std::move(each));
    const std::size_t count = secrets.size();
    for (std::size_t i = 0; i < count; ++i) {
        std::string escaped;
        for (const char each : secrets[i]) {
            if (each == '"' || each == '\\') escaped += '\\';
            escaped += each;
        }
        if (escaped != secrets[i]) secrets.push_back(std::move(escaped));
    }
    // The longer first: one may be the beginning of another.
    std::ranges::sort(secrets, std::ranges::greater{}, &std::string::size);
    return secrets;
}

}  // namespace

HttpClient::HttpClient(HttpServer server)
    : server_(std::move(server)), name_(server_.target.to_string()), tls_(server_.tls) {}

Result<HttpClient::Credentials, std::string> HttpClient::credentials() const {
    if (!server_.username.empty()) {
        auto password = read_secret(server_.password_file);
        if (!password) return fail("password_file " + password.error());
        const std::string both = base64(server_.username + ":" + *password);
        return Credentials{"Basic " + both, {std::move(*password), both}};
    }
    if (server_.token_file.empty()) return Credentials{};
    auto token = read_secret(server_.token_file);
    if (!token) return fail("token_file " + token.error());
    return Credentials{"Bearer " + *token, {*token}};
}

void HttpClient::blot(std::string& text) const {
    static constexpr std::string_view ellipsis = "…";
    const auto star = [&text](std::size_t at, std::size_t count) {
        text.replace(at, count, count, '*');
    };
    for (const std::string& secret : secrets_) {
        for (std::size_t at = text.find(secret); at != std::string::npos;
             at = text.find(secret, at + secret.size())) {
            star(at, secret.size());
        }
        // Where escape() cut a text, the secret may have begun.
        for (std::size_t at = text.find(ellipsis); at != std::string::npos;
             at = text.find(ellipsis, at + ellipsis.size())) {
            std::size_t begun = std::min(secret.size() - 1, at);
            while (text.compare(at - begun, begun, secret, 0, begun) != 0) --begun;
            star(at - begun, begun);
        }
    }
}

asio::awaitable<Result<HttpAnswer, Outcome>> HttpClient::exchange(const ProbeContext& context,
                                                                  HttpRequest request) {
    if (server_.is_tls) {
        if (auto fault = tls_.prepare()) co_return fail(unsure(std::move(*fault)));
    }
    auto given = credentials();
    if (!given) co_return fail(unsure(given.error()));
    secrets_ = told_secrets(std::move(given->secrets), std::move(request.secrets));
    const Message message = message_for(server_, request, given->authorization);
    auto socket = co_await connect(context, server_.target);
    if (!socket) co_return fail(std::move(socket.error()));
    Result<HttpAnswer, Outcome> answer;
    if (server_.is_tls) {
        TlsStream stream = tls_.stream(*socket);
        auto refused = co_await tls_.handshake(context, stream, server_.target);
        if (refused) {
            answer = fail(std::move(*refused));
        } else {
            Exchange exchange(context, stream, request, server_.target, !secrets_.empty());
            answer = co_await exchange.run(message);
        }
    } else {
        Exchange exchange(context, *socket, request, server_.target, !secrets_.empty());
        answer = co_await exchange.run(message);
    }
    close_quietly(*socket);
    co_return answer;
}

asio::awaitable<Outcome> HttpClientProbe::run(const ProbeContext& context, TimePoint /*deadline*/) {
    ProbeContext blotting{.owned = context.owned, .step = {}};
    if (context.step) {
        blotting.step = [this, &context](std::string text) {
            client_.blot(text);
            context.step(std::move(text));
        };
    }
    Outcome outcome = co_await ask(blotting);
    client_.blot(outcome.reason);
    co_return outcome;
}

Outcome wrong_status(const HttpAnswer& answer, std::span<const std::int64_t> expected,
                     bool has_credentials) {
    std::string reason = "HTTP " + std::to_string(answer.status) + " instead of ";
    for (std::size_t i = 0; i < expected.size(); ++i) {
        reason += (i == 0 ? "" : " or ") + std::to_string(expected[i]);
    }
    if (answer.status == 401 || answer.status == 403) {
        reason += ", the server wants other credentials";
        return has_credentials ? unsure(std::move(reason)) : failed(std::move(reason));
    }
    if (answer.status / 100 == 3 && !answer.location.empty()) {
        reason += ", redirects to " + quoted(answer.location) + " are not followed";
    }
    return failed(std::move(reason));
}

// What stands in the configuration.

namespace {

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
    if (!is_server_name(name)) return std::nullopt;
    return name;
}

/// Target, path and Host header from the URL alone.
Result<HttpServer, FieldFault> from_url(const std::string& text) {
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
    HttpServer out{.target = *target,
                   .is_tls = tls,
                   .path = std::string{url.encoded_resource()},
                   .host = std::string{url.encoded_host()},
                   .tls = {},
                   .username = {},
                   .password_file = {},
                   .token_file = {}};
    if (!out.path.starts_with('/')) out.path.insert(0, "/");
    if (target->port != (tls ? 443 : 80)) out.host += ":" + std::to_string(target->port);
    return out;
}

std::optional<FieldFault> add_credentials(const FieldMap& values, HttpServer& out) {
    if (const auto* name = get<std::string>(values, "username")) out.username = *name;
    if (const auto* file = get<std::string>(values, "password_file")) out.password_file = *file;
    if (const auto* file = get<std::string>(values, "token_file")) out.token_file = *file;
    if (out.username.empty() && get<std::string>(values, "username") != nullptr) {
        return FieldFault{"username", "is empty", "leave the key out"};
    }
    // RFC 7617 §2: a colon would end the name.
    if (out.username.contains(':') || escape(out.username, out.username.size()) != out.username) {
        return FieldFault{"username", quoted(out.username) + " holds a colon or what is no text",
                          ""};
    }
    if (out.username.empty() != out.password_file.empty()) {
        return FieldFault{out.username.empty() ? "username" : "password_file",
                          "is missing: a user needs a password, a password its user",
                          "give both or none"};
    }
    if (!out.username.empty() && !out.token_file.empty()) {
        return FieldFault{"token_file", "contradicts `username`", "leave one of them out"};
    }
    return std::nullopt;
}

}  // namespace

Result<HttpServer, FieldFault> http_server(const FieldMap& values) {
    auto out = from_url(*get<std::string>(values, "url"));
    if (!out) return out;
    std::string server_name = out->target.address.to_string();
    if (const auto* host = get<std::string>(values, "host")) {
        auto name = server_name_of(*host);
        if (!name) {
            return fail(FieldFault{"host", quoted(*host) + " is not a host name",
                                   "write it as portal.example or portal.example:8080"});
        }
        out->host = *host;
        server_name = std::move(*name);
    }
    auto tls = tls_settings(values, std::move(server_name));
    if (!tls) return fail(std::move(tls.error()));
    out->tls = std::move(*tls);
    const TlsSettings& trust = out->tls;
    if (!out->is_tls &&
        (!trust.ca_file.empty() || !trust.certificate_file.empty() || trust.insecure)) {
        return fail(FieldFault{"tls", "means nothing for an http:// URL",
                               "write https:// or leave it out"});
    }
    if (auto fault = add_credentials(values, *out)) return fail(std::move(*fault));
    return out;
}

std::string http_caveat(const FieldMap& values) {
    const auto server = http_server(values);
    if (!server || !server->tls.insecure) return "";
    return "the certificate is not verified, so any server passes for this one";
}

}  // namespace swerve::health
