#pragma once
// What UDP and ICMP share: sockets that hear from one host only, under the locality rule.

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/system/error_code.hpp>
#include <string>

#include "health/probes/runtime.hpp"

namespace swerve::health {

[[nodiscard]] boost::asio::ip::address to_asio(const Address& address);

/// DESIGN.md §4.5, as connect() does it for TCP: whether the target lies in `owned`, so that the
/// socket must be bound to the target's own address.
[[nodiscard]] bool must_be_ours(const ProbeContext& context, const Address& target);

/// The outcome of a bind() to the target's address that failed.
[[nodiscard]] Outcome bind_failed(const boost::system::error_code& error, std::string doing,
                                  const Endpoint& target);

/// Has the kernel report every ICMP error to the socket, not only those that it takes for final:
/// that a host is unreachable is news for a probe, though another packet might get through.
void report_icmp_errors(int socket, Family family);

/// A UDP socket with a port of its own that sends to `target` and hears from nobody else.
[[nodiscard]] Result<boost::asio::ip::udp::socket, Outcome> connect_datagram(
    const boost::asio::any_io_executor& executor, const ProbeContext& context,
    const Endpoint& target);

}  // namespace swerve::health
