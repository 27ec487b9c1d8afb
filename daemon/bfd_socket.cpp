#include "daemon/bfd_socket.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>
#include <utility>

#include "daemon/interfaces.hpp"

namespace swerve::daemon {
namespace {

/// RFC 5881 §5, and what routers mark their protocols with (RFC 4594 §3.1, DSCP CS6).
constexpr int hops_sent = 255;
constexpr int tos_internetwork_control = 0xc0;
/// TC_PRIO_INTERACTIVE: first out of an interface that has a queue. More needs CAP_NET_ADMIN.
constexpr int first_out = 6;

/// What waits while this process does not run: some thousand datagrams.
constexpr int receive_buffer = 4 * 1024 * 1024;

constexpr std::uint16_t first_source_port = 49152;
/// A range that is so full is not worth a longer search; it is tried anew later.
constexpr int port_attempts = 64;

std::string os_error(int error) {
    return std::strerror(error);  // NOLINT(concurrency-mt-unsafe)
}

bool set(const BfdDescriptor& socket, int level, int name, int value) {
    return ::setsockopt(socket.get(), level, name, &value, sizeof value) == 0;
}

struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t size = 0;
};

SocketAddress to_sockaddr(const Address& address, unsigned scope, std::uint16_t port) {
    SocketAddress out;
    if (address.family() == Family::ipv4) {
        sockaddr_in in{};
        in.sin_family = AF_INET;
        in.sin_port = htons(port);
        std::memcpy(&in.sin_addr, address.octets().data(), sizeof in.sin_addr);
        std::memcpy(&out.storage, &in, sizeof in);
        out.size = sizeof in;
    } else {
        sockaddr_in6 in{};
        in.sin6_family = AF_INET6;
        in.sin6_port = htons(port);
        std::memcpy(&in.sin6_addr, address.octets().data(), sizeof in.sin6_addr);
        if (address.is_ipv6_link_local()) in.sin6_scope_id = scope;
        std::memcpy(&out.storage, &in, sizeof in);
        out.size = sizeof in;
    }
    return out;
}

/// `from` is large enough for both families.
Address from_sockaddr(const sockaddr_in6& from) {
    if (from.sin6_family == AF_INET) {
        sockaddr_in in{};
        std::memcpy(&in, &from, sizeof in);
        return Address::v4(ntohl(in.sin_addr.s_addr));
    }
    return Address::from_octets(std::span<const std::uint8_t>{from.sin6_addr.s6_addr, 16})
        .value_or(Address::v4(0));
}

/// "192.0.2.1:3784", "[fe80::1%eth0]:3784"; port 0 is left out.
std::string name_of(const Address& address, const std::string& interface, std::uint16_t port) {
    std::string host = address.to_string() + (address.is_ipv6_link_local() ? "%" + interface : "");
    if (port == 0) return host;
    return (address.family() == Family::ipv6 ? "[" + host + "]" : host) + ":" +
           std::to_string(port);
}

std::string cannot_bind(const std::string& name, int error) {
    std::string out = "cannot bind " + name + ": " + os_error(error);
    if (error == EADDRINUSE) out += ": does another BFD speaker run here?";
    if (error == EADDRNOTAVAIL) out += ": does this host have the address?";
    return out;
}

Result<unsigned, std::string> scope_for(const Address& address, const std::string& interface) {
    if (!address.is_ipv6_link_local()) return 0U;
    return scope_of(interface);
}

Result<BfdDescriptor, std::string> open_udp(Family family) {
    const int domain = family == Family::ipv4 ? AF_INET : AF_INET6;
    BfdDescriptor out{::socket(domain, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
    if (out.get() < 0) return fail("cannot open a socket: " + os_error(errno));
    return out;
}

bool bind(const BfdDescriptor& socket, const SocketAddress& where) {
    return ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&where.storage), where.size) == 0;
}

/// 0, which no session takes, where the kernel did not say.
int ttl_of(msghdr& message) {
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
         header = CMSG_NXTHDR(&message, header)) {
        const bool is_ttl =
            (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_TTL) ||
            (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_HOPLIMIT);
        if (!is_ttl) continue;
        int ttl = 0;
        std::memcpy(&ttl, CMSG_DATA(header), sizeof ttl);
        return ttl;
    }
    return 0;
}

}  // namespace

BfdDescriptor::~BfdDescriptor() {
    if (value_ >= 0) ::close(value_);
}

BfdDescriptor::BfdDescriptor(BfdDescriptor&& from) noexcept
    : value_(std::exchange(from.value_, -1)) {}

BfdDescriptor& BfdDescriptor::operator=(BfdDescriptor&& from) noexcept {
    std::swap(value_, from.value_);
    return *this;
}

BfdReceiver::BfdReceiver(BfdDescriptor socket, BfdDoor door, unsigned scope)
    : socket_(std::move(socket)), door_(std::move(door)), scope_(scope) {}

