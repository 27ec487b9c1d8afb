#include <doctest/doctest.h>
#include <signal.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/socket_base.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <fstream>

#include "tests/probes/support.hpp"
#include "tests/support/skipped.hpp"

using namespace swerve;
using namespace swerve::health;
using namespace swerve::health::testing;
using namespace std::chrono_literals;
namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

constexpr std::size_t limit = 64UZ * 1024;

FieldMap endpoint(const Endpoint& at) { return {{"endpoint", {at}}}; }
FieldMap endpoint(std::string_view at) { return endpoint(*Endpoint::parse(at)); }
FieldMap expecting(const Server& server, std::string expect) {
    FieldMap out = endpoint(server.endpoint());
    out["expect"] = text(std::move(expect));
    return out;
}

ProbeContext owning(std::string_view prefix) { return {.owned = {*Prefix::parse(prefix)}}; }

/// Answers PING with PONG.
asio::awaitable<void> pong(tcp::socket socket) {
    std::string line(6, '\0');
    co_await asio::async_read(socket, asio::buffer(line), asio::use_awaitable);
    const std::string answer = line == "PING\r\n" ? "+PONG\r\n" : "-ERR\r\n";
    co_await asio::async_write(socket, asio::buffer(answer), asio::use_awaitable);
}

asio::awaitable<void> reset(tcp::socket socket) {
    socket.set_option(asio::socket_base::linger(true, 0));
    socket.close();
    co_return;
}

}  // namespace

TEST_CASE("tcp: a bare connect passes where something listens, over IPv4 and IPv6") {
    Loop loop;
    for (const std::string address : {"127.0.0.1", "::1"}) {
        Server server(loop, says_and_stays(""), address);
        const Outcome outcome = loop.attempt("tcp", endpoint(server.endpoint()));
        CHECK(outcome.result == ProbeResult::pass);
        CHECK(outcome.reason == "connected to " + server.endpoint().to_string());
    }
}

TEST_CASE("tcp: nobody listens") {
    Loop loop;
    const std::string at = "127.0.0.1:" + std::to_string(free_port());
    const Outcome outcome = loop.attempt("tcp", endpoint(at));
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == "connection refused by " + at);
}

TEST_CASE("tcp: send and expect") {
    Loop loop;
    Server server(loop, pong);
    FieldMap values = expecting(server, "+PONG");
    values["send"] = text("PING\r\n");
    const Outcome outcome = loop.attempt("tcp", values);
    CHECK(outcome.result == ProbeResult::pass);
    CHECK(outcome.reason == "answered with '+PONG'");
    values["send"] = text("QUIT\r\n");
    CHECK(loop.attempt("tcp", values).reason == server.endpoint().to_string() +
                                                    " closed before sending '+PONG', only "
                                                    "'-ERR\\x0d\\x0a'");
}

TEST_CASE("tcp: a greeting is expected whole or octet by octet, with foreign octets around") {
    Loop loop;
    Server whole(loop, says_and_stays("xx 220 ready yy"));
    CHECK(loop.attempt("tcp", expecting(whole, "220 ready")).result == ProbeResult::pass);
    Server dripping(loop, drips("xx 22 220 ready yy"));
    CHECK(loop.attempt("tcp", expecting(dripping, "220 ready")).result == ProbeResult::pass);
}

TEST_CASE("tcp: the text counts only within the first 64 KiB") {
    Loop loop;
    const std::string wanted = "wanted";
    Server just(loop, says_and_stays(std::string(limit - wanted.size(), '.') + wanted));
    CHECK(loop.attempt("tcp", expecting(just, wanted)).result == ProbeResult::pass);
    Server beyond(loop, says_and_stays(std::string(limit - wanted.size() + 1, '.') + wanted));
    const Outcome outcome = loop.attempt("tcp", expecting(beyond, wanted));
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == "the first 64 KiB of the answer do not contain 'wanted'");
}

TEST_CASE("tcp: closed, reset or silent before the text") {
    Loop loop;
    Server closing(loop, says(""));
    Outcome outcome = loop.attempt("tcp", expecting(closing, "ok"));
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == closing.endpoint().to_string() + " closed before sending 'ok'");

    Server resetting(loop, reset);
    outcome = loop.attempt("tcp", expecting(resetting, "ok"));
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == "connection reset by " + resetting.endpoint().to_string());

    Server loading(loop, says_and_stays("-LOADING\x1b[2J"));
    outcome = loop.attempt("tcp", expecting(loading, "ok"), 80ms);
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == "no answer within 80ms, waiting for 'ok' from " +
                                loading.endpoint().to_string() + ", only '-LOADING\\x1b[2J'");
    CHECK(outcome.finished - outcome.started < 1s);
}

