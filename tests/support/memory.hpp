#pragma once
// How much a test holds of the heap: what a loop takes and does not give back shows.

#include <malloc.h>

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
// Not every compiler brings the header that declares it.
// NOLINTNEXTLINE(bugprone-reserved-identifier)
extern "C" std::size_t __sanitizer_get_current_allocated_bytes();
#endif

namespace swerve::test {

/// Octets that are allocated and not freed. The sanitizers have an allocator of their own.
[[nodiscard]] inline std::size_t octets_held() {
#if defined(__SANITIZE_ADDRESS__)
    return __sanitizer_get_current_allocated_bytes();
#else
    const auto heap = ::mallinfo2();
    return heap.uordblks + heap.hblkhd;
#endif
}

/// The heap since here.
class MemoryHeld {
public:
    /// Octets held more, or less, than at construction.
    [[nodiscard]] std::ptrdiff_t grown() const {
        return static_cast<std::ptrdiff_t>(octets_held()) - static_cast<std::ptrdiff_t>(at_start_);
    }

private:
    std::size_t at_start_ = octets_held();
};

}  // namespace swerve::test
