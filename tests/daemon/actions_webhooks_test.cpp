#include <doctest/doctest.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/json/parse.hpp>
#include <chrono>
#include <deque>
#include <string>
#include <vector>

#include "tests/daemon/actions_bench.hpp"

using namespace swerve;
using namespace swerve::test;
using namespace std::chrono_literals;
using daemon::WebhookResult;
using failover::Intent;
namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);

/// Answers requests as it is told, one after the other, on the loop of the test.
class Server {
public:
    enum class Way { answer, silence, reset, endless_header, endless_body };
    struct Answer {
        Way way = Way::answer;
        int status = 204;
    };

    explicit Server(asio::io_context& io)
        : io_(io), acceptor_(io, {asio::ip::address_v4::loopback(), 0}) {
        asio::co_spawn(io, serve(), asio::detached);
    }

    [[nodiscard]] std::string url(const std::string& scheme = "http") const {
        return scheme + "://localhost:" + std::to_string(acceptor_.local_endpoint().port()) +
               "/hook?x=1";
    }
    void close() { acceptor_.close(); }

    std::deque<Answer> answers;         ///< then 204
    std::vector<std::string> requests;  ///< whole
    unsigned most_open = 0;             ///< at a time

private:
    asio::awaitable<void> serve() {
        while (true) {
            auto [error, socket] = co_await acceptor_.async_accept(as_result);
            if (error) co_return;
            Answer answer;
            if (!answers.empty()) {
                answer = answers.front();
                answers.pop_front();
            }
            asio::co_spawn(io_, answer_one(std::move(socket), answer), asio::detached);
        }
    }
    asio::awaitable<void> answer_one(tcp::socket socket, Answer answer) {
        most_open = std::max(most_open, ++open_);
        co_await converse(socket, answer);
        --open_;
    }
    asio::awaitable<void> converse(tcp::socket& socket, Answer answer) {
        std::string request;
        while (!is_whole(request)) {
            std::array<char, 1024> chunk{};
            const auto [error, count] =
                co_await socket.async_read_some(asio::buffer(chunk), as_result);
            if (error) co_return;
            request.append(chunk.data(), count);
        }
        requests.push_back(request);
        std::string text = "HTTP/1.1 " + std::to_string(answer.status) + " said\r\n";
        switch (answer.way) {
            case Way::reset:
                socket.set_option(tcp::socket::linger(true, 0));
                co_return;
            case Way::silence:
                break;
            case Way::answer:
                text.insert(0, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
                text += "Content-Length: 5\r\n\r\nhello";
                co_await asio::async_write(socket, asio::buffer(text), as_result);
                co_return;
            case Way::endless_header:
            case Way::endless_body:
                if (answer.way == Way::endless_body) text += "\r\n";
                while (true) {
                    const auto [error, count] =
                        co_await asio::async_write(socket, asio::buffer(text), as_result);
                    if (error) co_return;
                    text = "X-Filler: " + std::string(500, 'x') + "\r\n";
                }
        }
        // Until the client has had enough.
        std::array<char, 16> chunk{};
        co_await socket.async_read_some(asio::buffer(chunk), as_result);
    }
    static bool is_whole(const std::string& request) {
        const auto header_end = request.find("\r\n\r\n");
        const auto length = request.find("Content-Length: ");
        if (header_end == std::string::npos || length == std::string::npos) return false;
        return request.size() >= header_end + 4 + std::stoul(request.substr(length + 16));
    }

    asio::io_context& io_;
    tcp::acceptor acceptor_;
    unsigned open_ = 0;
};

/// One webhook and the server it names, whose port is known only then.
struct Bench : ActionsBench {
    explicit Bench(Duration timeout = 10s, unsigned attempts = 1,
                   const std::string& scheme = "http")
        : ActionsBench(sample_config()), server(io) {
        config.webhooks = {{.name = "chat",
                            .url = server.url(scheme),
                            .on = every_occasion,
                            .timeout = timeout,
                            .attempts = attempts,
                            .bearer = "secret"}};
        actions->reconfigure(config);
    }
    [[nodiscard]] bool has_logged(const std::string& text) const {
        return log.str().find(text) != std::string::npos;
    }
    [[nodiscard]] std::uint64_t ended() const {
        return notices(WebhookResult::delivered) + notices(WebhookResult::refused) +
               notices(WebhookResult::given_up);
    }
    bool all_ended(std::uint64_t count) {
        return run_until([this, count] { return ended() == count; });
    }

