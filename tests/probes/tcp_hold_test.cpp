#include <doctest/doctest.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/socket_base.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <list>

#include "tests/probes/watching.hpp"

using namespace swerve;
using namespace swerve::health;
using namespace swerve::health::testing;
using namespace std::chrono_literals;
namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);

/// Keeps what connects and is not closed by the other side, until it is told to end it.
struct Keeper {
    Loop loop;
    std::list<tcp::socket> open;
    std::size_t accepted = 0;
    bool closes_at_once = false;
    bool greets = false;
    std::string says;  ///< over and over
    Server server{loop, [this](tcp::socket socket) { return keep(std::move(socket)); }};

    FieldMap values(bool hold = true) const {
        return {{"endpoint", {server.endpoint()}}, {"hold", {hold}}};
    }
    std::string name() const { return server.endpoint().to_string(); }
    /// Runs until the last of so many connections, the held one, is the only one open.
    bool is_held(std::size_t count) {
        return loop.run_until([&] { return open.size() == 1 && accepted == count; });
    }
    void run_for(Duration time) {
        loop.io.restart();
        loop.io.run_for(time);
    }

    asio::awaitable<void> keep(tcp::socket socket) {
        ++accepted;
        if (closes_at_once) co_return;
        const auto here = open.insert(open.end(), std::move(socket));
        if (greets) co_await asio::async_write(*here, asio::buffer("hello", 5), as_result);
        std::string sink(1000, 0);
        const std::string flood(64UZ * 1024, 'x');
        for (;;) {
            boost::system::error_code error;
            std::size_t count = 0;
            if (says.empty()) {
                std::tie(error, count) =
                    co_await here->async_read_some(asio::buffer(sink), as_result);
            } else {
                std::tie(error, count) =
                    co_await asio::async_write(*here, asio::buffer(flood), as_result);
                flooded += count;
            }
            if (error) break;
        }
        open.erase(here);
    }
    std::size_t flooded = 0;
};

}  // namespace

TEST_CASE("tcp: a held connection that is closed or reset is an event, at once") {
    for (const bool reset : {false, true}) {
        Keeper keeper;
        Watching watching(keeper.loop, "tcp", keeper.values());
        CHECK(keeper.accepted == 0);
        REQUIRE(watching.attempt().result == ProbeResult::pass);
        REQUIRE(keeper.is_held(2));
        keeper.run_for(20ms);
        CHECK(watching.reports.empty());
        if (reset) keeper.open.front().set_option(asio::socket_base::linger(true, 0));
        const TimePoint closed = BootClock::now();
        keeper.open.front().close();
        CHECK(watching.next() ==
              "fail: " + keeper.name() + (reset ? " reset" : " closed") + " the held connection");
        CHECK(watching.reports.back().finished - closed < 100ms);
    }
}

TEST_CASE("tcp: one connection is held, whatever the number of attempts, and none without `hold`") {
    Keeper keeper;
    Watching watching(keeper.loop, "tcp", keeper.values());
    Watching plain(keeper.loop, "tcp", keeper.values(false));
    for (int i = 0; i < 5; ++i) {
        REQUIRE(watching.attempt().result == ProbeResult::pass);
        REQUIRE(plain.attempt().result == ProbeResult::pass);
    }
    REQUIRE(keeper.is_held(11));
    keeper.run_for(20ms);
    CHECK(keeper.open.size() == 1);
    CHECK(keeper.accepted == 11);
}

TEST_CASE("tcp: an attempt that hangs ends the held connection, which is then no event") {
    Keeper keeper;
    FieldMap values = keeper.values();
    values["expect"] = text("hello");
    keeper.greets = true;
    Watching watching(keeper.loop, "tcp", values);
    REQUIRE(watching.attempt().result == ProbeResult::pass);
    REQUIRE(keeper.is_held(2));
    keeper.greets = false;
    CHECK(keeper.loop.attempt(watching.probe(), 50ms).result == ProbeResult::fail);
    CHECK(keeper.loop.run_until([&] { return keeper.open.empty(); }));
    CHECK(watching.reports.empty());
    keeper.greets = true;
    keeper.run_for(1100ms);
    REQUIRE(watching.attempt().result == ProbeResult::pass);
    REQUIRE(keeper.is_held(5));
}

