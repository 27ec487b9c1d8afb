#include <doctest/doctest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ctime>
#include <filesystem>

#include "tests/probes/process_rig.hpp"
#include "tests/support/skipped.hpp"

using namespace swerve;
using namespace swerve::health;
using namespace swerve::health::testing;
using namespace std::chrono_literals;
namespace asio = boost::asio;

TEST_CASE("process: runs, becomes a zombie, is gone") {
    Watched app;
    Child child = sleeper();
    const std::string pid = pid_of(child);
    app.name(child);
    Outcome outcome = app.attempt();
    CHECK(outcome.result == ProbeResult::pass);
    CHECK(outcome.reason == "pid " + pid + " runs");

    child.kill();
    siginfo_t info{};
    REQUIRE(::waitid(P_PID, static_cast<id_t>(child.pid()), &info, WEXITED | WNOWAIT) == 0);
    outcome = app.attempt();
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == "process " + pid + " exited");
    // Who never saw it run does not speak of an exit.
    const auto fresh = make_probe("process", {{"pid_file", text(app.path)}});
    CHECK(app.loop.attempt(*fresh).reason ==
          "pid " + pid + " from " + app.path + " is not running");

    child.wait();
    CHECK(app.attempt().reason == "process " + pid + " exited");
    outcome = app.loop.attempt(*fresh);
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == "pid " + pid + " from " + app.path + " is not running");
}

TEST_CASE("process: pid files that say nothing") {
    Watched app;
    Outcome outcome = app.attempt();
    CHECK(outcome.result == ProbeResult::unknown);
    CHECK(outcome.reason == app.path + ": No such file or directory");
    CHECK(app.unclear("") == "no process id in it");
    CHECK(app.unclear("\n") == "no process id in it");
    CHECK(app.unclear("abc\n") == "'abc' is not a process id");
    CHECK(app.unclear("12x\n") == "'12x' is not a process id");
    CHECK(app.unclear("12 13\n") == "'12 13' is not a process id");
    CHECK(app.unclear("0\n") == "'0' is not a process id");
    CHECK(app.unclear("-1\n") == "'-1' is not a process id");
    CHECK(app.unclear("99999999999\n") == "'99999999999' is not a process id");
    CHECK(app.unclear(std::string("\0\xff\n", 3)) == "'\\x00\\xff' is not a process id");
    CHECK(app.unclear(std::string(1000000, '7')).ends_with("' is not a process id"));
    CHECK(app.unclear("1\n").starts_with("names pid 1"));
    CHECK(app.unclear(std::to_string(::getpid())) == "names this daemon itself");
    CHECK(app.unclear(std::string(64, ' ') + "77").starts_with("no process id"));
    CHECK(app.unclear(std::string(63, ' ') + "77\n").ends_with("is not a process id"));

    std::filesystem::remove(app.path);
    REQUIRE(::mkfifo(app.path.c_str(), 0600) == 0);
    CHECK(app.attempt().reason == app.path + ": not a regular file");
}

TEST_CASE("process: pid files as programs write them") {
    Watched app;
    const Child child = sleeper();
    const std::string pid = pid_of(child);
    for (const std::string& content :
         {pid, pid + "\n", "  " + pid + "\n", pid + "\r\n", pid + "\n/var/lib/postgresql\n5432\n",
          pid + "\n" + std::string(1000, 'x')}) {
        app.name(content);
        CHECK(app.attempt().result == ProbeResult::pass);
    }
}

TEST_CASE("process: an exit that was seen counts although the pid file is gone or garbled") {
    Watched app;
    Child child = sleeper();
    app.name(child);
    REQUIRE(app.attempt().result == ProbeResult::pass);
    const std::string exited = "process " + pid_of(child) + " exited";

    std::filesystem::remove(app.path);
    CHECK(app.attempt().result == ProbeResult::unknown);
    child.kill();
    child.wait();
    Outcome outcome = app.attempt();
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == exited);
    app.name("");
    CHECK(app.attempt().reason == exited);
}

TEST_CASE("process: a pid file that names another process is followed") {
    Watched app;
    Child first = sleeper();
    Child second = sleeper();
    app.name(first);
    CHECK(app.attempt().reason == "pid " + pid_of(first) + " runs");
    app.name(second);
    CHECK(app.attempt().reason == "pid " + pid_of(second) + " runs");
    const std::string pid = pid_of(second);
    second.kill();
    second.wait();
    CHECK(app.attempt().reason == "process " + pid + " exited");
    app.name(first);
    CHECK(app.attempt().reason == "successor pid " + pid_of(first));
    CHECK(app.attempt().reason == "pid " + pid_of(first) + " runs");
}

TEST_CASE("process: the number used again is not the process, unless the file was written anew") {
    Watched app;
    Child child = sleeper();
    const pid_t number = child.pid();
    const std::string pid = pid_of(child);
    app.name(child);
    REQUIRE(app.attempt().result == ProbeResult::pass);
    child.kill();
    child.wait();
    const auto again = process_numbered(number);
    if (!again) {
        swerve::testing::skipped("needs the right to choose a process id");
        return;
    }
    Outcome outcome = app.attempt();
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == "process " + pid + " exited");
    std::filesystem::remove(app.path);
    app.name(pid);
    outcome = app.attempt();
    CHECK(outcome.result == ProbeResult::pass);
    CHECK(outcome.reason == "successor pid " + pid);
    end(*again);
    CHECK(app.attempt().reason == "process " + pid + " exited");
}

