#pragma once
// Who listens on which TCP port. All checks of a loop share what was found: the kernel's table of
// sockets for a moment, and the search for their owners among all processes, which goes on in
// slices so that a host with many descriptors holds up nobody.

#include <sys/types.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "swerve/base/result.hpp"
#include "swerve/base/time.hpp"
#include "swerve/net/address.hpp"

namespace swerve::health {

struct ListeningSocket {
    Endpoint at;  ///< IPv4-mapped addresses as IPv4
    bool ipv6_only = false;
    std::uint64_t inode = 0;
};

/// Those of the thread's network namespace. The error is a sentence.
[[nodiscard]] Result<std::vector<ListeningSocket>, std::string> listening_sockets(
    const boost::asio::any_io_executor& executor);

enum class NoOwner : std::uint8_t { hidden, still_sought };

/// A process other than this one that has one of the sockets; `held` if it is one of them. `hidden`
/// if the search, at most a second ago, did not find any.
boost::asio::awaitable<Result<::pid_t, NoOwner>> owner_of(std::set<std::uint64_t> inodes,
                                                          ::pid_t held, TimePoint until);

}  // namespace swerve::health
