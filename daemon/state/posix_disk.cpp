#include "daemon/state/posix_disk.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <system_error>
#include <utility>

#include "daemon/state/codec.hpp"

namespace swerve::daemon {
namespace {

class Descriptor {
public:
    /// O_NONBLOCK: a FIFO put in the place of a file must not stop the loop.
    Descriptor(const std::string& path, int flags)
        : fd_(::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600)) {}
    ~Descriptor() {
        if (fd_ >= 0) ::close(fd_);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;

    [[nodiscard]] bool valid() const { return fd_ >= 0; }
    [[nodiscard]] int get() const { return fd_; }
    /// Some file systems tell only here that an earlier write failed.
    [[nodiscard]] bool close() { return ::close(std::exchange(fd_, -1)) == 0; }

private:
    int fd_;
};

/// "writing /var/lib/swerve/state.tmp: No space left on device", from errno.
[[nodiscard]] std::unexpected<std::string> failed(const char* what, const std::string& path) {
    const int error = errno;
    return fail(std::string{what} + " " + path + ": " + std::generic_category().message(error));
}

[[nodiscard]] bool write_all(int fd, std::string_view octets) {
    while (!octets.empty()) {
        const ssize_t count = ::write(fd, octets.data(), octets.size());
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) {
            if (count == 0) errno = ENOSPC;
            return false;
        }
        octets.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
}

}  // namespace

std::string PosixDisk::path_of(std::string_view name) const {
    return directory_ + "/" + std::string{name};
}

Result<std::optional<std::string>, std::string> PosixDisk::read(std::string_view name) {
    const std::string path = path_of(name);
    const Descriptor file{path, O_RDONLY};
    if (!file.valid()) {
        if (errno == ENOENT) return std::nullopt;
        return failed("opening", path);
    }
    std::string octets;
    std::array<char, 65'536> buffer;
    while (octets.size() <= largest_generation) {
        const ssize_t count = ::read(file.get(), buffer.data(), buffer.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return failed("reading", path);
        if (count == 0) return octets;
        octets.append(buffer.data(), static_cast<std::size_t>(count));
    }
    errno = EFBIG;
    return failed("reading", path);
}

Result<void, std::string> PosixDisk::write(std::string_view name, std::string_view octets) {
    return put(name, octets, Durable::yes);
}

Result<void, std::string> PosixDisk::scribble(std::string_view name, std::string_view octets) {
    return put(name, octets, Durable::no);
}

Result<void, std::string> PosixDisk::put(std::string_view name, std::string_view octets,
                                         Durable durable) const {
    const std::string path = path_of(name);
    Descriptor file{path, O_WRONLY | O_CREAT};
    if (!file.valid()) return failed("opening", path);
    if (!write_all(file.get(), octets)) return failed("writing", path);
    // Cut afterwards, not emptied before: ext4 flushes a file that was emptied when it is closed,
    // which a sign of life is not worth.
    if (::ftruncate(file.get(), static_cast<off_t>(octets.size())) != 0) {
        return failed("cutting", path);
    }
    if (durable == Durable::yes && ::fsync(file.get()) != 0) return failed("syncing", path);
    if (!file.close()) return failed("closing", path);
    return {};
}

Result<void, std::string> PosixDisk::rename(std::string_view from, std::string_view to) {
    const std::string source = path_of(from);
    if (::rename(source.c_str(), path_of(to).c_str()) != 0) return failed("renaming", source);
    return {};
}

Result<void, std::string> PosixDisk::sync() {
    const Descriptor directory{directory_, O_RDONLY | O_DIRECTORY};
    if (!directory.valid()) return failed("opening", directory_);
    if (::fsync(directory.get()) != 0) return failed("syncing", directory_);
    return {};
}

}  // namespace swerve::daemon
