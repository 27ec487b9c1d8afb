#pragma once
// What a file system has left, and the thresholds with two ends. No system call here.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace swerve::health {

/// What statvfs() tells, in octets.
struct DiskSpace {
    std::uint64_t size = 0;  ///< without what is reserved for root, as df counts
    std::uint64_t free = 0;
    std::uint64_t inodes = 0;  ///< 0: they are made as they are needed
    std::uint64_t free_inodes = 0;
};

/// Falls below `enter` and is low until it reaches `leave`: so a value that wavers around one of
/// them flips once.
class LowMark {
public:
    /// `leave` is at least `enter`.
    LowMark(std::uint64_t enter, std::uint64_t leave) : enter_(enter), leave_(leave) {}

    /// What the value had to reach and does not; nothing if it does.
    std::optional<std::uint64_t> look(std::uint64_t value) {
        const std::uint64_t wanted = low_ ? leave_ : enter_;
        low_ = value < wanted;
        if (!low_) return std::nullopt;
        return wanted;
    }

private:
    std::uint64_t enter_;
    std::uint64_t leave_;
    bool low_ = false;
};

/// What is asked of a file system; what is not set is not asked.
struct DiskMarks {
    std::optional<LowMark> free;            ///< octets
    std::optional<LowMark> free_percent;    ///< of the size
    std::optional<LowMark> inodes_percent;  ///< of the inodes

    /// What it lacks, "3 % free instead of at least 5 %"; empty: nothing.
    std::string look(const DiskSpace& space);
};

/// `part` of `whole` in percent, rounded down; 100 of nothing.
[[nodiscard]] std::uint64_t percent_of(std::uint64_t part, std::uint64_t whole);

/// "2GiB", "500 MiB", "1TiB", "4096B"; nothing if it is no size or more than 64 bits hold.
[[nodiscard]] std::optional<std::uint64_t> size_from_text(std::string_view text);
/// "1.5 GiB": rounded down to a tenth.
[[nodiscard]] std::string size_text(std::uint64_t octets);

}  // namespace swerve::health
