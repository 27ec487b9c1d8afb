#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include "swerve/base/result.hpp"

namespace swerve::daemon {

/// The file of the control socket: bound and listening from open() on, removed with the object if
/// it is still ours.
class ControlSocket {
public:
    /// Directories that are missing are made (mode 0750); the socket has mode 0660. A socket file
    /// on which nobody answers is removed first. The error says what was found and whose it is.
    [[nodiscard]] static Result<ControlSocket, std::string> open(const std::string& path);

    ~ControlSocket();
    ControlSocket(ControlSocket&& other) noexcept;
    ControlSocket& operator=(ControlSocket&&) = delete;

    /// The listening descriptor, whose ownership goes to the caller.
    [[nodiscard]] int release();

private:
    ControlSocket(std::string path, int descriptor);

    std::string path_;
    int descriptor_;
    dev_t device_ = 0;
    ino_t inode_ = 0;
};

}  // namespace swerve::daemon
