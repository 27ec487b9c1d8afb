#pragma once
// What the daemon and its worker for PostgreSQL say to each other over a socketpair (ADR-0022):
// frames of a length and a body. Neither end trusts the other, for the worker reads what a server
// says.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "swerve/base/bytes.hpp"
#include "swerve/base/result.hpp"

namespace swerve::health {

/// Of the body of a frame.
inline constexpr std::size_t postgres_frame_limit = 64UZ * 1024;
/// Of everything there can be several of in a frame.
inline constexpr std::size_t postgres_count_limit = 64;

/// Asks for each statement to be run in its order, over the connection that is open if it was made
/// with the same parameters, otherwise over a new one.
struct PostgresRequest {
    std::vector<std::pair<std::string, std::string>> parameters;  ///< as libpq names them
    std::vector<std::string> statements;
    /// After which the server is asked to cancel what it does.
    std::uint32_t cancel_after_ms = 0;

    friend bool operator==(const PostgresRequest&, const PostgresRequest&) = default;
};

/// Where a new connection stands.
struct PostgresProgress {
    std::string doing;  ///< "in the TLS handshake"; empty: it is ready, and the statement is sent

    friend bool operator==(const PostgresProgress&, const PostgresProgress&) = default;
};

using PostgresRow = std::vector<std::optional<std::string>>;

/// What a statement gave; of several commands in one, the last.
struct PostgresRows {
    std::string command;  ///< "UPDATE 1"
    std::vector<PostgresRow> rows;
    std::vector<std::string> warned_by;  ///< the server's functions that warned meanwhile

    friend bool operator==(const PostgresRows&, const PostgresRows&) = default;
};

/// Ends the answer to a request.
struct PostgresFailure {
    bool connecting = false;     ///< while the connection was made
    bool asks_password = false;  ///< which was not given
    std::string sqlstate;        ///< of a statement's error; empty: look into the message
    std::string message;         ///< as libpq or the server has it

    friend bool operator==(const PostgresFailure&, const PostgresFailure&) = default;
};

/// Progress while connecting, then rows for each statement, or a failure.
using PostgresReply = std::variant<PostgresProgress, PostgresRows, PostgresFailure>;

/// A whole frame. Nothing if it would be longer than the limit.
[[nodiscard]] std::optional<Bytes> encode(const PostgresRequest& request);
[[nodiscard]] std::optional<Bytes> encode(const PostgresReply& reply);

/// Takes the first frame's body off the front; nothing until it is whole. False: there is none,
/// what comes next is no frame.
[[nodiscard]] bool take_frame(Bytes& buffer, std::optional<Bytes>& body);

/// Of a body. Nothing if it is no such thing, to its last octet.
[[nodiscard]] std::optional<PostgresRequest> decode_postgres_request(ByteView body);
[[nodiscard]] std::optional<PostgresReply> decode_postgres_reply(ByteView body);

}  // namespace swerve::health
