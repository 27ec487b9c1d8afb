#pragma once

#include <string>

#include "swerve/base/result.hpp"

namespace swerve::daemon {

/// Exclusive use of a state directory for the life of this object: two speakers for one site would
/// contradict each other. The lock belongs to the open file, so that it ends with the process,
/// however it ends.
class StateLock {
public:
    /// Creates the directory if it is missing (mode 0750). The error names who holds the lock.
    [[nodiscard]] static Result<StateLock, std::string> take(const std::string& state_dir,
                                                             const std::string& site);
    ~StateLock();
    StateLock(StateLock&& other) noexcept;
    StateLock(const StateLock&) = delete;
    StateLock& operator=(const StateLock&) = delete;
    StateLock& operator=(StateLock&&) = delete;

private:
    explicit StateLock(int fd) : fd_(fd) {}

    int fd_;
};

}  // namespace swerve::daemon
