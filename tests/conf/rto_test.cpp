// What a configuration can promise: the table, and the rules of `rto`.

#include "swerve/conf/rto.hpp"

#include <algorithm>
#include <chrono>

#include "tests/conf/rig.hpp"

namespace swerve::conf {
namespace {

using namespace std::chrono_literals;

const std::string two_families =
    "neighbors:\n  a: {address: 192.0.2.254, remote_as: 64496, families: [ipv4]}\n"
    "  b: {address: 192.0.2.253, remote_as: 64497, families: [ipv4], hold_time: 30s}\n"
    "  six: {address: \"2001:db8::fe\", remote_as: 64498, families: [ipv6], hold_time: 0s}\n"
    "  off: {address: 192.0.2.252, remote_as: 64499, families: [ipv4], hold_time: 90s, "
    "admin_down: true}\n";

/// The table of the one service with these checks.
std::vector<WorstCase> cases(const std::string& check_lines, const std::string& healthy_when,
                             const std::string& neighbor_lines = two_families) {
    const Config config = config_of(head + neighbor_lines + check_lines +
                                    "services:\n  portal: {prefixes: [198.51.100.0/24], "
                                    "healthy_when: " +
                                    healthy_when + "}\n");
    return promises(config).at(0).cases;
}

const WorstCase* find(const std::vector<WorstCase>& list, Failure failure) {
    const auto found = std::ranges::find(list, failure, &WorstCase::failure);
    return found == list.end() ? nullptr : &*found;
}

std::string shown(const std::vector<WorstCase>& list, Failure failure) {
    const WorstCase* found = find(list, failure);
    if (found == nullptr) return "none";
    const auto ms = [](Duration bound) {
        return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(bound).count());
    };
    return (found->bound ? ms(*found->bound) : "no bound") + " | " + found->because + " | " +
           found->key;
}

const std::string web_and_app =
    "checks:\n  web: {tcp: {endpoint: \"198.51.100.1:80\", expect: ok}}\n"
    "  app: {process: {pid_file: /run/app.pid}, on_event: trust, interval: 2s, timeout: 100ms}\n"
    "  pid: {process: {pid_file: /run/pid.pid}, interval: 3s, fast_interval: 3s, timeout: 1s}\n"
    "  lag: {tcp: {endpoint: \"198.51.100.1:81\"}, effect: degrade, interval: 1h}\n";

TEST_CASE("rto: one check, with the defaults of the design") {
    const auto table = cases(web_and_app, "web");
    CHECK(shown(table, Failure::fails_fast) ==
          "1400 | check web: 1s + 2 × 200ms | checks.web.interval");
    CHECK(shown(table, Failure::hangs) ==
          "3400 | check web: 1s + 800ms + 2 × 800ms | checks.web.timeout");
    CHECK(shown(table, Failure::alternates) ==
          "3600 | check web: 2 × 1s + 8 × 200ms | checks.web.interval");
    CHECK(shown(table, Failure::event) == "none");
    CHECK(shown(table, Failure::daemon_dies) == "0 | the kernel closes the sessions | ");
    // The neighbor of the other family is not sent it, and that of admin_down has no session.
    CHECK(shown(table, Failure::host_dies) ==
          "30000 | neighbor b: hold time 30s, as configured | neighbors.b.hold_time");
}

TEST_CASE("rto: an event is trusted, or confirmed by one attempt") {
    CHECK(shown(cases(web_and_app, "app"), Failure::event) ==
          "0 | check app: trusts the event | checks.app.on_event");
    CHECK(shown(cases(web_and_app, "pid"), Failure::event) ==
          "1010 | check pid: 10ms between two attempts for events + 1s | checks.pid.timeout");
    // An event shows to whom it shows: enough for all, but not for any.
    CHECK(shown(cases(web_and_app, "{all: [web, app]}"), Failure::event).starts_with("0 |"));
    CHECK(shown(cases(web_and_app, "{any: [web, app]}"), Failure::event) == "none");
    CHECK(shown(cases(web_and_app, "{any: [pid, app]}"), Failure::event).starts_with("1010 |"));
    CHECK(shown(cases(web_and_app, "{at_least: {count: 2, of: [web, app, pid]}}"), Failure::event)
              .starts_with("1010 |"));
    CHECK(shown(cases(web_and_app, "{at_least: {count: 1, of: [web, app, pid]}}"),
                Failure::event) == "none");
    CHECK(shown(cases(web_and_app, "{not: {not: app}}"), Failure::event).starts_with("0 |"));
    CHECK(shown(cases(web_and_app, "{not: app}"), Failure::event) == "none");
}

TEST_CASE(
    "rto: over an expression the slowest check that may decide, and only those that withdraw") {
    for (const std::string rule :
         {"{all: [web, app]}", "{any: [web, app]}", "{at_least: {count: 1, of: [web, app, lag]}}",
          "{all: [web, lag, app]}", "{not: {not: {all: [app, web]}}}"}) {
        CAPTURE(rule);
        const auto table = cases(web_and_app, rule);
        CHECK(shown(table, Failure::fails_fast) ==
              "2400 | check app: 2s + 2 × 200ms | checks.app.interval");
        // Any of them: a process that hangs is still there.
        CHECK(shown(table, Failure::hangs) ==
              (rule.starts_with("{a") && rule.find("all") == std::string::npos
                   ? "no bound | check app: that a process runs does not prove that it serves: it "
                     "may hang | services.portal.healthy_when"
                   : "3400 | check web: 1s + 800ms + 2 × 800ms | checks.web.timeout"));
    }
}

TEST_CASE("rto: beneath not the failure is that a check passes") {
    const auto table = cases(web_and_app, "{all: [web, {not: pid}]}");
    // Of ten failures, six must leave the window before fewer than five are left.
    CHECK(shown(table, Failure::fails_fast) ==
          "18000 | check pid passes: 6 × 3s | checks.pid.window");
    CHECK(shown(table, Failure::hangs).starts_with("3400 | check web"));
    CHECK(shown(cases(web_and_app, "{not: pid}"), Failure::hangs)
              .starts_with("no bound | check pid"));
    CHECK(shown(cases(web_and_app, "{not: web}"), Failure::hangs) ==
          "no bound | it makes no check pass beneath not | services.portal.healthy_when");
    CHECK(shown(cases(web_and_app, "{not: {all: [web, pid]}}"), Failure::fails_fast) ==
          "18000 | check pid passes: 6 × 3s | checks.pid.window");
}

TEST_CASE("rto: without a check that withdraws nothing is noticed") {
    for (const std::string rule : {"always", "lag", "{not: lag}"}) {
        const auto table = cases(web_and_app, rule);
        CHECK(shown(table, Failure::fails_fast) ==
              "no bound | no check withdraws it | services.portal.healthy_when");
        CHECK(shown(table, Failure::hangs).starts_with("no bound"));
        CHECK(find(table, Failure::host_dies) != nullptr);
    }
}

TEST_CASE("rto: which key makes a bound long") {
    const auto key = [](const std::string& timing, Failure failure) {
        const auto table = cases(
            "checks:\n  web: {tcp: {endpoint: \"198.51.100.1:80\", expect: ok}, " + timing + "}\n",
            "web");
        return find(table, failure)->key;
    };
    CHECK(key("interval: 1s, fall: 6", Failure::fails_fast) == "checks.web.interval");
    CHECK(key("interval: 1s, fall: 7, window: {failures: 7}", Failure::fails_fast) ==
          "checks.web.fast_interval");
    CHECK(key("interval: 5s", Failure::hangs) == "checks.web.interval");
    CHECK(key("interval: 1s, fast_interval: 1s, timeout: 500ms", Failure::hangs) ==
          "checks.web.fast_interval");
}

TEST_CASE("rto: alternating results are bound by the window, or by nothing") {
    const auto bound = [](const std::string& timing) {
        const auto table = cases(
            "checks:\n  web: {tcp: {endpoint: \"198.51.100.1:80\", expect: ok}, " + timing + "}\n",
            "web");
        return shown(table, Failure::alternates);
    };
    CHECK(bound("window: {failures: 5, of: 9}").starts_with("3600 | "));
    CHECK(bound("window: {failures: 5, of: 8}") ==
          "no bound | check web: every second result fails, and 5 of the last 8 never do | "
          "checks.web.window");
    CHECK(bound("fall: 1, window: {failures: 5, of: 8}").starts_with("2000 | "));
    CHECK(bound("window: {failures: 1, of: 1}").starts_with("2000 | "));
    CHECK(bound("fast_interval: 1s") == "10000 | check web: 2 × 1s + 8 × 1s | checks.web.window");
}

TEST_CASE(
    "rto: a host that dies is noticed by the longest hold time, negotiated where it is known") {
    const Config config = config_of(head + two_families + checks +
                                    "services:\n  p: {prefixes: [198.51.100.0/24], healthy_when: "
                                    "web}\n  q: {prefixes: [\"2001:db8::/48\"], healthy_when: "
                                    "web}\n");
    const auto held = [&](std::size_t service, const std::vector<NegotiatedHold>& negotiated) {
        return shown(promises(config, negotiated).at(service).cases, Failure::host_dies);
    };
    CHECK(held(0, {{"b", 6s}}) ==
          "9000 | neighbor a: hold time 9s, as configured | neighbors.a.hold_time");
    CHECK(held(0, {{"b", 6s}, {"a", 3s}}) ==
          "6000 | neighbor b: hold time 6s, negotiated | neighbors.b.hold_time");
    CHECK(held(0, {{"a", 0s}, {"b", 6s}}) ==
          "no bound | neighbor a: no hold time, so it never notices | neighbors.a.hold_time");
    CHECK(held(1, {}) ==
          "no bound | neighbor six: no hold time, so it never notices | neighbors.six.hold_time");
    CHECK(held(1, {{"six", 90s}}).starts_with("90000 | "));
    // Sessions of a range.
    CHECK(held(1, {{"six", 90s}, {"six", 180s}, {"six", 30s}}).starts_with("180000 | "));
}

const std::string watched =
    "neighbors:\n  a: {address: 192.0.2.254, remote_as: 64496, local_address: 192.0.2.1, ";

TEST_CASE("rto: BFD bounds what the hold time does not, if it is the shorter one") {
    const auto host = [](const std::string& keys) {
        return shown(cases(checks, "web", watched + keys + "}\n"), Failure::host_dies);
    };
    CHECK(host("bfd: {}") ==
          "900 | neighbor a: BFD 3 × 300ms, as configured | neighbors.a.bfd.interval");
    CHECK(host("bfd: {interval: 50ms, multiplier: 20}") ==
          "1000 | neighbor a: BFD 20 × 50ms, as configured | neighbors.a.bfd.multiplier");
    CHECK(host("bfd: {interval: 1s, multiplier: 4}") ==
          "4000 | neighbor a: BFD 4 × 1s, as configured | neighbors.a.bfd.interval");
    CHECK(host("bfd: {interval: 2s}, hold_time: 3s") ==
          "3000 | neighbor a: hold time 3s, as configured | neighbors.a.hold_time");
    CHECK(host("bfd: {interval: 1s}, hold_time: 3s").starts_with("3000 | neighbor a: hold time"));
    CHECK(host("bfd: {interval: 60s}, hold_time: 0s").starts_with("180000 | neighbor a: BFD"));
    CHECK(host("bfd: {}, graceful_restart: {restart_time: 20s, with_health_checks: true}") ==
          "20900 | neighbor a: BFD 3 × 300ms, as configured + 20s for a restart | "
          "neighbors.a.graceful_restart.restart_time");
    // The slowest of the neighbors counts, and only that one is named.
    CHECK(shown(cases(checks, "web",
                      watched + "bfd: {}}\n  b: {address: 192.0.2.253, remote_as: 64496}\n"),
                Failure::host_dies) ==
          "9000 | neighbor b: hold time 9s, as configured | neighbors.b.hold_time");
}

TEST_CASE("rto: of BFD what was negotiated counts, and while it is not Up the hold time") {
    const Config config =
        config_of(head + watched + "bfd: {}}\n" + checks +
                  "services:\n  p: {prefixes: [198.51.100.0/24], healthy_when: web}\n");
    const auto held = [&](const Config& of, const std::vector<NegotiatedHold>& negotiated) {
        return shown(promises(of, negotiated).at(0).cases, Failure::host_dies);
    };
    CHECK(held(config, {{"a", 9s, 1500ms}}) ==
          "1500 | neighbor a: BFD 1500ms, negotiated | neighbors.a.bfd.interval");
    CHECK(held(config, {{"a", 0s, 1500ms}}).starts_with("1500 | neighbor a: BFD"));
    CHECK(held(config, {{"a", 3s, 3500ms}}) ==
          "3000 | neighbor a: hold time 3s, negotiated | neighbors.a.hold_time");
    CHECK(held(config, {{"a", 6s}}) ==
          "6000 | neighbor a: hold time 6s, negotiated; BFD is not Up | neighbors.a.hold_time");
    CHECK(held(config, {{"a", 0s}}) ==
          "no bound | neighbor a: no hold time, and BFD is not Up, so it never notices | "
          "neighbors.a.hold_time");
    CHECK(held(config, {{"b", 0s}}).starts_with("900 | neighbor a: BFD 3 × 300ms"));
    // What is no longer configured watches nothing any more.
    Config without = config;
    without.neighbors[0].bfd.reset();
    CHECK(held(without, {{"a", 9s, 900ms}}) ==
          "9000 | neighbor a: hold time 9s, negotiated | neighbors.a.hold_time");
}

TEST_CASE("rto: a neighbor that keeps routes for a restart keeps them for a crash") {
    const auto table =
        cases(web_and_app, "web",
              "neighbors:\n  a: {address: 192.0.2.254, remote_as: 64496, graceful_restart: "
              "{restart_time: 20s, with_health_checks: true}}\n");
    CHECK(shown(table, Failure::daemon_dies) ==
          "20000 | neighbor a: keeps the routes for a restart of 20s | "
          "neighbors.a.graceful_restart.restart_time");
    CHECK(shown(table, Failure::host_dies) ==
          "29000 | neighbor a: hold time 9s, as configured + 20s for a restart | "
          "neighbors.a.graceful_restart.restart_time");
}

/// What is said about a promise of one check with the defaults.
std::string said(const std::string& rto, const std::string& more = "",
                 const std::string& expect = ", expect: ok") {
    const std::string text = head + neighbors +
                             "checks:\n  web: {tcp: {endpoint: \"198.51.100.1:80\"" + expect +
                             "}}\n"
                             "services:\n  p: {prefixes: [198.51.100.0/24], healthy_when: web, "
                             "rto: " +
                             rto + more + "}\n";
    const auto loaded = load_text(text, "swerve.yaml");
    return loaded ? joined((*loaded)->warnings) : "refused\n" + joined(loaded.error());
}

TEST_CASE(
    "rto: what cannot be kept for fast failures and hangs is refused, the rest is warned of") {
    CHECK(said("9s").empty());
    CHECK(said("8999ms") ==
          "swerve.yaml:10:60: warning: services.p.rto: '8999ms' cannot be kept when the host dies: "
          "9s (neighbor a: hold time 9s, as configured) (hint: change neighbors.a.hold_time, or "
          "promise less)\n");
    CHECK(said("3400ms").find("refused") == std::string::npos);
    CHECK(said("3399ms") ==
          "refused\nswerve.yaml:10:60: services.p.rto: '3399ms' cannot be kept when the service "
          "hangs: 3400ms (check web: 1s + 800ms + 2 × 800ms) (hint: change checks.web.timeout, or "
          "promise less)\n");
    // With BFD it is kept for a host that dies, too.
    CHECK(
        config_of(head + watched + "bfd: {}}\n" +
                  "checks:\n  web: {tcp: {endpoint: \"198.51.100.1:80\", expect: ok}}\nservices:\n"
                  "  p: {prefixes: [198.51.100.0/24], healthy_when: web, rto: 3600ms}\n")
            .warnings.empty());
    const std::string both = said("1399ms");
    CHECK(both.find("fails at once: 1400ms") != std::string::npos);
    CHECK(std::ranges::count(both, '\n') == 3);
}

TEST_CASE("rto: a promise that rests on checks which ask for no answer is refused") {
    CHECK(
        said("9s", "", "") ==
        "refused\nswerve.yaml:10:60: services.p.rto: '9s' cannot be kept when the service hangs: "
        "there is no bound (check web: a TCP connect alone proves little: the kernel completes it "
        "for a frozen process) (hint: change services.p.healthy_when, or promise nothing)\n");
    CHECK(said("9s").empty());
}

TEST_CASE("rto: what hangs shows to no check that asks for no answer") {
    const std::string blind =
        "checks:\n  web: {tcp: {endpoint: \"198.51.100.1:80\"}}\n"
        "  app: {process: {pid_file: /run/app.pid}}\n  up: {link: {interface: eth0}}\n"
        "  flag: {file: {path: /run/flag}}\n  beat: {file: {path: /run/beat, max_age: 1m}}\n"
        "  page: {http: {url: \"http://198.51.100.1/\"}}\n";
    for (const std::string name : {"web", "app", "up", "flag", "beat"}) {
        CAPTURE(name);
        CHECK(shown(cases(blind, name), Failure::hangs).starts_with("no bound | check " + name));
        CHECK(find(cases(blind, name), Failure::fails_fast)->bound);
        CHECK(find(cases(blind, "{all: [page, " + name + "]}"), Failure::hangs)->bound);
        CHECK_FALSE(find(cases(blind, "{any: [page, " + name + "]}"), Failure::hangs)->bound);
    }
    CHECK(shown(cases(blind, "beat"), Failure::hangs).find("asks for no answer") !=
          std::string::npos);
    CHECK(find(cases(blind, "{all: [web, app, up, flag, beat]}"), Failure::hangs)
              ->because.ends_with("; and 2 more"));
}

TEST_CASE("rto: a check that depends on another one is as slow as the slower of them") {
    const std::string chain =
        "checks:\n  web: {http: {url: \"http://198.51.100.1/\"}, only_if: db, fall: 1, "
        "interval: 500ms, timeout: 100ms}\n"
        "  db: {tcp: {endpoint: \"198.51.100.1:81\", expect: ok}, only_if: disk}\n"
        "  disk: {file: {path: /run/disk}, interval: 5s}\n";
    const auto table = cases(chain, "web");
    CHECK(shown(table, Failure::fails_fast) ==
          "5400 | check web depends on check disk: 5s + 2 × 200ms | checks.disk.interval");
    // Which sees no hang.
    CHECK(shown(table, Failure::hangs) ==
          "3400 | check web depends on check db: 1s + 800ms + 2 × 800ms | checks.db.timeout");
    CHECK(shown(table, Failure::event) ==
          "810 | check web depends on check disk: 10ms between two attempts for events + 800ms | "
          "checks.disk.timeout");
    CHECK(shown(cases(chain, "disk"), Failure::fails_fast).starts_with("5400 | check disk: "));
    // Undecided, it takes the service with it beneath `not`, too.
    CHECK(
        shown(cases(chain, "{not: web}"), Failure::hangs).starts_with("3400 | check web depends"));
}

TEST_CASE("rto: warnings beyond the limit are counted, not listed") {
    const auto warnings = [](std::size_t count) {
        std::string text = head + neighbors +
                           "checks:\n  web: {tcp: {endpoint: \"198.51.100.1:80\", expect: ok}}\n"
                           "services:\n";
        for (std::size_t i = 0; i < count; ++i) {
            text += "  s" + std::to_string(i) + ": {prefixes: [10." + std::to_string(i) +
                    ".0.0/16], healthy_when: web, rto: 5s}\n";
        }
        return config_of(text).warnings;
    };
    CHECK(warnings(max_diagnostics).size() == max_diagnostics);
    const Diagnostics more = warnings(max_diagnostics + 2);
    REQUIRE(more.size() == max_diagnostics + 1);
    CHECK(more.back().to_string() == "swerve.yaml: warning: and 2 more");
    CHECK(fault_count(more) == max_diagnostics + 2);
}

TEST_CASE("rto: one service's faults hide no other's broken promise") {
    const auto faults = [](const std::string& check_keys, const std::string& other) {
        return joined(
            faults_of(head + neighbors +
                      "checks:\n  web: {tcp: {endpoint: \"198.51.100.1:80\"}}\n  db: {tcp: "
                      "{endpoint: \"198.51.100.1:81\", expect: ok}" +
                      check_keys +
                      "}\n"
                      "services:\n  p: {prefixes: [198.51.100.0/24], healthy_when: db, rto: 1s}\n  "
                      "q: {prefixes: "
                      "[10.0.0.0/8], healthy_when: web" +
                      other + "}\n"));
    };
    const std::string broken = "services.p.rto: '1s' cannot be kept";
    CHECK(faults("", ", rto: x").find(broken) != std::string::npos);
    CHECK(faults("", ", healthy: x").find(broken) != std::string::npos);
    // A check with a fault, or one that waits for one, has no bound yet.
    CHECK(faults(", fall: x", "").find("cannot be kept") == std::string::npos);
    CHECK(faults(", only_if: web", "").find(broken) != std::string::npos);
    CHECK(faults(", only_if: nobody", "").find("cannot be kept") == std::string::npos);
    CHECK(faults(", only_if: db", "").find("cannot be kept") == std::string::npos);
}

TEST_CASE("rto: a promise that is faulty, or of a service that is, is not judged") {
    CHECK(said("0s") ==
          "refused\nswerve.yaml:10:60: services.p.rto: '0s' is out of range (1ms..24h)\n");
    CHECK(said("1ms", ", healthy: x").find("cannot be kept") == std::string::npos);
}

}  // namespace
}  // namespace swerve::conf