    Server server;
};

boost::json::object body_of(const std::string& request) {
    return boost::json::parse(request.substr(request.find("\r\n\r\n") + 4)).as_object();
}

}  // namespace

TEST_CASE("webhooks: a change is posted as JSON, once") {
    Bench bench;
    bench.tell(Intent::announce, "web passes");
    bench.tell_of(daemon::DaemonEvent{daemon::DaemonEvent::Kind::alarm, "reload failed"});
    REQUIRE(bench.all_ended(2));
    CHECK(bench.notices(WebhookResult::delivered) == 2);
    REQUIRE(bench.server.requests.size() == 2);
    const std::string& request = bench.server.requests[0];
    CHECK(request.starts_with("POST /hook?x=1 HTTP/1.1\r\n"));
    CHECK(request.find("\r\nAuthorization: Bearer secret\r\n") != std::string::npos);
    CHECK(request.find("\r\nContent-Type: application/json\r\n") != std::string::npos);
    auto body = body_of(request);
    const std::string id{body["id"].as_string()};
    CHECK(request.find("\r\nIdempotency-Key: " + id + "\r\n") != std::string::npos);
    CHECK(body == boost::json::object{{"schema", "swerve.webhook/1"},
                                      {"id", id},
                                      {"site", "fra1"},
                                      {"service", "portal"},
                                      {"event", "announce"},
                                      {"from", "withdraw"},
                                      {"to", "announce"},
                                      {"reason", "web passes"},
                                      {"time", "2027-01-15T08:00:00.000Z"}});
    auto alarm = body_of(bench.server.requests[1]);
    CHECK(alarm["event"] == "alarm");
    CHECK(alarm["service"].is_null());
    CHECK(alarm["from"].is_null());
    CHECK(alarm["reason"] == "reload failed");
    CHECK(alarm["id"] != body["id"]);
}

TEST_CASE("webhooks: which answers end the attempts") {
    using daemon::judge;
    for (const unsigned status : {200U, 204U, 299U})
        CHECK(judge(status) == WebhookResult::delivered);
    for (const unsigned status : {301U, 400U, 401U, 404U, 410U}) {
        CHECK(judge(status) == WebhookResult::refused);
    }
    for (const unsigned status : {408U, 429U, 500U, 503U}) CHECK_FALSE(judge(status));
}

TEST_CASE("webhooks: pauses double from a second to a minute") {
    CHECK(daemon::pause_after(1) == 1s);
    CHECK(daemon::pause_after(2) == 2s);
    CHECK(daemon::pause_after(6) == 32s);
    CHECK(daemon::pause_after(7) == 60s);
    CHECK(daemon::pause_after(1000) == 60s);
}

TEST_CASE("webhooks: what fails for now is tried again with the same id, before what follows") {
    Bench bench{10s, 2};
    bench.server.answers = {{.status = 503}};
    bench.tell(Intent::announce, "first");
    bench.tell(Intent::withdraw, "second");
    REQUIRE(bench.all_ended(2));
    CHECK(bench.notices(WebhookResult::delivered) == 2);
    REQUIRE(bench.server.requests.size() == 3);
    CHECK(body_of(bench.server.requests[0]) == body_of(bench.server.requests[1]));
    CHECK(body_of(bench.server.requests[2])["reason"] == "second");
    CHECK(bench.server.most_open == 1);
}

TEST_CASE("webhooks: attempts come to an end, and a refusal is not repeated") {
    Bench bench{10s, 2};
    bench.server.answers = {{.status = 500}, {.status = 500}, {.status = 404}};
    bench.tell(Intent::announce);
    bench.tell(Intent::withdraw);
    REQUIRE(bench.all_ended(2));
    CHECK(bench.notices(WebhookResult::given_up) == 1);
    CHECK(bench.notices(WebhookResult::refused) == 1);
    CHECK(bench.server.requests.size() == 3);
    CHECK(bench.has_logged("result=given_up attempts=2 text=\"HTTP 500\""));
    CHECK(bench.has_logged("result=refused attempts=1 text=\"HTTP 404\""));
}

