#include "daemon/peer_driver.hpp"

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <optional>
#include <variant>
#include <vector>

#include "swerve/base/clock.hpp"

using namespace swerve;
using namespace std::chrono_literals;
using boost::asio::ip::tcp;

namespace {

const Address loopback = Address::v4(0x7f000001);

/// A driver whose machine learns of connections, but not of what comes over them: only the reading
/// is looked at.
struct Reading {
    boost::asio::io_context io;
    bgp::Peer peer{{.open = {.local_as = *Asn::from(64500),
                             .router_id = *RouterId::parse("192.0.2.1"),
                             .remote_as = *Asn::from(64501),
                             .hold_time = 90s,
                             .families = {Family::ipv4}},
                    .passive = true,
                    .next_hop_ipv4 = {},
                    .next_hop_ipv6 = {}}};
    std::vector<std::size_t> reads;  ///< what came in each
    daemon::PeerDriver driver{io,
                              0,
                              peer,
                              {.remote = {loopback, 179}, .socket = {std::nullopt, 1}},
                              {.tell = [this](const auto& event) { heard(event); },
                               .settled = [] {},
                               .dump = {},
                               .alarm = [](const auto&) {}}};
    tcp::acceptor acceptor{io, {boost::asio::ip::make_address("127.0.0.1"), 0}};

    Reading() {
        bgp::PeerActions ignored;
        peer.handle(BootClock::now(), bgp::Start{}, ignored);
    }

    void heard(const daemon::SpeakerEvent& event) {
        const auto* input = std::get_if<daemon::PeerInput>(&event);
        if (input == nullptr) return;
        if (const auto* got = std::get_if<bgp::BytesReceived>(&input->event)) {
            reads.push_back(got->bytes.size());
            return;
        }
        bgp::PeerActions ignored;
        peer.handle(BootClock::now(), input->event, ignored);
    }

    /// The neighbor's end of a connection that the driver has taken.
    tcp::socket call() {
        tcp::socket theirs{io};
        theirs.connect(acceptor.local_endpoint());
        driver.accepted(acceptor.accept());
        return theirs;
    }
};

void await_acknowledged_end(tcp::socket& of) {
    tcp_info info{};
    int failed = 0;
    while (failed == 0 && info.tcpi_state != TCP_FIN_WAIT2) {
        socklen_t size = sizeof info;
        failed = ::getsockopt(of.native_handle(), IPPROTO_TCP, TCP_INFO, &info, &size);
    }
    CHECK(failed == 0);
}

}  // namespace

TEST_CASE("peer driver: a turn of the loop reads at most 16 KiB from a neighbor that floods us") {
    Reading of;
    tcp::socket theirs = of.call();
    boost::asio::write(theirs, boost::asio::buffer(Bytes(100'000, 0xff)));
    std::size_t total = 0;
    while (total < 100'000) {
        of.reads.clear();
        REQUIRE(of.io.run_one_for(5s) == 1);
        std::size_t turn = 0;
        for (const std::size_t octets : of.reads) turn += octets;
        CHECK(turn <= std::size_t{16} << 10U);
        total += turn;
    }
}

TEST_CASE("peer driver: a further call has the octets read of a connection that ends only") {
    Reading of;
    tcp::socket first = of.call();
    boost::asio::write(first, boost::asio::buffer(Bytes(1000, 0xff)));
    const tcp::socket second = of.call();
    CHECK(of.reads.empty());
    first.shutdown(tcp::socket::shutdown_send);
    await_acknowledged_end(first);
    const tcp::socket third = of.call();
    CHECK(of.reads == std::vector<std::size_t>{1000});
}
