// The one translation unit that compiles Beast and TLS for probes.

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "health/probes/http_settings.hpp"
#include "health/probes/registry.hpp"
#include "health/probes/runtime.hpp"
#include "swerve/base/escape.hpp"

namespace swerve::health {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
namespace ssl = boost::asio::ssl;
using asio::ip::tcp;
using boost::system::error_code;

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t header_limit = 16UZ * 1024;
constexpr std::size_t ca_file_limit = 1024UZ * 1024;
constexpr int interim_limit = 8;

/// A body into a buffer of ours: the parser of strings would reserve whatever Content-Length says.
using Parser = http::response_parser<http::buffer_body>;

class HttpProbe final : public Probe {
public:
    explicit HttpProbe(HttpSettings settings)
        : settings_(std::move(settings)), name_(settings_.target.to_string()) {
        request_.method(http::verb::get);
        request_.target(settings_.path);
        request_.version(11);
        request_.set(http::field::host, settings_.host);
        request_.set(http::field::user_agent, "swerve");
        request_.set(http::field::accept, "*/*");
        request_.set(http::field::accept_encoding, "identity");
        request_.set(http::field::connection, "close");
    }

    asio::awaitable<Outcome> run(const ProbeContext& context, TimePoint /*deadline*/) override {
        if (settings_.tls) {
            if (auto fault = prepare_tls()) co_return unsure(std::move(*fault));
        }
        auto socket = co_await connect(context, settings_.target);
        if (!socket) co_return std::move(socket.error());
        Outcome outcome;
        if (settings_.tls) {
            ssl::stream<tcp::socket&> stream(*socket, *tls_);
            outcome = co_await exchange_over_tls(context, stream);
        } else {
            outcome = co_await exchange(context, *socket);
        }
        close_quietly(*socket);
        co_return outcome;
    }

private:
    std::optional<std::string> prepare_tls();
    asio::awaitable<Outcome> exchange_over_tls(const ProbeContext& context,
                                               ssl::stream<tcp::socket&>& stream);
    [[nodiscard]] Outcome handshake_failed(const error_code& error, long verified) const;

    template <class Stream>
    asio::awaitable<Outcome> exchange(const ProbeContext& context, Stream& stream);
    template <class Stream>
    asio::awaitable<Outcome> find_body(const ProbeContext& context, Stream& stream,
                                       boost::beast::flat_buffer& buffer, Parser& parser);
    [[nodiscard]] Outcome read_failed(const error_code& error,
                                      const boost::beast::flat_buffer& buffer) const;
    [[nodiscard]] Outcome body_ended(const error_code& error, const std::string& status,
                                     std::size_t length) const;
    [[nodiscard]] std::optional<Outcome> judge_header(const Parser& parser) const;

