#include <doctest/doctest.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/socket_base.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <tuple>

#include "health/probes/json_answer.hpp"
#include "health/probes/threshold.hpp"
#include "tests/probes/pki.hpp"

using namespace swerve;
using namespace swerve::health;
using namespace swerve::health::testing;
using namespace std::chrono_literals;
namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

std::string url_of(const Server& server) { return "http://" + server.endpoint().to_string() + "/"; }

FieldMap asking(std::string url, std::string pointer, FieldMap more) {
    more["url"] = text(std::move(url));
    more["pointer"] = text(std::move(pointer));
    return more;
}

/// What the probe makes of a document, sent whole and octet by octet, which must not matter.
Outcome judged(const std::string& document, const std::string& pointer, const FieldMap& more) {
    Loop loop;
    const std::string answer =
        "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(document.size()) + "\r\n\r\n" +
        document;
    Server whole(loop, says(answer));
    Outcome at_once = loop.attempt("http_json", asking(url_of(whole), pointer, more));
    if (answer.size() < 4096) {
        Server dripping(loop, drips(answer));
        CHECK(loop.attempt("http_json", asking(url_of(dripping), pointer, more)).reason ==
              at_once.reason);
    }
    return at_once;
}

FieldMap equals(std::string value) { return {{"equals", text(std::move(value))}}; }
FieldMap at_least(double value) { return {{"at_least", {value}}}; }
FieldMap at_most(double value) { return {{"at_most", {value}}}; }

asio::awaitable<void> reset_after(tcp::socket socket, std::string answer) {
    constexpr auto as_result = asio::as_tuple(asio::use_awaitable);
    std::array<char, 4096> request{};
    co_await socket.async_read_some(asio::buffer(request), as_result);
    co_await asio::async_write(socket, asio::buffer(answer), as_result);
    boost::system::error_code ignored;
    socket.set_option(asio::socket_base::linger(true, 0), ignored);
    socket.close(ignored);
}

/// Serves by sending `answer` and resetting.
Server::Serve resets_after(std::string answer) {
    return [=](tcp::socket socket) { return reset_after(std::move(socket), answer); };
}

asio::awaitable<void> say_for_ever(tcp::socket socket, std::string head, std::string piece) {
    constexpr auto as_result = asio::as_tuple(asio::use_awaitable);
    auto [error, count] = co_await asio::async_write(socket, asio::buffer(head), as_result);
    while (!error) {
        std::tie(error, count) = co_await asio::async_write(socket, asio::buffer(piece), as_result);
    }
}

Server::Serve says_for_ever(std::string head, std::string piece) {
    return [=](tcp::socket socket) { return say_for_ever(std::move(socket), head, piece); };
}

}  // namespace

TEST_CASE("json: pointers as RFC 6901 has them") {
    const auto document = parse_json(
        R"({"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"k\"l":6," ":7,"m~n":8,"01":9})");
    REQUIRE(document.has_value());
    const auto at = [&](std::string_view pointer) {
        const auto* value = json_at(*document, pointer);
        return value == nullptr ? "nothing" : json_text(*value);
    };
    // RFC 6901 §5, its own examples.
    CHECK(at("") == "an object of 9");
    CHECK(at("/foo") == "an array of 2");
    CHECK(at("/foo/0") == "bar");
    CHECK(at("/") == "0");
    CHECK(at("/a~1b") == "1");
    CHECK(at("/c%d") == "2");
    CHECK(at("/e^f") == "3");
    CHECK(at("/k\"l") == "6");
    CHECK(at("/ ") == "7");
    CHECK(at("/m~0n") == "8");
    CHECK(at("/01") == "9");
    for (const std::string_view pointer :
         {"/foo/2", "/foo/-", "/foo/00", "/foo/01", "/foo/-1", "/foo/1e0",
          "/foo/99999999999999999999", "/foo/", "/foo/0/x", "/none", "/foo/0/", "foo", "/m~n",
          "/m~2n", "/m~"}) {
        CAPTURE(pointer);
        CHECK(at(pointer) == "nothing");
    }
    CHECK_FALSE(bad_json_pointer(""));
    CHECK_FALSE(bad_json_pointer("/a~0b/~1/"));
    CHECK(bad_json_pointer("a") == "does not begin with a slash");
    CHECK(bad_json_pointer("/a~") == "has a ~ that is neither ~0 nor ~1");
    CHECK(bad_json_pointer("/a~2").has_value());
    CHECK(bad_json_pointer("/~0~").has_value());
}

