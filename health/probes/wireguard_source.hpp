#pragma once
// Who is asked about an interface of WireGuard: the kernel, and where it has none of this name, the
// userspace WireGuard behind it.

#include <boost/asio/awaitable.hpp>
#include <string>

#include "health/probes/runtime.hpp"
#include "health/probes/wireguard_device.hpp"

namespace swerve::health {

/// The error is the outcome of the attempt.
[[nodiscard]] boost::asio::awaitable<Result<WireguardDevice, Outcome>> ask_wireguard(
    const ProbeContext& context, std::string interface);

/// Over the socket of userspace WireGuard. `denied`: the kernel did not let us ask it, so nothing
/// at the socket means that it would have had to say something.
[[nodiscard]] boost::asio::awaitable<Result<WireguardDevice, Outcome>> ask_userspace_wireguard(
    const ProbeContext& context, std::string socket, std::string interface, bool denied);

}  // namespace swerve::health
