#include "daemon/farewell.hpp"

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <exception>
#include <utility>

namespace swerve::daemon {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
constexpr auto quiet = asio::as_tuple(asio::use_awaitable);

asio::awaitable<void> finish(tcp::socket& socket, const Bytes& last_words) {
    const auto [write_error, written] =
        co_await asio::async_write(socket, asio::buffer(last_words), quiet);
    if (write_error) co_return;
    boost::system::error_code error;
    socket.shutdown(tcp::socket::shutdown_send, error);
    std::array<char, 4096> discarded{};
    while (!error) {
        const auto [read_error, count] =
            co_await socket.async_read_some(asio::buffer(discarded), quiet);
        error = read_error;
    }
}

asio::awaitable<void> finish_in_time(tcp::socket socket, Bytes last_words) {
    using asio::experimental::awaitable_operators::operator||;
    asio::steady_timer limit{socket.get_executor(), std::chrono::seconds{1}};
    co_await (finish(socket, last_words) || limit.async_wait(quiet));
    boost::system::error_code error;
    socket.close(error);
}

}  // namespace

void say_farewell(tcp::socket socket, Bytes last_words, std::function<void()> done) {
    boost::system::error_code error;
    socket.cancel(error);
    const auto executor = socket.get_executor();
    asio::co_spawn(executor, finish_in_time(std::move(socket), std::move(last_words)),
                   [done = std::move(done)](const std::exception_ptr&) {
                       if (done) done();
                   });
}

void reset(tcp::socket socket) {
    boost::system::error_code error;
    socket.set_option(asio::socket_base::linger{true, 0}, error);
    socket.close(error);
}

}  // namespace swerve::daemon
