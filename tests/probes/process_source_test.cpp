#include <doctest/doctest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <ctime>
#include <exception>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "health/probes/runtime.hpp"
#include "tests/probes/process_rig.hpp"
#include "tests/support/skipped.hpp"

using namespace swerve;
using namespace swerve::health;
using namespace swerve::health::testing;
using namespace std::chrono_literals;
namespace asio = boost::asio;
using asio::ip::tcp;

TEST_CASE("process: of several with the name one that lives is enough") {
    Watched app("name", own_name());
    CHECK(app.attempt().result == ProbeResult::fail);
    CHECK(app.attempt().reason == "no process is named '" + own_name() + "'");
    std::optional<Child> first(std::in_place, app.sleeper_command());
    std::optional<Child> second(std::in_place, app.sleeper_command());
    const std::string one = pid_of(*first);
    const std::string other = pid_of(*second);
    REQUIRE(app.loop.run_until([&] { return app.attempt().result == ProbeResult::pass; }));
    app.watch();
    app.run_for(20ms);
    const bool holds_first = app.attempt().reason == "pid " + one + " runs";
    std::optional<Child>& held = holds_first ? first : second;
    std::optional<Child>& spare = holds_first ? second : first;
    // The new program may not yet have its name in the moment between fork and exec.
    const std::string heir = "successor pid " + (holds_first ? other : one);
    app.run_for(50ms);
    held->kill();
    REQUIRE(app.reported(1));
    CHECK(app.reports[0].result == ProbeResult::pass);
    CHECK(app.reports[0].reason == heir);
    spare->kill();
    REQUIRE(app.reported(2));
    CHECK(app.reports[1].result == ProbeResult::fail);
    // Zombies keep their name.
    CHECK(app.attempt().result == ProbeResult::fail);
}