TEST_CASE("process: the watcher reports an exit at once") {
    Watched app;
    const Child child = sleeper();
    app.name(child);
    app.watch();
    app.run_for(20ms);
    CHECK(app.reports.empty());

    const TimePoint killed = BootClock::now();
    child.kill();
    REQUIRE(app.reported(1));
    CHECK(app.reports[0].result == ProbeResult::fail);
    CHECK(app.reports[0].reason == "process " + pid_of(child) + " exited");
    CHECK(app.reports[0].started >= killed);
    CHECK(app.reports[0].finished >= app.reports[0].started);
    CHECK(app.reports[0].finished - killed < 100ms);
    app.run_for(250ms);
    CHECK(app.reports.size() == 1);
}

TEST_CASE("process: the watcher takes a live successor for a pass and goes on with it") {
    Watched app;
    const Child first = sleeper();
    const Child second = sleeper();
    app.name(first);
    app.watch();
    app.run_for(20ms);
    app.name(second);
    first.kill();
    app.run_for(50ms);
    // Whether the file or the exit was seen first, nothing failed.
    CHECK(app.failures() == 0);
    second.kill();
    REQUIRE(app.failed(1));
    CHECK(app.reports.back().reason == "process " + pid_of(second) + " exited");
}

TEST_CASE("process: a pid file that comes, first or again, is an event, and its process held") {
    Watched app;
    app.watch();
    app.run_for(20ms);
    for (std::size_t round = 1; round <= 2; ++round) {
        const Child child = sleeper();
        app.name(child);
        REQUIRE(app.reported(2 * round - 1));
        CHECK(app.reports.back().result == ProbeResult::pass);
        const TimePoint killed = BootClock::now();
        child.kill();
        REQUIRE(app.reported(2 * round));
        CHECK(app.reports.back().reason == "process " + pid_of(child) + " exited");
        CHECK(app.reports.back().finished - killed < 100ms);
        std::filesystem::remove(app.path);
    }
}

TEST_CASE("process: a pid file that is rewritten without end is looked at, and tells nothing") {
    Watched app;
    const Child child = sleeper();
    app.name(child);
    app.watch();
    app.run_for(20ms);
    const std::clock_t before = std::clock();
    for (int i = 0; i < 200; ++i) {
        app.name("");
        app.name(child);
        app.run_for(1ms);
    }
    CHECK(app.reports.empty());
    CHECK(static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC < 2.0);
    child.kill();
    REQUIRE(app.failed(1));
}

TEST_CASE("process: an attempt that finds a process that came back has the watcher hold it") {
    // What has a name has no file that would tell of it.
    Watched app("name", own_name());
    app.watch();
    app.run_for(5ms);
    for (std::size_t round = 1; round <= 3; ++round) {
        const Child child = app.named_sleeper();
        REQUIRE(app.loop.run_until([&] { return app.attempt().result == ProbeResult::pass; }));
        const TimePoint killed = BootClock::now();
        child.kill();
        REQUIRE(app.failed(round));
        CHECK(app.reports.back().reason == "process " + pid_of(child) + " exited");
        CHECK(app.reports.back().finished - killed < 100ms);
    }
}

TEST_CASE("process: the watcher tells of an exit even if only an attempt has seen the process") {
    Watched app;
    const Child child = sleeper();
    app.name(child);
    REQUIRE(app.attempt().result == ProbeResult::pass);
    child.kill();
    app.watch();
    REQUIRE(app.reported(1));
    CHECK(app.reports[0].reason == "process " + pid_of(child) + " exited");
    app.run_for(250ms);
    CHECK(app.reports.size() == 1);
}

TEST_CASE("process: after an attempt found another process the watcher waits for that one") {
    Watched app;
    const Child first = sleeper();
    const Child second = sleeper();
    app.name(first);
    app.watch();
    app.run_for(20ms);
    app.name(second);
    REQUIRE(app.attempt().result == ProbeResult::pass);
    second.kill();
    REQUIRE(app.reported(1));
    CHECK(app.reports[0].reason == "process " + pid_of(second) + " exited");
    first.kill();
    app.run_for(150ms);
    CHECK(app.reports.size() == 1);
}

TEST_CASE("process: the watcher ends when it is cancelled, attached or not") {
    for (const bool attached : {false, true}) {
        Watched app;
        const Child child = sleeper();
        if (attached) app.name(child);
        app.watch();
        app.run_for(20ms);
        CHECK_FALSE(app.ended);
        app.stop.emit(asio::cancellation_type::terminal);
        CHECK(app.loop.run_until([&] { return app.ended; }));
        CHECK(app.reports.empty());
    }
}

TEST_CASE("process: what explain and the tables say") {
    const ProbeType& type = *find_probe_type("process");
    const FieldMap values = {{"pid_file", text("/run/app.pid")}};
    CHECK(type.target(values) == "/run/app.pid");
    CHECK_FALSE(type.caveat(values).empty());
}
