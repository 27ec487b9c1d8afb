#include "daemon/probe_runner.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <boost/asio/ip/tcp.hpp>
#include <fstream>
#include <numeric>

#include "swerve/base/clock.hpp"
#include "tests/support/temporary_directory.hpp"

using namespace swerve;
using namespace std::chrono_literals;
using boost::asio::ip::tcp;
using daemon::ProbeRunner;
using daemon::ProbeTrial;
using health::FieldMap;
using health::Outcome;
using health::ProbeResult;
using swerve::test::TemporaryDirectory;

namespace {

conf::Check check_of(std::string name, std::string type, FieldMap fields) {
    conf::Check check;
    check.name = std::move(name);
    check.probe = {std::move(type), std::move(fields)};
    return check;
}

conf::Config config_of(std::vector<conf::Check> checks) {
    conf::Config config{
        .site = "test", .local_as = *Asn::from(64500), .router_id = *RouterId::from(1)};
    config.checks = std::move(checks);
    return config;
}

/// The loops of a daemon on one thread.
struct Rig {
    explicit Rig(std::vector<conf::Check> checks) : config(config_of(std::move(checks))) {}

    bool run_until(const std::function<bool()>& done) {
        const TimePoint give_up = BootClock::now() + 10s;
        while (!done() && BootClock::now() < give_up) {
            for (auto* io : {&probes, &main, &other}) {
                io->restart();
                io->poll();
            }
            probes.restart();
            probes.run_one_for(1ms);
        }
        return done();
    }
    ProbeTrial trial(const conf::Check& check) {
        std::optional<ProbeTrial> out;
        runner.run_once(check, other, [&](ProbeTrial found) { out = std::move(found); });
        REQUIRE(run_until([&] { return out.has_value(); }));
        return *out;
    }

    conf::Config config;
    boost::asio::io_context probes{1};
    boost::asio::io_context main{1};
    boost::asio::io_context other{1};
    std::vector<std::pair<failover::CheckId, Outcome>> events;
    std::vector<std::pair<failover::CheckId, std::uint64_t>> finished;
    Outcome outcome;  ///< of the last one
    ProbeRunner runner{
        probes,
        main,
        config,
        {.finished =
             [this](failover::CheckId check, std::uint64_t attempt, Outcome found) {
                 finished.emplace_back(check, attempt);
                 outcome = std::move(found);
             },
         .event = [this](failover::CheckId check,
                         Outcome found) { events.emplace_back(check, std::move(found)); }}};
};

conf::Check tcp_check(const tcp::acceptor& at) {
    const Endpoint endpoint{*Address::parse("127.0.0.1"), at.local_endpoint().port()};
    return check_of("web", "tcp", {{"endpoint", {endpoint}}});
}

}  // namespace

TEST_CASE("probe runner: an attempt by hand tells its steps, and no tracker") {
    Rig rig({});
    const tcp::acceptor server(rig.other, {boost::asio::ip::address_v4::loopback(), 0});
    const conf::Check check = tcp_check(server);
    const ProbeTrial found = rig.trial(check);
    CHECK(found.outcome.result == ProbeResult::pass);
    REQUIRE(found.steps.size() == 1);
    CHECK(found.steps[0].text.starts_with("connected to 127.0.0.1:"));
    CHECK(found.steps[0].at >= 0s);
    CHECK(found.steps[0].at <= found.outcome.finished - found.outcome.started + 1ms);
    CHECK(rig.finished.empty());
    CHECK(rig.events.empty());
}

TEST_CASE("probe runner: an attempt by hand ends at the timeout, with the steps so far") {
    Rig rig({});
    const tcp::acceptor server(rig.other, {boost::asio::ip::address_v4::loopback(), 0});
    conf::Check check = tcp_check(server);
    check.probe.fields["expect"] = {std::string{"ready"}};
    check.timing.timeout = 50ms;
    const ProbeTrial found = rig.trial(check);
    CHECK(found.outcome.result == ProbeResult::fail);
    CHECK(found.outcome.reason.starts_with("no answer within 50ms"));
    CHECK(found.steps.size() == 1);
}

