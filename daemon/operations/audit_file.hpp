#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <spdlog/logger.h>

namespace swerve::daemon {

/// Appends lines to a file that outlives the daemon. A write that fails is counted and warned of
/// once until writing works again; nothing else depends on it.
class AuditFile {
public:
    AuditFile(std::string path, std::shared_ptr<spdlog::logger> logger);
    ~AuditFile();
    AuditFile(const AuditFile&) = delete;
    AuditFile& operator=(const AuditFile&) = delete;

    /// `line` without its line end. A file that was renamed or removed (log rotation) is opened
    /// anew, so that no signal is needed.
    void append(std::string_view line);
    [[nodiscard]] std::uint64_t failures() const { return failures_; }

private:
    [[nodiscard]] bool open_current();
    [[nodiscard]] bool write_line(const std::string& line) const;
    void close();

    std::string path_;
    std::shared_ptr<spdlog::logger> logger_;
    int file_ = -1;
    bool warned_ = false;
    std::uint64_t failures_ = 0;
};

}  // namespace swerve::daemon
