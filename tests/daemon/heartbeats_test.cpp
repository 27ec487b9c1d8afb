#include "daemon/heartbeats.hpp"

#include <doctest/doctest.h>

using namespace swerve;
using namespace std::chrono_literals;
using daemon::Heartbeats;

namespace {

constexpr Duration period = 500ms;
constexpr Duration limit = 5s;
constexpr TimePoint start{1h};

/// Asks both loops at `start`, then plays rounds every period up to `until`; the loop that was
/// named hung.
std::optional<std::string> rounds(Heartbeats& beats, TimePoint from, TimePoint until) {
    for (TimePoint now = from; now <= until; now += period) {
        if (const auto hung = beats.round(now)) return hung;
    }
    return std::nullopt;
}

}  // namespace

TEST_CASE("heartbeats: a loop that owes an answer for less than the limit is left alone") {
    Heartbeats beats{{"main", "probes"}, period, limit};
    CHECK_FALSE(beats.round(start));
    beats.asked(0, start);
    CHECK_FALSE(rounds(beats, start + period, start + limit - period));
}

TEST_CASE("heartbeats: a loop that owes an answer for the limit is named") {
    Heartbeats beats{{"main", "probes"}, period, limit};
    CHECK_FALSE(beats.round(start));
    beats.asked(1, start);
    CHECK(rounds(beats, start + period, start + limit) == "probes");
}

TEST_CASE("heartbeats: an answer settles the account and is remembered as lateness") {
    Heartbeats beats{{"main"}, period, limit};
    CHECK_FALSE(beats.round(start));
    beats.asked(0, start);
    CHECK_FALSE(beats.asks(0));
    beats.beat(0, start + 30ms);
    CHECK(beats.asks(0));
    CHECK(beats.worst_lateness(0) == 30ms);
    CHECK_FALSE(rounds(beats, start + period, start + 2 * limit));
}

TEST_CASE("heartbeats: a pause of the whole process is nobody's fault") {
    Heartbeats beats{{"main"}, period, limit};
    CHECK_FALSE(beats.round(start));
    beats.asked(0, start);
    // The watchdog itself comes an hour late: everything stood still.
    const TimePoint resumed = start + 1h;
    CHECK_FALSE(beats.round(resumed));
    // The loop gets the whole limit from then on, less the period that was regular.
    CHECK_FALSE(rounds(beats, resumed + period, resumed + limit - 2 * period));
    CHECK(rounds(beats, resumed + limit - period, resumed + limit) == "main");
}
