#pragma once
// A TCP connection with or without TLS, for protocols that are the same over both.

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/system/error_code.hpp>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "health/probes/tls_client.hpp"
#include "swerve/base/result.hpp"
#include "swerve/health/probe.hpp"
#include "swerve/net/address.hpp"

namespace swerve::health {

inline constexpr Field choosing_tls_members[] = {
    {.name = "enabled",
     .kind = FieldKind::boolean,
     .fallback = "false",
     .help = "Speak TLS from the first octet on."},
    tls_members[0],
    tls_members[1],
    tls_members[2],
    tls_members[3],
};
static_assert(std::size(tls_members) == 4);

/// The group `tls` of probes whose target does not say whether it speaks TLS.
inline constexpr Field choosing_tls_field{
    .name = "tls",
    .kind = FieldKind::group,
    .help =
        "Whether to speak TLS, and whom to trust; certificate and name are verified unless "
        "told otherwise.",
    .members = choosing_tls_members};

/// Of an endpoint that is connected to, what is wrong with it.
[[nodiscard]] std::optional<FieldFault> endpoint_fault(const Endpoint& target);

/// Of the group above: the settings if it is enabled, nothing if it is not. Fault also for
/// settings that a disabled group has.
[[nodiscard]] Result<std::optional<TlsSettings>, FieldFault> chosen_tls(const FieldMap& values,
                                                                        std::string server_name);

/// For ProbeType::caveat.
[[nodiscard]] std::string caveat_of_insecure_tls(const FieldMap& values);

class Connection {
public:
    struct Received {
        boost::system::error_code error;
        std::size_t count = 0;
    };

    /// Connects, under the locality rule, and shakes hands if there is a `tls`.
    static boost::asio::awaitable<Result<Connection, Outcome>> open(const ProbeContext& context,
                                                                    Endpoint target, TlsClient* tls,
                                                                    std::string_view alpn = {});

    boost::asio::awaitable<Received> read(std::span<char> into);
    boost::asio::awaitable<boost::system::error_code> write(std::string_view octets);
    /// What an error of reading or writing means: of TLS, that the server refuses our certificate
    /// or wants one; else what from_error() says, for which `doing` is.
    [[nodiscard]] Outcome outcome_of(const boost::system::error_code& error,
                                     const std::string& doing, const Endpoint& target) const;
    /// What TLS has agreed on of `alpn`; empty if nothing.
    [[nodiscard]] std::string protocol() const;
    void close();

private:
    explicit Connection(boost::asio::ip::tcp::socket socket);

    std::unique_ptr<boost::asio::ip::tcp::socket> socket_;  ///< stays where the stream found it
    std::unique_ptr<TlsStream> stream_;
};

/// The other side has ended the connection in order, or cut it short under TLS.
[[nodiscard]] bool is_end_of_connection(const boost::system::error_code& error);

}  // namespace swerve::health
