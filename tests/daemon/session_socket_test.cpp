#include "daemon/session_socket.hpp"

#include <doctest/doctest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <vector>

#include "swerve/base/clock.hpp"

using namespace swerve;
using namespace std::chrono_literals;
using boost::asio::ip::tcp;
using daemon::SessionSocket;

namespace {

/// A connection over loopback: our side as the driver has it, the other as a plain socket.
struct Connected {
    boost::asio::io_context io;
    tcp::socket other{io};
    SessionSocket ours{tcp::socket{io}};

    Connected() {
        tcp::acceptor acceptor{io, {boost::asio::ip::make_address("127.0.0.1"), 0}};
        auto opened = SessionSocket::open(io, Family::ipv4, {*Address::parse("127.0.0.9"), 1});
        REQUIRE(opened.has_value());
        ours = std::move(*opened);
        ours.socket().connect(acceptor.local_endpoint());
        acceptor.accept(other);
        REQUIRE(ours.prepare({std::nullopt, 1}).has_value());
    }

    /// Waits until the error queue has something, for at most 5 s.
    void await_report() {
        ours.socket().async_wait(tcp::socket::wait_error, [](const auto&) {});
        io.restart();
        io.run_for(5s);
    }
};

}  // namespace

TEST_CASE("session socket: dials from local_address") {
    Connected pair;
    CHECK(pair.other.remote_endpoint().address().to_string() == "127.0.0.9");
}

TEST_CASE(
    "session socket: a local_address that is not on this host is a sentence, not an exception") {
    boost::asio::io_context io;
    const auto opened = SessionSocket::open(io, Family::ipv4, {*Address::parse("192.0.2.77"), 1});
    REQUIRE_FALSE(opened.has_value());
    CHECK(opened.error().starts_with("cannot bind to local_address 192.0.2.77: "));
}

TEST_CASE(
    "session socket: acknowledgement of a tracked write is reported with the time of its mark") {
    Connected pair;
    const Bytes first(100, 1);
    const Bytes second(50, 2);
    const TimePoint at = BootClock::now();
    REQUIRE(pair.ours.write({first, second}, true).count == 150);
    pair.ours.mark(at);
    CHECK(pair.ours.awaits_acknowledgement());
    std::optional<TimePoint> acknowledged = pair.ours.acknowledged();
    if (!acknowledged) {
        pair.await_report();
        acknowledged = pair.ours.acknowledged();
    }
    CHECK(acknowledged == at);
    CHECK_FALSE(pair.ours.awaits_acknowledgement());
}

TEST_CASE("session socket: a mark waits for its own octets, not for earlier ones") {
    Connected pair;
    const Bytes early(10, 1);
    REQUIRE(pair.ours.write({early}, true).count == 10);
    pair.await_report();
    CHECK_FALSE(pair.ours.acknowledged().has_value());  // no mark yet
    REQUIRE(pair.ours.write({early}, false).count == 10);
    pair.ours.mark(BootClock::now());
    CHECK_FALSE(pair.ours.acknowledged().has_value());
    CHECK(pair.ours.awaits_acknowledgement());
}

TEST_CASE("session socket: writing to a reader that does not read is blocked, not an error") {
    Connected pair;
    const Bytes block(std::size_t{1} << 16U, 7);
    SessionSocket::Transfer last{SessionSocket::Io::ok, 0, {}};
    for (int i = 0; i < 10'000 && last.status == SessionSocket::Io::ok; ++i) {
        last = pair.ours.write({block}, false);
    }
    CHECK(last.status == SessionSocket::Io::blocked);
    CHECK(pair.ours.unsent() > 0);
}

TEST_CASE("session socket: the end of a connection is told from having nothing to read") {
    Connected pair;
    std::vector<std::uint8_t> buffer(64);
    CHECK(pair.ours.read(buffer).status == SessionSocket::Io::blocked);
    boost::asio::write(pair.other, boost::asio::buffer("hello", 5));
    pair.other.close();
    boost::system::error_code error;
    pair.ours.socket().wait(tcp::socket::wait_read, error);
    const auto got = pair.ours.read(buffer);
    CHECK(got.count == 5);
    pair.ours.socket().wait(tcp::socket::wait_read, error);
    const auto end = pair.ours.read(buffer);
    CHECK(end.status == SessionSocket::Io::ended);
    CHECK(end.reason == "the peer closed the connection");
}
