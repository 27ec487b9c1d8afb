#include "health/probes/connection.hpp"

#include <openssl/ssl.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <tuple>
#include <utility>

#include "health/probes/runtime.hpp"

namespace swerve::health {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);

bool is_enabled(const FieldMap& values) {
    const auto* group = get<FieldMap>(values, "tls");
    const auto* enabled = group == nullptr ? nullptr : get<bool>(*group, "enabled");
    return enabled != nullptr && *enabled;
}

}  // namespace

std::optional<FieldFault> endpoint_fault(const Endpoint& target) {
    if (auto unusable = unusable_target(target.address)) {
        return FieldFault{"endpoint", *std::move(unusable), "name the address that clients reach"};
    }
    if (target.port == 0) {
        return FieldFault{"endpoint", "port 0 cannot be connected to", "1 to 65535"};
    }
    return std::nullopt;
}

Result<std::optional<TlsSettings>, FieldFault> chosen_tls(const FieldMap& values,
                                                          std::string server_name) {
    auto settings = tls_settings(values, std::move(server_name));
    if (!settings) return fail(std::move(settings.error()));
    if (is_enabled(values)) return std::optional{*std::move(settings)};
    if (settings->insecure || !settings->ca_file.empty() || !settings->certificate_file.empty()) {
        return fail(FieldFault{"tls", "means nothing while `enabled` is false",
                               "write `enabled: true` or leave it out"});
    }
    return std::optional<TlsSettings>{};
}

std::string caveat_of_insecure_tls(const FieldMap& values) {
    const auto settings = chosen_tls(values, "");
    if (!settings || !*settings || !(*settings)->insecure) return "";
    return "the certificate is not verified, so any server passes for this one";
}

Connection::Connection(tcp::socket socket)
    : socket_(std::make_unique<tcp::socket>(std::move(socket))) {}

asio::awaitable<Result<Connection, Outcome>> Connection::open(const ProbeContext& context,
                                                              Endpoint target, TlsClient* tls,
                                                              std::string_view alpn) {
    if (tls != nullptr) {
        if (auto fault = tls->prepare()) co_return fail(unsure(*std::move(fault)));
    }
    auto socket = co_await connect(context, target);
    if (!socket) co_return fail(std::move(socket.error()));
    Connection made(std::move(*socket));
    if (tls != nullptr) {
        // It cannot be moved, so it is made where it stays.
        made.stream_.reset(new TlsStream(tls->stream(*made.socket_, alpn)));
        auto refused = co_await tls->handshake(context, *made.stream_, target);
        if (refused) {
            made.close();
            co_return fail(*std::move(refused));
        }
    }
    co_return made;
}

asio::awaitable<Connection::Received> Connection::read(std::span<char> into) {
    Received out;
    const auto buffer = asio::buffer(into.data(), into.size());
    if (stream_) {
        std::tie(out.error, out.count) = co_await stream_->async_read_some(buffer, as_result);
    } else {
        std::tie(out.error, out.count) = co_await socket_->async_read_some(buffer, as_result);
    }
    co_return out;
}

asio::awaitable<error_code> Connection::write(std::string_view octets) {
    error_code error;
    std::size_t count = 0;
    const auto buffer = asio::buffer(octets.data(), octets.size());
    if (stream_) {
        std::tie(error, count) = co_await asio::async_write(*stream_, buffer, as_result);
        if (error == asio::error::connection_reset || error == asio::error::broken_pipe) {
            // With TLS 1.3 the alert that says why may lie there unread.
            std::array<char, 1> rest{};
            const auto [why, more] =
                co_await stream_->async_read_some(asio::buffer(rest), as_result);
            if (why.category() == asio::error::get_ssl_category()) error = why;
        }
    } else {
        std::tie(error, count) = co_await asio::async_write(*socket_, buffer, as_result);
    }
    co_return error;
}

Outcome Connection::outcome_of(const error_code& error, const std::string& doing,
                               const Endpoint& target) const {
    if (stream_) {
        if (auto refused = refused_certificate(error, target, *stream_)) return *std::move(refused);
    }
    return from_error(error, doing, target);
}

std::string Connection::protocol() const {
    const unsigned char* text = nullptr;
    unsigned length = 0;
    if (stream_) SSL_get0_alpn_selected(stream_->native_handle(), &text, &length);
    return {text, text + length};
}

void Connection::close() { close_quietly(*socket_); }

bool is_end_of_connection(const error_code& error) {
    return error == asio::error::eof || error == asio::ssl::error::stream_truncated;
}

}  // namespace swerve::health
