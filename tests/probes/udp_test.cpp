#include <doctest/doctest.h>

#include <fstream>

#include "tests/probes/udp_rig.hpp"
#include "tests/support/skipped.hpp"

using namespace swerve;
using namespace swerve::health;
using namespace swerve::health::testing;
using namespace std::chrono_literals;

namespace {

FieldMap sending(const Endpoint& at, std::string send, std::string expect = "") {
    FieldMap out{{"endpoint", {at}}, {"send", text(std::move(send))}};
    if (!expect.empty()) out["expect"] = text(std::move(expect));
    return out;
}

ProbeContext owning(std::string_view prefix) { return {.owned = {*Prefix::parse(prefix)}}; }

/// A port of UDP that nobody listens on.
Endpoint nobody() { return {*Address::parse("127.0.0.1"), free_port()}; }

}  // namespace

TEST_CASE("udp: send and expect, over IPv4 and IPv6") {
    Loop loop;
    for (const std::string address : {"127.0.0.1", "::1"}) {
        UdpServer server(loop, always("pong"), address);
        Outcome outcome = loop.attempt("udp", sending(server.endpoint(), "ping\0!", "on"));
        CHECK(outcome.result == ProbeResult::pass);
        CHECK(outcome.reason == "answered with 'on'");
        REQUIRE(server.heard.size() == 1);
        CHECK(server.heard[0] == "ping");
        outcome = loop.attempt("udp", sending(server.endpoint(), std::string("\0\xff", 2)));
        CHECK(outcome.result == ProbeResult::pass);
        CHECK(outcome.reason == "answered, 4 octets");
        CHECK(server.heard[1] == std::string("\0\xff", 2));
    }
}

TEST_CASE("udp: nobody listens") {
    Loop loop;
    const Endpoint at = nobody();
    const Outcome outcome = loop.attempt("udp", sending(at, "ping", "pong"));
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == "connection refused by " + at.to_string());
}

TEST_CASE("udp: silence lasts until the deadline") {
    Loop loop;
    UdpServer server(loop, never());
    const std::string at = server.endpoint().to_string();
    Outcome outcome = loop.attempt("udp", sending(server.endpoint(), "ping", "pong"), 80ms);
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == "no answer within 80ms, waiting for 'pong' from " + at);
    outcome = loop.attempt("udp", sending(server.endpoint(), "ping"), 80ms);
    CHECK(outcome.reason == "no answer within 80ms, waiting for an answer from " + at);
}

TEST_CASE("udp: other answers are passed over, 63 but not 64 of them") {
    Loop loop;
    std::vector<std::string> answers(63, "\x1b[2J");
    answers.push_back("pong");
    UdpServer server(loop, [&](std::string_view) { return answers; });
    const FieldMap values = sending(server.endpoint(), "ping", "pong");
    CHECK(loop.attempt("udp", values).result == ProbeResult::pass);
    answers.insert(answers.begin(), "\x1b[2J");
    const Outcome outcome = loop.attempt("udp", values);
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == "64 answers of " + server.endpoint().to_string() +
                                " do not contain 'pong', only '\\x1b[2J'");
    answers = {"pang", ""};
    CHECK(loop.attempt("udp", values, 80ms).reason ==
          "no answer within 80ms, waiting for 'pong' from " + server.endpoint().to_string() +
              ", only ''");
}

TEST_CASE("udp: the largest datagram goes and comes back") {
    Loop loop;
    UdpServer server(loop, [](std::string_view heard) { return std::vector{std::string{heard}}; });
    const std::string large = std::string(65503, '.') + "pong";
    CHECK(loop.attempt("udp", sending(server.endpoint(), large, "pong")).result ==
          ProbeResult::pass);
}

