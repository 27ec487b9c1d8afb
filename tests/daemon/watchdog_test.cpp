#include "daemon/watchdog.hpp"

#include <doctest/doctest.h>

#include <boost/asio/executor_work_guard.hpp>
#include <future>

using namespace swerve;
using namespace std::chrono_literals;
using daemon::LoopView;
using daemon::Watchdog;

namespace {

/// A loop that moves.
struct Moving {
    ~Moving() { io.stop(); }
    void end() {
        io.stop();
        thread.join();
    }

    boost::asio::io_context io{1};
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work{
        io.get_executor()};
    std::jthread thread{[this] { io.run(); }};
};

}  // namespace

TEST_CASE("watchdog: names the loop that does not move, with no other loop to help it") {
    Moving moving;
    boost::asio::io_context hung{1};
    std::promise<std::string> named;
    bool told = false;
    Watchdog watchdog{{{"moving", moving.io}, {"hung", hung}},
                      {.hung =
                           [&](const std::string& loop) {
                               if (!std::exchange(told, true)) named.set_value(loop);
                           },
                       .lateness = [](const std::vector<LoopView>&) {}},
                      {.period = 10ms, .limit = 500ms}};
    watchdog.start();
    auto name = named.get_future();
    REQUIRE(name.wait_for(10s) == std::future_status::ready);
    CHECK(name.get() == "hung");
    moving.end();
}

TEST_CASE("watchdog: tells how late the loops were, first that none was yet") {
    Moving loop;
    std::vector<std::vector<LoopView>> told;
    std::promise<void> twice;
    Watchdog watchdog{{{"main", loop.io}},
                      {.hung = [](const std::string&) {},
                       .lateness =
                           [&](std::vector<LoopView> views) {
                               told.push_back(std::move(views));
                               if (told.size() == 2) twice.set_value();
                           }},
                      {.period = 10ms, .limit = 10s}};
    watchdog.start();
    REQUIRE(twice.get_future().wait_for(10s) == std::future_status::ready);
    watchdog.stop();
    loop.end();
    REQUIRE(told[0].size() == 1);
    CHECK(told[0][0].name == "main");
    CHECK(told[0][0].worst_lateness == Duration{});
    CHECK(told[1][0].worst_lateness > Duration{});
}
