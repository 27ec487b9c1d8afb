// The one translation unit that compiles Beast's HTTP parser for probes.

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/system/system_error.hpp>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

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

using Parser = http::response_parser<http::string_body>;

std::string describe(const Parser& parser) {
    return "HTTP " + std::to_string(parser.get().result_int());
}

class HttpProbe final : public Probe {
public:
    explicit HttpProbe(HttpSettings settings) : settings_(std::move(settings)) {
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
        if (!settings_.tls) {
            Outcome outcome = co_await exchange(*socket);
            close_quietly(*socket);
            co_return outcome;
        }
        ssl::stream<tcp::socket&> stream(*socket, *tls_);
        Outcome outcome = co_await exchange_over_tls(stream);
        close_quietly(*socket);
        co_return outcome;
    }

private:
    /// Makes the TLS context on first use; a fault is tried again by the next attempt.
    std::optional<std::string> prepare_tls() {
        if (tls_) return std::nullopt;
        auto made = std::make_unique<ssl::context>(ssl::context::tls_client);
        SSL_CTX_set_min_proto_version(made->native_handle(), TLS1_2_VERSION);
        error_code error;
        if (settings_.insecure) {
            made->set_verify_mode(ssl::verify_none, error);
        } else if (settings_.ca_file.empty()) {
            made->set_verify_mode(ssl::verify_peer, error);
            made->set_default_verify_paths(error);
            if (error) return "the system's certificate store: " + escape(error.message());
        } else {
            made->set_verify_mode(ssl::verify_peer, error);
            const auto file = read_file(settings_.ca_file, ca_file_limit);
            if (!file) return "ca_file " + file.error();
            made->add_certificate_authority(asio::buffer(file->text), error);
            if (error || SSL_CTX_get0_cert_count(*made) == 0) {
                return "ca_file " + escape(settings_.ca_file) + ": no certificate in it";
            }
        }
        tls_ = std::move(made);
        return std::nullopt;
    }

    static int SSL_CTX_get0_cert_count(ssl::context& context);

    asio::awaitable<Outcome> exchange_over_tls(ssl::stream<tcp::socket&>& stream) {
        SSL* handle = stream.native_handle();
        X509_VERIFY_PARAM* verify = SSL_get0_param(handle);
        X509_VERIFY_PARAM_set_hostflags(verify, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        if (const auto address = Address::parse(settings_.server_name)) {
            const auto octets = address->octets();
            X509_VERIFY_PARAM_set1_ip(verify, octets.data(), octets.size());
        } else {
            X509_VERIFY_PARAM_set1_host(verify, settings_.server_name.c_str(), 0);
            // RFC 6066 §3: the name goes out in the server_name extension; an address must not.
            SSL_set_tlsext_host_name(handle, settings_.server_name.c_str());
        }
        auto [error] = co_await stream.async_handshake(ssl::stream_base::client, as_result);
        if (error) co_return handshake_failed(error, SSL_get_verify_result(handle));
        co_return co_await exchange(stream);
    }
};

}  // namespace
}  // namespace swerve::health