    HttpSettings settings_;
    std::string name_;  ///< of the target, for reasons
    http::request<http::empty_body> request_;
    std::unique_ptr<ssl::context> tls_;  ///< made on first use, kept for all attempts
};

bool is_end(const error_code& error) {
    return error == http::error::end_of_stream || error == http::error::partial_message ||
           error == asio::error::eof || error == ssl::error::stream_truncated;
}

/// The system's certificates, shared by all probes: reading them takes 20 ms and a megabyte.
X509_STORE* system_store() {
    static X509_STORE* const store = [] {
        X509_STORE* const made = X509_STORE_new();
        X509_STORE_set_default_paths(made);
        return made;
    }();
    return store;
}

/// What is wrong with the means to verify; the next attempt tries again.
std::optional<std::string> HttpProbe::prepare_tls() {
    if (tls_) return std::nullopt;
    auto made = std::make_unique<ssl::context>(ssl::context::tls_client);
    SSL_CTX_set_min_proto_version(made->native_handle(), TLS1_2_VERSION);
    made->set_verify_mode(settings_.insecure ? ssl::verify_none : ssl::verify_peer);
    error_code error;
    if (!settings_.ca_file.empty()) {
        const auto file = read_file(settings_.ca_file, ca_file_limit);
        if (!file) return "ca_file " + file.error();
        made->add_certificate_authority(asio::buffer(file->text), error);
        if (error) {
            return "ca_file " + escape(settings_.ca_file) +
                   " is no list of PEM certificates: " + escape(error.message());
        }
    } else if (!settings_.insecure) {
        SSL_CTX_set1_cert_store(made->native_handle(), system_store());
    }
    tls_ = std::move(made);
    return std::nullopt;
}

asio::awaitable<Outcome> HttpProbe::exchange_over_tls(const ProbeContext& context,
                                                      ssl::stream<tcp::socket&>& stream) {
    SSL* const handle = stream.native_handle();
    X509_VERIFY_PARAM* const rules = SSL_get0_param(handle);
    if (const auto address = Address::parse(settings_.server_name)) {
        const auto octets = address->octets();
        X509_VERIFY_PARAM_set1_ip(rules, octets.data(), octets.size());
    } else {
        X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        X509_VERIFY_PARAM_set1_host(rules, settings_.server_name.c_str(), 0);
        // RFC 6066 §3: a name goes into server_name, an address must not.
        SSL_ctrl(handle, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                 settings_.server_name.data());
    }
    const auto [error] = co_await stream.async_handshake(ssl::stream_base::client, as_result);
    if (error) co_return handshake_failed(error, SSL_get_verify_result(handle));
    step(context, std::string{"TLS handshake done: "} + SSL_get_version(handle) + ", " +
                      SSL_get_cipher_name(handle));
    co_return co_await exchange(context, stream);
}

Outcome HttpProbe::handshake_failed(const error_code& error, long verified) const {
    const std::string doing = "in the TLS handshake with " + name_;
    if (verified != X509_V_OK && !settings_.insecure) {
        std::string reason = "certificate of " + name_ + " refused: ";
        reason += X509_verify_cert_error_string(verified);
        const bool wrong_name =
            verified == X509_V_ERR_HOSTNAME_MISMATCH || verified == X509_V_ERR_IP_ADDRESS_MISMATCH;
        if (wrong_name) reason += ", it is not for " + quoted(settings_.server_name);
        return failed(std::move(reason));
    }
    if (is_end(error)) return failed(name_ + " closed during the TLS handshake");
    if (error.category() == asio::error::get_ssl_category()) {
        return failed("TLS handshake with " + name_ + " failed: " + escape(error.message()));
    }
    return from_error(error, doing, settings_.target);
}

template <class Stream>
asio::awaitable<Outcome> HttpProbe::exchange(const ProbeContext& context, Stream& stream) {
    const auto [write_error, sent] = co_await http::async_write(stream, request_, as_result);
    if (write_error) {
        co_return from_error(write_error, "sending to " + name_, settings_.target);
    }
    step(context, "sent the request, " + std::to_string(sent) + " octets");
    boost::beast::flat_buffer buffer(answer_limit);
    buffer.reserve(4096);
    std::unique_ptr<Parser> parser;
    // RFC 9110 §15.2: interim answers may come before the final one, asked for or not.
    for (int i = 0; i < interim_limit; ++i) {
        parser = std::make_unique<Parser>();
        parser->header_limit(header_limit);
        parser->body_limit(boost::none);
        const auto [error, count] =
            co_await http::async_read_header(stream, buffer, *parser, as_result);
        if (error) co_return read_failed(error, buffer);
        step(context, "HTTP " + std::to_string(parser->get().result_int()) + ", header complete");
        if (parser->get().result_int() / 100 != 1) break;
    }
    if (auto refused = judge_header(*parser)) co_return std::move(*refused);
    if (settings_.body.empty()) {
        co_return passed("HTTP " + std::to_string(parser->get().result_int()));
    }
    co_return co_await find_body(context, stream, buffer, *parser);
}

std::optional<Outcome> HttpProbe::judge_header(const Parser& parser) const {
    const unsigned status = parser.get().result_int();
    if (std::ranges::find(settings_.statuses, std::int64_t{status}) != settings_.statuses.end()) {
        return std::nullopt;
    }
    std::string reason = "HTTP " + std::to_string(status) + " instead of ";
    for (std::size_t i = 0; i < settings_.statuses.size(); ++i) {
        reason += (i == 0 ? "" : " or ") + std::to_string(settings_.statuses[i]);
    }
    const auto location = parser.get().find(http::field::location);
    if (status / 100 == 3 && location != parser.get().end()) {
        const auto to = location->value();
        reason += ", redirects to " + quoted({to.data(), to.size()}) + " are not followed";
    }
    return failed(std::move(reason));
}

template <class Stream>
asio::awaitable<Outcome> HttpProbe::find_body(const ProbeContext& context, Stream& stream,
                                              boost::beast::flat_buffer& buffer, Parser& parser) {
    const std::string status = "HTTP " + std::to_string(parser.get().result_int());
    std::string text(answer_limit, '\0');
    std::size_t seen = 0;
    parser.eager(true);
    while (!parser.is_done() && seen < answer_limit) {
        auto& body = parser.get().body();
        body.data = text.data() + seen;
        body.size = answer_limit - seen;
        auto [error, count] = co_await http::async_read_some(stream, buffer, parser, as_result);
        const std::size_t filled = answer_limit - body.size;
        if (seen == 0 && filled > 0) {
            step(context, "first " + std::to_string(filled) + " octets of the body");
        }
        // The text may have begun in the last bytes of the read before.
        const std::size_t from = seen - std::min(seen, settings_.body.size() - 1);
        if (std::string_view{text}.substr(0, filled).find(settings_.body, from) !=
            std::string_view::npos) {
            co_return passed(status + ", body contains " + quoted(settings_.body));
        }
        seen = filled;
        if (error && error != http::error::need_buffer) co_return body_ended(error, status, seen);
    }
    if (seen == answer_limit) {
        co_return failed(status + ", but the first 64 KiB of the body do not contain " +
                         quoted(settings_.body));
    }
    co_return failed(status + ", but the body does not contain " + quoted(settings_.body));
}

Outcome HttpProbe::read_failed(const error_code& error,
                               const boost::beast::flat_buffer& buffer) const {
    if (error == http::error::header_limit || error == http::error::buffer_overflow) {
        return failed("the header from " + name_ + " is longer than 16 KiB");
    }
    if (is_end(error)) {
        return failed(name_ + (buffer.size() == 0 ? " closed without an answer"
                                                  : " closed in the middle of the header"));
    }
    if (error.category() == make_error_code(http::error::bad_version).category()) {
        const auto data = buffer.cdata();
        const std::string_view begin{static_cast<const char*>(data.data()),
                                     std::min(data.size(), 32UZ)};
        return failed("not HTTP: " + error.message() + " in " + quoted(begin));
    }
    return from_error(error, "waiting for the header from " + name_, settings_.target);
}

Outcome HttpProbe::body_ended(const error_code& error, const std::string& status,
                              std::size_t length) const {
    const std::string missing = "without " + quoted(settings_.body);
    if (is_end(error)) {
        return failed(status + ", but " + name_ + " closed after " + std::to_string(length) +
                      " bytes of the body, " + missing);
    }
    if (error.category() == make_error_code(http::error::bad_version).category()) {
        return failed("not HTTP: " + error.message() + " in the body");
    }
    return from_error(
        error,
        "with " + std::to_string(length) + " bytes of the body from " + name_ + ", " + missing,
        settings_.target);
}

Result<std::unique_ptr<Probe>, FieldFault> make(const FieldMap& values) {
    auto settings = http_settings(values);
    if (!settings) return fail(std::move(settings.error()));
    return std::make_unique<HttpProbe>(std::move(*settings));
}

std::string caveat(const FieldMap& values) {
    const auto settings = http_settings(values);
    if (!settings || !settings->insecure) return "";
    return "the certificate is not verified, so any server passes for this one";
}

std::string target(const FieldMap& values) { return *get<std::string>(values, "url"); }

}  // namespace

ProbeType http_probe() {
    return {.name = "http",
            .help = "GETs a page over http or https and looks at status and body.",
            .fields = http_fields(),
            .has_events = sees_no_events,
            .sees_hangs = always_sees_hangs,
            .make = make,
            .caveat = caveat,
            .target = target};
}

}  // namespace swerve::health
