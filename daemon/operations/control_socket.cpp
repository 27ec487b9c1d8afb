#include "daemon/operations/control_socket.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

#include "swerve/base/escape.hpp"

namespace swerve::daemon {

namespace {

constexpr int backlog = 64;

[[nodiscard]] std::string error_text(int error) { return std::generic_category().message(error); }

[[nodiscard]] sockaddr_un address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    return address;
}

class Descriptor {
public:
    explicit Descriptor(int value) : value_(value) {}
    ~Descriptor() {
        if (value_ >= 0) ::close(value_);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    [[nodiscard]] int get() const { return value_; }
    [[nodiscard]] int release() { return std::exchange(value_, -1); }

private:
    int value_;
};

/// "process 4711 (swerved)": who listens at the other end of a connected socket.
[[nodiscard]] std::string listener_of(int connected) {
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(connected, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || peer.pid <= 0) {
        return "another process";
    }
    std::string name;
    std::getline(std::ifstream{fmt::format("/proc/{}/comm", peer.pid)}, name);
    return name.empty() ? fmt::format("process {}", peer.pid)
                        : fmt::format("process {} ({})", peer.pid, escape(name));
}

[[nodiscard]] Result<void, std::string> make_directory(const std::filesystem::path& directory) {
    std::error_code ignored;
    if (directory.empty() || std::filesystem::is_directory(directory, ignored)) return {};
    if (auto parent = make_directory(directory.parent_path()); !parent) return parent;
    if (::mkdir(directory.c_str(), 0750) != 0 && errno != EEXIST) {
        return fail(fmt::format("control.socket: the directory {} cannot be made: {}",
                                directory.string(), error_text(errno)));
    }
    return {};
}

/// Makes way for the socket: a file on which nobody answers is left over from a daemon that died.
[[nodiscard]] Result<void, std::string> remove_stale(const std::string& path) {
    struct stat found{};
    if (::lstat(path.c_str(), &found) != 0) return {};
    if (!S_ISSOCK(found.st_mode)) {
        return fail(fmt::format("control.socket: {} exists and is not a socket", path));
    }
    const Descriptor probe{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    const sockaddr_un address = address_of(path);
    const int connected =
        ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    if (connected == 0) {
        return fail(
            fmt::format("control.socket: {} is in use by {}", path, listener_of(probe.get())));
    }
    if (errno == EAGAIN) {  // somebody listens and does not accept
        return fail(
            fmt::format("control.socket: {} is in use by a process that does not answer", path));
    }
    if (errno != ECONNREFUSED || ::unlink(path.c_str()) != 0) {
        return fail(fmt::format("control.socket: {} is in the way and cannot be removed: {}", path,
                                error_text(errno)));
    }
    return {};
}

}  // namespace

Result<ControlSocket, std::string> ControlSocket::open(const std::string& path) {
    if (path.size() >= sizeof(sockaddr_un::sun_path)) {
        return fail(fmt::format("control.socket: {} has {} characters; a socket path can have {}",
                                path, path.size(), sizeof(sockaddr_un::sun_path) - 1));
    }
    if (auto made = make_directory(std::filesystem::path{path}.parent_path()); !made) {
        return fail(made.error());
    }
    if (auto removed = remove_stale(path); !removed) return fail(removed.error());
    Descriptor listening{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    const sockaddr_un address = address_of(path);
    // The mode of the descriptor becomes that of the file: at no moment can others connect.
    if (listening.get() < 0 || ::fchmod(listening.get(), 0660) != 0 ||
        ::bind(listening.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        return fail(fmt::format("control.socket: {} cannot be made: {}", path, error_text(errno)));
    }
    ControlSocket made{path, listening.release()};
    if (::chmod(path.c_str(), 0660) != 0 || ::listen(made.descriptor_, backlog) != 0) {
        return fail(
            fmt::format("control.socket: {} cannot be opened: {}", path, error_text(errno)));
    }
    return made;
}

ControlSocket::ControlSocket(std::string path, int descriptor)
    : path_(std::move(path)), descriptor_(descriptor) {
    struct stat made{};
    if (::lstat(path_.c_str(), &made) == 0) {
        device_ = made.st_dev;
        inode_ = made.st_ino;
    }
}

ControlSocket::ControlSocket(ControlSocket&& other) noexcept
    : path_(std::exchange(other.path_, {})),
      descriptor_(std::exchange(other.descriptor_, -1)),
      device_(other.device_),
      inode_(other.inode_) {}

ControlSocket::~ControlSocket() {
    if (descriptor_ >= 0) ::close(descriptor_);
    struct stat there{};
    const bool ours = !path_.empty() && ::lstat(path_.c_str(), &there) == 0 &&
                      there.st_dev == device_ && there.st_ino == inode_;
    if (ours) ::unlink(path_.c_str());
}

int ControlSocket::release() { return std::exchange(descriptor_, -1); }

}  // namespace swerve::daemon
