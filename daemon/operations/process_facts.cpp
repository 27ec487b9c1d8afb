#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <system_error>

#include "daemon/operations/metrics.hpp"

namespace swerve::daemon {

namespace {

[[nodiscard]] double seconds_of(const timeval& value) {
    return static_cast<double>(value.tv_sec) + static_cast<double>(value.tv_usec) / 1e6;
}

[[nodiscard]] double count_descriptors() {
    std::error_code error;
    std::filesystem::directory_iterator entry{"/proc/self/fd", error};
    double count = 0;
    for (; !error && entry != std::filesystem::directory_iterator{}; entry.increment(error)) {
        ++count;
    }
    return count;
}

}  // namespace

ProcessFacts read_process_facts() {
    ProcessFacts out;
    rusage usage{};
    if (::getrusage(RUSAGE_SELF, &usage) == 0) {
        out.cpu_seconds = seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
    }
    double size_pages = 0;
    double resident_pages = 0;
    if (std::ifstream{"/proc/self/statm"} >> size_pages >> resident_pages) {
        const auto page = static_cast<double>(::sysconf(_SC_PAGESIZE));
        out.virtual_bytes = size_pages * page;
        out.resident_bytes = resident_pages * page;
    }
    out.open_descriptors = count_descriptors();
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        out.most_descriptors = static_cast<double>(limit.rlim_cur);
    }
    return out;
}

}  // namespace swerve::daemon
