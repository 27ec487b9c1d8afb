#include <doctest/doctest.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <boost/asio/generic/raw_protocol.hpp>
#include <boost/asio/ip/icmp.hpp>
#include <fstream>

#include "health/probes/echo_message.hpp"
#include "tests/probes/support.hpp"
#include "tests/support/skipped.hpp"

using namespace swerve;
using namespace swerve::health;
using namespace swerve::health::testing;
using namespace std::chrono_literals;
namespace asio = boost::asio;

namespace {

FieldMap address(std::string value) { return {{"address", text(std::move(value))}}; }

ProbeContext owning(std::string_view prefix) { return {.owned = {*Prefix::parse(prefix)}}; }

void set(const std::string& sysctl, std::string_view value) {
    std::ofstream("/proc/sys/net/" + sysctl) << value;
}

/// Says so where the tests may not have a network of their own.
void in_network(const std::function<void()>& body) {
    if (!in_own_network(body))
        swerve::testing::skipped("needs the right to make a network namespace");
}

/// Takes CAP_NET_RAW from this thread.
void drop_net_raw() {
    ::__user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    ::__user_cap_data_struct data[2]{};
    REQUIRE(::syscall(SYS_capget, &header, data) == 0);
    data[0].effective &= ~(1U << unsigned{CAP_NET_RAW});
    REQUIRE(::syscall(SYS_capset, &header, data) == 0);
}

/// The steps of an attempt, one a line.
struct Steps {
    ProbeContext context{.step = [this](std::string text) { all += text + "\n"; }};
    std::string all;
};

/// Hears the requests of probes over IPv4 and sends what `replies` makes of each; the kernel
/// itself must not answer.
class EchoServer {
public:
    using Replies = std::function<std::vector<Echo>(const Echo&)>;
    EchoServer(Loop& loop, Replies replies)
        : socket_(loop.io, asio::ip::icmp::v4()), replies_(std::move(replies)) {
        set("ipv4/icmp_echo_ignore_all", "1");
        hear();
    }

private:
    void hear() {
        socket_.async_receive_from(
            asio::buffer(buffer_), peer_, [this](const auto& error, std::size_t count) {
                if (error) return;
                auto message = *behind_ipv4_header(ByteView{buffer_}.first(count));
                if (message[0] == 8) answer(message);
                hear();
            });
    }
    void answer(ByteView message) {
        Bytes reply(message.begin(), message.end());
        reply[0] = 0;
        for (const Echo& echo : replies_(*decode_reply(Family::ipv4, reply))) {
            // A reply's type is 0 and not 8, by which its checksum is the larger.
            Bytes octets = encode_request(Family::ipv4, echo);
            octets[0] = 0;
            const unsigned sum = (unsigned{octets[2]} << 8U | octets[3]) + 0x0800U;
            const unsigned folded = (sum & 0xffffU) + (sum >> 16U);
            octets[2] = static_cast<std::uint8_t>(folded >> 8U);
            octets[3] = static_cast<std::uint8_t>(folded);
            socket_.send_to(asio::buffer(octets), peer_);
        }
    }

    asio::ip::icmp::socket socket_;
    Replies replies_;
    asio::ip::icmp::endpoint peer_;
    std::array<std::uint8_t, 512> buffer_{};
};

}  // namespace

TEST_CASE("icmp: an echo over both families, with a socket for ping and with a raw one") {
    in_network([] {
        Loop loop;
        for (const bool unprivileged : {true, false}) {
            set("ipv4/ping_group_range", unprivileged ? "0 0" : "1 0");
            for (const std::string at : {"127.0.0.1", "::1", "127.5.6.7"}) {
                Steps steps;
                const Outcome outcome = loop.attempt("icmp", address(at), 5s, steps.context);
                CHECK(outcome.result == ProbeResult::pass);
                CHECK(outcome.reason == "echo from " + at);
                CHECK(steps.all.starts_with("asked " + at + " for an echo, on a " +
                                            (unprivileged ? "socket for ping" : "raw socket")));
            }
        }
    });
}

TEST_CASE("icmp: without a right to send any it is unknown, and says what to do") {
    in_network([] {
        set("ipv4/ping_group_range", "1 0");
        drop_net_raw();
        Loop loop;
        for (const std::string at : {"127.0.0.1", "::1"}) {
            const Outcome outcome = loop.attempt("icmp", address(at));
            CHECK(outcome.result == ProbeResult::unknown);
            CHECK(outcome.reason ==
                  "no right to send ICMP: add group 0 to the sysctl net.ipv4.ping_group_range, or "
                  "give CAP_NET_RAW (AmbientCapabilities= and CapabilityBoundingSet= of its unit)");
        }
        set("ipv4/ping_group_range", "0 0");
        CHECK(loop.attempt("icmp", address("127.0.0.1")).result == ProbeResult::pass);
    });
}

