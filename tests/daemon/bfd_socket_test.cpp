#include "daemon/bfd_socket.hpp"

#include <doctest/doctest.h>
#include <poll.h>

#include <cerrno>
#include <stdexcept>
#include <vector>

#include "tests/support/bfd_network.hpp"

using namespace swerve;
using daemon::BfdBatch;
using daemon::BfdReceiver;
using daemon::BfdSender;
using swerve::testing::in_own_network;
using swerve::testing::PlainSocket;

namespace {

Address address(const std::string& text) { return *Address::parse(text); }

bfd::SessionKey key(const std::string& local, const std::string& remote) {
    return {.local = address(local), .remote = address(remote)};
}

/// A datagram that stays.
struct Kept {
    Bytes octets;
    Address remote;
    int ttl;
};

/// What has arrived, once anything has.
std::vector<Kept> read(const BfdReceiver& receiver, std::size_t most = BfdBatch::size) {
    pollfd asked{receiver.descriptor(), POLLIN, 0};
    CHECK(::poll(&asked, 1, 20'000) == 1);
    const auto batch = std::make_unique<BfdBatch>();
    std::vector<Kept> out;
    const std::size_t count = receiver.read(*batch, most, [&](const bfd::Datagram& datagram) {
        CHECK(datagram.local == receiver.door().local);
        CHECK(datagram.multihop == receiver.door().multihop);
        out.push_back(
            {{datagram.octets.begin(), datagram.octets.end()}, datagram.remote, datagram.ttl});
    });
    CHECK(count == out.size());
    return out;
}

}  // namespace

TEST_CASE("bfd socket: what a test throws in its own network fails that test alone") {
    bool has_run = false;
    bool was_thrown = false;
    try {
        in_own_network([&] {
            has_run = true;
            throw std::runtime_error{"as REQUIRE does"};
        });
    } catch (const std::runtime_error&) {
        was_thrown = true;
    }
    CHECK(was_thrown == has_run);
}

TEST_CASE("bfd socket: a datagram arrives with its sender and its TTL, in order, a batch at most") {
    in_own_network([] {
        const auto receiver = BfdReceiver::open({.local = address("127.0.0.2")});
        REQUIRE(receiver.has_value());
        const PlainSocket near{"127.0.0.3"};
        const PlainSocket far{"127.0.0.4", 0, 17};
        CHECK(near.send(Bytes{1, 2, 3}, "127.0.0.2", bfd::single_hop_port));
        CHECK(far.send(Bytes{}, "127.0.0.2", bfd::single_hop_port));
        const auto got = read(*receiver);
        REQUIRE(got.size() == 2);
        CHECK(got[0].octets == Bytes{1, 2, 3});
        CHECK(got[0].remote == address("127.0.0.3"));
        CHECK(got[0].ttl == 255);
        CHECK(got[1].octets.empty());
        CHECK(got[1].remote == address("127.0.0.4"));
        CHECK(got[1].ttl == 17);
        for (std::uint8_t i = 0; i < 70; ++i) {
            CHECK(near.send(Bytes{i}, "127.0.0.2", bfd::single_hop_port));
        }
        const auto first = read(*receiver, 3);
        REQUIRE(first.size() == 3);
        CHECK(first[2].octets == Bytes{2});
        const auto batch = read(*receiver, 1000);
        REQUIRE(batch.size() == BfdBatch::size);
        CHECK(batch[0].octets == Bytes{3});
        CHECK(read(*receiver).size() == 3);
    });
}

TEST_CASE("bfd socket: a long datagram is cut where no packet can go on") {
    in_own_network([] {
        const auto receiver = BfdReceiver::open({.local = address("127.0.0.2"), .multihop = true});
        REQUIRE(receiver.has_value());
        const PlainSocket near{"127.0.0.3"};
        CHECK(near.send(Bytes(60'000, 7), "127.0.0.2", bfd::multihop_port));
        const auto got = read(*receiver);
        REQUIRE(got.size() == 1);
        CHECK(got[0].octets == Bytes(BfdBatch::octets, 7));
        CHECK(got[0].ttl == 255);
    });
}

TEST_CASE("bfd socket: an address has its ports to itself, and others leave it alone") {
    in_own_network([] {
        const auto one = BfdReceiver::open({.local = address("127.0.0.2")});
        REQUIRE(one.has_value());
        const auto again = BfdReceiver::open({.local = address("127.0.0.2")});
        REQUIRE_FALSE(again.has_value());
        CHECK(again.error() ==
              "cannot bind 127.0.0.2:3784: Address already in use: "
              "does another BFD speaker run here?");
        CHECK(BfdReceiver::open({.local = address("127.0.0.2"), .multihop = true}).has_value());
        CHECK(BfdReceiver::open({.local = address("127.0.0.3")}).has_value());
        const auto nowhere = BfdReceiver::open({.local = address("192.0.2.1")});
        REQUIRE_FALSE(nowhere.has_value());
        CHECK(nowhere.error() ==
              "cannot bind 192.0.2.1:3784: Cannot assign requested address: "
              "does this host have the address?");
        const auto no_link = BfdReceiver::open({.local = address("fe80::1"), .interface = "none0"});
        REQUIRE_FALSE(no_link.has_value());
        CHECK(no_link.error() == "there is no interface none0");
    });
}

TEST_CASE("bfd socket: a session keeps its source port where it can, else it takes another one") {
    in_own_network([] {
        Random random{7};
        std::uint16_t port = 0;
        {
            const auto sender = BfdSender::open(key("127.0.0.2", "127.0.0.3"), 0, random);
            REQUIRE(sender.has_value());
            port = sender->port();
            CHECK(port >= 49152);
            const auto other = BfdSender::open(key("127.0.0.2", "127.0.0.3"), port, random);
            REQUIRE(other.has_value());
            CHECK(other->port() != port);
            CHECK(other->port() >= 49152);
        }
        const auto same = BfdSender::open(key("127.0.0.2", "127.0.0.3"), port, random);
        REQUIRE(same.has_value());
        CHECK(same->port() == port);
        const auto nowhere = BfdSender::open(key("192.0.2.1", "127.0.0.3"), 0, random);
        REQUIRE_FALSE(nowhere.has_value());
        CHECK(nowhere.error() ==
              "cannot bind 192.0.2.1: Cannot assign requested address: "
              "does this host have the address?");
    });
}

TEST_CASE("bfd socket: neither a closed port nor a missing route ends a sender") {
    in_own_network([] {
        Random random{7};
        const Bytes packet(24, 1);
        const auto sender = BfdSender::open(key("127.0.0.2", "127.0.0.3"), 0, random);
        REQUIRE(sender.has_value());
        // Nobody listens: the kernel answers with ICMP.
        for (int i = 0; i < 3; ++i) CHECK(sender->send(packet) == 0);
        const PlainSocket neighbor{"127.0.0.3", bfd::single_hop_port};
        CHECK(sender->send(packet) == 0);
        const auto got = neighbor.receive();
        REQUIRE(got.has_value());
        CHECK(got->octets == packet);
        CHECK(got->ttl == 255);
        CHECK(got->tos == 0xc0);
        CHECK(got->source_port == sender->port());
        const auto lost = BfdSender::open(key("127.0.0.2", "198.51.100.1"), 0, random);
        REQUIRE(lost.has_value());
        CHECK(lost->send(packet) != 0);
    });
}

TEST_CASE("bfd socket: IPv6 has its hop limit told as well") {
    in_own_network([] {
        Random random{7};
        const auto receiver = BfdReceiver::open({.local = address("::1")});
        REQUIRE(receiver.has_value());
        const auto sender = BfdSender::open(key("::1", "::1"), 0, random);
        REQUIRE(sender.has_value());
        CHECK(sender->send(Bytes{9}) == 0);
        const auto got = read(*receiver);
        REQUIRE(got.size() == 1);
        CHECK(got[0].octets == Bytes{9});
        CHECK(got[0].remote == address("::1"));
        CHECK(got[0].ttl == 255);
        const auto again = BfdReceiver::open({.local = address("::1")});
        REQUIRE_FALSE(again.has_value());
        CHECK(again.error().starts_with("cannot bind [::1]:3784: "));
    });
}
