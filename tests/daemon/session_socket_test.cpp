#include "daemon/session_socket.hpp"

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/unicast.hpp>
#include <boost/asio/write.hpp>
#include <optional>
#include <string>
#include <vector>

#include "daemon/tcp_md5.hpp"
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
    SessionSocket ours{tcp::socket{io}, Address::v4(0x7f000001)};

    Connected() {
        tcp::acceptor acceptor{io, {boost::asio::ip::make_address("127.0.0.1"), 0}};
        auto opened =
            SessionSocket::open(io, Address::v4(0x7f000001), {*Address::parse("127.0.0.9"), 1});
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

/// Waits until there is something to read, for at most 5 s.
void await_octets(boost::asio::io_context& io, SessionSocket& at) {
    at.socket().async_wait(tcp::socket::wait_read, [](const auto&) {});
    io.restart();
    io.run_for(5s);
}

int option(SessionSocket& of, int level, int name) {
    int value = 0;
    socklen_t size = sizeof value;
    CHECK(::getsockopt(of.socket().native_handle(), level, name, &value, &size) == 0);
    return value;
}

}  // namespace

TEST_CASE("session socket: dials from local_address") {
    Connected pair;
    CHECK(pair.other.remote_endpoint().address().to_string() == "127.0.0.9");
}

TEST_CASE(
    "session socket: a local_address that is not on this host is a sentence, not an exception") {
    boost::asio::io_context io;
    const auto opened =
        SessionSocket::open(io, Address::v4(0x7f000001), {*Address::parse("192.0.2.77"), 1});
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

TEST_CASE("session socket: RFC 5482: TCP_USER_TIMEOUT is set as it was asked for") {
    Connected pair;
    pair.ours.set_user_timeout(23s);
    CHECK(option(pair.ours, IPPROTO_TCP, TCP_USER_TIMEOUT) == 23'000);
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

TEST_CASE("session socket: hop limits, least hops and type of service are set before dialling") {
    boost::asio::io_context io;
    const daemon::SocketOptions options{.hop_limit = 255, .least_hops = 254};
    auto ipv4 = SessionSocket::open(io, Address::v4(0x7f000001), options);
    REQUIRE(ipv4.has_value());
    CHECK(option(*ipv4, IPPROTO_IP, IP_TTL) == 255);
    CHECK(option(*ipv4, IPPROTO_IP, IP_MINTTL) == 254);
    CHECK(option(*ipv4, IPPROTO_IP, IP_TOS) == 0xc0);
    auto ipv6 = SessionSocket::open(io, *Address::parse("::1"), options);
    REQUIRE(ipv6.has_value());
    CHECK(option(*ipv6, IPPROTO_IPV6, IPV6_UNICAST_HOPS) == 255);
    CHECK(option(*ipv6, IPPROTO_IPV6, IPV6_MINHOPCOUNT) == 254);
    CHECK(option(*ipv6, IPPROTO_IPV6, IPV6_TCLASS) == 0xc0);
}

TEST_CASE("session socket: options change on a connection that lives") {
    Connected pair;
    REQUIRE(pair.ours.apply({.hop_limit = 255, .least_hops = 255}).has_value());
    CHECK(option(pair.ours, IPPROTO_IP, IP_TTL) == 255);
    CHECK(option(pair.ours, IPPROTO_IP, IP_MINTTL) == 255);
    REQUIRE(pair.ours.apply({.hop_limit = 1}).has_value());
    CHECK(option(pair.ours, IPPROTO_IP, IP_TTL) == 1);
    CHECK(option(pair.ours, IPPROTO_IP, IP_MINTTL) == 0);
}

TEST_CASE("session socket: with ttl_security what comes from afar is dropped") {
    Connected pair;
    REQUIRE(pair.ours.apply({.hop_limit = 255, .least_hops = 255}).has_value());
    std::vector<std::uint8_t> buffer(64);
    // The other side sends with 64, as if it had come over hops.
    boost::asio::write(pair.other, boost::asio::buffer("far", 3));
    CHECK(pair.ours.read(buffer).status == SessionSocket::Io::blocked);
    pair.other.set_option(boost::asio::ip::unicast::hops(255));
    boost::asio::write(pair.other, boost::asio::buffer("near", 4));
    await_octets(pair.io, pair.ours);  // the first is sent again
    CHECK(pair.ours.read(buffer).count > 0);
}

namespace {

/// Both ends of a connection over loopback that is signed.
struct Signed {
    static constexpr Address here = Address::v4(0x7f000001);
    boost::asio::io_context io;
    std::optional<SessionSocket> ours;
    std::optional<SessionSocket> theirs;

    static daemon::SocketOptions with(const std::string& key) {
        return {.hop_limit = 1, .md5_key = key};
    }

    explicit Signed(const std::string& key) {
        tcp::acceptor acceptor{io, {boost::asio::ip::make_address("127.0.0.1"), 0}};
        REQUIRE(daemon::install_md5_key(acceptor.native_handle(), {*Prefix::masked(here, 32), key})
                    .has_value());
        auto opened = SessionSocket::open(io, here, with(key));
        REQUIRE(opened.has_value());
        opened->socket().connect(acceptor.local_endpoint());
        ours.emplace(std::move(*opened));
        REQUIRE(ours->prepare(with(key)).has_value());
        theirs.emplace(acceptor.accept(), here);
        REQUIRE(theirs->prepare(with(key)).has_value());
    }
};

}  // namespace

TEST_CASE("session socket: a key that both ends change, or take away, loses nothing") {
    for (const std::string next : {"two", ""}) {
        CAPTURE(next);
        Signed pair{"one"};
        REQUIRE(pair.ours->apply(Signed::with(next)).has_value());
        const Bytes words(100, 7);
        REQUIRE(pair.ours->write({words}, false).count == 100);
        std::vector<std::uint8_t> buffer(256);
        CHECK(pair.theirs->read(buffer).status == SessionSocket::Io::blocked);  // wrongly signed
        REQUIRE(pair.theirs->apply(Signed::with(next)).has_value());
        await_octets(pair.io, *pair.theirs);
        CHECK(pair.theirs->read(buffer).count == 100);
    }
}
