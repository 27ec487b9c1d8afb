#include "daemon/operations/audit_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace swerve::daemon {

AuditFile::AuditFile(std::string path, std::shared_ptr<spdlog::logger> logger)
    : path_(std::move(path)), logger_(std::move(logger)) {}

AuditFile::~AuditFile() { close(); }

void AuditFile::append(std::string_view line) {
    if (open_current() && write_line(std::string{line} + "\n")) {
        if (warned_) logger_->info("event=audit path={} text=\"written again\"", path_);
        warned_ = false;
        return;
    }
    const int error = errno;
    ++failures_;
    if (!warned_) {
        logger_->warn("event=audit path={} text=\"cannot be written: {}; actions go unrecorded\"",
                      path_, std::generic_category().message(error));
    }
    warned_ = true;
    close();
}

bool AuditFile::open_current() {
    struct stat here{};
    struct stat there{};
    if (file_ >= 0 && ::fstat(file_, &here) == 0 && ::stat(path_.c_str(), &there) == 0 &&
        here.st_ino == there.st_ino && here.st_dev == there.st_dev) {
        return true;
    }
    close();
    // O_NONBLOCK: a FIFO put in its place must not stop the loop.
    file_ = ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0640);
    return file_ >= 0;
}

bool AuditFile::write_line(const std::string& line) const {
    const ssize_t written = ::write(file_, line.data(), line.size());
    if (written >= 0 && static_cast<std::size_t>(written) < line.size()) errno = ENOSPC;
    return written == static_cast<ssize_t>(line.size());
}

void AuditFile::close() {
    if (file_ >= 0) ::close(file_);
    file_ = -1;
}

}  // namespace swerve::daemon
