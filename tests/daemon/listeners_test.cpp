#include "daemon/listeners.hpp"

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/read.hpp>
#include <string>
#include <vector>

#include "daemon/session_socket.hpp"

using namespace swerve;
using namespace std::chrono_literals;
using boost::asio::ip::tcp;
using boost::system::error_code;
using daemon::Listeners;
using daemon::Md5Key;
using daemon::NeighborId;
using daemon::SessionSocket;

namespace {

Endpoint free_endpoint(const std::string& address) {
    boost::asio::io_context io;
    tcp::acceptor probe{io, {boost::asio::ip::make_address(address), 0}};
    return {*Address::parse(address), probe.local_endpoint().port()};
}

/// Listeners, and what they let in.
struct Door {
    boost::asio::io_context io;
    std::vector<Address> asked;
    std::vector<std::pair<NeighborId, tcp::socket>> in;
    std::vector<std::string> alarms;
    std::optional<NeighborId> answer = 7;
    Listeners listeners{
        io,
        {.admit =
             [this](const Address& from, const std::string&) {
                 asked.push_back(from);
                 return answer;
             },
         .accepted = [this](NeighborId id,
                            tcp::socket socket) { in.emplace_back(id, std::move(socket)); },
         .alarm = [this](std::string what) { alarms.push_back(std::move(what)); }}};

    /// Runs the loop until `done`, for 5 s at most.
    void run_until(const std::function<bool()>& done) {
        const auto give_up = std::chrono::steady_clock::now() + 5s;
        while (!done() && std::chrono::steady_clock::now() < give_up) io.run_one_for(10ms);
        CHECK(done());
    }
    /// A connection to `where` with this key; whether it came about within a moment.
    bool connects(const Endpoint& where, const std::string& key,
                  std::chrono::milliseconds patience = 2000ms) {
        auto opened = SessionSocket::open(io, where.address, {.hop_limit = 64, .md5_key = key});
        REQUIRE(opened.has_value());
        std::optional<error_code> result;
        opened->socket().async_connect(daemon::to_asio(where),
                                       [&](const error_code& error) { result = error; });
        const auto give_up = std::chrono::steady_clock::now() + patience;
        while (!result && std::chrono::steady_clock::now() < give_up) io.run_one_for(10ms);
        if (result) return !*result;
        opened->socket().close();
        while (!result) io.run_one();
        return false;
    }
};

std::vector<Md5Key> key(const Address& from, const std::string& secret) {
    return {{*Prefix::masked(from, address_bits(from.family())), secret}};
}

int option(int fd, int level, int name) {
    int value = 0;
    socklen_t size = sizeof value;
    CHECK(::getsockopt(fd, level, name, &value, &size) == 0);
    return value;
}

}  // namespace

TEST_CASE("listeners: whoever is wanted is handed on, with who it is") {
    Door door;
    const Endpoint at = free_endpoint("127.0.0.1");
    REQUIRE(door.listeners.bind({at}, {}).has_value());
    door.listeners.start();
    CHECK(door.connects(at, ""));
    door.run_until([&] { return door.in.size() == 1; });
    CHECK(door.in[0].first == 7);
    CHECK(door.asked == std::vector{*Address::parse("127.0.0.1")});
}

TEST_CASE("listeners: whoever is not wanted is reset, and a thousand of them leave no socket") {
    Door door;
    door.answer.reset();
    const Endpoint at = free_endpoint("127.0.0.1");
    REQUIRE(door.listeners.bind({at}, {}).has_value());
    door.listeners.start();
    error_code ended;
    for (std::size_t i = 1; i <= 1000; ++i) {
        tcp::socket caller{door.io};
        caller.connect(daemon::to_asio(at));
        door.run_until([&] { return door.asked.size() == i; });
        char octet = 0;
        boost::asio::read(caller, boost::asio::buffer(&octet, 1), ended);
        if (ended != boost::asio::error::connection_reset) break;
    }
    CHECK(ended == boost::asio::error::connection_reset);
    CHECK(door.in.empty());
    CHECK(door.alarms.empty());
}

