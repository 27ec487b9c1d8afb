#include "daemon/operations/http_server.hpp"

#include <fmt/format.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <exception>
#include <set>
#include <variant>

#include "daemon/operations/api_error.hpp"
#include "daemon/operations/event_ring.hpp"
#include "daemon/operations/json_text.hpp"

namespace swerve::daemon {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;

namespace {

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);
constexpr Duration farewell = std::chrono::milliseconds{500};
constexpr Duration accept_pause = std::chrono::milliseconds{100};
constexpr std::size_t events_per_chunk = 64;

using Socket = asio::generic::stream_protocol::socket;

struct Connection {
    explicit Connection(Socket taken) : socket(std::move(taken)), deadline(socket.get_executor()) {}

    void close() {
        error_code ignored;
        (void)socket.close(ignored);
        deadline.cancel();
    }

    Socket socket;
    asio::steady_timer deadline;
    std::uint64_t followed = 0;  ///< id of the last event the socket took
};
using ConnectionRef = std::shared_ptr<Connection>;

/// From now on the connection has this long; a later call replaces an earlier one.
void close_after(const ConnectionRef& connection, Duration duration) {
    connection->deadline.expires_after(duration);
    connection->deadline.async_wait([weak = std::weak_ptr{connection}](error_code error) {
        const auto held = weak.lock();
        if (error || !held) return;
        // A wait that had ended before it could be replaced is not the one that counts.
        if (held->deadline.expiry() <= asio::steady_timer::clock_type::now()) held->close();
    });
}

/// The connections of one listener, counted apart from the other's.
struct Listener {
    bool local = false;
    std::size_t open = 0;
    std::size_t following = 0;
    std::size_t refusing = 0;
};
using ListenerRef = std::shared_ptr<Listener>;

class Counted {
public:
    explicit Counted(std::size_t& count) : count_(count) { ++count_; }
    ~Counted() { --count_; }
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;

private:
    std::size_t& count_;
};

class Listed {
public:
    Listed(std::set<ConnectionRef>& list, ConnectionRef connection)
        : list_(list), connection_(std::move(connection)) {
        list_.insert(connection_);
    }
    ~Listed() { list_.erase(connection_); }
    Listed(const Listed&) = delete;
    Listed& operator=(const Listed&) = delete;

private:
    std::set<ConnectionRef>& list_;
    ConnectionRef connection_;
};

[[nodiscard]] std::optional<uid_t> peer_uid(Socket& socket) {
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(socket.native_handle(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
        return std::nullopt;
    }
    return peer.uid;
}

[[nodiscard]] HttpResponse fault_of(error_code error, const HttpLimits& limits) {
    if (error == http::error::header_limit || error == http::error::buffer_overflow) {
        return error_response(
            ApiError::too_large,
            fmt::format("the header has more than {} octets", limits.header_octets),
            "send fewer and shorter header fields");
    }
    if (error == http::error::body_limit) {
        return error_response(ApiError::too_large,
                              fmt::format("the body has more than {} octets", limits.body_octets),
                              "a command needs a few hundred octets of JSON");
    }
    return error_response(ApiError::bad_request,
                          fmt::format("this is not an HTTP/1.1 request: {}", error.message()),
                          "use swervectl, or curl --unix-socket");
}

/// Nothing: the client went away or was cut off. Otherwise a request, or the answer to what is
/// none.
using Received = std::variant<std::monostate, HttpRequest, HttpResponse>;

asio::awaitable<Received> receive(ConnectionRef connection, HttpLimits limits) {
    http::request_parser<http::string_body> parser;
    parser.header_limit(static_cast<std::uint32_t>(limits.header_octets));
    parser.body_limit(limits.body_octets);
    beast::flat_buffer buffer{limits.header_octets + limits.body_octets};
    const auto [error, octets] =
        co_await http::async_read(connection->socket, buffer, parser, as_result);
    const bool http_fault =
        error.category() == http::make_error_code(http::error::end_of_stream).category();
    const bool went_away =
        error == http::error::end_of_stream || error == http::error::partial_message;
    if (error && (!http_fault || went_away)) co_return std::monostate{};
    if (error) co_return fault_of(error, limits);
    auto message = parser.release();
    HttpRequest request;
    request.method = std::string{message.method_string()};
    request.target = std::string{message.target()};
    request.version = message.version();
    request.body = std::move(message.body());
    co_return request;
}

/// Reads and throws away, until the client closes or has sent `most` octets.
asio::awaitable<void> discard_input(ConnectionRef connection, std::size_t most) {
    std::array<char, 4096> waste{};
    for (std::size_t total = 0; total < most;) {
        const auto [error, octets] =
            co_await connection->socket.async_read_some(asio::buffer(waste), as_result);
        if (error) co_return;
        total += octets;
    }
}

/// Ends a connection whose answer is written. The client may still be sending; to close at once
/// could make its system throw the answer away (RFC 9112 §9.6).
asio::awaitable<void> end(ConnectionRef connection, HttpLimits limits) {
    error_code ignored;
    (void)connection->socket.shutdown(Socket::shutdown_send, ignored);
    co_await discard_input(connection, 4 * limits.body_octets);
    connection->close();
}

template <class Body>
void set_header(http::response<Body>& message, const HttpResponse& response) {
    message.version(11);
    message.keep_alive(false);
    message.result(response.status);
    message.set(http::field::server, "swerve/" SWERVE_VERSION);
    message.set(http::field::content_type, response.content_type);
    message.set(http::field::cache_control, "no-store");
    if (!response.allow.empty()) message.set(http::field::allow, response.allow);
}

asio::awaitable<void> answer(ConnectionRef connection, HttpLimits limits, HttpResponse response,
                             bool without_body) {
    http::response<http::string_body> message;
    set_header(message, response);
    // RFC 9110 §9.3.2: the answer to HEAD has no content.
    if (!without_body) message.body() = std::move(response.body);
    message.prepare_payload();
    const auto [error, octets] = co_await http::async_write(connection->socket, message, as_result);
    if (error) {
        connection->close();
        co_return;
    }
    co_await end(connection, limits);
}

/// A follower has nothing more to say; when its side ends, it is gone.
asio::awaitable<void> close_when_gone(ConnectionRef connection, std::shared_ptr<EventRing> events,
                                      HttpLimits limits) {
    co_await discard_input(connection, limits.body_octets);
    connection->close();
    events->wake_followers();
}

/// A follower that does not read has a write under way that never ends. It is cut off when an event
/// that it was not given leaves the ring.
asio::awaitable<void> close_when_behind(ConnectionRef connection,
                                        std::shared_ptr<EventRing> events) {
    while (connection->socket.is_open()) {
        if (events->lost_after(connection->followed)) {
            connection->close();
            co_return;
        }
        co_await events->changed().async_wait(as_result);
    }
}

/// Sends events as they come, until the client is gone or the ring is closed.
asio::awaitable<void> send_events(ConnectionRef connection, std::shared_ptr<EventRing> events) {
    while (connection->socket.is_open()) {
        const auto batch = events->after(connection->followed, events_per_chunk);
        if (batch.empty() && events->closed()) break;
        if (batch.empty()) {
            co_await events->changed().async_wait(as_result);
            continue;
        }
        std::string lines;
        for (const auto* event : batch) lines += to_text(*event) + "\n";
        const std::uint64_t reached = connection->followed + batch.size();
        const auto chunk = http::make_chunk(asio::buffer(lines));
        const auto [error, octets] =
            co_await asio::async_write(connection->socket, chunk, as_result);
        if (error) break;
        connection->followed = reached;
    }
    const auto last = http::make_chunk_last();
    co_await asio::async_write(connection->socket, last, as_result);
}

}  // namespace

struct HttpServer::State : std::enable_shared_from_this<State> {
    State(asio::io_context& loop, HttpLimits bounds, HttpHandler answers,
          std::shared_ptr<spdlog::logger> log)
        : io(loop), limits(bounds), handler(std::move(answers)), logger(std::move(log)) {}

