#include "tests/probes/api_stand_in.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/socket_base.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

namespace swerve::health::testing {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using namespace std::chrono_literals;

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);

std::string http(unsigned status, std::string_view body) {
    return fmt::format("HTTP/1.1 {} So\r\nContent-Length: {}\r\n\r\n{}", status, body.size(), body);
}

asio::awaitable<void> reset(tcp::socket socket) {
    socket.set_option(asio::socket_base::linger(true, 0));
    socket.close();
    co_return;
}

asio::awaitable<void> say_for_ever(tcp::socket socket, std::string head, std::string chunk) {
    auto [error, count] = co_await asio::async_write(socket, asio::buffer(head), as_result);
    while (!error) {
        std::tie(error, count) = co_await asio::async_write(socket, asio::buffer(chunk), as_result);
    }
}

Server::Serve without_end(std::string head, std::string chunk) {
    return [=](tcp::socket socket) { return say_for_ever(std::move(socket), head, chunk); };
}

}  // namespace

ApiStandIn::ApiStandIn(Loop& loop)
    : server_(loop, [this](tcp::socket socket) { return serve(std::move(socket)); }) {}

void ApiStandIn::answer(const std::string& path, unsigned status, std::string body) {
    answers_[path] = http(status, body);
}

std::string ApiStandIn::url(std::string_view path) const {
    return "http://" + server_.endpoint().to_string() + std::string{path};
}

asio::awaitable<void> ApiStandIn::serve(tcp::socket socket) {
    std::string head;
    const auto [error, count] = co_await asio::async_read_until(
        socket, asio::dynamic_buffer(head, 16UZ * 1024), "\r\n\r\n", as_result);
    if (error) co_return;
    requests_.push_back(head);
    const std::size_t from = head.find(' ') + 1;
    const auto found = answers_.find(head.substr(from, head.find(' ', from) - from));
    const std::string reply = found == answers_.end() ? http(404, "no such path") : found->second;
    co_await asio::async_write(socket, asio::buffer(reply), as_result);
}

void survives_hostile_servers(std::string_view probe, std::string_view path) {
    const std::string ok = "HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n";
    const std::vector<std::string> short_ones{
        "",
        "HTTP/1.1 200 OK\r\nConte",
        ok,
        ok + "{\"initialized\": true",
        "SSH-2.0-OpenSSH_9.2\r\n",
        http(200, ""),
        http(200, std::string("\x00\xff\x1b[2J\x80", 7)),
        http(200, std::string(1000, '[')),
        http(200, std::string(1000, '[') + std::string(1000, ']')),
        http(200, "null"),
        http(200, "{\"initialized\": \"yes\", \"sealed\": 0}"),
        http(301, ""),
        http(200, std::string(65537, ' ')),
    };
    Loop loop;
    const auto attempt = [&](const Server& server, Duration timeout) {
        const std::string url = "http://" + server.endpoint().to_string() + std::string{path};
        return loop.attempt(probe, {{"url", text(url)}}, timeout);
    };
    for (const std::string& answer : short_ones) {
        CAPTURE(answer.substr(0, 80));
        Server closing(loop, says(answer));
        const Outcome outcome = attempt(closing, 5s);
        CHECK(outcome.result != ProbeResult::pass);
        CHECK(outcome.reason.size() < 400);
        CHECK(outcome.reason.find('\x1b') == std::string::npos);
    }
    for (const std::string& begun : {std::string{}, std::string{"HTTP/1.1 200 O"}, ok + "{"}) {
        CAPTURE(begun);
        Server hanging(loop, says_and_stays(begun));
        const Outcome outcome = attempt(hanging, 60ms);
        CHECK(outcome.result == ProbeResult::fail);
        CHECK(outcome.reason.starts_with("no answer within 60ms, "));
    }
    Server endless(loop, without_end("HTTP/1.1 200 OK\r\n\r\n", std::string(4096, '[')));
    CHECK(attempt(endless, 5s).result == ProbeResult::unknown);
    Server resetting(loop, reset);
    CHECK(attempt(resetting, 5s).result == ProbeResult::fail);
}

}  // namespace swerve::health::testing
