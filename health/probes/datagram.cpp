#include "health/probes/datagram.hpp"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace swerve::health {

namespace asio = boost::asio;
using asio::ip::udp;
using boost::system::error_code;

asio::ip::address to_asio(const Address& address) {
    const auto octets = address.octets();
    if (address.family() == Family::ipv4) {
        asio::ip::address_v4::bytes_type bytes{};
        std::ranges::copy(octets, bytes.begin());
        return asio::ip::address_v4(bytes);
    }
    asio::ip::address_v6::bytes_type bytes{};
    std::ranges::copy(octets, bytes.begin());
    return asio::ip::address_v6(bytes);
}

bool must_be_ours(const ProbeContext& context, const Address& target) {
    return std::ranges::any_of(context.owned,
                               [&](const Prefix& prefix) { return prefix.contains(target); });
}

Outcome bind_failed(const error_code& error, std::string doing, const Endpoint& target) {
    if (error == error_code(EADDRNOTAVAIL, boost::system::system_category())) {
        return failed(target.address.to_string() + ": address not on this host");
    }
    return from_error(error, std::move(doing), target);
}

void report_icmp_errors(int socket, Family family) {
    const int on = 1;
    if (family == Family::ipv4) {
        ::setsockopt(socket, IPPROTO_IP, IP_RECVERR, &on, sizeof on);
    } else {
        ::setsockopt(socket, IPPROTO_IPV6, IPV6_RECVERR, &on, sizeof on);
    }
}

Result<udp::socket, Outcome> connect_datagram(const asio::any_io_executor& executor,
                                              const ProbeContext& context, const Endpoint& target) {
    const std::string doing = "opening a socket towards " + target.to_string();
    const udp::endpoint remote(to_asio(target.address), target.port);
    udp::socket socket(executor);
    error_code error;
    socket.open(remote.protocol(), error);
    if (error) return fail(from_error(error, doing, target));
    if (must_be_ours(context, target.address)) {
        socket.bind(udp::endpoint(remote.address(), 0), error);
        if (error) return fail(bind_failed(error, doing, target));
    }
    report_icmp_errors(socket.native_handle(), target.address.family());
    socket.connect(remote, error);
    if (error) return fail(from_error(error, doing, target));
    // When nobody listens on a port of the ephemeral range, the kernel can pick that very port as
    // the source: the socket would then hear itself.
    if (socket.local_endpoint(error) == remote) {
        return fail(failed("connection refused by " + target.to_string()));
    }
    return socket;
}

}  // namespace swerve::health
