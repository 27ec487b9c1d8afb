#include "conf/files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace swerve::conf {

namespace {

std::string cause(int error) { return "cannot be read: " + std::generic_category().message(error); }

class Descriptor {
public:
    explicit Descriptor(int number) : number_(number) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
        if (number_ >= 0) ::close(number_);
    }
    [[nodiscard]] int get() const { return number_; }

private:
    int number_;
};

/// When a file was last written, in nanoseconds.
std::int64_t stamp(const struct stat& status) {
    return status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec;
}

std::string too_large(std::size_t limit) {
    const bool whole = limit >= (1U << 20U);
    return "is larger than " +
           (whole ? std::to_string(limit >> 20U) + " MiB" : std::to_string(limit) + " octets");
}

std::string too_open(::mode_t mode) {
    std::string octal;
    for (unsigned shift = 9; shift > 0; shift -= 3) {
        octal += static_cast<char>('0' + ((mode >> (shift - 3)) & 7U));
    }
    return "is open to others: its mode is 0" + octal + ", at most 0640 is fit for a secret";
}

Result<std::string, std::string> read(const std::string& file, std::size_t limit,
                                      ::mode_t forbidden) {
    // O_NONBLOCK: opening a pipe must not wait for somebody to write into it.
    const Descriptor descriptor{::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
    if (descriptor.get() < 0) return fail(cause(errno));
    struct stat status{};
    if (::fstat(descriptor.get(), &status) != 0) return fail(cause(errno));
    if (S_ISDIR(status.st_mode)) return fail(cause(EISDIR));
    if (!S_ISREG(status.st_mode)) return fail(std::string{"is not a regular file"});
    if ((status.st_mode & forbidden) != 0) return fail(too_open(status.st_mode));
    if (static_cast<std::size_t>(status.st_size) > limit) return fail(too_large(limit));
    // One octet more than promised: a file that grows meanwhile is noticed, not cut.
    std::string text(static_cast<std::size_t>(status.st_size) + 1, '\0');
    std::size_t used = 0;
    for (;;) {
        if (used == text.size()) text.resize(std::min(limit + 1, 2 * text.size() + 4096));
        if (used > limit) return fail(too_large(limit));
        const ssize_t count = ::read(descriptor.get(), text.data() + used, text.size() - used);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return fail(cause(errno));
        if (count == 0) break;
        used += static_cast<std::size_t>(count);
    }
    text.resize(used);
    // Half of what was there before and half of what comes would be neither.
    struct stat after{};
    if (::fstat(descriptor.get(), &after) != 0) return fail(cause(errno));
    if (stamp(after) != stamp(status) || after.st_size != static_cast<::off_t>(used)) {
        return fail(std::string{"changed while it was read"});
    }
    return text;
}

}  // namespace

Result<std::string, std::string> read_text(const std::string& file, std::size_t limit) {
    return read(file, limit, 0);
}

Result<std::string, std::string> read_private(const std::string& file, std::size_t limit) {
    return read(file, limit, S_IRWXO | S_IWGRP);
}

}  // namespace swerve::conf
