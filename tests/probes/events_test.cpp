#include "health/probes/events.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <array>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/this_coro.hpp>
#include <exception>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "swerve/base/clock.hpp"
#include "swerve/base/event_rate.hpp"
#include "tests/probes/support.hpp"

using namespace swerve;
using namespace swerve::health;
using namespace swerve::health::testing;
using namespace std::chrono_literals;
namespace asio = boost::asio;

namespace {

/// A wait for a notice, and what came of it.
struct Waiting {
    Waiting(Loop& loop, Notice& notice, Duration limit = Duration::max()) {
        asio::co_spawn(loop.io, notice.wait(limit),
                       asio::bind_cancellation_slot(
                           stop.slot(), [this](const std::exception_ptr& error, bool goes_on) {
                               CHECK_FALSE(error);
                               result = goes_on;
                           }));
        loop.io.restart();
        loop.io.poll();
    }

    asio::cancellation_signal stop;
    std::optional<bool> result;
};

/// Passes at the first look and never comes back from the others.
class HangingProbe final : public Probe {
public:
    asio::awaitable<Outcome> run(const ProbeContext& /*context*/, TimePoint /*deadline*/) override {
        if (looks_++ == 0) co_return passed("well");
        Notice never(co_await asio::this_coro::executor);
        co_await never.wait();
        co_return unsure("hanging");
    }

private:
    int looks_ = 0;
};

class CountingProbe final : public Probe {
public:
    asio::awaitable<Outcome> run(const ProbeContext& /*context*/, TimePoint /*deadline*/) override {
        ++looks;
        co_return Outcome{result, "as told", {}, {}};
    }

    int looks = 0;
    ProbeResult result = ProbeResult::pass;
};

void poll(Loop& loop) {
    loop.io.restart();
    loop.io.poll();
}

}  // namespace

TEST_CASE("notice: what is raised while nobody waits is not lost, and wakes once") {
    Loop loop;
    Notice notice(loop.io.get_executor());
    notice.raise();
    notice.raise();
    const Waiting first(loop, notice);
    CHECK(first.result == true);
    const Waiting second(loop, notice);
    CHECK_FALSE(second.result);
    notice.raise();
    notice.raise();
    poll(loop);
    CHECK(second.result == true);
    const Waiting third(loop, notice, 1ms);
    CHECK_FALSE(third.result);
    CHECK(loop.run_until([&] { return third.result == true; }));
}

TEST_CASE("notice: a cancelled wait says so") {
    Loop loop;
    Notice notice(loop.io.get_executor());
    Waiting waiting(loop, notice);
    waiting.stop.emit(asio::cancellation_type::terminal);
    poll(loop);
    CHECK(waiting.result == false);
}

TEST_CASE("listener: calls until everything is read, and keeps no loop alive once closed") {
    Loop loop;
    std::array<int, 2> ends{};
    REQUIRE(::pipe(ends.data()) == 0);
    REQUIRE(::write(ends[1], "abc", 3) == 3);
    Listener listener;
    std::string taken;
    listener.open(loop.io.get_executor(), ends[0], [&] {
        char octet = 0;
        REQUIRE(::read(listener.native_handle(), &octet, 1) == 1);
        taken += octet;
        if (octet == 'd') listener.close();
    });
    CHECK(loop.run_until([&] { return taken == "abc"; }));
    REQUIRE(::write(ends[1], "de", 2) == 2);
    CHECK(loop.run_until([&] { return taken == "abcd"; }));
    CHECK_FALSE(listener.is_open());
    loop.io.restart();
    loop.io.run_for(10s);
    CHECK(loop.io.stopped());
    CHECK(taken == "abcd");
    ::close(ends[1]);
}

TEST_CASE("event source: a storm is looked at fifty times a second at most, and its end is seen") {
    Loop loop;
    CountingProbe probe;
    const ProbeContext context;
    Notice notice(loop.io.get_executor());
    std::vector<Outcome> found;
    asio::cancellation_signal stop;
    bool ended = false;
    asio::co_spawn(loop.io,
                   report_changes(
                       probe, context, [&notice] { return notice.wait(); },
                       [&found](Outcome outcome) { found.push_back(std::move(outcome)); }),
                   asio::bind_cancellation_slot(stop.slot(), [&](const std::exception_ptr& error) {
                       CHECK_FALSE(error);
                       ended = true;
                   }));
    poll(loop);
    notice.raise();
    poll(loop);
    CHECK(probe.looks == 2);  // the first event at once
    const TimePoint began = BootClock::now();
    CHECK(loop.run_until([&] {
        notice.raise();
        return BootClock::now() - began > 200ms;
    }));
    CHECK(probe.looks <= 13 + EventRate::burst - 1);
    probe.result = ProbeResult::fail;
    notice.raise();
    CHECK(loop.run_until([&] { return !found.empty(); }));
    CHECK(found.front().result == ProbeResult::fail);
    stop.emit(asio::cancellation_type::terminal);
    CHECK(loop.run_until([&] { return ended; }));
}

TEST_CASE("event source: a look that hangs is no failure, for an attempt may take longer") {
    Loop loop;
    HangingProbe probe;
    const ProbeContext context;
    Notice notice(loop.io.get_executor());
    std::optional<Outcome> found;
    asio::cancellation_signal stop;
    bool ended = false;
    asio::co_spawn(loop.io,
                   report_changes(
                       probe, context, [&notice] { return notice.wait(); },
                       [&found](Outcome outcome) { found = std::move(outcome); }),
                   asio::bind_cancellation_slot(stop.slot(), [&](const std::exception_ptr& error) {
                       CHECK_FALSE(error);
                       ended = true;
                   }));
    notice.raise();
    CHECK(loop.run_until([&] { return found.has_value(); }));
    CHECK(found->result == ProbeResult::unknown);
    CHECK(found->reason == "no answer within 1s, hanging");
    // Also in the midst of a look.
    notice.raise();
    poll(loop);
    stop.emit(asio::cancellation_type::terminal);
    CHECK(loop.run_until([&] { return ended; }));
}