Result<BfdReceiver, std::string> BfdReceiver::open(const BfdDoor& door) {
    const auto scope = scope_for(door.local, door.interface);
    if (!scope) return fail(scope.error());
    auto socket = open_udp(door.local.family());
    if (!socket) return fail(socket.error());
    const bool ipv4 = door.local.family() == Family::ipv4;
    // Before it is bound: the first datagram is to be judged by its TTL as well.
    if (!set(*socket, ipv4 ? IPPROTO_IP : IPPROTO_IPV6, ipv4 ? IP_RECVTTL : IPV6_RECVHOPLIMIT, 1)) {
        return fail("cannot ask for the TTL of datagrams: " + os_error(errno));
    }
    if (!set(*socket, SOL_SOCKET, SO_RCVBUFFORCE, receive_buffer)) {
        (void)set(*socket, SOL_SOCKET, SO_RCVBUF, receive_buffer);
    }
    const std::uint16_t port = door.multihop ? bfd::multihop_port : bfd::single_hop_port;
    if (!bind(*socket, to_sockaddr(door.local, *scope, port))) {
        return fail(cannot_bind(name_of(door.local, door.interface, port), errno));
    }
    return BfdReceiver{std::move(*socket), door, *scope};
}

std::size_t BfdReceiver::read(BfdBatch& batch, std::size_t most,
                              const std::function<void(const bfd::Datagram&)>& each) const {
    const std::size_t wanted = std::min(most, BfdBatch::size);
    for (std::size_t i = 0; i < wanted; ++i) {
        batch.vectors[i] = {batch.datagrams[i].data(), BfdBatch::octets};
        msghdr& header = batch.messages[i].msg_hdr;
        header = {};
        header.msg_name = &batch.senders[i];
        header.msg_namelen = sizeof(sockaddr_in6);
        header.msg_iov = &batch.vectors[i];
        header.msg_iovlen = 1;
        header.msg_control = batch.controls[i].data.data();
        header.msg_controllen = batch.controls[i].data.size();
    }
    const int got = ::recvmmsg(socket_.get(), batch.messages.data(), static_cast<unsigned>(wanted),
                               MSG_DONTWAIT, nullptr);
    const auto count = static_cast<std::size_t>(std::max(got, 0));
    for (std::size_t i = 0; i < count; ++i) {
        const std::size_t length =
            std::min<std::size_t>(batch.messages[i].msg_len, BfdBatch::octets);
        each({.octets = ByteView{batch.datagrams[i]}.first(length),
              .local = door_.local,
              .remote = from_sockaddr(batch.senders[i]),
              .interface = door_.interface,
              .multihop = door_.multihop,
              .ttl = ttl_of(batch.messages[i].msg_hdr)});
    }
    return count;
}

BfdSender::BfdSender(BfdDescriptor socket, sockaddr_storage to, socklen_t size, std::uint16_t port)
    : socket_(std::move(socket)), to_(to), size_(size), port_(port) {}

Result<BfdSender, std::string> BfdSender::open(const bfd::SessionKey& key, std::uint16_t port,
                                               Random& random) {
    const auto scope = scope_for(key.local, key.interface);
    if (!scope) return fail(scope.error());
    auto socket = open_udp(key.local.family());
    if (!socket) return fail(socket.error());
    const bool ipv4 = key.local.family() == Family::ipv4;
    const int level = ipv4 ? IPPROTO_IP : IPPROTO_IPV6;
    if (!set(*socket, level, ipv4 ? IP_TTL : IPV6_UNICAST_HOPS, hops_sent)) {
        return fail("cannot set the TTL: " + os_error(errno));
    }
    (void)set(*socket, level, ipv4 ? IP_TOS : IPV6_TCLASS, tos_internetwork_control);
    (void)set(*socket, SOL_SOCKET, SO_PRIORITY, first_out);
    // Nobody reads what is sent to it.
    (void)set(*socket, SOL_SOCKET, SO_RCVBUF, 0);

    int error = EADDRINUSE;
    for (int i = 0; i < port_attempts && error == EADDRINUSE; ++i) {
        if (i > 0 || port == 0) {
            port = static_cast<std::uint16_t>(first_source_port +
                                              random.below(0x10000U - first_source_port));
        }
        error = bind(*socket, to_sockaddr(key.local, *scope, port)) ? 0 : errno;
    }
    if (error == EADDRINUSE) {
        return fail("no source port of " + name_of(key.local, key.interface, 0) + " is free");
    }
    if (error != 0) return fail(cannot_bind(name_of(key.local, key.interface, 0), error));
    const std::uint16_t to = key.multihop ? bfd::multihop_port : bfd::single_hop_port;
    const SocketAddress remote = to_sockaddr(key.remote, *scope, to);
    return BfdSender{std::move(*socket), remote.storage, remote.size, port};
}

int BfdSender::send(ByteView octets) const {
    const ssize_t sent =
        ::sendto(socket_.get(), octets.data(), octets.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                 reinterpret_cast<const sockaddr*>(&to_), size_);
    return sent < 0 ? errno : 0;
}

}  // namespace swerve::daemon
