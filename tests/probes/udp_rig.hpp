#pragma once
// Servers over UDP that the tests make up.

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/probes/support.hpp"

namespace swerve::health::testing {

/// Answers each datagram with those that `answers` makes of it; it keeps what it was sent.
class UdpServer {
public:
    using Answers = std::function<std::vector<std::string>(std::string_view)>;

    UdpServer(Loop& loop, Answers answers, const std::string& address = "127.0.0.1",
              std::uint16_t port = 0)
        : socket_(loop.io, {boost::asio::ip::make_address(address), port}),
          answers_(std::move(answers)) {
        boost::asio::co_spawn(loop.io, serve(), boost::asio::detached);
    }

    [[nodiscard]] Endpoint endpoint() const {
        const auto local = socket_.local_endpoint();
        return {*Address::parse(local.address().to_string()), local.port()};
    }

    std::vector<std::string> heard;
    std::string from;  ///< the address that the last datagram came from

private:
    boost::asio::awaitable<void> serve() {
        constexpr auto as_result = boost::asio::as_tuple(boost::asio::use_awaitable);
        std::string buffer(65536, '\0');
        for (;;) {
            boost::asio::ip::udp::endpoint peer;
            auto [error, count] =
                co_await socket_.async_receive_from(boost::asio::buffer(buffer), peer, as_result);
            // An earlier client may be gone; only the end of the test ends the server.
            if (error == boost::asio::error::operation_aborted) co_return;
            if (error) continue;
            heard.push_back(buffer.substr(0, count));
            from = peer.address().to_string();
            for (const std::string& answer : answers_(heard.back())) {
                co_await socket_.async_send_to(boost::asio::buffer(answer), peer, as_result);
            }
        }
    }

    boost::asio::ip::udp::socket socket_;
    Answers answers_;
};

/// Answers everything with the same.
[[nodiscard]] inline UdpServer::Answers always(std::string answer) {
    return [answer = std::move(answer)](std::string_view /*heard*/) {
        return std::vector<std::string>{answer};
    };
}

[[nodiscard]] inline UdpServer::Answers never() {
    return [](std::string_view /*heard*/) { return std::vector<std::string>{}; };
}

}  // namespace swerve::health::testing
