#pragma once
// The sockets of BFD (RFC 5881 §4 and §5, RFC 5883 §5). None of them is connected, so that no ICMP
// error that somebody forged ends anything, and none is bound to a wildcard, so that two daemons on
// one host do not collide.

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <string>

#include "swerve/base/bytes.hpp"
#include "swerve/base/random.hpp"
#include "swerve/base/result.hpp"
#include "swerve/bfd/table.hpp"
#include "swerve/net/address.hpp"

namespace swerve::daemon {

/// A descriptor that is closed at the end.
class BfdDescriptor {
public:
    explicit BfdDescriptor(int value = -1) : value_(value) {}
    ~BfdDescriptor();
    BfdDescriptor(BfdDescriptor&& from) noexcept;
    BfdDescriptor& operator=(BfdDescriptor&& from) noexcept;
    [[nodiscard]] int get() const { return value_; }

private:
    int value_;
};

/// Where datagrams arrive; sessions of the same door share its socket.
struct BfdDoor {
    Address local;
    std::string interface{};  ///< of a link-local address; empty: none
    bool multihop = false;

    friend auto operator<=>(const BfdDoor&, const BfdDoor&) = default;
};

/// What one recvmmsg(2) fills. Large, and used by all sockets in turn.
struct BfdBatch {
    static constexpr std::size_t size = 64;
    /// The length of a control packet is one octet: what a datagram has behind that is cut off.
    static constexpr std::size_t octets = 256;

    std::array<mmsghdr, size> messages{};
    std::array<iovec, size> vectors{};
    std::array<sockaddr_in6, size> senders{};
    struct alignas(cmsghdr) Control {
        std::array<char, 64> data{};
    };
    std::array<Control, size> controls{};
    std::array<std::array<std::uint8_t, octets>, size> datagrams{};
};

class BfdReceiver {
public:
    /// The error is a sentence.
    [[nodiscard]] static Result<BfdReceiver, std::string> open(const BfdDoor& door);

    /// Hands on what has arrived, at most `most` and a batch; says how many that were.
    std::size_t read(BfdBatch& batch, std::size_t most,
                     const std::function<void(const bfd::Datagram&)>& each) const;
    [[nodiscard]] int descriptor() const { return socket_.get(); }
    [[nodiscard]] const BfdDoor& door() const { return door_; }
    /// The number its interface had; 0: none.
    [[nodiscard]] unsigned scope() const { return scope_; }

private:
    BfdReceiver(BfdDescriptor socket, BfdDoor door, unsigned scope);

    BfdDescriptor socket_;
    BfdDoor door_;
    unsigned scope_;
};

class BfdSender {
public:
    /// From `port` where it is free, else from another one of 49152 to 65535 (RFC 5881 §4), which
    /// nobody can guess. The error is a sentence.
    [[nodiscard]] static Result<BfdSender, std::string> open(const bfd::SessionKey& key,
                                                             std::uint16_t port, Random& random);

    /// What cannot be sent is lost, as if it were on the way. Returns 0 or the number of the error.
    [[nodiscard]] int send(ByteView octets) const;
    [[nodiscard]] std::uint16_t port() const { return port_; }

private:
    BfdSender(BfdDescriptor socket, sockaddr_storage to, socklen_t size, std::uint16_t port);

    BfdDescriptor socket_;
    sockaddr_storage to_;
    socklen_t size_;
    std::uint16_t port_;
};

}  // namespace swerve::daemon
