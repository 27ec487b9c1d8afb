#include "health/probes/runtime.hpp"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fstream>
#include <stdexcept>

#include "swerve/base/clock.hpp"
#include "tests/probes/support.hpp"

using namespace swerve;
using namespace swerve::health;
using namespace swerve::health::testing;
using namespace std::chrono_literals;
namespace asio = boost::asio;

namespace {

/// A probe from a function.
class Scripted final : public Probe {
public:
    using Body = std::function<asio::awaitable<Outcome>()>;
    explicit Scripted(Body body) : body_(std::move(body)) {}
    asio::awaitable<Outcome> run(const ProbeContext& /*context*/, TimePoint /*deadline*/) override {
        co_return co_await body_();
    }

private:
    Body body_;
};

asio::awaitable<Outcome> forever(bool swallow) {
    Timer timer(co_await asio::this_coro::executor, BootClock::now() + 1h);
    if (swallow) {
        co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
        co_return unsure("waiting for the moon");
    }
    co_await timer.async_wait(asio::use_awaitable);
    co_return passed("never");
}

asio::awaitable<Outcome> throws(bool standard) {
    if (standard) throw std::runtime_error("out of\nluck");
    throw boost::system::system_error(asio::error::no_memory);
    co_return Outcome{};
}

asio::awaitable<Outcome> passes_at_once() { co_return passed("fine"); }

}  // namespace

TEST_CASE("attempt: an answer in time is the outcome, with its times") {
    Loop loop;
    Scripted probe([] { return passes_at_once(); });
    const TimePoint before = BootClock::now();
    const Outcome outcome = loop.attempt(probe, 5s);
    CHECK(outcome.result == ProbeResult::pass);
    CHECK(outcome.reason == "fine");
    CHECK(outcome.started >= before);
    CHECK(outcome.finished >= outcome.started);
    CHECK(outcome.finished - outcome.started < 5s);
}

TEST_CASE("attempt: the deadline ends a probe that never answers") {
    Loop loop;
    for (const bool swallow : {false, true}) {
        Scripted probe([swallow] { return forever(swallow); });
        const Outcome outcome = loop.attempt(probe, 50ms);
        CHECK(outcome.result == ProbeResult::fail);
        CHECK(outcome.reason ==
              (swallow ? "no answer within 50ms, waiting for the moon" : "no answer within 50ms"));
        CHECK(outcome.finished - outcome.started >= 50ms);
        CHECK(outcome.finished - outcome.started < 1s);
    }
}

TEST_CASE("attempt: what a probe throws is an unknown with its text") {
    Loop loop;
    Scripted standard([] { return throws(true); });
    const Outcome outcome = loop.attempt(standard);
    CHECK(outcome.result == ProbeResult::unknown);
    CHECK(outcome.reason == "the attempt broke off: out of\\x0aluck");
    CHECK(outcome.finished >= outcome.started);
    CHECK(outcome.finished - outcome.started < 1s);
    Scripted system([] { return throws(false); });
    CHECK(loop.attempt(system).result == ProbeResult::unknown);
}

TEST_CASE("attempt: a thousand at once each keep their own deadline") {
    Loop loop;
    Scripted probe([] { return forever(false); });
    const ProbeContext context;
    int ended = 0;
    for (int i = 0; i < 1000; ++i) {
        asio::co_spawn(loop.io, attempt(probe, context, 20ms),
                       [&](const std::exception_ptr& error, const Outcome& outcome) {
                           CHECK_FALSE(error);
                           CHECK(outcome.result == ProbeResult::fail);
                           ++ended;
                       });
    }
    CHECK(loop.run_until([&] { return ended == 1000; }));
}

TEST_CASE("watch: a probe without events returns at once") {
    Loop loop;
    Scripted probe([] { return passes_at_once(); });
    const ProbeContext context;
    bool returned = false;
    asio::co_spawn(loop.io, probe.watch(context, [](Outcome) { FAIL("nothing to report"); }),
                   [&](const std::exception_ptr& error) {
                       CHECK_FALSE(error);
                       returned = true;
                   });
    CHECK(loop.run_until([&] { return returned; }));
}

TEST_CASE("connect: a lack of descriptors is unknown, not the service's failure") {
    Loop loop;
    Server server(loop, says(""));
    const auto probe = make_probe("tcp", {{"endpoint", {server.endpoint()}}});
    REQUIRE(loop.attempt(*probe).result == ProbeResult::pass);
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    const rlimit none{.rlim_cur = 3, .rlim_max = before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
    const Outcome outcome = loop.attempt(*probe);
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    CHECK(outcome.result == ProbeResult::unknown);
    CHECK(outcome.reason.ends_with("Too many open files"));
    CHECK(loop.attempt(*probe).result == ProbeResult::pass);
}

TEST_CASE("read_file: a limit, and only regular files") {
    const TempDir dir;
    const std::string path = dir.write("ten", "0123456789");
    const auto whole = read_file(path, 10);
    REQUIRE(whole.has_value());
    CHECK(whole->text == "0123456789");
    CHECK_FALSE(whole->cut);
    const auto cut = read_file(path, 9);
    REQUIRE(cut.has_value());
    CHECK(cut->text == "012345678");
    CHECK(cut->cut);

    CHECK(read_file(dir.file("none"), 10).error() ==
          dir.file("none") + ": No such file or directory");
    CHECK(read_file(dir.file(""), 10).error() == dir.file("") + ": not a regular file");
    const std::string fifo = dir.file("fifo");
    REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
    CHECK(read_file(fifo, 10).error() == fifo + ": not a regular file");
}

TEST_CASE("duration_text: the largest unit that divides") {
    CHECK(duration_text(800ms) == "800ms");
    CHECK(duration_text(1500ms) == "1500ms");
    CHECK(duration_text(2s) == "2s");
    CHECK(duration_text(250us) == "250us");
}

TEST_CASE("registry: every probe is found by its name and describes its keys") {
    CHECK(probe_types().size() >= 6);
    for (const ProbeType& type : probe_types()) {
        CAPTURE(type.name);
        CHECK(find_probe_type(type.name) == &type);
        CHECK_FALSE(type.help.empty());
        CHECK_FALSE(type.fields.empty());
        for (const Field& field : type.fields) {
            CHECK(field.help.ends_with("."));
            CHECK(field.members.empty() == (field.kind != FieldKind::group));
        }
    }
    CHECK(find_probe_type("tpc") == nullptr);
    CHECK(find_probe_type("process")->has_events({}));
    CHECK_FALSE(find_probe_type("tcp")->has_events({}));
    CHECK_FALSE(find_probe_type("http")->has_events({}));
}
