#include "swerve/base/random.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>

namespace swerve {
namespace {

using namespace std::chrono_literals;

TEST_CASE("random: the published SplitMix64 sequence, so that a seed replays anywhere") {
    Random random{1234567};
    for (const std::uint64_t expected :
         {6457827717110365317ULL, 3203168211198807973ULL, 9817491932198370423ULL,
          4593380528125082431ULL, 16408922859458223821ULL}) {
        CHECK(random.next() == expected);
    }
}

TEST_CASE("random: equal seeds agree, different ones do not") {
    Random a{7};
    Random b{7};
    Random c{8};
    CHECK(a.next() == b.next());
    CHECK(a.next() != c.next());
}

TEST_CASE("random: below stays below and reaches every value") {
    Random random{1};
    CHECK(random.below(0) == 0);
    CHECK(random.below(1) == 0);
    std::array<int, 6> seen{};
    for (int i = 0; i < 600; ++i) ++seen.at(random.below(seen.size()));
    CHECK(std::ranges::all_of(seen, [](int count) { return count > 50; }));
}

TEST_CASE("random: jitter only shortens, to 75 % at the lowest") {
    // RFC 4271 §10.
    Random random{1};
    Duration least = 100s;
    Duration most = 0s;
    for (int i = 0; i < 10000; ++i) {
        const Duration one = random.shortened(100s);
        least = std::min(least, one);
        most = std::max(most, one);
    }
    CHECK(least >= 75s);
    CHECK(least < 76s);
    CHECK(most <= 100s);
    CHECK(most > 99s);
    CHECK(random.shortened(100s, 100) == 100s);
    CHECK(random.shortened(0s) == 0s);
    CHECK(random.shortened(1ns) == 1ns);
    for (int i = 0; i < 1000; ++i) CHECK(random.shortened(1s, 90) >= 900ms);
}

}  // namespace
}  // namespace swerve
