#pragma once
// One TCP connection of a BGP session as the driver uses it: options set, written with sendmsg from
// gathered views, and asked when the other side's TCP has acknowledged.

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "swerve/base/bytes.hpp"
#include "swerve/base/result.hpp"
#include "swerve/base/time.hpp"
#include "swerve/net/address.hpp"

namespace swerve::daemon {

/// `scope`: the number of the interface a link-local address is behind.
[[nodiscard]] boost::asio::ip::tcp::endpoint to_asio(const Endpoint& endpoint, unsigned scope = 0);
[[nodiscard]] Address from_asio(const boost::asio::ip::address& address);

/// What a session asks of its TCP connection.
struct SocketOptions {
    std::optional<Address> local_address;  ///< bound before dialling
    unsigned hop_limit = 1;                ///< TTL of what is sent
    std::optional<unsigned> least_hops{};  ///< RFC 5082: what arrives with a lower TTL is dropped
    std::string interface{};               ///< zone of a link-local neighbor
    std::string md5_key{};                 ///< RFC 2385; empty: none

    friend bool operator==(const SocketOptions&, const SocketOptions&) = default;
};

/// What a listener's SYN-ACKs carry. A neighbor with ttl_security drops those below 255 (RFC 5082
/// §3), and whose SYN it was the kernel does not ask; so every SYN-ACK goes out with 255, which
/// gives nothing away: the accepted socket has its neighbor's own limits before its first octet.
[[nodiscard]] Result<void, std::string> set_listener_options(int fd, Family family);

/// How much the kernel may hold of a session that is not yet on the wire: enough to fill any path
/// between two turns of the loop, little enough that a withdraw is never far from it.
inline constexpr std::size_t max_unsent_octets = std::size_t{256} << 10U;

class SessionSocket {
public:
    using Socket = boost::asio::ip::tcp::socket;

    /// A connection with `remote`, or a socket to become one.
    SessionSocket(Socket socket, const Address& remote)
        : socket_(std::move(socket)), remote_(remote) {}

    /// A socket ready to dial `remote`. The error is a sentence.
    [[nodiscard]] static Result<SessionSocket, std::string> open(boost::asio::io_context& io,
                                                                 const Address& remote,
                                                                 const SocketOptions& options);
    /// To be called when connected, on a dialled and on an accepted socket alike.
    [[nodiscard]] Result<void, std::string> prepare(const SocketOptions& options);
    /// Brings hop limits, type of service and key to where `options` has them, on a connection that
    /// lives, too. After an error, a sentence, the connection must not go on.
    [[nodiscard]] Result<void, std::string> apply(const SocketOptions& options);

    /// Unacknowledged data older than this breaks the connection (RFC 5482, TCP_USER_TIMEOUT).
    void set_user_timeout(Duration limit);

    [[nodiscard]] Socket& socket() { return socket_; }
    [[nodiscard]] Socket take() { return std::move(socket_); }

    enum class Io : std::uint8_t { ok, blocked, ended };
    struct Transfer {
        Io status;
        std::size_t count;
        std::string reason;  ///< when ended
    };
    /// The other side has said its last, or the connection is lost; octets may still be unread.
    [[nodiscard]] bool ends() const;
    /// Reads what is there, without blocking.
    [[nodiscard]] Transfer read(std::span<std::uint8_t> into);
    /// Writes as much as the kernel takes. With `track`, acknowledgement of the last octet taken is
    /// reported by acknowledged().
    [[nodiscard]] Transfer write(const std::vector<ByteView>& views, bool track);

    /// Octets the kernel holds that were not yet sent.
    [[nodiscard]] std::size_t unsent() const;

    /// Remembers that all written so far was written at `now`; acknowledged() returns that moment
    /// once the peer's TCP has it.
    void mark(TimePoint now) { marks_.push_back({written_, now}); }
    /// Drains the error queue. The latest mark that is now acknowledged.
    [[nodiscard]] std::optional<TimePoint> acknowledged();
    [[nodiscard]] bool awaits_acknowledgement() const { return !marks_.empty(); }

private:
    struct Mark {
        std::uint64_t octets;
        TimePoint written_at;
    };

    Socket socket_;
    Address remote_;
    bool floored_ = false;  ///< a least TTL was set
    std::string md5_key_;   ///< as the kernel has it
    std::uint64_t written_ = 0;
    std::uint64_t acknowledged_ = 0;
    std::deque<Mark> marks_;
};

}  // namespace swerve::daemon
