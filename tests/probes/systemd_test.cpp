#include <doctest/doctest.h>

#include <cstdlib>

#include "tests/probes/private_bus.hpp"
#include "tests/probes/watching.hpp"

using namespace swerve;
using namespace swerve::health;
using namespace swerve::health::testing;
using namespace std::chrono_literals;

namespace {

FieldMap unit(std::string name) { return {{"unit", text(std::move(name))}}; }

std::string attempt(Loop& loop, std::string name, std::string state = "active") {
    FieldMap values = unit(std::move(name));
    values["state"] = text(std::move(state));
    const Outcome found = loop.attempt("systemd", values);
    return std::string{to_string(found.result)} + ": " + found.reason;
}

/// A bus with a systemd that has app.service, active.
struct Host : PrivateBus {
    Host() {
        start();
        start_systemd();
        tell_systemd("unit app.service active 0");
    }
    Loop loop;
};

}  // namespace

TEST_CASE("systemd: without a bus, and on a bus without systemd") {
    if (!PrivateBus::is_possible()) return;
    Loop loop;
    PrivateBus bus;
    CHECK(attempt(loop, "app") ==
          "unknown: no system bus: No such file or directory (the package dbus brings it; "
          "DBUS_SYSTEM_BUS_ADDRESS names another)");
    bus.start();
    CHECK(attempt(loop, "app") ==
          "unknown: systemd is not on the system bus: is it the init system here?");
    bus.start_systemd();
    bus.tell_systemd("unit app.service active 0");
    CHECK(attempt(loop, "app") == "pass: app.service is active");
}

TEST_CASE("systemd: the state of a unit") {
    if (!PrivateBus::is_possible()) return;
    Host host;
    Loop& loop = host.loop;
    CHECK(attempt(loop, "app.service") == "pass: app.service is active");
    CHECK(attempt(loop, "app", "inactive") == "fail: app.service is 'active' instead of inactive");
    host.tell_systemd("unit app.service reloading 0");
    CHECK(attempt(loop, "app") == "pass: app.service is reloading");
    host.tell_systemd("unit app.service failed 0");
    CHECK(attempt(loop, "app") == "fail: app.service is 'failed' instead of active");
    CHECK(attempt(loop, "app", "failed") == "pass: app.service is failed");
    host.tell_systemd("unit app.service inactive 0");
    CHECK(attempt(loop, "app") == "fail: app.service is 'inactive' instead of active");
    CHECK(attempt(loop, "app", "inactive") == "pass: app.service is inactive");
    CHECK(attempt(loop, "nix") == "fail: systemd has no unit nix.service");
    host.tell_systemd("unit a-b@c.d\\x2de.socket active 0");
    CHECK(attempt(loop, "a-b@c.d\\x2de.socket").starts_with("pass: "));
}

TEST_CASE("systemd: changes are reported when they happen, each once") {
    if (!PrivateBus::is_possible()) return;
    Host host;
    Watching watching(host.loop, "systemd", unit("app"));
    Watching other(host.loop, "systemd", unit("other"));
    REQUIRE(watching.attempt().result == ProbeResult::pass);
    const TimePoint stopped = BootClock::now();
    host.tell_systemd("unit app.service deactivating 0");
    CHECK(watching.next() == "fail: app.service is 'deactivating' instead of active");
    CHECK(watching.reports.back().finished - stopped < 100ms);
    host.tell_systemd("unit app.service inactive 0");
    host.tell_systemd("unit app.service active 0");
    CHECK(watching.next() == "pass: app.service is active");
    CHECK(watching.reports.size() == 2);
    CHECK(other.reports.empty());
}

TEST_CASE("systemd: a storm of changes ends with what is so, in far fewer reports") {
    if (!PrivateBus::is_possible()) return;
    Host host;
    Watching watching(host.loop, "systemd", unit("app"));
    REQUIRE(watching.attempt().result == ProbeResult::pass);
    for (int i = 0; i < 500; ++i) {
        host.tell_systemd("unit app.service failed 0");
        host.tell_systemd("unit app.service active 0");
    }
    host.tell_systemd("unit app.service failed 0");
    CHECK(host.loop.run_until([&] {
        return !watching.reports.empty() && watching.reports.back().result == ProbeResult::fail;
    }));
    CHECK(watching.attempt().result == ProbeResult::fail);
    CHECK(watching.reports.size() < 100);
}

