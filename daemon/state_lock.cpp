#include "daemon/state_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <system_error>
#include <utility>

#include "swerve/base/escape.hpp"

namespace swerve::daemon {
namespace {

std::string last_error() { return std::system_category().message(errno); }

/// What the holder wrote about itself, one line.
std::string holder(int fd) {
    std::array<char, 128> text{};
    const ssize_t count = ::pread(fd, text.data(), text.size(), 0);
    if (count <= 0) return "another process";
    std::string line{text.data(), static_cast<std::size_t>(count)};
    return escape(line.substr(0, line.find('\n')));
}

}  // namespace

Result<StateLock, std::string> StateLock::take(const std::string& state_dir,
                                               const std::string& site) {
    namespace fs = std::filesystem;
    std::error_code error;
    if (fs::create_directories(state_dir, error)) {
        fs::permissions(state_dir, fs::perms{0750}, error);
    }
    if (error) return fail("state_dir " + state_dir + ": " + error.message());

    const std::string path = state_dir + "/lock";
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0) return fail(path + ": " + last_error());
    StateLock lock{fd};
    if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
        return fail("state_dir " + state_dir + " is in use by " + holder(fd) +
                    ": stop it first, or give this daemon a state_dir of its own");
    }
    const std::string line = "swerved, pid " + std::to_string(::getpid()) + ", site " + site + "\n";
    // A full disk costs the next one our name, not this one its start.
    [[maybe_unused]] const bool named =
        ::ftruncate(fd, 0) == 0 && ::pwrite(fd, line.data(), line.size(), 0) > 0;
    return lock;
}

StateLock::StateLock(StateLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

StateLock::~StateLock() {
    if (fd_ >= 0) ::close(fd_);
}

}  // namespace swerve::daemon
