#pragma once
// A conversation with a Redis server or a Sentinel, as the probes of both have it.

#include <boost/asio/awaitable.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "health/probes/connection.hpp"
#include "health/probes/resp.hpp"
#include "health/probes/tls_client.hpp"
#include "swerve/base/result.hpp"
#include "swerve/health/probe.hpp"
#include "swerve/net/address.hpp"

namespace swerve::health {

/// Whom to ask, and as whom.
struct RedisServer {
    Endpoint target;
    std::optional<TlsSettings> tls;
    std::string username;       ///< of an ACL; empty: the default user
    std::string password_file;  ///< read at every attempt; empty: no password
};

inline constexpr Field redis_username_field{
    .name = "username",
    .kind = FieldKind::string,
    .help = "User of the server's ACL, the default user if absent; needs `password_file`."};
inline constexpr Field redis_password_file_field{
    .name = "password_file",
    .kind = FieldKind::absolute_path,
    .help =
        "File with the password in one line, for its owner and group alone; read at every "
        "attempt."};
inline constexpr Field server_name_field{
    .name = "server_name",
    .kind = FieldKind::string,
    .help = "Name that the certificate must carry, the endpoint's address if absent; needs TLS."};

/// Checks endpoint, username, password_file, server_name and tls among `values`.
[[nodiscard]] Result<RedisServer, FieldFault> redis_server(const FieldMap& values);

/// One connection, after its greeting. Answers are read one by one: what a server says unasked
/// makes it unintelligible.
class RedisTalk {
public:
    RedisTalk(Connection connection, Endpoint target, std::string secret)
        : connection_(std::move(connection)), target_(target), secret_(std::move(secret)) {}

    /// The answer to a command, unless it is an error, or none.
    boost::asio::awaitable<Result<RespValue, Outcome>> ask(std::vector<std::string> command);
    /// What the server has said, for reasons: quoted, without the secret it may have repeated.
    [[nodiscard]] std::string said(std::string_view text) const;
    void close() { connection_.close(); }

private:
    [[nodiscard]] Outcome refused(const std::string& error, const std::string& command) const;

    Connection connection_;
    Endpoint target_;
    std::string secret_;
    RespReader reader_;
};

/// Kept for all attempts of a probe.
class RedisClient {
public:
    explicit RedisClient(RedisServer server);

    /// Connects, authenticates, and has a PONG for its PING.
    boost::asio::awaitable<Result<RedisTalk, Outcome>> greet(const ProbeContext& context);
    [[nodiscard]] const std::string& name() const { return name_; }

private:
    [[nodiscard]] static std::vector<std::string> login(const RedisServer& server,
                                                        const std::string& secret);

    RedisServer server_;
    std::string name_;  ///< of the target, for reasons
    std::optional<TlsClient> tls_;
};

}  // namespace swerve::health
