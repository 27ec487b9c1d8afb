#pragma once
// HTTP/1.1, one request per connection, over the control socket and over the read-only TCP
// listener. Slow, silent and greedy clients are cut off here; what is answered is the handler's
// business.

#include <spdlog/logger.h>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "daemon/operations/http_message.hpp"
#include "swerve/base/result.hpp"
#include "swerve/base/time.hpp"
#include "swerve/net/address.hpp"

namespace swerve::daemon {

struct HttpLimits {
    std::size_t header_octets = 8192;
    std::size_t body_octets = 65536;
    /// Of each listener, so that the network cannot lock the operator out. Half of them may follow.
    std::size_t connections = 32;
    Duration request = std::chrono::seconds{5};  ///< for a request to arrive as a whole
    Duration answer = std::chrono::seconds{5};   ///< for an answer to be read
};

using HttpHandler = std::function<boost::asio::awaitable<HttpResponse>(HttpRequest)>;

class HttpServer {
public:
    HttpServer(boost::asio::io_context& io, HttpLimits limits, HttpHandler handler,
               std::shared_ptr<spdlog::logger> logger);
    ~HttpServer();
    HttpServer(const HttpServer&) = delete;
    HttpServer& operator=(const HttpServer&) = delete;

    /// Takes over a listening Unix socket.
    [[nodiscard]] Result<void, std::string> serve_local(int listening);
    /// A TCP socket that listens; what connects waits until it is served. Dropped, it is closed.
    struct TcpListener {
        boost::asio::ip::tcp::acceptor acceptor;
        Endpoint bound;  ///< where, for port 0
    };
    using TcpListenerRef = std::shared_ptr<TcpListener>;
    [[nodiscard]] Result<TcpListenerRef, std::string> bind_tcp(const Endpoint& endpoint);
    /// Takes connections from this listener instead of the one before; null: from none. Those under
    /// way go on.
    void serve_tcp(TcpListenerRef listener);
    [[nodiscard]] const TcpListenerRef& tcp() const;

    /// Due before the end. Takes no more connections; answers under way have half a second to
    /// leave.
    void stop();

private:
    struct State;
    std::shared_ptr<State> state_;
};

}  // namespace swerve::daemon
