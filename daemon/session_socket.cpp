#include "daemon/session_socket.hpp"

// clang-format off
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <linux/errqueue.h>
#include <linux/net_tstamp.h>
#include <linux/sockios.h>
// clang-format on

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <ctime>

#include "daemon/interfaces.hpp"
#include "daemon/tcp_md5.hpp"

namespace swerve::daemon {
namespace {

namespace asio = boost::asio;

/// RFC 4271 leaves it open; routers mark BGP as Internetwork Control (RFC 4594 §3.1, DSCP CS6).
constexpr int tos_internetwork_control = 0xc0;

/// What this socket may have unsent before it stops being writable (see max_unsent_octets).
constexpr int notsent_low_water = static_cast<int>(max_unsent_octets / 2);

std::string os_error(const char* what) {
    return std::string{what} + ": " + std::strerror(errno);  // NOLINT(concurrency-mt-unsafe)
}

bool set(int fd, int level, int name, int value) {
    return ::setsockopt(fd, level, name, &value, sizeof value) == 0;
}

Result<void, std::string> set_ip_options(int fd, Family family, unsigned hop_limit) {
    const int hops = static_cast<int>(hop_limit);
    const bool ipv4 = family == Family::ipv4;
    if (!set(fd, ipv4 ? IPPROTO_IP : IPPROTO_IPV6, ipv4 ? IP_TTL : IPV6_UNICAST_HOPS, hops)) {
        return fail(os_error("cannot set the hop limit"));
    }
    if (!set(fd, ipv4 ? IPPROTO_IP : IPPROTO_IPV6, ipv4 ? IP_TOS : IPV6_TCLASS,
             tos_internetwork_control)) {
        return fail(os_error("cannot set the type of service"));
    }
    return {};
}

/// RFC 5082 §3: what comes from further away than the neighbor is dropped by the kernel.
Result<void, std::string> set_least_hops(int fd, Family family, unsigned least) {
    const bool ipv4 = family == Family::ipv4;
    if (!set(fd, ipv4 ? IPPROTO_IP : IPPROTO_IPV6, ipv4 ? IP_MINTTL : IPV6_MINHOPCOUNT,
             static_cast<int>(least))) {
        return fail(os_error("cannot set the least TTL that ttl_security asks for") +
                    "; no session is made without it");
    }
    return {};
}

}  // namespace

asio::ip::tcp::endpoint to_asio(const Endpoint& endpoint, unsigned scope) {
    const auto octets = endpoint.address.octets();
    if (endpoint.address.family() == Family::ipv4) {
        asio::ip::address_v4::bytes_type raw{};
        std::ranges::copy(octets, raw.begin());
        return {asio::ip::address_v4{raw}, endpoint.port};
    }
    asio::ip::address_v6::bytes_type raw{};
    std::ranges::copy(octets, raw.begin());
    return {asio::ip::address_v6{raw, endpoint.address.is_ipv6_link_local() ? scope : 0},
            endpoint.port};
}

Address from_asio(const asio::ip::address& address) {
    if (address.is_v4()) {
        const auto raw = address.to_v4().to_bytes();
        return *Address::from_octets(raw);
    }
    const auto raw = address.to_v6().to_bytes();
    return *Address::from_octets(raw);
}

Result<void, std::string> set_listener_options(int fd, Family family) {
    return set_ip_options(fd, family, 255);
}

Result<SessionSocket, std::string> SessionSocket::open(asio::io_context& io, const Address& remote,
                                                       const SocketOptions& options) {
    boost::system::error_code error;
    Socket opened{io};
    const bool ipv4 = remote.family() == Family::ipv4;
    opened.open(ipv4 ? asio::ip::tcp::v4() : asio::ip::tcp::v6(), error);
    if (error) return fail("cannot open a socket: " + error.message());
    SessionSocket out{std::move(opened), remote};
    if (auto applied = out.apply(options); !applied) return fail(applied.error());
    if (!options.local_address) return out;
    unsigned scope = 0;
    if (options.local_address->is_ipv6_link_local()) {
        const auto found = scope_of(options.interface);
        if (!found) return fail(found.error());
        scope = *found;
    }
    out.socket_.bind(to_asio({*options.local_address, 0}, scope), error);
    if (error) {
        return fail("cannot bind to local_address " + options.local_address->to_string() + ": " +
                    error.message());
    }
    return out;
}

Result<void, std::string> SessionSocket::apply(const SocketOptions& options) {
    const int fd = socket_.native_handle();
    const Family family = remote_.family();
    if (auto done = set_ip_options(fd, family, options.hop_limit); !done) return done;
    if (options.least_hops || floored_) {
        if (auto done = set_least_hops(fd, family, options.least_hops.value_or(0)); !done) {
            return done;
        }
        floored_ = options.least_hops.has_value();
    }
    if (options.md5_key.empty() && md5_key_.empty()) return {};
    const auto host = *Prefix::masked(remote_, address_bits(family));
    if (auto done = install_md5_key(fd, {host, options.md5_key}); !done) return done;
    md5_key_ = options.md5_key;
    return {};
}

Result<void, std::string> SessionSocket::prepare(const SocketOptions& options) {
    boost::system::error_code error;
    socket_.non_blocking(true, error);
    if (error) return fail("connection lost: " + error.message());
    if (auto done = apply(options); !done) return done;
    const int fd = socket_.native_handle();

    // Only segments that were asked for are reported, by number of octet, without their payload.
    constexpr int timestamping =
        SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_OPT_ID | SOF_TIMESTAMPING_OPT_TSONLY;
    if (!set(fd, IPPROTO_TCP, TCP_NODELAY, 1) ||
        !set(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, notsent_low_water) ||
        !set(fd, SOL_SOCKET, SO_TIMESTAMPING, timestamping)) {
        return fail(os_error("cannot set socket options"));
    }
    return {};
}

void SessionSocket::set_user_timeout(Duration limit) {
    const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(limit).count();
    (void)set(socket_.native_handle(), IPPROTO_TCP, TCP_USER_TIMEOUT,
              static_cast<int>(milliseconds));
}

bool SessionSocket::ends() const {
    // The member is not const in Asio, the query changes nothing.
    pollfd asked{const_cast<Socket&>(socket_).native_handle(), POLLRDHUP, 0};
    return ::poll(&asked, 1, 0) == 1 && (asked.revents & (POLLRDHUP | POLLHUP)) != 0;
}

SessionSocket::Transfer SessionSocket::read(std::span<std::uint8_t> into) {
    const ssize_t got = ::recv(socket_.native_handle(), into.data(), into.size(), MSG_DONTWAIT);
    if (got > 0) return {Io::ok, static_cast<std::size_t>(got), {}};
    if (got == 0) return {Io::ended, 0, "the peer closed the connection"};
    if (errno == EAGAIN || errno == EINTR) return {Io::blocked, 0, {}};
    return {Io::ended, 0, os_error("connection lost")};
}

SessionSocket::Transfer SessionSocket::write(const std::vector<ByteView>& views, bool track) {
    std::array<iovec, 512> vectors{};
    const std::size_t used = std::min(views.size(), vectors.size());
    for (std::size_t i = 0; i < used; ++i) {
        // sendmsg does not write through iov_base; the type predates const.
        vectors[i] = {const_cast<std::uint8_t*>(views[i].data()), views[i].size()};
    }
    msghdr message{};
    message.msg_iov = vectors.data();
    message.msg_iovlen = used;

    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(std::uint32_t))> control{};
    if (track) {
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        cmsghdr* header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SO_TIMESTAMPING;
        header->cmsg_len = CMSG_LEN(sizeof(std::uint32_t));
        constexpr std::uint32_t on_acknowledgement = SOF_TIMESTAMPING_TX_ACK;
        std::memcpy(CMSG_DATA(header), &on_acknowledgement, sizeof on_acknowledgement);
    }
    const ssize_t sent = ::sendmsg(socket_.native_handle(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0) {
        written_ += static_cast<std::uint64_t>(sent);
        return {Io::ok, static_cast<std::size_t>(sent), {}};
    }
    if (errno == EAGAIN || errno == EINTR) return {Io::blocked, 0, {}};
    return {Io::ended, 0, os_error("connection lost")};
}

std::size_t SessionSocket::unsent() const {
    int octets = 0;
    // The member is not const in Asio, the query changes nothing.
    const int fd = const_cast<Socket&>(socket_).native_handle();
    if (::ioctl(fd, SIOCOUTQNSD, &octets) != 0) return 0;
    return static_cast<std::size_t>(std::max(octets, 0));
}

std::optional<TimePoint> SessionSocket::acknowledged() {
    for (;;) {
        alignas(cmsghdr) std::array<char, 512> control{};
        msghdr message{};
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        if (::recvmsg(socket_.native_handle(), &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) break;
        for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
             header = CMSG_NXTHDR(&message, header)) {
            const bool extended =
                (header->cmsg_level == SOL_IP && header->cmsg_type == IP_RECVERR) ||
                (header->cmsg_level == SOL_IPV6 && header->cmsg_type == IPV6_RECVERR);
            if (!extended) continue;
            sock_extended_err error{};
            std::memcpy(&error, CMSG_DATA(header), sizeof error);
            if (error.ee_origin != SO_EE_ORIGIN_TIMESTAMPING || error.ee_info != SCM_TSTAMP_ACK) {
                continue;
            }
            // ee_data is the number of the last octet modulo 2^32, counted from 0.
            const auto behind = static_cast<std::uint32_t>(written_ - 1) - error.ee_data;
            acknowledged_ = std::max(acknowledged_, written_ - behind);
        }
    }
    std::optional<TimePoint> latest;
    while (!marks_.empty() && marks_.front().octets <= acknowledged_) {
        latest = marks_.front().written_at;
        marks_.pop_front();
    }
    return latest;
}

}  // namespace swerve::daemon
