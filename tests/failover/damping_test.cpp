#include "swerve/failover/damping.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cstdint>
#include <limits>

#include "failover/decide.hpp"
#include "swerve/base/random.hpp"

namespace swerve::failover {

using namespace std::chrono_literals;

namespace {

constexpr TimePoint start{1000h};
constexpr std::array profiles{DampingProfile::rfc7196, DampingProfile::cisco,
                              DampingProfile::junos};

Damping damping(DampingProfile profile) { return Damping{{.profile = profile}}; }

/// Which withdrawal of a series, each with its announcement right behind it, makes an upstream
/// suppress the route; 0: none of a hundred does.
int suppressing_withdrawal(DampingProfile profile, Duration spacing) {
    Damping upstream = damping(profile);
    TimePoint now = start;
    for (int nth = 1; nth <= 100; ++nth, now += spacing) {
        upstream.withdrawn(now);
        upstream.announced(now);
        if (upstream.penalty(now) >= figures_of(profile).suppress) return nth;
    }
    return 0;
}

/// One thing that may happen to a service, with the damping obeyed or (an operator, a worsening)
/// not.
void happen(Random& random, Damping& service, TimePoint now) {
    switch (random.below(4)) {
        case 0:
            service.withdrawn(now);
            break;
        case 1:
            service.announced(now);
            break;
        case 2:
            service.changed(now);
            break;
        default:
            if (!service.wait_to_announce(now)) service.announced(now);
            break;
    }
}

Duration random_pause(Random& random) {
    // From a burst to what nobody remembers.
    constexpr std::array longest{Duration{2ms}, Duration{10s}, Duration{10min}, Duration{2h}};
    return Duration{static_cast<std::int64_t>(
        random.below(static_cast<std::uint64_t>(longest[random.below(4)].count())))};
}

}  // namespace

TEST_CASE("damping: which withdrawal of a series suppresses, by profile and spacing") {
    struct Row {
        DampingProfile profile;
        std::array<int, 4> nth;  // 60 s, 5 min, 10 min, 20 min
    };
    constexpr std::array spacings{Duration{60s}, Duration{5min}, Duration{10min}, Duration{20min}};
    for (const Row& row :
         {Row{DampingProfile::cisco, {3, 3, 3, 0}}, Row{DampingProfile::junos, {2, 2, 2, 3}},
          Row{DampingProfile::rfc7196, {7, 0, 0, 0}}}) {
        for (std::size_t i = 0; i < spacings.size(); ++i) {
            CAPTURE(to_string(row.profile));
            CAPTURE(std::chrono::duration_cast<std::chrono::seconds>(spacings[i]).count());
            CHECK(suppressing_withdrawal(row.profile, spacings[i]) == row.nth[i]);
        }
    }
}

TEST_CASE("damping: the spacing that is safe forever") {
    CHECK(suppressing_withdrawal(DampingProfile::cisco, 15min + 1s) == 0);
    CHECK(suppressing_withdrawal(DampingProfile::cisco, 15min - 10s) != 0);
    CHECK(suppressing_withdrawal(DampingProfile::junos, 23min + 50s) == 0);
    CHECK(suppressing_withdrawal(DampingProfile::junos, 23min + 40s) != 0);
    CHECK(suppressing_withdrawal(DampingProfile::rfc7196, 4min) == 0);
    CHECK(suppressing_withdrawal(DampingProfile::rfc7196, 3min + 50s) != 0);
}

TEST_CASE("damping: the penalty halves in fifteen minutes and never passes the ceiling") {
    Damping service = damping(DampingProfile::cisco);
    CHECK(service.penalty(start) == 0);
    service.withdrawn(start);
    CHECK(service.penalty(start) == 1000);
    CHECK(service.penalty(start + 15min) == doctest::Approx(500));
    CHECK(service.penalty(start + 60min) == doctest::Approx(62.5));
    CHECK(service.penalty(start - 1s) == 1000);  // a question from before is not answered by growth
    for (int i = 0; i < 100; ++i) service.changed(start);
    CHECK(service.penalty(start) == 12000);
    // What is suppressed at the ceiling is reused, at 750, after an hour.
    CHECK(service.penalty(start + 60min) == doctest::Approx(750));
}

TEST_CASE("damping: what changes nothing for the network costs nothing") {
    Damping service = damping(DampingProfile::junos);
    service.announced(start);  // the first ever
    CHECK(service.penalty(start) == 0);
    service.withdrawn(start);
    service.withdrawn(start);
    CHECK(service.penalty(start) == 1000);
    service.announced(start);
    service.announced(start);
    CHECK(service.penalty(start) == 2000);
    service.changed(start);
    CHECK(service.penalty(start) == 2500);
}

TEST_CASE("damping: the first recovery goes at once, the second waits for half of the penalty") {
    Damping service = damping(DampingProfile::cisco);
    CHECK_FALSE(service.wait_to_announce(start));
    service.withdrawn(start);
    CHECK_FALSE(service.wait_to_announce(start + 5s));
    service.announced(start + 5s);
    service.withdrawn(start + 10s);
    const TimePoint back = start + 15s;
    const auto wait = service.wait_to_announce(back);
    REQUIRE(wait);
    CHECK(wait->cause == Damping::Cause::penalty);
    // Just under 2000 then, just under 1000 when it may go.
    CHECK(wait->until > start + 14min);
    CHECK(wait->until < start + 10s + 15min);
    CHECK(service.wait_to_announce(wait->until - 2ms) == wait);
    CHECK_FALSE(service.wait_to_announce(wait->until));
}

TEST_CASE("damping: at exactly the threshold a route is suppressed, so it waits a moment") {
    Damping service = damping(DampingProfile::cisco);
    service.withdrawn(start);
    const auto wait = service.wait_to_announce(start);
    REQUIRE(wait);
    CHECK(wait->until == start + 1ms);
    CHECK_FALSE(service.wait_to_announce(wait->until));
}

TEST_CASE("damping: better attributes wait, too") {
    Damping service = damping(DampingProfile::cisco);
    CHECK_FALSE(service.wait_to_change(start));
    service.changed(start);
    const auto wait = service.wait_to_change(start);  // 500 + 500 + 1000 would be the threshold
    REQUIRE(wait);
    CHECK(wait->until == start + 1ms);
    CHECK_FALSE(service.wait_to_announce(start));
    service.withdrawn(start + 1ms);
    CHECK(service.wait_to_change(start + 1s)->until > start + 23min);  // 1500 becomes 500
}

TEST_CASE("damping: none counts and lets pass") {
    Damping service = damping(DampingProfile::none);
    for (int i = 0; i < 10; ++i) {
        service.withdrawn(start);
        CHECK_FALSE(service.wait_to_announce(start));
        CHECK_FALSE(service.wait_to_change(start));
        service.announced(start);
    }
    CHECK(service.penalty(start) == 10000);
    service.reconfigure(start, {.profile = DampingProfile::cisco});
    CHECK(service.wait_to_announce(start)->until > start + 49min);
}

TEST_CASE("damping: hold_down counts from the withdraw, whatever the profile") {
    Damping service{{.profile = DampingProfile::none, .hold_down = 30s}};
    CHECK_FALSE(service.wait_to_announce(start));
    service.withdrawn(start);
    CHECK(service.wait_to_announce(start) == Damping::Wait{start + 30s, Damping::Cause::hold_down});
    CHECK(service.wait_to_announce(start + 30s - 1ns));
    CHECK_FALSE(service.wait_to_announce(start + 30s));
    CHECK_FALSE(service.wait_to_change(start));
    service.announced(start + 1s);  // an operator's word
    CHECK_FALSE(service.wait_to_announce(start + 2s));
}

TEST_CASE("damping: withdrawals of the last hour are limited") {
    Damping service{{.profile = DampingProfile::none, .changes_per_hour = 3}};
    for (const Duration since : {0min, 10min, 20min}) {
        CHECK_FALSE(service.wait_to_announce(start + since));
        service.announced(start + since);
        service.withdrawn(start + since);
    }
    const Damping::Wait wait{start + 60min, Damping::Cause::changes_per_hour, true};
    CHECK(service.wait_to_announce(start + 20min) == wait);
    CHECK(service.wait_to_announce(start + 60min - 1ns) == wait);
    CHECK_FALSE(service.wait_to_announce(start + 60min));
    // A fourth, which nothing could delay: the second is the one that must be forgotten now.
    service.announced(start + 30min);
    service.withdrawn(start + 30min);
    CHECK(service.wait_to_announce(start + 30min)->until == start + 70min);
    CHECK_FALSE(service.wait_to_change(start + 30min));
    CHECK(describe(service, *service.wait_to_announce(start + 30min), Shown::nothing, start + 30min)
              .find("withdrawn 4 times within an hour") != std::string::npos);
    service.reconfigure(start + 30min, {.profile = DampingProfile::none, .changes_per_hour = 5});
    CHECK_FALSE(service.wait_to_announce(start + 30min));
}

TEST_CASE("damping: the cause that ends last is told") {
    Damping service{{.profile = DampingProfile::cisco, .hold_down = 59min, .changes_per_hour = 1}};
    service.withdrawn(start);
    service.announced(start + 1min);
    service.withdrawn(start + 2min);
    CHECK(service.wait_to_announce(start + 3min) ==
          Damping::Wait{start + 62min, Damping::Cause::changes_per_hour, true});
    service.reconfigure(
        start + 3min,
        {.profile = DampingProfile::cisco, .hold_down = 61min, .changes_per_hour = 2});
    CHECK(service.wait_to_announce(start + 3min) ==
          Damping::Wait{start + 63min, Damping::Cause::hold_down, true});
    CHECK(service.withdrawals(start + 3min) == 2);
    CHECK(service.withdrawals(start + 60min) == 1);
    CHECK(service.wait_to_announce(start + 60min) ==
          Damping::Wait{start + 63min, Damping::Cause::hold_down});
    service.reconfigure(start + 3min, {.profile = DampingProfile::cisco, .hold_down = 59min});
    CHECK(service.wait_to_announce(start + 3min) ==
          Damping::Wait{start + 61min, Damping::Cause::hold_down});
    service.reconfigure(start + 3min, {.profile = DampingProfile::cisco, .hold_down = 1min});
    CHECK(service.wait_to_announce(start + 3min)->cause == Damping::Cause::penalty);
}

TEST_CASE("damping: another profile goes on with what was counted") {
    Damping service = damping(DampingProfile::rfc7196);
    service.withdrawn(start);
    service.announced(start);
    service.withdrawn(start);
    CHECK_FALSE(service.wait_to_announce(start));
    service.reconfigure(start + 15min, {.profile = DampingProfile::junos});
    CHECK(service.penalty(start + 15min) == doctest::Approx(1000));
    CHECK(service.wait_to_announce(start + 15min)->until <= start + 15min + 1ms);
    CHECK(service.policy().profile == DampingProfile::junos);
}

TEST_CASE("damping: what may go leaves room for one more withdraw, in any history") {
    for (std::uint64_t seed = 1; seed <= 300; ++seed) {
        CAPTURE(seed);
        Random random{seed};
        const DampingProfile profile = profiles[random.below(profiles.size())];
        const DampingFigures figures = figures_of(profile);
        Damping service{{.profile = profile,
                         .hold_down = random.below(2) == 0 ? 0s : 90s,
                         .changes_per_hour = static_cast<unsigned>(random.below(6))}};
        TimePoint now = start;
        for (int step = 0; step < 60; ++step) {
            now += random_pause(random);
            happen(random, service, now);
            const auto wait = service.wait_to_announce(now);
            const TimePoint go = wait ? wait->until : now;
            REQUIRE((!wait || wait->until > now));
            REQUIRE_FALSE(service.wait_to_announce(go));  // once it may go, it may
            Damping next = service;
            next.announced(go);
            next.withdrawn(go);
            REQUIRE(next.penalty(go) < figures.suppress);
            if (const auto change = service.wait_to_change(now)) {
                REQUIRE(change->until > now);
                REQUIRE_FALSE(service.wait_to_change(change->until));
            } else {
                next = service;
                next.changed(now);
                REQUIRE(next.penalty(now) + figures.withdraw < figures.suppress);
            }
        }
    }
}

TEST_CASE("damping: waiting only shortens a wait, and more withdrawals only lengthen it") {
    for (std::uint64_t seed = 1; seed <= 300; ++seed) {
        CAPTURE(seed);
        Random random{seed};
        Damping service{{.profile = profiles[random.below(profiles.size())],
                         .hold_down = 10s,
                         .changes_per_hour = 5}};
        TimePoint now = start;
        for (int step = 0; step < 40; ++step) {
            happen(random, service, now);
            const auto before = service.wait_to_announce(now);
            const TimePoint later = now + random_pause(random);
            const auto after = service.wait_to_announce(later);
            REQUIRE(service.penalty(later) <= service.penalty(now));
            REQUIRE((!after || (before && after->until <= before->until)));
            // A wait that is not over is still the same one.
            REQUIRE((!before || before->until <= later ||
                     (after && after->until == before->until && after->cause == before->cause)));
            Damping worse = service;
            worse.announced(now);
            worse.withdrawn(now);
            const auto longer = worse.wait_to_announce(now);
            REQUIRE((!before || (longer && longer->until >= before->until)));
            now = later;
        }
    }
}

TEST_CASE("damping: a restart changes nothing") {
    for (std::uint64_t seed = 1; seed <= 100; ++seed) {
        CAPTURE(seed);
        Random random{seed};
        const DampingPolicy policy{.profile = profiles[random.below(profiles.size())],
                                   .hold_down = 20s,
                                   .changes_per_hour = 4};
        Damping service{policy};
        TimePoint now = start;
        for (int step = 0; step < 30; ++step) {
            now += random_pause(random);
            happen(random, service, now);
        }
        Damping again{policy};
        again.restore(service.save(now));
        CHECK(again.save(now) == service.save(now));
        for (int step = 0; step < 30; ++step) {
            now += random_pause(random);
            REQUIRE(again.penalty(now) == service.penalty(now));
            REQUIRE(again.wait_to_announce(now) == service.wait_to_announce(now));
            REQUIRE(again.wait_to_change(now) == service.wait_to_change(now));
            Random same = random;
            happen(random, service, now);
            happen(same, again, now);
        }
    }
}

TEST_CASE("damping: only the withdrawals of the last hour are kept") {
    Damping service = damping(DampingProfile::cisco);
    for (int i = 0; i < 3000; ++i) {
        service.announced(start + i * 1s);
        service.withdrawn(start + i * 1s);
    }
    CHECK(service.save(start + 3000s).withdrawals.size() == 1000);
    CHECK(service.save(start + 2000s + 1h).withdrawals.size() == 999);
    CHECK(service.save(start + 2h).withdrawals.empty());
}

TEST_CASE("damping: the highest limit that can be configured is one that acts") {
    Damping service{{.profile = DampingProfile::none, .changes_per_hour = 1000}};
    for (int i = 0; i < 1000; ++i) {
        CHECK_FALSE(service.wait_to_announce(start + i * 1s));
        service.announced(start + i * 1s);
        service.withdrawn(start + i * 1s);
    }
    CHECK(service.wait_to_announce(start + 1000s)->too_often);
    CHECK(service.withdrawals(start + 1000s) == 1000);
}

TEST_CASE("damping: worse attributes behind an announcement may take the room of its withdraw") {
    Damping service = damping(DampingProfile::cisco);
    service.withdrawn(start);
    const TimePoint go = service.wait_to_announce(start)->until;
    service.announced(go);
    service.changed(go);
    service.withdrawn(go);
    const DampingFigures figures = figures_of(DampingProfile::cisco);
    CHECK(service.penalty(go) > figures.suppress);
    CHECK(service.penalty(go) < figures.suppress + figures.attribute);
}

TEST_CASE("damping: figures that no history can give are not believed") {
    Damping service = damping(DampingProfile::cisco);
    for (const double wild : {1e300, std::numeric_limits<double>::infinity(),
                              std::numeric_limits<double>::quiet_NaN()}) {
        service.restore({.penalty = wild, .at = start});
        CHECK(service.penalty(start) == 12000);
        CHECK(service.wait_to_announce(start)->until < start + 1h);
    }
    service.restore({.penalty = -5, .at = start});
    CHECK(service.penalty(start) == 0);
}

}  // namespace swerve::failover