TEST_CASE("listeners: a flood is taken in portions, so that the loop sees others in between") {
    Door door;
    door.answer.reset();
    const Endpoint at = free_endpoint("127.0.0.1");
    REQUIRE(door.listeners.bind({at}, {}).has_value());
    std::vector<tcp::socket> flood;
    for (int i = 0; i < 100; ++i) {
        flood.emplace_back(door.io).connect(daemon::to_asio(at));
    }
    door.listeners.start();
    door.io.run_one();
    CHECK(door.asked.size() == 16);
    door.run_until([&] { return door.asked.size() == 100; });
}

TEST_CASE("listeners: keys are asked for from the first SYN on, and change while listening") {
    for (const std::string host : {"127.0.0.1", "::1"}) {
        CAPTURE(host);
        Door door;
        const Endpoint at = free_endpoint(host);
        REQUIRE(door.listeners.bind({at}, key(at.address, "one")).has_value());
        door.listeners.start();
        CHECK(door.connects(at, "one"));
        CHECK_FALSE(door.connects(at, "two", 300ms));
        CHECK_FALSE(door.connects(at, "", 300ms));

        REQUIRE(door.listeners.bind({at}, key(at.address, "two")).has_value());
        CHECK(door.connects(at, "two"));
        CHECK_FALSE(door.connects(at, "one", 300ms));

        REQUIRE(door.listeners.bind({at}, {}).has_value());
        CHECK(door.connects(at, ""));
        CHECK_FALSE(door.connects(at, "two", 300ms));
    }
}

TEST_CASE("listeners: a range has one key for all that call from it") {
    Door door;
    const Endpoint at = free_endpoint("127.0.0.1");
    REQUIRE(door.listeners.bind({at}, {{*Prefix::parse("127.0.0.0/8"), "one"}}).has_value());
    door.listeners.start();
    CHECK(door.connects(at, "one"));
    CHECK_FALSE(door.connects(at, "", 300ms));
}

TEST_CASE("listeners: a bind that fails leaves endpoints and keys as they were") {
    Door door;
    const Endpoint at = free_endpoint("127.0.0.1");
    REQUIRE(door.listeners.bind({at}, key(at.address, "one")).has_value());
    door.listeners.start();
    const auto refused =
        door.listeners.bind({at, {*Address::parse("192.0.2.77"), 179}}, key(at.address, "two"));
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().starts_with("cannot listen for BGP on 192.0.2.77:179: "));
    CHECK(door.connects(at, "one"));

    // A key that the kernel does not take, after one that it took.
    auto keys = key(at.address, "two");
    keys.push_back({*Prefix::parse("192.0.2.1/32"), std::string(81, 'k')});
    REQUIRE_FALSE(door.listeners.bind({at}, keys).has_value());
    CHECK(door.connects(at, "one"));
    CHECK_FALSE(door.connects(at, "two", 300ms));
}

TEST_CASE("listeners: what is accepted has TTL 255 and internetwork control until it is prepared") {
    for (const std::string host : {"127.0.0.1", "::1"}) {
        CAPTURE(host);
        Door door;
        const Endpoint at = free_endpoint(host);
        REQUIRE(door.listeners.bind({at}, {}).has_value());
        door.listeners.start();
        CHECK(door.connects(at, ""));
        door.run_until([&] { return door.in.size() == 1; });
        const bool ipv4 = at.address.family() == Family::ipv4;
        const int level = ipv4 ? IPPROTO_IP : IPPROTO_IPV6;
        SessionSocket socket{std::move(door.in[0].second), at.address};
        const int fd = socket.socket().native_handle();
        CHECK(option(fd, level, ipv4 ? IP_TTL : IPV6_UNICAST_HOPS) == 255);
        CHECK(option(fd, level, ipv4 ? IP_TOS : IPV6_TCLASS) == 0xc0);

        REQUIRE(socket.prepare({.hop_limit = 1}).has_value());
        CHECK(option(fd, level, ipv4 ? IP_TTL : IPV6_UNICAST_HOPS) == 1);
        CHECK(option(fd, level, ipv4 ? IP_TOS : IPV6_TCLASS) == 0xc0);
    }
}