TEST_CASE("probe runner: an attempt by hand survives a reload and is answered when all stops") {
    Rig rig({});
    const tcp::acceptor server(rig.other, {boost::asio::ip::address_v4::loopback(), 0});
    conf::Check check = tcp_check(server);
    check.probe.fields["expect"] = {std::string{"ready"}};
    check.timing.timeout = 200ms;
    std::vector<ProbeTrial> found;
    const auto keep = [&](ProbeTrial trial) { found.push_back(std::move(trial)); };
    rig.runner.run_once(check, rig.other, keep);
    rig.runner.reconfigure(rig.config, {});
    REQUIRE(rig.run_until([&] { return found.size() == 1; }));
    CHECK(found[0].outcome.reason.starts_with("no answer within 200ms"));
    check.timing.timeout = 1h;
    rig.runner.run_once(check, rig.other, keep);
    rig.runner.stop();
    rig.runner.run_once(check, rig.other, keep);
    REQUIRE(rig.run_until([&] { return found.size() == 3; }));
    CHECK(found[1].outcome.result == ProbeResult::unknown);
    CHECK(found[1].outcome.reason == "the daemon is about to stop");
    CHECK(found[2].outcome.result == ProbeResult::unknown);
}

TEST_CASE("probe runner: what the loop comes to too late is left out, and says nothing") {
    Rig rig({});
    const tcp::acceptor server(rig.other, {boost::asio::ip::address_v4::loopback(), 0});
    rig.runner.reconfigure(config_of({tcp_check(server)}), {std::nullopt});
    const TimePoint asked = BootClock::now();
    rig.runner.attempt(0, 1, 1h, asked);
    REQUIRE(rig.run_until([&] { return rig.finished.size() == 1; }));
    CHECK(rig.outcome.result == ProbeResult::pass);
    rig.runner.attempt(0, 2, 1h, asked);
    const TimePoint stalled = BootClock::now();
    while (BootClock::now() - stalled <= health::answer_grace) continue;  // a loop that is busy
    REQUIRE(rig.run_until([&] { return rig.finished.size() == 2; }));
    CHECK(rig.outcome.result == ProbeResult::unknown);
    CHECK(rig.outcome.reason ==
          "the probes loop has more to do than it can: the attempt was left out");
    const daemon::LatenessCounts::Copy late = rig.runner.lateness().copy();
    CHECK(std::accumulate(late.buckets.begin(), late.buckets.end(), std::uint64_t{0}) == 2);
    CHECK(late.sum >= health::answer_grace);
}

TEST_CASE("probe runner: outcomes and events find their check after it has another number") {
    const TemporaryDirectory directory;
    const std::string flag = directory.path() + "/flag";
    const auto on_flag = check_of("flag", "file", {{"path", {flag}}});
    Rig rig({on_flag});
    const tcp::acceptor server(rig.other, {boost::asio::ip::address_v4::loopback(), 0});
    rig.runner.start();
    rig.runner.attempt(0, 7, 1s, BootClock::now());
    conf::Config after = rig.config;
    after.checks = {tcp_check(server), on_flag};
    rig.runner.reconfigure(after, {std::nullopt, 0});
    REQUIRE(rig.run_until([&] { return rig.finished.size() == 1; }));
    CHECK(rig.finished[0] == std::pair<failover::CheckId, std::uint64_t>{1, 7});
    std::ofstream{flag};
    REQUIRE(rig.run_until([&] { return !rig.events.empty(); }));
    CHECK(rig.events[0].first == 1);
    CHECK(rig.events[0].second.result == ProbeResult::pass);
    // Of a check that is gone nothing is heard.
    rig.runner.attempt(1, 8, 1s, BootClock::now());
    rig.runner.reconfigure(rig.config, {std::nullopt});
    rig.runner.attempt(0, 9, 1s, BootClock::now());
    REQUIRE(rig.run_until([&] { return rig.finished.size() == 2; }));
    CHECK(rig.finished[1] == std::pair<failover::CheckId, std::uint64_t>{0, 9});
    rig.runner.stop();
    CHECK(rig.run_until([&] { return rig.probes.stopped(); }));
}

TEST_CASE("probe runner: a flag that is touched without end costs main fifty events a second") {
    const TemporaryDirectory directory;
    const std::string flag = directory.path() + "/flag";
    Rig rig({check_of("flag", "file", {{"path", {flag}}})});
    rig.runner.start();
    const TimePoint began = BootClock::now();
    REQUIRE(rig.run_until([&] { return BootClock::now() >= began + 20ms; }));
    const TimePoint end = BootClock::now() + 500ms;
    std::size_t changes = 0;
    rig.run_until([&] {
        (changes++ % 2 == 0) ? std::ofstream{flag}.close() : (void)::unlink(flag.c_str());
        return BootClock::now() >= end;
    });
    CHECK(changes > 50);
    CHECK(rig.events.size() >= 2);
    CHECK(rig.events.size() <= 28);
    rig.runner.stop();
    CHECK(rig.run_until([&] { return rig.probes.stopped(); }));
}