TEST_CASE("tcp: a server that never accepts fails an expectation but not a bare connect") {
    Loop loop;
    tcp::acceptor frozen(loop.io, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
    FieldMap values = endpoint("127.0.0.1:" + std::to_string(frozen.local_endpoint().port()));
    CHECK(loop.attempt("tcp", values, 80ms).result == ProbeResult::pass);
    values["expect"] = text("ok");
    CHECK(loop.attempt("tcp", values, 80ms).result == ProbeResult::fail);
}

TEST_CASE("tcp: a target in owned is reached from its own address") {
    Loop loop;
    std::string from;
    Server server(
        loop,
        [&from](tcp::socket socket) {
            from = socket.remote_endpoint().address().to_string();
            return says("ok")(std::move(socket));
        },
        "127.5.6.7");
    CHECK(loop.attempt("tcp", expecting(server, "ok"), 5s, owning("127.5.6.0/24")).result ==
          ProbeResult::pass);
    CHECK(from == "127.5.6.7");
    CHECK(loop.attempt("tcp", expecting(server, "ok"), 5s, owning("10.0.0.0/8")).result ==
          ProbeResult::pass);
    CHECK(from != "127.5.6.7");
}

TEST_CASE("tcp: a target in owned that is no address of this host") {
    Loop loop;
    Outcome outcome = loop.attempt("tcp", endpoint("203.0.113.1:80"), 5s, owning("203.0.113.0/24"));
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == "203.0.113.1: address not on this host");
    outcome = loop.attempt("tcp", endpoint("[2001:db8:53::1]:80"), 5s, owning("2001:db8:53::/48"));
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == "2001:db8:53::1: address not on this host");
}

TEST_CASE("tcp: the anycast address comes and goes") {
    const bool allowed = in_own_network([] {
        Loop loop;
        const ProbeContext context = owning("198.51.100.0/24");
        REQUIRE(run_program({"ip", "address", "add", "198.51.100.1/32", "dev", "lo"}) == 0);
        Server server(loop, says("ok"), "198.51.100.1");
        CHECK(loop.attempt("tcp", expecting(server, "ok"), 5s, context).result ==
              ProbeResult::pass);
        REQUIRE(run_program({"ip", "address", "del", "198.51.100.1/32", "dev", "lo"}) == 0);
        const Outcome outcome = loop.attempt("tcp", expecting(server, "ok"), 5s, context);
        CHECK(outcome.result == ProbeResult::fail);
        CHECK(outcome.reason == "198.51.100.1: address not on this host");
        REQUIRE(run_program({"ip", "address", "add", "198.51.100.1/32", "dev", "lo"}) == 0);
        CHECK(loop.attempt("tcp", expecting(server, "ok"), 5s, context).result ==
              ProbeResult::pass);
    });
    if (!allowed) swerve::testing::skipped("needs the right to make a network namespace");
}

TEST_CASE("tcp: a socket that met itself is no server") {
    const bool allowed = in_own_network([] {
        // With only two ports to choose from, the kernel takes the target's own as the source.
        std::ofstream("/proc/sys/net/ipv4/ip_local_port_range") << "40000 40001";
        Loop loop;
        for (int i = 0; i < 20; ++i) {
            for (const std::string at : {"127.0.0.1:40000", "127.0.0.1:40001"}) {
                const Outcome outcome =
                    loop.attempt("tcp", endpoint(at), 5s, owning("127.0.0.0/8"));
                CHECK(outcome.result != ProbeResult::pass);
            }
        }
    });
    if (!allowed) swerve::testing::skipped("needs the right to make a network namespace");
}

TEST_CASE("tcp: values that make no probe") {
    CHECK(fault_of("tcp", endpoint("127.0.0.1:0")) == "endpoint: port 0 cannot be connected to");
    CHECK(fault_of("tcp", endpoint("0.0.0.0:80")) ==
          "endpoint: '0.0.0.0' is no address of a server");
    CHECK(fault_of("tcp", endpoint("224.0.0.5:80")) ==
          "endpoint: '224.0.0.5' is a multicast address");
    CHECK(fault_of("tcp", endpoint("[fe80::1]:80")) ==
          "endpoint: 'fe80::1' is link-local and would need an interface");
    CHECK(fault_of("tcp", endpoint("[::ffff:198.51.100.1]:80")) ==
          "endpoint: '::ffff:198.51.100.1' is an IPv4 address written as IPv6");
    CHECK(fault_of("tcp", endpoint("169.254.169.254:80")) ==
          "endpoint: '169.254.169.254' is a cloud's metadata service");
    CHECK(fault_of("tcp", endpoint("169.254.169.253:80")) == "none");
    FieldMap values = endpoint("127.0.0.1:80");
    values["expect"] = text("");
    CHECK(fault_of("tcp", values) == "expect: is empty");
    values["expect"] = text(std::string(limit + 1, 'x'));
    CHECK(fault_of("tcp", values) == "expect: is longer than 64 KiB");
    values["expect"] = text(std::string(limit, 'x'));
    CHECK(fault_of("tcp", values) == "none");
}

TEST_CASE("tcp: only an answer frees it from the caveat") {
    const ProbeType& type = *find_probe_type("tcp");
    FieldMap values = endpoint("[2001:db8::1]:53");
    CHECK(type.target(values) == "tcp://[2001:db8::1]:53");
    CHECK(type.caveat(values).starts_with("a TCP connect alone proves little"));
    values["send"] = text("PING\r\n");
    CHECK_FALSE(type.caveat(values).empty());
    values["expect"] = text("PONG");
    CHECK(type.caveat(values).empty());
}
