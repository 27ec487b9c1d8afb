#pragma once
// The few things the state store asks of a file system, one step each, so that tests can end the
// world between any two of them.

#include <optional>
#include <string>
#include <string_view>

#include "swerve/base/result.hpp"

namespace swerve::daemon {

/// One directory. Names are plain file names in it. Errors are sentences.
class Disk {
public:
    Disk() = default;
    Disk(const Disk&) = delete;
    Disk& operator=(const Disk&) = delete;
    virtual ~Disk() = default;

    /// Nothing where there is no such file.
    [[nodiscard]] virtual Result<std::optional<std::string>, std::string> read(
        std::string_view name) = 0;
    /// Creates or overwrites; when it returns the octets are on stable storage. Broken off, any
    /// part of them may be there.
    [[nodiscard]] virtual Result<void, std::string> write(std::string_view name,
                                                          std::string_view octets) = 0;
    /// Atomically takes the place of `to`.
    [[nodiscard]] virtual Result<void, std::string> rename(std::string_view from,
                                                           std::string_view to) = 0;
    /// Renames and creations so far are on stable storage.
    [[nodiscard]] virtual Result<void, std::string> sync() = 0;
    /// Like write(), but may be lost and may tear.
    [[nodiscard]] virtual Result<void, std::string> scribble(std::string_view name,
                                                             std::string_view octets) = 0;
};

}  // namespace swerve::daemon
