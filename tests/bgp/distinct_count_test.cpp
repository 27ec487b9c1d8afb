#include "swerve/bgp/distinct_count.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "swerve/base/random.hpp"

namespace swerve::bgp {
namespace {

TEST_CASE("distinct count: nothing, one, the same again, and out again") {
    DistinctCount count;
    CHECK(count.estimate() == 0);
    count.erase(7);
    CHECK(count.estimate() == 0);
    count.insert(7);
    count.insert(7);
    CHECK(count.estimate() == 1);
    count.insert(std::uint64_t{7} << 30U | 8U);
    CHECK(count.estimate() == 2);
    count.erase(7);
    count.erase(7);
    CHECK(count.estimate() == 1);
    count.insert(7);
    count.clear();
    CHECK(count.estimate() == 0);
    count.insert(7);
    CHECK(count.estimate() == 1);
}

TEST_CASE("distinct count: the error is about one percent up to five million") {
    Random random{1};
    DistinctCount count;
    std::size_t in = 0;
    for (const std::size_t goal : {100UL, 1000UL, 10'000UL, 100'000UL, 1'000'000UL, 5'000'000UL}) {
        for (; in < goal; ++in) count.insert(random.next());
        CAPTURE(goal);
        const auto error =
            std::abs(static_cast<double>(count.estimate()) - static_cast<double>(goal));
        CHECK(error <= 0.011 * static_cast<double>(goal));
    }
}

TEST_CASE("distinct count: what goes and comes back changes nothing") {
    Random random{2};
    DistinctCount count;
    std::vector<std::uint64_t> things(200'000);
    for (auto& thing : things) count.insert(thing = random.next());
    const std::size_t before = count.estimate();
    for (int round = 0; round < 5; ++round) {
        for (std::size_t i = 0; i < things.size(); i += 2) {
            count.erase(things[i]);
            count.insert(things[i]);
        }
    }
    CHECK(count.estimate() == before);
    for (const auto thing : things) count.erase(thing);
    CHECK(count.estimate() == 0);
}

}  // namespace
}  // namespace swerve::bgp
