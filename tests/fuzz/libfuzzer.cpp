// libFuzzer's entry into the target SWERVE_FUZZ_TARGET.

#include <cstddef>
#include <cstdint>

#include "tests/fuzz/targets.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    swerve::fuzz::SWERVE_FUZZ_TARGET({data, size});
    return 0;
}