TEST_CASE("tcp: after the end of a held connection an attempt that passes opens the next") {
    Keeper keeper;
    Watching watching(keeper.loop, "tcp", keeper.values());
    REQUIRE(watching.attempt().result == ProbeResult::pass);
    REQUIRE(keeper.is_held(2));
    keeper.open.front().close();
    CHECK(watching.next() != "nothing");
    keeper.run_for(1100ms);
    CHECK(keeper.open.empty());  // nothing has passed since
    REQUIRE(watching.attempt().result == ProbeResult::pass);
    REQUIRE(keeper.is_held(4));
    keeper.open.front().close();
    CHECK(watching.next() != "nothing");
}

TEST_CASE(
    "tcp: a server that dies after an attempt got through once more is an event all the same") {
    Keeper keeper;
    Watching watching(keeper.loop, "tcp", keeper.values());
    REQUIRE(watching.attempt().result == ProbeResult::pass);
    REQUIRE(keeper.is_held(2));
    const std::string name = keeper.name();
    keeper.open.front().close();
    CHECK(watching.next() == "fail: " + name + " closed the held connection");
    REQUIRE(watching.attempt().result == ProbeResult::pass);  // as `confirm` makes it
    keeper.server.close();
    CHECK(watching.next() == "fail: connection refused by " + name);
}

TEST_CASE("tcp: a next connection that an attempt that hangs cuts short is no event") {
    Keeper keeper;
    Watching watching(keeper.loop, "tcp", keeper.values());
    REQUIRE(watching.attempt().result == ProbeResult::pass);
    REQUIRE(keeper.is_held(2));
    const std::uint16_t port = keeper.server.endpoint().port;
    keeper.open.front().close();
    CHECK(watching.next() != "nothing");
    REQUIRE(watching.attempt().result == ProbeResult::pass);
    keeper.server.close();
    // Whoever connects now waits, for nobody takes those who did.
    tcp::acceptor full(keeper.loop.io, tcp::v4());
    full.set_option(asio::socket_base::reuse_address(true));
    full.bind({asio::ip::address_v4::loopback(), port});
    full.listen(0);
    std::list<tcp::socket> queue;
    for (int i = 0; i < 3; ++i) {
        queue.emplace_back(keeper.loop.io)
            .async_connect(full.local_endpoint(), [](const boost::system::error_code&) {});
    }
    keeper.run_for(1100ms);
    CHECK(keeper.loop.attempt(watching.probe(), 50ms).result == ProbeResult::fail);
    keeper.run_for(50ms);
    CHECK(watching.reports.size() == 1);
}

TEST_CASE("tcp: a server that closes at once costs one held connection a second") {
    Keeper keeper;
    keeper.closes_at_once = true;
    Watching watching(keeper.loop, "tcp", keeper.values());
    std::size_t attempts = 0;
    const TimePoint end = BootClock::now() + 1500ms;
    while (BootClock::now() < end) {
        // As `confirm` does: each event asks for an attempt.
        REQUIRE(watching.attempt().result == ProbeResult::pass);
        ++attempts;
        keeper.run_for(10ms);
    }
    CHECK(attempts > 10);
    CHECK(keeper.accepted <= attempts + 2);
    CHECK(watching.reports.size() <= 2);
}

TEST_CASE("tcp: what a server says on a held connection is thrown away, at a bounded pace") {
    Keeper keeper;
    keeper.says = "more";
    Watching watching(keeper.loop, "tcp", keeper.values());
    REQUIRE(watching.attempt().result == ProbeResult::pass);
    REQUIRE(keeper.is_held(2));
    keeper.flooded = 0;
    keeper.run_for(500ms);
    CHECK(watching.reports.empty());
    CHECK(keeper.flooded < 16UZ * 1024 * 1024);
    keeper.open.front().set_option(asio::socket_base::linger(true, 0));
    keeper.open.front().close();
    CHECK(watching.next() == "fail: " + keeper.name() + " reset the held connection");
}

TEST_CASE("tcp: on_event means something where a connection is held") {
    const Keeper keeper;
    const ProbeType& type = *find_probe_type("tcp");
    CHECK(type.has_events(keeper.values()));
    CHECK_FALSE(type.has_events(keeper.values(false)));
    CHECK_FALSE(type.has_events({}));
}
