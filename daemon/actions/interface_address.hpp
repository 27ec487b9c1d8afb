#pragma once
// Addresses of interfaces by rtnetlink: one request, one answer, no state. Each call takes as long
// as the kernel does, a few microseconds unless its routing lock is taken, and at most 1 s.

#include <string>

#include "swerve/base/result.hpp"
#include "swerve/net/prefix.hpp"

namespace swerve::daemon {

/// Puts the address on the interface, marked as ours where the kernel keeps marks (Linux 5.18).
/// False: it is there already. IPv6 addresses are usable at once, without duplicate address
/// detection: at an anycast address other sites answer, too. The error is a sentence that says what
/// to do.
[[nodiscard]] Result<bool, std::string> add_address(const std::string& interface,
                                                    const Prefix& address);

/// Whether the address is there with our mark; so it is when a daemon before this one left it.
[[nodiscard]] bool has_our_mark(const std::string& interface, const Prefix& address);

/// Takes it off; one that is not there is no error.
[[nodiscard]] Result<void, std::string> remove_address(const std::string& interface,
                                                       const Prefix& address);

}  // namespace swerve::daemon
