// The sockets of the bfd loop as addresses, interfaces and sessions come and go.

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <sstream>

#include "daemon/bfd_loop.hpp"
#include "tests/support/bfd_network.hpp"
#include "tests/support/bfd_two.hpp"

using namespace swerve;
using namespace std::chrono_literals;
using bfd::SessionConfig;
using bfd::State;
using daemon::BfdSnapshot;
using daemon::BfdView;
using swerve::testing::BfdSite;
using swerve::testing::in_own_network;
using swerve::testing::multihop;
using swerve::testing::session;

namespace {

/// Of the socket that is bound to this address and the port of single hops, as a fork has it.
int copy_of_receiver(const std::string& address) {
    for (const auto& entry : std::filesystem::directory_iterator{"/proc/self/fd"}) {
        const int fd = std::stoi(entry.path().filename().string());
        sockaddr_in bound{};
        socklen_t size = sizeof bound;
        if (::getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size) != 0) continue;
        if (bound.sin_family == AF_INET && ntohs(bound.sin_port) == bfd::single_hop_port &&
            Address::v4(ntohl(bound.sin_addr.s_addr)) == *Address::parse(address)) {
            return ::dup(fd);
        }
    }
    return -1;
}

/// Whether an epoll of this process has it, under whatever number.
bool is_watched(int socket) {
    struct stat about{};
    REQUIRE(::fstat(socket, &about) == 0);
    std::ostringstream inode;
    inode << " ino:" << std::hex << about.st_ino << ' ';
    for (const auto& entry : std::filesystem::directory_iterator{"/proc/self/fdinfo"}) {
        std::ifstream info{entry.path()};
        for (std::string line; std::getline(info, line);) {
            if (line.starts_with("tfd:") && line.find(inode.str()) != std::string::npos)
                return true;
        }
    }
    return false;
}

bool run(const std::string& command) {
    return std::system(command.c_str()) == 0;  // NOLINT(concurrency-mt-unsafe)
}

}  // namespace

TEST_CASE("bfd loop: the last session of an address gives its socket back") {
    in_own_network([] {
        BfdSite a{1};
        a.start();
        SessionConfig one = session("127.0.0.2", "127.0.0.3");
        SessionConfig another = session("127.0.0.2", "127.0.0.4");
        another.owner = 3;
        one.timing.multiplier = another.timing.multiplier =
            1;  // that is how long AdminDown is said
        const auto is_free = [] {
            const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
            sockaddr_in here{};
            here.sin_family = AF_INET;
            here.sin_port = htons(bfd::single_hop_port);
            here.sin_addr.s_addr = htonl(0x7f000002);
            const int bound = ::bind(fd, reinterpret_cast<const sockaddr*>(&here), sizeof here);
            ::close(fd);
            return bound == 0;
        };
        a.want({one, another});
        (void)a.look();
        CHECK_FALSE(is_free());
        a.want({another});
        (void)a.look();
        CHECK_FALSE(is_free());
        a.want({});
        CHECK(a.shows([&](const BfdSnapshot&) { return is_free(); }));
    });
}

TEST_CASE("bfd loop: a socket whose descriptor a child still has is watched no more") {
    in_own_network([] {
        BfdSite a{1};
        a.start();
        SessionConfig one = session("127.0.0.2", "127.0.0.3");
        one.timing.multiplier = 1;  // that is how long AdminDown is said
        a.want({one});
        (void)a.look();
        const int copy = copy_of_receiver("127.0.0.2");
        REQUIRE(copy >= 0);
        CHECK(is_watched(copy));
        a.want({});
        CHECK(a.shows([&](const BfdSnapshot&) { return !is_watched(copy); }));
        ::close(copy);
    });
}

TEST_CASE("bfd loop: IPv6, global and link-local; an interface that goes may come back") {
    in_own_network([] {
        const auto make = [] {
            return run(
                "ip link add d0 type veth peer name d1 && ip link set d0 up && "
                "ip link set d1 up && "
                "ip addr add fe80::a/64 dev d0 nodad && "
                "ip addr add fe80::b/64 dev d0 nodad");
        };
        if (!run("ip -V >/dev/null") || !make() || !run("ip addr add ::2/128 dev lo nodad")) {
            swerve::testing::skipped("no `ip`, or no veth interface");
            return;
        }
        SessionConfig near_a = session("fe80::a", "fe80::b", "d0");
        SessionConfig near_b = session("fe80::b", "fe80::a", "d0");
        near_a.owner = near_b.owner = 2;
        near_a.timing.multiplier = near_b.timing.multiplier = 20;
        SessionConfig far_a = multihop("::1", "::2");
        SessionConfig far_b = multihop("::2", "::1");
        far_a.owner = far_b.owner = 3;
        BfdSite a{1};
        BfdSite b{2};
        a.start();
        b.start();
        a.want({session("::1", "::2"), near_a, far_a});
        b.want({session("::2", "::1"), near_b, far_b});
        const auto all_up = [](const BfdSnapshot& now) {
            return std::ranges::all_of(
                now.sessions, [](const BfdView& each) { return each.session.state == State::up; });
        };
        CHECK(a.shows(all_up));
        CHECK(b.shows(all_up));

        const auto near = [](const BfdSnapshot& now) {
            return *std::ranges::find(now.sessions, "d0", [](const BfdView& each) {
                return each.session.config.key.interface;
            });
        };
        const std::uint16_t port = near(a.look()).source_port;
        REQUIRE(run("ip link del d0"));
        a.hears(State::down, 2);
        CHECK(a.is_alarmed("BFD: there is no interface d0"));
        CHECK(near(a.look()).trouble == "there is no interface d0");
        CHECK(near(a.look()).source_port == 0);
        REQUIRE(make());
        CHECK(a.shows(all_up));
        CHECK(near(a.look()).source_port == port);
        CHECK(a.alarms().size() == 1);
    });
}

TEST_CASE("bfd loop: an address that comes late, goes and comes back") {
    in_own_network([] {
        if (!run("ip addr add 192.0.2.2/32 dev lo")) {
            swerve::testing::skipped("no `ip`");
            return;
        }
        BfdSite a{1};
        BfdSite b{2};
        a.start();
        b.start();
        SessionConfig of_a = session("192.0.2.1", "192.0.2.2");
        SessionConfig of_b = session("192.0.2.2", "192.0.2.1");
        of_a.timing.multiplier = of_b.timing.multiplier = 20;
        a.want({of_a});
        b.want({of_b});
        CHECK(a.is_alarmed("cannot bind 192.0.2.1:3784: Cannot assign requested address"));
        REQUIRE(run("ip addr add 192.0.2.1/32 dev lo"));
        a.hears(State::up);
        b.hears(State::up);
        REQUIRE(run("ip addr del 192.0.2.1/32 dev lo"));
        b.hears(State::down);
        CHECK(a.shows([](const BfdSnapshot& now) {
            return now.sessions.at(0).trouble.starts_with("cannot send: ");
        }));
        REQUIRE(run("ip addr add 192.0.2.1/32 dev lo"));
        a.hears(State::up);
        b.hears(State::up);
        CHECK(a.alarms().size() == 1);
    });
}

TEST_CASE("bfd loop: real-time priority is what the snapshot says, or there is an alarm") {
    in_own_network([] {
        BfdSite a{1};
        a.start();
        a.want({}, true);
        CHECK(a.look().realtime == a.alarms().empty());
        a.want({}, true);
        (void)a.look();
        CHECK(a.alarms().size() <= 1);
        a.want({}, false);
        CHECK_FALSE(a.look().realtime);
    });
}
