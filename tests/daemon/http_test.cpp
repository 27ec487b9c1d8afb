#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <deque>
#include <filesystem>
#include <fstream>

#include "tests/support/http_client.hpp"
#include "tests/support/running_operations.hpp"

using namespace swerve;
using namespace swerve::test;

namespace {

constexpr std::string_view get_status = "GET /v1/status HTTP/1.1\r\nHost: swerve\r\n\r\n";

[[nodiscard]] daemon::OperationsOptions with_deadline(Duration deadline) {
    daemon::OperationsOptions out;
    out.http.request = deadline;
    out.http.answer = deadline;
    return out;
}

[[nodiscard]] daemon::Event alarm(const std::string& text) {
    return {sample_now, sample_wall, daemon::DaemonEvent{daemon::DaemonEvent::Kind::alarm, text}};
}

[[nodiscard]] std::string follow(const std::string& more = "") {
    return "GET /v1/events?follow=1" + more + " HTTP/1.1\r\nHost: swerve\r\n\r\n";
}

}  // namespace

TEST_CASE("http: garbage gets a 400 with a hint and the daemon goes on") {
    RunningOperations running;
    for (const auto& garbage : std::vector<std::string>{
             "\x16\x03\x01\x02 TLS hello\r\n\r\n", "GET\r\n\r\n", "GET /v1/status\r\n\r\n",
             "\r\n\r\n\r\nNONSENSE HERE\r\n\r\n", std::string(100, '\0') + "\r\n\r\n",
             "GET /v1/status HTTP/1.1\r\nBad Header\r\n\r\n",
             "POST /v1/drain HTTP/1.1\r\nContent-Length: x\r\n\r\n",
             "GET /v1/status HTTP/7.3\r\n\r\n"}) {
        CAPTURE(garbage);
        HttpClient client{running.socket()};
        client.send(garbage);
        const auto answer = parse_answer(client.read());
        CHECK(answer.status == 400);
        CHECK(answer.error_code() == "bad_request");
        CHECK_FALSE(answer.hint().empty());
    }
    CHECK(ask_http(running.socket(), "GET", "/healthz").status == 200);
}

TEST_CASE("http: header fields of 8 KiB pass, longer ones are too_large") {
    RunningOperations running;
    const auto with_fields = [&](std::size_t octets) {
        HttpClient client{running.socket()};
        std::string fields{"X: "};
        fields += std::string(octets - fields.size() - 4, 'x') + "\r\n\r\n";
        client.send("GET /healthz HTTP/1.1\r\n" + fields);
        return parse_answer(client.read());
    };
    CHECK(with_fields(8192).status == 200);
    CHECK(with_fields(8193).status == 413);
    CHECK(with_fields(1U << 20U).error_code() == "too_large");
    CHECK(ask_http(running.socket(), "GET", "/" + std::string(9000, 'x')).error_code() ==
          "too_large");
}

TEST_CASE("http: a body of 64 KiB is read, a longer one is too_large") {
    RunningOperations running;
    const auto with_body = [&](std::size_t octets) {
        return ask_http(running.socket(), "POST", "/v1/drain", std::string(octets, ' '));
    };
    CHECK(with_body(65536).error_code() == "bad_request");
    CHECK(with_body(65537).error_code() == "too_large");
    HttpClient client{running.socket()};
    client.send("POST /v1/drain HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n");
    CHECK(parse_answer(client.read()).error_code() == "too_large");
    HttpClient chunked{running.socket()};
    chunked.send("POST /v1/drain HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n11170\r\n" +
                 std::string(70000, ' ') + "\r\n0\r\n\r\n");
    CHECK(parse_answer(chunked.read()).error_code() == "too_large");
}

