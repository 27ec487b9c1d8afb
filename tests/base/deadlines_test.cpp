#include "swerve/base/deadlines.hpp"

#include <doctest/doctest.h>

namespace swerve {
namespace {

using namespace std::chrono_literals;

enum class Timer { hold, keepalive, retry, count_ };

constexpr TimePoint start{100s};

TEST_CASE("deadlines: none armed, none next, none expired") {
    Deadlines<Timer> timers;
    CHECK_FALSE(timers.next());
    CHECK_FALSE(timers.armed(Timer::hold));
    CHECK_FALSE(timers.take_expired(Timer::hold, TimePoint::max()));
}

TEST_CASE("deadlines: next is the earliest, whatever the order they were set in") {
    Deadlines<Timer> timers;
    timers.set(Timer::retry, start + 5s);
    timers.set(Timer::hold, start + 9s);
    timers.set(Timer::keepalive, start + 3s);
    CHECK(timers.next() == start + 3s);
    timers.clear(Timer::keepalive);
    CHECK(timers.next() == start + 5s);
    timers.set(Timer::retry, start + 10s);
    CHECK(timers.next() == start + 9s);
    CHECK(timers.get(Timer::retry) == start + 10s);
    timers.clear_all();
    CHECK_FALSE(timers.next());
}

TEST_CASE("deadlines: a nanosecond before it is not due; at it, once") {
    Deadlines<Timer> timers;
    timers.set(Timer::hold, start);
    CHECK_FALSE(timers.take_expired(Timer::hold, start - 1ns));
    CHECK(timers.armed(Timer::hold));
    CHECK(timers.take_expired(Timer::hold, start));
    CHECK_FALSE(timers.armed(Timer::hold));
    CHECK_FALSE(timers.take_expired(Timer::hold, start));
}

TEST_CASE("deadlines: one that expires leaves the others") {
    Deadlines<Timer> timers;
    timers.set(Timer::hold, start);
    timers.set(Timer::keepalive, start);
    CHECK(timers.take_expired(Timer::hold, start + 1s));
    CHECK(timers.armed(Timer::keepalive));
    CHECK(timers.next() == start);
}

TEST_CASE("earlier: nothing counts as never") {
    CHECK_FALSE(earlier(std::nullopt, std::nullopt));
    CHECK(earlier(start, std::nullopt) == start);
    CHECK(earlier(std::nullopt, start) == start);
    CHECK(earlier(start, start + 1ns) == start);
    CHECK(earlier(start + 1ns, start) == start);
}

}  // namespace
}  // namespace swerve