TEST_CASE("webhooks: silence ends at the timeout; a reset and a header without end at once") {
    Bench bench{300ms};
    bench.server.answers = {{.way = Server::Way::silence}};
    bench.tell(Intent::announce);
    REQUIRE(bench.all_ended(1));
    CHECK(bench.has_logged("no answer within 300ms"));
    bench.config.webhooks[0].timeout = 1h;
    bench.actions->reconfigure(bench.config);
    bench.server.answers = {{.way = Server::Way::reset}, {.way = Server::Way::endless_header}};
    bench.tell(Intent::withdraw);
    bench.tell(Intent::announce);
    REQUIRE(bench.all_ended(3));
    CHECK(bench.notices(WebhookResult::given_up) == 3);
}

TEST_CASE("webhooks: of a body without end nothing is read") {
    Bench bench;
    bench.server.answers = {{.way = Server::Way::endless_body, .status = 200}};
    bench.tell(Intent::announce);
    REQUIRE(bench.all_ended(1));
    CHECK(bench.notices(WebhookResult::delivered) == 1);
}

TEST_CASE("webhooks: nobody listens, or under another name, is told in words") {
    Bench bench;
    bench.server.close();
    bench.tell(Intent::announce);
    REQUIRE(bench.all_ended(1));
    CHECK(bench.has_logged("connecting: "));
    bench.config.webhooks[0].url = "http://nowhere.invalid/";
    bench.actions->reconfigure(bench.config);
    bench.tell(Intent::withdraw);
    REQUIRE(bench.all_ended(2));
    CHECK(bench.has_logged("looking up the name"));
}

TEST_CASE("webhooks: https to one that speaks no TLS delivers nothing") {
    Bench bench{300ms, 1, "https"};
    bench.tell(Intent::announce);
    REQUIRE(bench.all_ended(1));
    CHECK(bench.notices(WebhookResult::given_up) == 1);
    CHECK(bench.server.requests.empty());
}

TEST_CASE("webhooks: a thousand wait; of more the oldest is dropped") {
    Bench bench{1h};
    bench.server.answers = {{.way = Server::Way::silence}};
    bench.tell(Intent::announce);
    REQUIRE(bench.run_until([&] { return bench.server.requests.size() == 1; }));
    bench.tell_often(1000);
    CHECK(bench.notices(WebhookResult::dropped) == 0);
    bench.tell_often(7);
    CHECK(bench.notices(WebhookResult::dropped) == 7);
    CHECK(bench.actions->counts().webhooks[0].waiting == 1000);
}

TEST_CASE("webhooks: at the end nothing is tried again, and silence has its grace and no more") {
    Bench bench{1h, 100};
    bench.server.answers = {{.status = 503}};
    bench.tell(Intent::announce);
    REQUIRE(bench.run_until([&] { return bench.server.requests.size() == 1; }));
    bench.server.answers = {{.way = Server::Way::silence}};
    bench.tell(Intent::withdraw);
    const TimePoint stopped = BootClock::now();
    bench.actions->stop();
    bench.server.close();
    bench.run_out();
    CHECK(BootClock::now() - stopped < daemon::Actions::last_grace + 5s);
    CHECK(bench.ended() == 2);
    CHECK(bench.server.requests.size() <= 2);
}

TEST_CASE("webhooks: one that a reload removes ends with the attempt under way, within 2 s") {
    Bench bench{1h, 100};
    bench.server.answers = {{.way = Server::Way::silence}};
    bench.tell(Intent::announce);
    bench.tell(Intent::withdraw);
    REQUIRE(bench.run_until([&] { return bench.server.requests.size() == 1; }));
    const TimePoint removed = BootClock::now();
    bench.config.webhooks.clear();
    bench.actions->reconfigure(bench.config);
    bench.server.close();
    bench.run_out();
    CHECK(BootClock::now() - removed < daemon::WebhookCourier::last_patience + 3s);
    CHECK(bench.server.requests.size() == 1);
    CHECK(bench.has_logged("result=given_up attempts=1 text=\"cut short, "));
}

TEST_CASE(
    "webhooks: one that a reload removes does not come out of its pause for another attempt") {
    Bench bench{1h, 100};
    bench.server.answers = {{.status = 503}, {.status = 503}};
    bench.tell(Intent::announce);
    REQUIRE(bench.run_until([&] { return bench.server.requests.size() == 1; }));
    bench.config.webhooks.clear();
    bench.actions->reconfigure(bench.config);
    bench.server.close();
    bench.run_out();
    CHECK(bench.server.requests.size() == 1);
    CHECK(bench.has_logged("result=given_up attempts=1"));
}