TEST_CASE("icmp: silence, no route, and a host that is unreachable") {
    in_network([] {
        Loop loop;
        for (const bool unprivileged : {true, false}) {
            set("ipv4/ping_group_range", unprivileged ? "0 0" : "1 0");
            Outcome outcome = loop.attempt("icmp", address("192.0.2.1"));
            CHECK(outcome.result == ProbeResult::fail);
            CHECK(outcome.reason == "opening a socket towards 192.0.2.1: Network is unreachable");
            set("ipv4/icmp_echo_ignore_all", "1");
            outcome = loop.attempt("icmp", address("127.0.0.1"), 80ms);
            CHECK(outcome.result == ProbeResult::fail);
            CHECK(outcome.reason == "no answer within 80ms, waiting for the echo of 127.0.0.1");
            set("ipv4/icmp_echo_ignore_all", "0");
        }
        // A neighbour that does not answer to ARP is reported by the kernel after a second or so.
        REQUIRE(run_program({"ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1"}) ==
                0);
        REQUIRE(run_program({"ip", "address", "add", "192.0.2.1/24", "dev", "v0"}) == 0);
        REQUIRE(run_program({"ip", "link", "set", "v0", "up"}) == 0);
        REQUIRE(run_program({"ip", "link", "set", "v1", "up"}) == 0);
        set("ipv4/neigh/v0/mcast_solicit", "1");
        set("ipv4/neigh/v0/retrans_time_ms", "20");
        for (const bool unprivileged : {true, false}) {
            set("ipv4/ping_group_range", unprivileged ? "0 0" : "1 0");
            const Outcome outcome = loop.attempt("icmp", address("192.0.2.2"), 4s);
            CHECK(outcome.result == ProbeResult::fail);
            CHECK(outcome.reason == "waiting for the echo of 192.0.2.2: No route to host");
        }
    });
}

TEST_CASE("icmp: only the echo of this very request counts") {
    in_network([] {
        Loop loop;
        int kind = 0;
        const EchoServer server(loop, [&](const Echo& request) {
            Echo other = request;
            if (kind == 0) ++other.sequence;
            if (kind == 1) other.payload[7] ^= 1U;
            if (kind == 2) other.payload.clear();
            if (kind == 3) ++other.identifier;
            return std::vector{other};
        });
        for (const bool unprivileged : {true, false}) {
            set("ipv4/ping_group_range", unprivileged ? "0 0" : "1 0");
            for (kind = 0; kind < 5; ++kind) {
                const Outcome outcome =
                    loop.attempt("icmp", address("127.0.0.1"), kind == 4 ? 5s : Duration{80ms});
                CHECK(outcome.result == (kind == 4 ? ProbeResult::pass : ProbeResult::fail));
            }
        }
    });
}

TEST_CASE("icmp: a target in owned must be an address of this host") {
    in_network([] {
        Loop loop;
        for (const bool unprivileged : {true, false}) {
            set("ipv4/ping_group_range", unprivileged ? "0 0" : "1 0");
            for (const std::string at : {"203.0.113.1", "2001:db8::1"}) {
                const std::string prefix = at + (at.contains(':') ? "/128" : "/32");
                Outcome outcome = loop.attempt("icmp", address(at), 5s, owning(prefix));
                CHECK(outcome.result == ProbeResult::fail);
                CHECK(outcome.reason == at + ": address not on this host");
                // Without nodad, an IPv6 address cannot be used for a moment.
                REQUIRE(run_program({"ip", "address", "add", prefix, "dev", "lo", "nodad"}) == 0);
                // The kernel makes its route to it a moment later.
                CHECK(loop.run_until([&] {
                    outcome = loop.attempt("icmp", address(at), 300ms, owning(prefix));
                    return outcome.result == ProbeResult::pass;
                }));
                CHECK(outcome.reason == "echo from " + at);
                REQUIRE(run_program({"ip", "address", "del", prefix, "dev", "lo"}) == 0);
            }
        }
    });
}

TEST_CASE("icmp: values that make no probe, and what is said of one") {
    CHECK(fault_of("icmp", address("localhost")) == "address: 'localhost' is no address");
    CHECK(fault_of("icmp", address("224.0.0.1")) == "address: '224.0.0.1' is a multicast address");
    CHECK(fault_of("icmp", address("127.0.0.1")) == "none");
    const ProbeType& type = *find_probe_type("icmp");
    CHECK(type.target(address("2001:db8::1")) == "icmp://2001:db8::1");
    CHECK_FALSE(type.sees_hangs(address("127.0.0.1")));
}

TEST_CASE("icmp: messages on the wire") {
    // RFC 792; the checksum is that of RFC 1071.
    const Echo echo{.identifier = 0x1234, .sequence = 1, .payload = {'a', 'b', 'c'}};
    CHECK(encode_request(Family::ipv4, echo) ==
          Bytes{8, 0, 0x21, 0x68, 0x12, 0x34, 0, 1, 'a', 'b', 'c'});
    CHECK(encode_request(Family::ipv6, echo) ==
          Bytes{128, 0, 0, 0, 0x12, 0x34, 0, 1, 'a', 'b', 'c'});
    CHECK(decode_reply(Family::ipv4, Bytes{0, 0, 9, 9, 0x12, 0x34, 0, 1, 'a', 'b', 'c'}) == echo);
    CHECK(decode_reply(Family::ipv6, Bytes{129, 0, 9, 9, 0x12, 0x34, 0, 1, 'a', 'b', 'c'}) == echo);
    CHECK_FALSE(decode_reply(Family::ipv4, Bytes{8, 0, 9, 9, 0x12, 0x34, 0, 1}));
    CHECK_FALSE(decode_reply(Family::ipv4, Bytes{0, 1, 9, 9, 0x12, 0x34, 0, 1}));
    CHECK_FALSE(decode_reply(Family::ipv4, Bytes{0, 0, 9, 9, 0x12, 0x34, 0}));
    Bytes packet(24, 0);
    packet[0] = 0x45;
    packet[9] = 1;
    CHECK(behind_ipv4_header(packet)->size() == 4);
    packet[0] = 0x46;
    CHECK(behind_ipv4_header(packet)->empty());
    packet[0] = 0x47;
    CHECK_FALSE(behind_ipv4_header(packet));
    packet[0] = 0x44;
    CHECK_FALSE(behind_ipv4_header(packet));
}