    /// A coroutine of this server: what escapes it is logged and ends its connection alone.
    void spawn(asio::awaitable<void> work, const ConnectionRef& connection) {
        asio::co_spawn(io, std::move(work),
                       [self = shared_from_this(), connection](const std::exception_ptr& error) {
                           if (!error) return;
                           connection->close();
                           try {
                               std::rethrow_exception(error);
                           } catch (const std::exception& fault) {
                               self->logger->error("event=api text=\"a request failed: {}\"",
                                                   fault.what());
                           }
                       });
    }

    void bound(const ConnectionRef& connection, Duration duration) const {
        close_after(connection, stopping ? std::min(duration, farewell) : duration);
    }

    void admit(const ListenerRef& listener, const ConnectionRef& connection);
    template <class Acceptor>
    void listen(const std::shared_ptr<Acceptor>& acceptor, bool local);
    void close_tcp();

    template <class Acceptor>
    static asio::awaitable<void> accept(std::shared_ptr<State> state, ListenerRef listener,
                                        std::shared_ptr<Acceptor> acceptor);
    static asio::awaitable<void> serve(std::shared_ptr<State> state, ListenerRef listener,
                                       ConnectionRef connection);
    static asio::awaitable<void> follow(std::shared_ptr<State> state, ListenerRef listener,
                                        ConnectionRef connection, HttpResponse response,
                                        Follow wanted);
    static asio::awaitable<void> refuse(std::shared_ptr<State> state, ListenerRef listener,
                                        ConnectionRef connection);

