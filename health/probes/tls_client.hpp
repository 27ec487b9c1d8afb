#pragma once
// TLS as every probe speaks it: whom to trust, and the handshake.

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/system/error_code.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "health/probes/runtime.hpp"
#include "swerve/base/result.hpp"
#include "swerve/health/probe.hpp"
#include "swerve/health/probe_fields.hpp"

namespace swerve::health {

using TlsStream = boost::asio::ssl::stream<boost::asio::ip::tcp::socket&>;

struct TlsSettings {
    std::string server_name;       ///< name or address that the certificate must carry (RFC 9525)
    std::string ca_file;           ///< empty: the system's authorities
    std::string certificate_file;  ///< of our own, for servers that ask for one; empty: none
    std::string key_file;
    bool insecure = false;  ///< verify nothing
};

inline constexpr Field tls_members[] = {
    {.name = "ca_file",
     .kind = FieldKind::absolute_path,
     .help = "PEM file of the authorities to trust instead of the system's."},
    {.name = "certificate_file",
     .kind = FieldKind::absolute_path,
     .help = "PEM file with a certificate of our own, for servers that ask for one."},
    {.name = "key_file",
     .kind = FieldKind::absolute_path,
     .help = "PEM file with its private key."},
    {.name = "insecure",
     .kind = FieldKind::boolean,
     .fallback = "false",
     .help = "Accept any certificate."},
};

/// For a probe's list of fields.
inline constexpr Field tls_field{
    .name = "tls",
    .kind = FieldKind::group,
    .help = "Whom to trust; certificate and name are verified unless told otherwise.",
    .members = tls_members};

/// Whether it is an address, or a name that a certificate can carry.
[[nodiscard]] bool is_server_name(std::string_view text);

/// Of the group `tls` among `values`, which may be absent. Faults name "tls.KEY".
[[nodiscard]] Result<TlsSettings, FieldFault> tls_settings(const FieldMap& values,
                                                           std::string server_name);

/// Kept for all attempts of a probe. TLS 1.2 at least.
class TlsClient {
public:
    explicit TlsClient(TlsSettings settings);
    ~TlsClient();

    [[nodiscard]] const TlsSettings& settings() const { return settings_; }
    /// Reads the files on first use, again when one of them changed. What is wrong with them;
    /// streams of before, and those that another attempt is about to make, go on with what was read
    /// last.
    [[nodiscard]] std::optional<std::string> prepare();
    /// A stream over a connected socket that outlives it; prepare() must have succeeded. `alpn` is
    /// a list of protocols as RFC 7301 §3.1 has it on the wire, or empty.
    [[nodiscard]] TlsStream stream(boost::asio::ip::tcp::socket& socket,
                                   std::string_view alpn = {});
    /// The handshake, verified as the settings say. Nothing when it succeeded; otherwise fail or
    /// unknown with its reason.
    boost::asio::awaitable<std::optional<Outcome>> handshake(const ProbeContext& context,
                                                             TlsStream& stream,
                                                             const Endpoint& target);

private:
    [[nodiscard]] std::optional<std::string> load(boost::asio::ssl::context& tls);
    [[nodiscard]] Outcome handshake_failed(const boost::system::error_code& error,
                                           TlsStream& stream, const Endpoint& target) const;

    TlsSettings settings_;
    std::unique_ptr<boost::asio::ssl::context> tls_;
    std::vector<FileStamp> stamps_;  ///< of the files that tls_ was made from
};

/// What an operation on a stream says of TLS, if it failed over a certificate of ours: that the
/// server refuses ours, or wants one (with TLS 1.3 it says so only after the handshake), which is
/// unknown. Nothing for every other error, and for an alert over a certificate that we neither
/// showed nor were asked for: that is the server's own trouble.
[[nodiscard]] std::optional<Outcome> refused_certificate(const boost::system::error_code& error,
                                                         const Endpoint& target, TlsStream& stream);

}  // namespace swerve::health
