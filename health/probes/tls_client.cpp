#include "health/probes/tls_client.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>

#include "health/probes/certificate.hpp"
#include "health/probes/secret.hpp"
#include "swerve/base/escape.hpp"

namespace swerve::health {
namespace {

namespace asio = boost::asio;
namespace fs = std::filesystem;
namespace ssl = boost::asio::ssl;
using asio::ip::tcp;
using boost::system::error_code;

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);
constexpr std::size_t file_limit = 1024UZ * 1024;

/// The system's certificates, shared by all probes: reading them takes 20 ms and a megabyte.
X509_STORE* system_store() {
    static X509_STORE* const store = [] {
        X509_STORE* const made = X509_STORE_new();
        X509_STORE_set_default_paths(made);
        return made;
    }();
    return store;
}

/// Whether the system has any, at the places where OpenSSL looks for them.
bool has_system_authorities() {
    const auto place = [](const char* variable, const char* otherwise) {
        const char* const chosen = std::getenv(variable);
        return std::string{chosen == nullptr ? otherwise : chosen};
    };
    std::error_code ignored;
    if (fs::exists(place(X509_get_default_cert_file_env(), X509_get_default_cert_file()),
                   ignored)) {
        return true;
    }
    // A list with colons between, as PATH is.
    std::string dirs = place(X509_get_default_cert_dir_env(), X509_get_default_cert_dir());
    dirs += ':';
    for (std::size_t from = 0, end = 0; (end = dirs.find(':', from)) != std::string::npos;
         from = end + 1) {
        const std::string dir = dirs.substr(from, end - from);
        if (fs::is_directory(dir, ignored) && !fs::is_empty(dir, ignored)) return true;
    }
    return false;
}

/// The place in a session where it stands that the server asked for a certificate.
int asked_index() {
    static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
    return index;
}

/// OpenSSL calls it when a server asks for a certificate and there is none to send.
int note_asked(SSL* session, X509** /*certificate*/, EVP_PKEY** /*key*/) {
    static char asked;
    SSL_set_ex_data(session, asked_index(), &asked);
    return 0;
}

Outcome asks_for_certificate(const Endpoint& target) {
    return unsure(target.to_string() +
                  " asks for a certificate of ours: set tls.certificate_file and tls.key_file");
}

FileStamp stamp_of(const std::string& path) {
    struct ::stat status{};
    if (path.empty() || ::stat(path.c_str(), &status) != 0) return {};
    return {status.st_dev, status.st_ino,
            status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec};
}

/// OpenSSL keeps what it did not tell in a queue of the thread.
std::string last_ssl_error() {
    const unsigned long code = ::ERR_peek_last_error();
    ::ERR_clear_error();
    const char* const reason = ::ERR_reason_error_string(code);
    return reason == nullptr ? "" : ": " + escape(reason);
}

}  // namespace

bool is_server_name(std::string_view text) {
    if (Address::parse(text)) return true;
    const auto fits = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '-' || c == '.' || c == '_';
    };
    return !text.empty() && text.size() <= 253 && std::ranges::all_of(text, fits) &&
           !text.starts_with('.') && !text.ends_with('.') && !text.contains("..");
}

Result<TlsSettings, FieldFault> tls_settings(const FieldMap& values, std::string server_name) {
    TlsSettings out{.server_name = std::move(server_name),
                    .ca_file = {},
                    .certificate_file = {},
                    .key_file = {}};
    const auto* tls = get<FieldMap>(values, "tls");
    if (tls == nullptr) return out;
    if (const auto* file = get<std::string>(*tls, "ca_file")) out.ca_file = *file;
    if (const auto* file = get<std::string>(*tls, "certificate_file")) out.certificate_file = *file;
    if (const auto* file = get<std::string>(*tls, "key_file")) out.key_file = *file;
    if (const auto* insecure = get<bool>(*tls, "insecure")) out.insecure = *insecure;
    if (out.insecure && !out.ca_file.empty()) {
        return fail(FieldFault{"tls", "`ca_file` and `insecure` contradict each other",
                               "leave one of them out"});
    }
    if (out.certificate_file.empty() != out.key_file.empty()) {
        return fail(FieldFault{out.key_file.empty() ? "tls.key_file" : "tls.certificate_file",
                               "is missing: a certificate needs its key, a key its certificate",
                               "give both or none"});
    }
    return out;
}

TlsClient::TlsClient(TlsSettings settings) : settings_(std::move(settings)) {}
TlsClient::~TlsClient() = default;

std::optional<std::string> TlsClient::prepare() {
    const std::vector<FileStamp> now{stamp_of(settings_.ca_file),
                                     stamp_of(settings_.certificate_file),
                                     stamp_of(settings_.key_file)};
    if (tls_ && now == stamps_) return std::nullopt;
    auto made = std::make_unique<ssl::context>(ssl::context::tls_client);
    SSL_CTX_set_min_proto_version(made->native_handle(), TLS1_2_VERSION);
    made->set_verify_mode(settings_.insecure ? ssl::verify_none : ssl::verify_peer);
    if (auto fault = load(*made)) {
        // To be read again; what another attempt has prepared stays, it may be connecting.
        stamps_.clear();
        return fault;
    }
    // Taken before the files were read: one that has changed meanwhile is read again.
    stamps_ = now;
    tls_ = std::move(made);
    return std::nullopt;
}