TEST_CASE("http: a client that is slow with its request is cut off") {
    RunningOperations running{with_deadline(50ms)};
    HttpClient silent{running.socket()};
    HttpClient half{running.socket()};
    half.send("GET /v1/status HTTP/1.1\r\nHost");
    HttpClient body{running.socket()};
    body.send("POST /v1/drain HTTP/1.1\r\nContent-Length: 10\r\n\r\n{");
    CHECK(silent.read().empty());
    CHECK(half.read().empty());
    CHECK(body.read().empty());
}

TEST_CASE("http: a client that does not take its answer is cut off") {
    RunningOperations running{with_deadline(50ms)};
    running.on_loop([&] {
        auto snapshot = sample_snapshot();
        snapshot.site.services[0].verdict_reason = std::string(16'000, 'x');
        snapshot.site.services.resize(100, snapshot.site.services[0]);
        running.main->answer = std::make_shared<const daemon::Snapshot>(std::move(snapshot));
    });
    HttpClient client{running.socket()};
    client.send(get_status);
    running.on_loop([] {});
    // Other clients are served while this one holds its answer up.
    CHECK(ask_http(running.socket(), "GET", "/healthz").status == 200);
    const auto deadline = std::chrono::steady_clock::now() + 5s;
    while (client.peer_open() && std::chrono::steady_clock::now() < deadline) {
    }
    const std::string part = client.read();
    CHECK(part.size() < 1'600'000);
    CHECK(part.size() > 0);
}

TEST_CASE("http: the connection after the last permitted one is told to come back") {
    auto options = with_deadline(5s);
    options.http.connections = 3;
    RunningOperations running{options, true};
    std::deque<HttpClient> idle;
    for (int i = 0; i < 3; ++i) idle.emplace_back(running.socket());
    const auto busy = ask_http(running.socket(), "GET", "/healthz");
    CHECK(busy.status == 503);
    CHECK(busy.error_code() == "busy");
    CHECK_FALSE(busy.hint().empty());
    // The other listener has places of its own.
    CHECK(ask_http(running.http(), "GET", "/healthz").status == 200);
    idle.pop_back();
    int status = 503;
    for (int i = 0; i < 100 && status == 503; ++i) {
        status = ask_http(running.socket(), "GET", "/healthz").status;
    }
    CHECK(status == 200);
}

TEST_CASE("http: a flood of connections leaves the daemon serving") {
    RunningOperations running;
    {
        std::deque<HttpClient> flood;
        for (int i = 0; i < 300; ++i) flood.emplace_back(running.socket()).send("GET /");
        CHECK(ask_http(running.socket(), "GET", "/healthz").status != 200);
    }
    int status = 0;
    for (int i = 0; i < 1000 && status != 200; ++i) {
        status = ask_http(running.socket(), "GET", "/healthz").status;
    }
    CHECK(status == 200);
}

TEST_CASE("http: a follower gets events as they come, one per line") {
    RunningOperations running;
    running.publish(alarm("before"));
    HttpClient client{running.socket()};
    client.send(follow());
    const std::string header = client.read("\r\n\r\n");
    CHECK(header.find("200 OK") != std::string::npos);
    CHECK(header.find("application/x-ndjson") != std::string::npos);
    CHECK(header.find("Transfer-Encoding: chunked") != std::string::npos);
    running.publish(alarm("first"));
    const std::string first = client.read("first\"");
    CHECK(first.find("\"id\":2") != std::string::npos);
    CHECK(first.find("before") == std::string::npos);
    running.publish(alarm("second"));
    CHECK(client.read("second\"").find("\"id\":3") != std::string::npos);
}

TEST_CASE("http: a follower that comes back gets what it missed") {
    RunningOperations running;
    for (const auto* text : {"one", "two", "three"}) running.publish(alarm(text));
    HttpClient client{running.socket()};
    client.send(follow("&since=1"));
    const std::string missed = client.read("three\"");
    CHECK(missed.find("\"two\"") != std::string::npos);
    CHECK(missed.find("\"one\"") == std::string::npos);
}

TEST_CASE("http: a follower that does not read is cut off when it is a thousand events behind") {
    RunningOperations running;
    HttpClient client{running.socket()};
    client.send(follow());
    (void)client.read("\r\n\r\n");
    const std::string text(2000, 'x');
    for (int i = 0; i < 2000; ++i) running.publish(alarm(text));
    const std::string taken = client.read();
    CHECK(std::ranges::count(taken, '\n') < 1500);
    CHECK_FALSE(taken.ends_with("…"));  // ended by the daemon
    CHECK_FALSE(taken.ends_with("0\r\n\r\n"));
    CHECK(ask_http(running.socket(), "GET", "/healthz").status == 200);
}

TEST_CASE("http: a follower that reads slowly but within bounds misses nothing") {
    RunningOperations running;
    HttpClient client{running.socket()};
    client.send(follow());
    (void)client.read("\r\n\r\n");
    for (int i = 0; i < 900; ++i) running.publish(alarm(std::string(1000, 'x')));
    running.publish(alarm("the last"));
    const std::string taken = client.read("the last");
    for (int id = 1; id <= 900; ++id) {
        REQUIRE(taken.find("\"id\":" + std::to_string(id) + ",") != std::string::npos);
    }
}

TEST_CASE("http: followers leave half of the places to others") {
    auto options = with_deadline(5s);
    options.http.connections = 4;
    RunningOperations running{options};
    std::deque<HttpClient> followers;
    for (int i = 0; i < 2; ++i) {
        followers.emplace_back(running.socket()).send(follow());
        CHECK(followers.back().read("\r\n\r\n").find("200 OK") != std::string::npos);
    }
    HttpClient third{running.socket()};
    third.send(follow());
    CHECK(parse_answer(third.read()).error_code() == "busy");
    CHECK(ask_http(running.socket(), "GET", "/healthz").status == 200);
}

TEST_CASE("http: a follower that leaves gives its place back") {
    auto options = with_deadline(5s);
    options.http.connections = 2;
    RunningOperations running{options};
    for (int i = 0; i < 20; ++i) {
        bool follows = false;
        for (int attempt = 0; attempt < 200 && !follows; ++attempt) {
            HttpClient client{running.socket()};
            client.send(follow());
            follows = client.read("\r\n\r\n").find("200 OK") != std::string::npos;
        }
        REQUIRE(follows);
    }
}

TEST_CASE("http: stop lets followers read the last event and ends their stream") {
    RunningOperations running;
    HttpClient client{running.socket()};
    client.send(follow());
    (void)client.read("\r\n\r\n");
    running.publish(alarm("good night"));
    running.stop();
    const std::string taken = client.read();
    CHECK(taken.find("good night") != std::string::npos);
    CHECK(taken.ends_with("0\r\n\r\n"));
    CHECK_FALSE(HttpClient{running.socket()}.connected());
}

TEST_CASE("http: an answer without end needs HTTP/1.1, others do not") {
    RunningOperations running;
    HttpClient plain{running.socket()};
    plain.send("GET /healthz HTTP/1.0\r\n\r\n");
    CHECK(parse_answer(plain.read()).status == 200);
    HttpClient endless{running.socket()};
    endless.send("GET /v1/events?follow=1 HTTP/1.0\r\n\r\n");
    CHECK(parse_answer(endless.read()).error_code() == "bad_request");
}

TEST_CASE("control socket: its directory is made, its mode lets the group in, stop removes it") {
    RunningOperations running;
    REQUIRE(running.started);
    struct stat found{};
    REQUIRE(::stat(running.socket().c_str(), &found) == 0);
    CHECK((found.st_mode & 0777U) == 0660U);
    const auto directory = std::filesystem::path{running.socket()}.parent_path();
    REQUIRE(::stat(directory.c_str(), &found) == 0);
    CHECK((found.st_mode & 0777U) == 0750U);
    running.stop();
    CHECK_FALSE(std::filesystem::exists(running.socket()));
}
