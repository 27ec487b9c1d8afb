#pragma once
// Draws from the one generator of a world. At most one argument of a call may draw: compilers
// evaluate arguments in orders of their own, and the same seed has to mean the same world (S9).

#include <cstddef>
#include <cstdint>
#include <iterator>

#include "swerve/base/random.hpp"
#include "swerve/base/time.hpp"

namespace swerve::sim {

using std::chrono::milliseconds;
using std::chrono::seconds;

[[nodiscard]] inline bool chance(Random& random, unsigned percent) {
    return random.below(100) < percent;
}
/// Uniform in [low, high].
[[nodiscard]] inline unsigned between(Random& random, unsigned low, unsigned high) {
    return low + static_cast<unsigned>(random.below(high - low + 1));
}
[[nodiscard]] inline Duration between(Random& random, Duration low, Duration high) {
    return low + Duration{static_cast<Duration::rep>(
                     random.below(static_cast<std::uint64_t>((high - low).count()) + 1))};
}
template <class Range>
[[nodiscard]] auto& pick(Random& random, Range& from) {
    return *std::next(std::begin(from), static_cast<std::ptrdiff_t>(random.below(std::size(from))));
}

}  // namespace swerve::sim
