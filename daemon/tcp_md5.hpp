#pragma once
// TCP-MD5 (RFC 2385): the keys a socket holds, and how often segments did not fit one.

#include <cstdint>
#include <istream>
#include <optional>
#include <string>
#include <vector>

#include "swerve/base/result.hpp"
#include "swerve/conf/config.hpp"
#include "swerve/net/prefix.hpp"

namespace swerve::daemon {

/// Segments from `from` must be signed with `key`, and those to it are.
struct Md5Key {
    Prefix from;
    std::string key;

    friend bool operator==(const Md5Key&, const Md5Key&) = default;
};

/// Installs or replaces the key for a prefix; an empty key removes it. For a listener before
/// listen(), for a dialled socket before connect(), and on a connection that lives, where both ends
/// have as long as it takes a segment to be given up to follow. The error is a sentence that says
/// what to do; whoever gets it must not go on without the key.
[[nodiscard]] Result<void, std::string> install_md5_key(int fd, const Md5Key& key);

/// What listeners of both families must hold, sorted by prefix. The error is a sentence: Linux has
/// one key for an address, whatever interface it is behind, and none that says "unsigned".
[[nodiscard]] Result<std::vector<Md5Key>, std::string> listener_keys(const conf::Config& config);

/// Segments dropped since the host started, of all sockets in this network namespace.
struct Md5Counters {
    std::uint64_t not_found = 0;   ///< unsigned, where a key was installed
    std::uint64_t unexpected = 0;  ///< signed, where none was
    std::uint64_t failure = 0;     ///< signed with another key

    friend bool operator==(const Md5Counters&, const Md5Counters&) = default;
};
/// Nothing where the kernel does not count them.
[[nodiscard]] std::optional<Md5Counters> read_md5_counters();
/// The same from the text of /proc/net/netstat.
[[nodiscard]] std::optional<Md5Counters> parse_md5_counters(std::istream& netstat);

}  // namespace swerve::daemon
