#include "daemon/watchdog.hpp"

#include <doctest/doctest.h>

#include <boost/asio/executor_work_guard.hpp>
#include <future>

using namespace swerve;
using namespace std::chrono_literals;
using daemon::LoopView;
using daemon::Watchdog;

TEST_CASE("watchdog: names the loop that does not move, with no other loop to help it") {
    boost::asio::io_context moving{1};
    boost::asio::io_context hung{1};
    auto work = boost::asio::make_work_guard(moving);
    std::promise<std::string> named;
    bool told = false;
    Watchdog watchdog{{{"moving", moving}, {"hung", hung}},
                      {.hung =
                           [&](const std::string& loop) {
                               if (!std::exchange(told, true)) named.set_value(loop);
                           },
                       .lateness = [](const std::vector<LoopView>&) {}},
                      {.period = 10ms, .limit = 500ms}};
    std::jthread thread{[&] { moving.run(); }};
    watchdog.start();
    auto name = named.get_future();
    REQUIRE(name.wait_for(10s) == std::future_status::ready);
    CHECK(name.get() == "hung");
    watchdog.stop();
    work.reset();
}

TEST_CASE("watchdog: tells how late the loops were, first that none was yet") {
    boost::asio::io_context loop{1};
    auto work = boost::asio::make_work_guard(loop);
    std::vector<std::vector<LoopView>> told;
    std::promise<void> twice;
    Watchdog watchdog{{{"main", loop}},
                      {.hung = [](const std::string&) {},
                       .lateness =
                           [&](std::vector<LoopView> views) {
                               told.push_back(std::move(views));
                               if (told.size() == 2) twice.set_value();
                           }},
                      {.period = 10ms, .limit = 10s}};
    std::jthread thread{[&] { loop.run(); }};
    watchdog.start();
    REQUIRE(twice.get_future().wait_for(10s) == std::future_status::ready);
    watchdog.stop();
    work.reset();
    REQUIRE(told[0].size() == 1);
    CHECK(told[0][0].name == "main");
    CHECK(told[0][0].worst_lateness == Duration{});
    CHECK(told[1][0].worst_lateness > Duration{});
}