TEST_CASE("process: the owner of a port, by the port alone or with its address") {
    Loop loop;
    const std::string port = std::to_string(free_port());
    const auto owner_of = [&](const std::string& where) {
        const Outcome found = loop.attempt("process", {{"port", text(where)}});
        return std::string{to_string(found.result)} + ": " + found.reason;
    };
    CHECK(owner_of(port) == "fail: nobody listens on " + port);
    for (const std::string address : {"127.0.0.1", "0.0.0.0", "::1", "::"}) {
        CAPTURE(address);
        const bool is_ipv6 = address.find(':') != std::string::npos;
        const Listener listener(address, port);
        const std::string runs = "pass: pid " + listener.pid() + " runs";
        CHECK(owner_of(port) == runs);
        const bool is_any = address == "0.0.0.0" || address == "::";
        CHECK(owner_of((is_ipv6 ? "[::1]:" : "127.0.0.1:") + port) == runs);
        const std::string elsewhere = (is_ipv6 ? "[::2]:" : "127.0.0.2:") + port;
        CHECK(owner_of(elsewhere) == (is_any ? runs : "fail: nobody listens on " + elsewhere));
    }
    tcp::acceptor ours(loop.io, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
    const std::string own_port = std::to_string(ours.local_endpoint().port());
    const std::string own = owner_of(own_port);
    CAPTURE(own);
    CHECK(own.starts_with("unknown: the owner of " + own_port + " is hidden: "));
}

TEST_CASE("process: the owner of a port is watched; one that stops listening has failed") {
    const std::string port = std::to_string(free_port());
    Watched app("port", "127.0.0.1:" + port);
    app.watch();
    app.run_for(5ms);
    for (std::size_t round = 1; round <= 2; ++round) {
        const Listener listener("127.0.0.1", port);
        REQUIRE(app.attempt().result == ProbeResult::pass);
        listener.kill();
        const bool has_failed = app.failed(round);
        const std::string told = app.reports.empty() ? "nothing" : app.reports.back().reason;
        REQUIRE_MESSAGE(has_failed, "round ", round, ": ", told);
        CHECK(told == "process " + listener.pid() + " exited");
    }
    const Listener listener("127.0.0.1", port);
    REQUIRE(app.attempt().result == ProbeResult::pass);
    listener.stop_listening();
    CHECK(app.attempt().reason == "nobody listens on 127.0.0.1:" + port);
    CHECK(app.failures() == 2);
}

TEST_CASE("process: a hundred ports are found by one search, which lets others have their turn") {
    constexpr std::size_t ports = 100;
    Loop loop;
    const TempDir dir;
    const Child owner({"python3", "-c",
                       "import socket, sys, time\n"
                       "s = [socket.create_server(('127.0.0.1', 0)) for _ in range(100)]\n"
                       "text = ' '.join(str(x.getsockname()[1]) for x in s)\n"
                       "open(sys.argv[1] + '.part', 'w').write(text)\n"
                       "import os; os.rename(sys.argv[1] + '.part', sys.argv[1])\n"
                       "time.sleep(1000)",
                       dir.file("ports")});
    REQUIRE(loop.run_until([&] { return std::filesystem::exists(dir.file("ports")); }));
    std::ifstream file(dir.file("ports"));
    std::vector<std::unique_ptr<Probe>> probes;
    for (std::string port; file >> port;) {
        probes.push_back(make_probe("process", {{"port", text("127.0.0.1:" + port)}}));
    }
    REQUIRE(probes.size() == ports);
    const ProbeContext context;
    const std::clock_t before = std::clock();
    std::size_t passed = 0;
    for (const auto& probe : probes) {
        asio::co_spawn(loop.io, attempt(*probe, context, 5s),
                       [&passed](const std::exception_ptr&, const Outcome& found) {
                           if (found.result == ProbeResult::pass) ++passed;
                       });
    }
    CHECK(loop.run_until([&] { return passed == ports; }));
    // One by one they would take 700 ms, and ten times that under sanitizers.
    CHECK(static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC < 0.3);
}

TEST_CASE("process: a pid file older than its process by a clock that was set says nothing") {
    Watched app;
    const Child child = sleeper();
    app.name(child);
    std::filesystem::last_write_time(app.path,
                                     std::filesystem::file_time_type::clock::now() - 10min);
    CHECK(app.attempt().result == ProbeResult::pass);
}

TEST_CASE("process: a number that nobody had when the file was read, and somebody has now") {
    Watched app;
    Child child = sleeper();
    const std::string pid = pid_of(child);
    app.name(child);
    child.kill();
    child.wait();
    CHECK(app.attempt().result == ProbeResult::fail);
    const auto again = process_numbered(std::stoi(pid));
    if (!again) {
        swerve::testing::skipped("needs the right to choose a process id");
        return;
    }
    const Outcome found = app.attempt();
    end(*again);
    CHECK(found.result == ProbeResult::unknown);
    CHECK(found.reason == app.path + ": pid " + pid +
                              " started after the file had named it, so the number was used again");
}

TEST_CASE(
    "process: an exit whose successor cannot be told is unknown, and an attempt says exited") {
    Watched app;
    const Child child = sleeper();
    app.name(child);
    app.watch();
    app.run_for(20ms);
    std::filesystem::remove(app.path);
    child.kill();
    REQUIRE(app.reported(1));
    CHECK(app.reports[0].result == ProbeResult::unknown);
    const Outcome found = app.attempt();
    CHECK(found.result == ProbeResult::fail);
    CHECK(found.reason == "process " + pid_of(child) + " exited");
}

TEST_CASE("process: a pid file that names a thread") {
    Watched app;
    std::promise<pid_t> number;
    std::promise<void> done;
    std::jthread thread([&] {
        number.set_value(static_cast<pid_t>(::syscall(SYS_gettid)));
        done.get_future().wait();
    });
    const std::string tid = std::to_string(number.get_future().get());
    app.name(tid);
    const Outcome found = app.attempt();
    done.set_value();
    CHECK(found.result == ProbeResult::unknown);
    CHECK(found.reason == "pid " + tid + " from " + app.path + " is a thread of another process");
}

TEST_CASE("process: exactly one way to name it, and one that can be") {
    CHECK(fault_of("process", {}) == ": needs one of pid_file, unit, port and name, and only one");
    CHECK(fault_of("process", {{"port", text("80")}, {"name", text("nginx")}}) ==
          ": needs one of pid_file, unit, port and name, and only one");
    CHECK(fault_of("process", {{"port", text("80")}}) == "none");
    CHECK(fault_of("process", {{"port", text("[2001:db8::1]:80")}}) == "none");
    for (const std::string port :
         {"", "0", "70000", "80x", "-1", "198.51.100.1", "198.51.100.1:0"}) {
        CHECK(fault_of("process", {{"port", text(port)}}) ==
              "port: '" + port + "' is no port to listen on");
    }
    CHECK(fault_of("process", {{"name", text("fifteen-octets-")}}) == "none");
    CHECK(fault_of("process", {{"name", text("sixteen-octets-x")}}) ==
          "name: 'sixteen-octets-x' cannot be the name of a process");
    CHECK(fault_of("process", {{"name", text("")}}) == "name: '' cannot be the name of a process");
}