TEST_CASE("udp: an answer from another source is none") {
    Loop loop;
    // It forwards to a socket whose answers come from another port.
    boost::asio::ip::udp::socket other(loop.io, {boost::asio::ip::address_v4::loopback(), 0});
    boost::asio::ip::udp::socket server(loop.io, {boost::asio::ip::address_v4::loopback(), 0});
    boost::asio::ip::udp::endpoint peer;
    std::string buffer(64, '\0');
    bool answered = false;
    server.async_receive_from(boost::asio::buffer(buffer), peer,
                              [&](const boost::system::error_code& error, std::size_t) {
                                  if (error) return;
                                  other.send_to(boost::asio::buffer("pong", 4), peer);
                                  answered = true;
                              });
    const Endpoint at{*Address::parse("127.0.0.1"), server.local_endpoint().port()};
    const Outcome outcome = loop.attempt("udp", sending(at, "ping"), 80ms);
    CHECK(answered);
    CHECK(outcome.result == ProbeResult::fail);
}

TEST_CASE("udp: a target in owned is reached from its own address, which must be here") {
    Loop loop;
    UdpServer server(loop, always("pong"), "127.5.6.7");
    const FieldMap values = sending(server.endpoint(), "ping");
    CHECK(loop.attempt("udp", values, 5s, owning("127.5.6.0/24")).result == ProbeResult::pass);
    CHECK(server.from == "127.5.6.7");
    CHECK(loop.attempt("udp", values, 5s, owning("10.0.0.0/8")).result == ProbeResult::pass);
    CHECK(server.from != "127.5.6.7");
    const Outcome outcome = loop.attempt("udp", sending(*Endpoint::parse("203.0.113.1:9"), "x"), 5s,
                                         owning("203.0.113.0/24"));
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == "203.0.113.1: address not on this host");
}

TEST_CASE("udp: no route, an unreachable host, and a socket that met itself") {
    const bool allowed = in_own_network([] {
        Loop loop;
        const Outcome outcome = loop.attempt("udp", sending(*Endpoint::parse("192.0.2.1:9"), "x"));
        CHECK(outcome.result == ProbeResult::fail);
        CHECK(outcome.reason == "opening a socket towards 192.0.2.1:9: Network is unreachable");
        std::ofstream("/proc/sys/net/ipv4/ip_local_port_range") << "40000 40001";
        for (int i = 0; i < 20; ++i) {
            for (const std::string at : {"127.0.0.1:40000", "127.0.0.1:40001"}) {
                CHECK(loop.attempt("udp", sending(*Endpoint::parse(at), "x"), 5s,
                                   owning("127.0.0.0/8"))
                          .reason == "connection refused by " + at);
            }
        }
    });
    if (!allowed) swerve::testing::skipped("needs the right to make a network namespace");
}

TEST_CASE("udp: values that make no probe, and what is said of one") {
    const Endpoint at = *Endpoint::parse("127.0.0.1:9");
    CHECK(fault_of("udp", sending(at, "x", "y")) == "none");
    CHECK(fault_of("udp", sending(*Endpoint::parse("127.0.0.1:0"), "x")) ==
          "endpoint: port 0 cannot be sent to");
    CHECK(fault_of("udp", sending(*Endpoint::parse("224.0.0.1:9"), "x")) ==
          "endpoint: '224.0.0.1' is a multicast address");
    CHECK(fault_of("udp", sending(at, "")) == "send: is empty");
    CHECK(fault_of("udp", sending(at, std::string(65508, 'x'))) ==
          "send: does not fit into a datagram");
    FieldMap values = sending(at, "x");
    const ProbeType& type = *find_probe_type("udp");
    CHECK(type.caveat(values).starts_with("any answer passes"));
    values["expect"] = text("");
    CHECK(fault_of("udp", values) == "expect: is empty");
    values["expect"] = text(std::string(65508, 'x'));
    CHECK(fault_of("udp", values) == "expect: does not fit into a datagram");
    CHECK(type.caveat(values).empty());
    CHECK(type.sees_hangs(values));
    CHECK(type.target(values) == "udp://127.0.0.1:9");
}
