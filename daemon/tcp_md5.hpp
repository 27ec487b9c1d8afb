#pragma once
// TCP-MD5 (RFC 2385): the keys a socket holds.

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

}  // namespace swerve::daemon
