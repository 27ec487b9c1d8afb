#pragma once

#include <cstdint>

#include "swerve/base/time.hpp"

namespace swerve {

/// Seeded generator (SplitMix64). The standard distributions differ between libraries, so the few
/// that are needed stand here: the same seed gives the same run on every compiler.
class Random {
public:
    explicit Random(std::uint64_t seed) : state_(seed) {}

    [[nodiscard]] std::uint64_t next() {
        state_ += 0x9e3779b97f4a7c15ULL;
        std::uint64_t z = state_;
        z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9ULL;
        z = (z ^ (z >> 27U)) * 0x94d049bb133111ebULL;
        return z ^ (z >> 31U);
    }

    /// Uniform in [0, bound); bound 0 gives 0. The modulo bias is below 2^-32 for bounds under
    /// 2^32.
    [[nodiscard]] std::uint64_t below(std::uint64_t bound) {
        return bound == 0 ? 0 : next() % bound;
    }

    /// `whole` multiplied by a uniform factor from percent_low/100 to 1 (RFC 4271 §10 uses 75).
    /// Jitter only shortens.
    [[nodiscard]] Duration shortened(Duration whole, unsigned percent_low = 75) {
        const auto span = static_cast<std::uint64_t>(whole.count()) / 100U * (100U - percent_low);
        return whole - Duration{static_cast<Duration::rep>(below(span + 1))};
    }

private:
    std::uint64_t state_;
};

}  // namespace swerve
