#pragma once
// What a link-local neighbor needs to know of the interfaces of this host.

#include <optional>
#include <string>

#include "swerve/base/result.hpp"
#include "swerve/net/address.hpp"

namespace swerve::daemon {

/// The number of an interface as sockets want it. Asked anew each time, for an interface that comes
/// back has another. The error is a sentence.
[[nodiscard]] Result<unsigned, std::string> scope_of(const std::string& interface);

/// The interface with this number; empty when there is none, or for 0.
[[nodiscard]] std::string interface_of(unsigned scope);

/// The link-local address of the interface that has `local`; nothing for an IPv4 address or where
/// there is none. A link-local address is its own.
[[nodiscard]] std::optional<Address> link_local_beside(const Address& local);

}  // namespace swerve::daemon
