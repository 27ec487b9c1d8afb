#include "daemon/event_pacer.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

using namespace swerve;
using namespace std::chrono_literals;
using daemon::EventPacer;
using health::Outcome;
using health::ProbeResult;

namespace {

TimePoint at(Duration since) { return TimePoint{1h + since}; }
Outcome found(ProbeResult result, std::string reason = "") {
    return {result, std::move(reason), {}, {}};
}

/// One that has let its burst through.
EventPacer spent() {
    EventPacer pacer;
    for (int i = 0; i < EventRate::burst; ++i) (void)pacer.offer(at(0ms), found(ProbeResult::pass));
    return pacer;
}

/// An event every `step` for a second, and what went through.
std::vector<Outcome> storm(Duration step, ProbeResult (*result)(int)) {
    EventPacer pacer;
    std::vector<Outcome> out;
    const auto take = [&](std::optional<Outcome> due) {
        if (due) out.push_back(std::move(*due));
    };
    int number = 0;
    for (Duration now = 0s; now < 1s; now += step) {
        // The timer comes first, as on a loop that is not late.
        while (pacer.next_deadline() && *pacer.next_deadline() <= at(now)) {
            take(pacer.tick(*pacer.next_deadline()));
        }
        take(pacer.offer(at(now), found(result(number), std::to_string(number))));
        ++number;
    }
    if (pacer.next_deadline()) take(pacer.tick(*pacer.next_deadline()));
    return out;
}

}  // namespace

TEST_CASE("event pacer: a burst goes through at once, and what comes next after a gap") {
    EventPacer pacer;
    for (int number = 1; number <= EventRate::burst; ++number) {
        CHECK(pacer.offer(at(0ms), found(ProbeResult::fail))->result == ProbeResult::fail);
        CHECK_FALSE(pacer.next_deadline());
    }
    CHECK_FALSE(pacer.offer(at(1ms), found(ProbeResult::fail, "five")));
    CHECK(pacer.next_deadline() == at(20ms));
    CHECK_FALSE(pacer.tick(at(20ms) - 1ns));
    CHECK(pacer.tick(at(20ms))->reason == "five");
    CHECK_FALSE(pacer.next_deadline());
    // What went through last counts, be it by the timer.
    CHECK_FALSE(pacer.offer(at(40ms) - 1ns, found(ProbeResult::pass, "six")));
    CHECK(pacer.tick(at(40ms))->reason == "six");
    CHECK(pacer.offer(at(60ms), found(ProbeResult::pass, "seven"))->reason == "seven");
    CHECK_FALSE(pacer.offer(at(61ms), found(ProbeResult::pass, "eight")));
}

TEST_CASE("event pacer: what appears and goes again a moment later is told at once") {
    EventPacer pacer;
    CHECK(pacer.offer(at(0ms), found(ProbeResult::pass)));
    CHECK(pacer.offer(at(1ms), found(ProbeResult::fail))->result == ProbeResult::fail);
}

TEST_CASE("event pacer: an event that finds the timer late takes its place") {
    EventPacer pacer = spent();
    CHECK_FALSE(pacer.offer(at(5ms), found(ProbeResult::pass, "waits")));
    CHECK(pacer.offer(at(30ms), found(ProbeResult::pass, "late"))->reason == "late");
    CHECK_FALSE(pacer.next_deadline());
    CHECK_FALSE(pacer.tick(at(50ms)));
}

TEST_CASE("event pacer: of what waits the gravest goes through, the latest of its kind") {
    using enum ProbeResult;
    struct Row {
        std::vector<ProbeResult> results;
        std::string wins;
    };
    for (const Row& row : std::vector<Row>{{{fail, pass}, "0"},
                                           {{pass, fail, unknown}, "1"},
                                           {{unknown, pass}, "0"},
                                           {{fail, pass, fail, pass}, "2"},
                                           {{pass, pass}, "1"}}) {
        EventPacer pacer = spent();
        int number = 0;
        for (const ProbeResult result : row.results) {
            CHECK_FALSE(pacer.offer(at(1ms), found(result, std::to_string(number++))));
        }
        CHECK(pacer.tick(at(20ms))->reason == row.wins);
    }
}

TEST_CASE("event pacer: a thousand events a second become fifty, and the last word is told") {
    const auto passes = storm(1ms, [](int) { return ProbeResult::pass; });
    CHECK(passes.size() <= 54);
    CHECK(passes.size() >= 49);
    CHECK(passes.front().reason == "0");
    CHECK(passes.back().reason == "999");
    const auto one_fails = storm(
        1ms, [](int number) { return number == 505 ? ProbeResult::fail : ProbeResult::pass; });
    CHECK(std::ranges::count(one_fails, ProbeResult::fail, &Outcome::result) == 1);
    // What comes slower is not touched.
    CHECK(storm(25ms, [](int) { return ProbeResult::pass; }).size() == 40);
}