TEST_CASE("systemd: a systemd that never answers") {
    if (!PrivateBus::is_possible()) return;
    Host host;
    host.tell_systemd("mute");
    const Outcome found = host.loop.attempt("systemd", unit("app"), 80ms);
    CHECK(found.result == ProbeResult::fail);
    CHECK(found.reason == "no answer within 80ms, waiting for systemd to tell of app.service");
}

TEST_CASE("systemd: a bus that goes and comes back is listened to again") {
    if (!PrivateBus::is_possible()) return;
    Host host;
    Watching watching(host.loop, "systemd", unit("app"));
    REQUIRE(watching.attempt().result == ProbeResult::pass);
    host.stop();
    CHECK(host.loop.run_until([&] { return watching.attempt().result == ProbeResult::unknown; }));
    CHECK(watching.attempt().reason.starts_with("no system bus: Connection refused"));
    host.start();
    host.start_systemd();
    host.tell_systemd("unit app.service active 0");
    CHECK(host.loop.run_until([&] { return watching.attempt().result == ProbeResult::pass; }));
    watching.reports.clear();
    host.tell_systemd("unit app.service failed 0");
    CHECK(host.loop.run_until([&] {
        return !watching.reports.empty() && watching.reports.back().result == ProbeResult::fail;
    }));
}

TEST_CASE("systemd: one that is replaced is subscribed to again") {
    if (!PrivateBus::is_possible()) return;
    Host host;
    Watching watching(host.loop, "systemd", unit("app"));
    REQUIRE(watching.attempt().result == ProbeResult::pass);
    host.stop_systemd();
    host.start_systemd();
    host.tell_systemd("unit app.service active 0");
    REQUIRE(host.loop.run_until([&] { return watching.attempt().result == ProbeResult::pass; }));
    host.tell_systemd("unit app.service failed 0");
    CHECK(host.loop.run_until([&] {
        return !watching.reports.empty() && watching.reports.back().result == ProbeResult::fail;
    }));
}

TEST_CASE("systemd: once nobody asks or listens the loop has no work left") {
    if (!PrivateBus::is_possible()) return;
    Host host;
    {
        Watching watching(host.loop, "systemd", unit("app"));
        REQUIRE(watching.attempt().result == ProbeResult::pass);
    }
    host.loop.io.restart();
    host.loop.io.run_for(5s);
    CHECK(host.loop.io.stopped());
}

TEST_CASE("systemd: values that make no probe") {
    CHECK(fault_of("systemd", unit("app")) == "none");
    CHECK(fault_of("systemd", unit("a b")) == "unit: 'a b' cannot be the name of a unit");
    CHECK(fault_of("systemd", unit("")) == "unit: '' cannot be the name of a unit");
    CHECK(fault_of("systemd", unit(std::string(300, 'a'))).ends_with("the name of a unit"));
    FieldMap values = unit("app");
    values["state"] = text("running");
    CHECK(fault_of("systemd", values) == "state: 'running' is no state of a unit");
    const ProbeType& type = *find_probe_type("systemd");
    CHECK(type.target(unit("app.service")) == "app.service");
    CHECK_FALSE(type.caveat({}).empty());
}

TEST_CASE("process: the main process of a unit") {
    if (!PrivateBus::is_possible()) return;
    Host host;
    Watching watching(host.loop, "process", unit("app"));
    CHECK(watching.attempt().reason == "app.service has no main process");
    auto child = std::make_unique<Child>(std::vector<std::string>{"sleep", "1000"});
    const auto name = [&] {
        const std::string pid = std::to_string(child->pid());
        host.tell_systemd("unit app.service active " + pid);
        return pid;
    };
    std::string pid = name();
    CHECK(watching.next() == "pass: pid " + pid + " runs");
    child->kill();
    CHECK(watching.next() == "fail: process " + pid + " exited");
    CHECK(watching.attempt().reason == "process " + pid + " exited");
    child = std::make_unique<Child>(std::vector<std::string>{"sleep", "1000"});
    pid = name();
    CHECK(watching.next() == "pass: successor pid " + pid);
    CHECK(watching.attempt().reason == "pid " + pid + " runs");
    // A systemd that hangs does not keep the exit secret; that there is no successor, it does.
    host.tell_systemd("mute");
    const TimePoint killed = BootClock::now();
    child->kill();
    CHECK(watching.next().starts_with("unknown: process " + pid + " exited; "));
    CHECK(watching.reports.back().finished - killed < 1s);
    CHECK(fault_of("process", unit("app.socket")) == "unit: 'app.socket' is no service");
}
