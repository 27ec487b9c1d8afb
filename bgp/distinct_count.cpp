#include "swerve/bgp/distinct_count.hpp"

#include <cmath>

namespace swerve::bgp {

void DistinctCount::insert(std::uint64_t hash) {
    if (words_.empty()) words_.resize(bits / 64);
    std::uint64_t& octets = words_[word(hash)];
    if ((octets & bit(hash)) == 0) ++ones_;
    octets |= bit(hash);
}

void DistinctCount::erase(std::uint64_t hash) {
    if (words_.empty()) return;
    std::uint64_t& octets = words_[word(hash)];
    if ((octets & bit(hash)) != 0) --ones_;
    octets &= ~bit(hash);
}

void DistinctCount::clear() {
    words_ = {};
    ones_ = 0;
}

std::size_t DistinctCount::estimate() const {
    // Of n things that fall on m bits at random, (1 - 1/m)^n of the bits stay zero. When none is
    // left, one is taken for zero: more cannot be told apart.
    const auto all = static_cast<double>(bits);
    const auto zero = static_cast<double>(ones_ < bits ? bits - ones_ : 1);
    return static_cast<std::size_t>(std::llround(all * std::log(all / zero)));
}

}  // namespace swerve::bgp