TEST_CASE("json: what is none, and how deep it may be") {
    const auto nested = [](std::size_t depth) {
        return parse_json(std::string(depth, '[') + std::string(depth, ']'));
    };
    CHECK(nested(json_depth_limit).has_value());
    CHECK(nested(json_depth_limit + 1).error() == "JSON nested deeper than 32");
    CHECK(nested(30'000).error() == "JSON nested deeper than 32");
    CHECK(parse_json(std::string(60'000, '[')).error() == "JSON nested deeper than 32");
    CHECK(parse_json("").error() == "no JSON: empty");
    CHECK(parse_json(" \n").error() == "no JSON: empty");
    CHECK(parse_json("{\"a\":").error() == "JSON without its end");
    CHECK(parse_json("<html>").error() == "no JSON: syntax error in '<html>'");
    CHECK(parse_json("1 2").error().starts_with("no JSON: extra data"));
    CHECK(parse_json("\x1b[31m").error() == "no JSON: syntax error in '\\x1b[31m'");
    CHECK_FALSE(parse_json("\"\xff\"").has_value());
    CHECK_FALSE(parse_json("{'a':1}").has_value());
    CHECK_FALSE(parse_json("NaN").has_value());
}

TEST_CASE("threshold: numbers as servers write them") {
    CHECK(number_in("3") == 3.0);
    CHECK(number_in("-2.5e3") == -2500.0);
    CHECK(number_in("+1") == 1.0);
    CHECK(number_text(*number_in("+Inf")) == "inf");
    CHECK(number_text(*number_in("-Inf")) == "-inf");
    CHECK(number_text(*number_in("1e999")) == "inf");
    CHECK(number_text(*number_in("-1e999")) == "-inf");
    CHECK(number_in("1e-999") == 0.0);
    // Long before, or behind, the point: the exponent alone says nothing.
    const std::string zeros(400, '0');
    CHECK(number_in("0." + zeros + "1") == 0.0);
    CHECK(number_text(*number_in("1" + zeros + "e-5")) == "inf");
    CHECK(number_text(*number_in("-1" + zeros + "e-5")) == "-inf");
    CHECK(*number_in("NaN") != *number_in("NaN"));
    for (const std::string_view text : {"", "+", "+-1", "++1", "1x", " 1", "0x10", "1,5", "one"}) {
        CAPTURE(text);
        CHECK_FALSE(number_in(text).has_value());
    }
}

TEST_CASE("http_json: text is compared as it is") {
    const std::string document =
        R"({"state":"up","n":[1,2.50,true,null],"big":18446744073709551615})";
    Outcome outcome = judged(document, "/state", equals("up"));
    CHECK(outcome.result == ProbeResult::pass);
    CHECK(outcome.reason == "HTTP 200, /state is 'up'");
    outcome = judged(document, "/state", equals("down"));
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == "HTTP 200, /state is 'up' instead of 'down'");
    CHECK(judged(document, "/n/0", equals("1")).result == ProbeResult::pass);
    CHECK(judged(document, "/n/1", equals("2.5")).result == ProbeResult::pass);
    CHECK(judged(document, "/n/2", equals("true")).result == ProbeResult::pass);
    CHECK(judged(document, "/n/3", equals("null")).result == ProbeResult::pass);
    CHECK(judged(document, "/big", equals("18446744073709551615")).result == ProbeResult::pass);
    CHECK(judged("\"up\"", "", equals("up")).reason == "HTTP 200, the document is 'up'");
    outcome = judged(document, "/n", equals("1"));
    CHECK(outcome.result == ProbeResult::unknown);
    CHECK(outcome.reason == "HTTP 200, /n is an array of 4");
}

TEST_CASE("http_json: numbers on both sides of their bounds") {
    const std::string document = R"({"lag":2.5,"text":"7","state":"up","list":[]})";
    CHECK(judged(document, "/lag", at_least(2.5)).reason == "HTTP 200, /lag is 2.5");
    CHECK(judged(document, "/lag", at_most(2.5)).result == ProbeResult::pass);
    Outcome outcome = judged(document, "/lag", at_least(2.6));
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == "HTTP 200, /lag is 2.5, less than 2.6");
    CHECK(judged(document, "/lag", at_most(2.4)).reason == "HTTP 200, /lag is 2.5, more than 2.4");
    CHECK(judged(document, "/text", at_least(7)).result == ProbeResult::pass);
    outcome = judged(document, "/state", at_least(7));
    CHECK(outcome.result == ProbeResult::unknown);
    CHECK(outcome.reason == "HTTP 200, /state is 'up', no number");
    CHECK(judged(document, "/list", at_least(7)).reason ==
          "HTTP 200, /list is an array of 0, no number");
}

TEST_CASE("http_json: what cannot be read is unknown") {
    CHECK(judged("{}", "/state", equals("up")).reason ==
          "HTTP 200, but there is no /state in the document");
    for (const std::string& document :
         {std::string{}, std::string{"<html>busy</html>"}, std::string{"{\"state\":\"up\""},
          std::string(1000, '['), std::string("\0\xff\x1b", 3)}) {
        CHECK(judged(document, "/state", equals("up")).result == ProbeResult::unknown);
    }
    const std::string fits = "{\"state\":\"up\"}" + std::string(64 * 1024 - 14, ' ');
    CHECK(judged(fits, "/state", equals("up")).result == ProbeResult::pass);
    const Outcome outcome = judged(fits + " ", "/state", equals("up"));
    CHECK(outcome.result == ProbeResult::unknown);
    CHECK(outcome.reason == "HTTP 200, but the document is longer than 64 KiB");
}

TEST_CASE("http_json: statuses, refusals and servers that hang") {
    Loop loop;
    const auto ask = [&](const Server& server, FieldMap more, Duration timeout = 5s) {
        return loop.attempt("http_json", asking(url_of(server), "/state", std::move(more)),
                            timeout);
    };
    const std::string body = "Content-Length: 14\r\n\r\n{\"state\":\"up\"}";
    Server down(loop, says("HTTP/1.1 503 No\r\n" + body));
    CHECK(ask(down, equals("up")).result == ProbeResult::fail);
    CHECK(ask(down, equals("up")).reason == "HTTP 503 instead of 200");
    FieldMap more = equals("up");
    more["status"] = {std::vector<std::int64_t>{200, 503}};
    CHECK(ask(down, more).reason == "HTTP 503, /state is 'up'");
    Server refusing(loop, says("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"));
    CHECK(ask(refusing, equals("up")).result == ProbeResult::fail);

    Server halfway(loop, says_and_stays("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{\"state\""));
    const Outcome outcome = ask(halfway, equals("up"), 80ms);
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == "no answer within 80ms, with 8 bytes of the body from " +
                                halfway.endpoint().to_string() +
                                ", without the end of the document");
    Server cut(loop, says("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{\"state\""));
    CHECK(ask(cut, equals("up")).result == ProbeResult::fail);
}

TEST_CASE("http_json: servers that reset, redirect, compress and never end") {
    Loop loop;
    const auto ask = [&](Server::Serve serve) {
        const Server server(loop, std::move(serve));
        return loop.attempt("http_json", asking(url_of(server), "/state", equals("up")));
    };
    const std::string ok = "HTTP/1.1 200 OK\r\n";
    Outcome outcome = ask(resets_after(ok + "Content-Length: 14\r\n\r\n{"));
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason.starts_with("connection reset by "));
    outcome = ask(says("HTTP/1.1 307 Go\r\nLocation: http://192.0.2.1/\x1b\r\n\r\n"));
    CHECK(outcome.result == ProbeResult::fail);
    outcome = ask(says("HTTP/1.1 307 Go\r\nLocation: http://192.0.2.1/\r\n\r\n"));
    CHECK(outcome.reason ==
          "HTTP 307 instead of 200, redirects to 'http://192.0.2.1/' are not followed");
    outcome = ask(says(ok + "Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x01"));
    CHECK(outcome.result == ProbeResult::unknown);
    CHECK(outcome.reason == "HTTP 200, but no JSON: syntax error in '\\x1f\\x8b\\x08\\x01'");
    for (const std::string framing : {"", "Transfer-Encoding: chunked\r\n"}) {
        const std::string piece(1000, ' ');
        outcome = ask(says_for_ever(ok + framing + "\r\n",
                                    framing.empty() ? piece : "3e8\r\n" + piece + "\r\n"));
        CHECK(outcome.result == ProbeResult::unknown);
        CHECK(outcome.reason == "HTTP 200, but the document is longer than 64 KiB");
    }
}

TEST_CASE("http_json: values that make no probe") {
    const auto fault = [](std::string pointer, const FieldMap& more) {
        return fault_of("http_json", asking("http://198.51.100.1/", std::move(pointer), more));
    };
    CHECK(fault("/a", equals("")) == "none");
    CHECK(fault("", at_least(1)) == "none");
    CHECK(fault("a", equals("x")) == "pointer: 'a' does not begin with a slash");
    CHECK(fault("/a", {}) == ": nothing says which value passes");
    CHECK(fault("/a", {{"equals", text("x")}, {"at_most", {1.0}}}) ==
          "equals: contradicts at_least and at_most");
    CHECK(fault("/a", {{"at_least", {2.5}}, {"at_most", {1.0}}}) ==
          "at_most: 1 is less than at_least 2.5");
    CHECK(fault("/a", {{"at_least", {1.0}}, {"at_most", {1.0}}}) == "none");
    CHECK(fault("/a", {{"equals", text("x")}, {"status", {std::vector<std::int64_t>{}}}}) ==
          "status: is empty");
    CHECK(find_probe_type("http_json")->target(asking("http://198.51.100.1/", "/a", {})) ==
          "http://198.51.100.1/ /a");
}