std::optional<std::string> TlsClient::load(ssl::context& tls) {
    error_code error;
    if (!settings_.ca_file.empty()) {
        const auto file = read_file(settings_.ca_file, file_limit);
        if (!file) return "ca_file " + file.error();
        tls.add_certificate_authority(asio::buffer(file->text), error);
        if (error) {
            return "ca_file " + escape(settings_.ca_file) +
                   " is no list of PEM certificates: " + escape(error.message());
        }
    } else if (!settings_.insecure) {
        // Asked first: the store is filled but once.
        if (!has_system_authorities()) {
            return "no authorities on this system: install ca-certificates or set tls.ca_file";
        }
        SSL_CTX_set1_cert_store(tls.native_handle(), system_store());
    }
    if (settings_.certificate_file.empty()) {
        SSL_CTX_set_client_cert_cb(tls.native_handle(), note_asked);
        return std::nullopt;
    }
    const auto chain = read_file(settings_.certificate_file, file_limit);
    if (!chain) return "certificate_file " + chain.error();
    tls.use_certificate_chain(asio::buffer(chain->text), error);
    if (error) {
        return "certificate_file " + escape(settings_.certificate_file) +
               " is no list of PEM certificates: " + escape(error.message());
    }
    const auto key = read_private(settings_.key_file, file_limit);
    if (!key) return "key_file " + key.error();
    // A key with a passphrase would be asked for at the terminal.
    tls.set_password_callback([](std::size_t, ssl::context::password_purpose) { return ""; },
                              error);
    tls.use_private_key(asio::buffer(key->text), ssl::context::pem, error);
    if (error || SSL_CTX_check_private_key(tls.native_handle()) != 1) {
        return "key_file " + escape(settings_.key_file) +
               " is no PEM key without a passphrase for the certificate" + last_ssl_error();
    }
    return std::nullopt;
}

TlsStream TlsClient::stream(tcp::socket& socket, std::string_view alpn) {
    TlsStream out(socket, *tls_);
    SSL* const handle = out.native_handle();
    X509_VERIFY_PARAM* const rules = SSL_get0_param(handle);
    if (const auto address = Address::parse(settings_.server_name)) {
        const auto octets = address->octets();
        X509_VERIFY_PARAM_set1_ip(rules, octets.data(), octets.size());
    } else {
        // RFC 9525 §2: the subject's common name is no name of a server.
        X509_VERIFY_PARAM_set_hostflags(
            rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
        X509_VERIFY_PARAM_set1_host(rules, settings_.server_name.c_str(), 0);
        // RFC 6066 §3: a name goes into server_name, an address must not.
        SSL_ctrl(handle, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                 settings_.server_name.data());
    }
    if (!alpn.empty()) {
        const std::vector<unsigned char> protocols(alpn.begin(), alpn.end());
        SSL_set_alpn_protos(handle, protocols.data(), static_cast<unsigned>(protocols.size()));
    }
    return out;
}

asio::awaitable<std::optional<Outcome>> TlsClient::handshake(const ProbeContext& context,
                                                             TlsStream& stream,
                                                             const Endpoint& target) {
    SSL* const handle = stream.native_handle();
    const auto [error] = co_await stream.async_handshake(ssl::stream_base::client, as_result);
    if (error) co_return handshake_failed(error, stream, target);
    step(context, std::string{"TLS handshake done: "} + SSL_get_version(handle) + ", " +
                      SSL_get_cipher_name(handle));
    co_return std::nullopt;
}

Outcome TlsClient::handshake_failed(const error_code& error, TlsStream& stream,
                                    const Endpoint& target) const {
    const std::string name = target.to_string();
    const long verified = SSL_get_verify_result(stream.native_handle());
    if (verified != X509_V_OK && !settings_.insecure) {
        std::string reason = "certificate of " + name + " refused: ";
        reason += X509_verify_cert_error_string(verified);
        const bool wrong_name =
            verified == X509_V_ERR_HOSTNAME_MISMATCH || verified == X509_V_ERR_IP_ADDRESS_MISMATCH;
        if (wrong_name) reason += ", it is not for " + health::quoted(settings_.server_name);
        if (verified == X509_V_ERR_CERT_HAS_EXPIRED || verified == X509_V_ERR_CERT_NOT_YET_VALID) {
            return against_dates(std::move(reason), is_wall_clock_set());
        }
        return failed(std::move(reason));
    }
    if (error == asio::error::eof || error == ssl::error::stream_truncated) {
        return failed(name + " closed during the TLS handshake");
    }
    if (auto refused = refused_certificate(error, target, stream)) return *refused;
    if (error.category() == asio::error::get_ssl_category()) {
        return failed("TLS handshake with " + name + " failed: " + escape(error.message()));
    }
    return from_error(error, "in the TLS handshake with " + name, target);
}

std::optional<Outcome> refused_certificate(const error_code& error, const Endpoint& target,
                                           TlsStream& stream) {
    if (error.category() != asio::error::get_ssl_category()) return std::nullopt;
    const auto code = static_cast<unsigned long>(static_cast<unsigned>(error.value()));
    if (ERR_GET_LIB(code) != ERR_LIB_SSL) return std::nullopt;
    SSL* const handle = stream.native_handle();
    const bool is_shown = SSL_get_certificate(handle) != nullptr;
    const bool was_asked = SSL_get_ex_data(handle, asked_index()) != nullptr;
    // RFC 8446 §6.2: the alerts that a server sends over the certificate of its client.
    switch (ERR_GET_REASON(code)) {
        case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
            return asks_for_certificate(target);
        case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
            // With TLS 1.2 a server that gets none says no more than that.
            if (was_asked) return asks_for_certificate(target);
            return std::nullopt;
        case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
        case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
        case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
        case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
        case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
        case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
        case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
            if (was_asked) return asks_for_certificate(target);
            if (!is_shown) return std::nullopt;
            return unsure(target.to_string() +
                          " refuses our certificate: " + escape(error.message()));
        default:
            return std::nullopt;
    }
}

}  // namespace swerve::health
