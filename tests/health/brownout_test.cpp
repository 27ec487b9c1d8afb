// Services that fail now and then, in virtual time: what consecutive counters never see.

#include <doctest/doctest.h>

#include <random>

#include "swerve/health/tracker.hpp"
#include "tests/health/rig.hpp"

namespace swerve::health {

using namespace test;

namespace {

constexpr unsigned runs = 10'000;

/// Probes from the first moment of the brown-out until the check fails; at most `limit`.
template <class Fails>
unsigned probes_until_failed(Rig& rig, unsigned limit, Fails fails) {
    for (unsigned probe = 1; probe <= limit; ++probe) {
        rig.attempt_gives(fails() ? ProbeResult::fail : ProbeResult::pass);
        if (rig.state() == CheckState::fail) return probe;
    }
    return limit + 1;
}

}  // namespace

TEST_CASE("brown-out: a service that fails every second probe is out within window.of probes") {
    for (const unsigned healthy : {0U, 1U, 7U, 60U}) {
        for (const bool fails_first : {true, false}) {
            CAPTURE(healthy);
            CAPTURE(fails_first);
            Rig rig = passing();
            rig.pass(healthy);
            bool fails = !fails_first;
            const auto alternate = [&] { return fails = !fails; };
            CHECK(probes_until_failed(rig, 100, alternate) <= rig.tracker.policy().window_of);
        }
    }
}

TEST_CASE("brown-out: so it is with every window that alternating failures can fill") {
    for (unsigned of = 2; of <= 60; ++of) {
        CAPTURE(of);
        Rig rig = passing({.window_failures = of / 2, .window_of = of});
        rig.pass(of);
        bool fails = false;
        CHECK(probes_until_failed(rig, 200, [&] { return fails = !fails; }) <= of);
    }
}

TEST_CASE("brown-out: one failure less than the window asks for changes nothing") {
    Rig rig = passing();
    // Four of any ten fail, and never three in a row.
    unsigned number = 0;
    const auto four_of_ten = [&] { return number++ % 10 < 8 && number % 2 == 1; };
    CHECK(probes_until_failed(rig, 500, four_of_ten) == 501);
}

TEST_CASE("brown-out: at random failures of half the probes 99 of 100 runs are out within 40") {
    unsigned within = 0;
    for (unsigned seed = 1; seed <= runs; ++seed) {
        Rig rig = passing();
        std::mt19937 random{seed};
        const auto half = [&] { return (random() & 1U) != 0; };
        within += probes_until_failed(rig, 40, half) <= 40 ? 1 : 0;
    }
    CAPTURE(within);
    CHECK(within >= runs * 99 / 100);
}

}  // namespace swerve::health