    asio::io_context& io;
    HttpLimits limits;
    HttpHandler handler;
    std::shared_ptr<spdlog::logger> logger;
    std::function<void()> close_local;
    TcpListenerRef tcp;
    std::set<ConnectionRef> connections;
    bool stopping = false;
};

template <class Acceptor>
asio::awaitable<void> HttpServer::State::accept(std::shared_ptr<State> state, ListenerRef listener,
                                                std::shared_ptr<Acceptor> acceptor) {
    while (acceptor->is_open()) {
        auto [error, socket] = co_await acceptor->async_accept(as_result);
        if (!error) {
            state->admit(listener, std::make_shared<Connection>(Socket{std::move(socket)}));
            continue;
        }
        // Without descriptors the connection stays in the queue: accepting again at once would
        // spin.
        asio::steady_timer pause{state->io, accept_pause};
        if (acceptor->is_open()) co_await pause.async_wait(as_result);
    }
}

template <class Acceptor>
void HttpServer::State::listen(const std::shared_ptr<Acceptor>& acceptor, bool local) {
    auto listener = std::make_shared<Listener>();
    listener->local = local;
    asio::co_spawn(io, accept(shared_from_this(), listener, acceptor),
                   [self = shared_from_this()](const std::exception_ptr& error) {
                       if (error) self->logger->critical("event=api text=\"accepting ended\"");
                   });
}

void HttpServer::State::close_tcp() {
    error_code ignored;
    if (tcp) (void)tcp->acceptor.close(ignored);
    tcp.reset();
}

void HttpServer::State::admit(const ListenerRef& listener, const ConnectionRef& connection) {
    if (stopping) return;
    if (listener->open < limits.connections) {
        spawn(serve(shared_from_this(), listener, connection), connection);
    } else if (listener->refusing < limits.connections) {
        spawn(refuse(shared_from_this(), listener, connection), connection);
    }
}

asio::awaitable<void> HttpServer::State::serve(std::shared_ptr<State> state, ListenerRef listener,
                                               ConnectionRef connection) {
    const Counted open{listener->open};
    const Listed listed{state->connections, connection};
    state->bound(connection, state->limits.request);
    Received received = co_await receive(connection, state->limits);
    HttpResponse response;
    bool without_body = false;
    if (auto* request = std::get_if<HttpRequest>(&received)) {
        connection->deadline.cancel();
        if (listener->local) request->uid = peer_uid(connection->socket);
        without_body = request->method == "HEAD";
        response = co_await state->handler(std::move(*request));
    } else if (auto* fault = std::get_if<HttpResponse>(&received)) {
        response = std::move(*fault);
    }
    if (response.follow) {
        const Follow wanted = *response.follow;
        co_await follow(state, listener, connection, std::move(response), wanted);
    } else if (!std::holds_alternative<std::monostate>(received)) {
        state->bound(connection, state->limits.answer);
        co_await answer(connection, state->limits, std::move(response), without_body);
    }
    connection->close();
}

asio::awaitable<void> HttpServer::State::follow(std::shared_ptr<State> state, ListenerRef listener,
                                                ConnectionRef connection, HttpResponse response,
                                                Follow wanted) {
    state->bound(connection, state->limits.answer);
    if (listener->following >= state->limits.connections / 2) {
        co_await answer(connection, state->limits,
                        error_response(ApiError::busy, "too many clients follow the events",
                                       "end one of them, or ask for /v1/events?since=ID"),
                        false);
        co_return;
    }
    const Counted following{listener->following};
    http::response<http::empty_body> message;
    set_header(message, response);
    message.chunked(true);
    http::response_serializer<http::empty_body> header{message};
    const auto [error, octets] =
        co_await http::async_write_header(connection->socket, header, as_result);
    if (error) co_return;
    if (!state->stopping) connection->deadline.cancel();
    const auto events = wanted.events;
    connection->followed = events->resume(wanted.after);
    state->spawn(close_when_gone(connection, events, state->limits), connection);
    state->spawn(close_when_behind(connection, events), connection);
    co_await send_events(connection, events);
    connection->close();
    events->wake_followers();  // lets close_when_behind see that it is over
}

asio::awaitable<void> HttpServer::State::refuse(std::shared_ptr<State> state, ListenerRef listener,
                                                ConnectionRef connection) {
    const Counted refusing{listener->refusing};
    close_after(connection, std::min(farewell, state->limits.answer));
    co_await answer(connection, state->limits,
                    error_response(ApiError::busy, "too many connections",
                                   "close idle ones, or try again in a few seconds"),
                    false);
}

HttpServer::HttpServer(asio::io_context& io, HttpLimits limits, HttpHandler handler,
                       std::shared_ptr<spdlog::logger> logger)
    : state_(std::make_shared<State>(io, limits, std::move(handler), std::move(logger))) {}

HttpServer::~HttpServer() = default;

Result<void, std::string> HttpServer::serve_local(int listening) {
    using Acceptor = asio::local::stream_protocol::acceptor;
    auto acceptor = std::make_shared<Acceptor>(state_->io);
    error_code error;
    (void)acceptor->assign(asio::local::stream_protocol{}, listening, error);
    if (error) return fail("control.socket: " + error.message());
    state_->listen(acceptor, true);
    state_->close_local = [acceptor] {
        error_code ignored;
        (void)acceptor->close(ignored);
    };
    return {};
}

Result<HttpServer::TcpListenerRef, std::string> HttpServer::bind_tcp(const Endpoint& endpoint) {
    using asio::ip::tcp;
    const tcp::endpoint where{asio::ip::make_address(endpoint.address.to_string()), endpoint.port};
    tcp::acceptor acceptor{state_->io};
    error_code error;
    (void)acceptor.open(where.protocol(), error);
    if (!error) (void)acceptor.set_option(tcp::acceptor::reuse_address{true}, error);
    if (!error) (void)acceptor.bind(where, error);
    if (!error) (void)acceptor.listen(tcp::acceptor::max_listen_connections, error);
    if (error) {
        return fail(fmt::format("http.listen: {}: {}", endpoint.to_string(), error.message()));
    }
    const Endpoint bound{endpoint.address, acceptor.local_endpoint().port()};
    return std::make_shared<TcpListener>(TcpListener{std::move(acceptor), bound});
}

void HttpServer::serve_tcp(TcpListenerRef listener) {
    state_->close_tcp();
    if (!listener || state_->stopping) return;
    state_->listen(std::shared_ptr<asio::ip::tcp::acceptor>{listener, &listener->acceptor}, false);
    state_->tcp = std::move(listener);
}

const HttpServer::TcpListenerRef& HttpServer::tcp() const { return state_->tcp; }

void HttpServer::stop() {
    if (state_->stopping) return;
    state_->stopping = true;
    if (state_->close_local) state_->close_local();
    state_->close_tcp();
    for (const auto& connection : state_->connections) close_after(connection, farewell);
}

}  // namespace swerve::daemon
