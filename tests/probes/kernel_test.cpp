// Links, addresses and routes, each in a network namespace of the test's own.

#include <doctest/doctest.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <functional>
#include <iterator>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "health/probes/netlink.hpp"
#include "tests/probes/watching.hpp"
#include "tests/support/skipped.hpp"

using namespace swerve;
using namespace swerve::health;
using namespace swerve::health::testing;
using namespace std::chrono_literals;

namespace {

/// Runs `ip`, as in ip("link set d0 up"). Never throws: it is not the test's own thread.
void ip(const std::string& words) {
    CAPTURE(words);
    std::vector<std::string> command{"ip"};
    std::istringstream in{words};
    for (std::string word; in >> word;) command.push_back(word);
    CHECK(run_program(command) == 0);
}

bool in_time(const std::function<bool()>& happens) {
    const TimePoint give_up = BootClock::now() + 10s;
    while (!happens() && BootClock::now() < give_up) std::this_thread::yield();
    return happens();
}

/// Of a pair, so that it has a carrier for as long as p0 is up.
void add_d0() {
    ip("link add d0 type veth peer name p0");
    ip("link set p0 up");
    ip("link set d0 up");
    // The kernel notices a carrier in its own time.
    CHECK(in_time([] { return !trouble_with("d0"); }));
}

/// In a network with d0, which is up.
void with_d0(const std::function<void()>& body) {
    if (run_program({"sh", "-c", "command -v ip >/dev/null"}) != 0) {
        swerve::testing::skipped("no ip (package iproute2)");
        return;
    }
    const bool allowed = in_own_network([&] {
        add_d0();
        body();
    });
    if (!allowed) swerve::testing::skipped("no right to make a network namespace");
}

std::string attempt(Loop& loop, std::string_view type, const FieldMap& values) {
    const Outcome found = loop.attempt(type, values);
    return std::string{to_string(found.result)} + ": " + found.reason;
}

/// Sets a link up or down without a program, so that it can be done often.
class Switch {
public:
    explicit Switch(const char* interface) { std::strcpy(request_.ifr_name, interface); }
    ~Switch() { ::close(socket_); }
    Switch(const Switch&) = delete;
    Switch& operator=(const Switch&) = delete;

    void set(bool up) {
        request_.ifr_flags = static_cast<short>(up ? IFF_UP : 0);
        CHECK(::ioctl(socket_, SIOCSIFFLAGS, &request_) == 0);
    }

private:
    ::ifreq request_{};
    int socket_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
};

}  // namespace

TEST_CASE("link: up, down, without carrier, gone") {
    with_d0([] {
        Loop loop;
        const FieldMap d0{{"interface", text("d0")}};
        CHECK(attempt(loop, "link", {{"interface", text("lo")}}) == "pass: interface lo is up");
        CHECK(attempt(loop, "link", d0) == "pass: interface d0 is up");
        ip("link set d0 down");
        CHECK(attempt(loop, "link", d0) == "fail: interface d0 is down");
        ip("link del d0");
        CHECK(attempt(loop, "link", d0) == "fail: no interface d0");
        add_d0();
        ip("link set p0 down");
        CHECK(in_time([&] {
            return attempt(loop, "link", d0) == "fail: interface d0 is up but has no carrier";
        }));
        ip("link set p0 up");
        CHECK(in_time([&] { return attempt(loop, "link", d0) == "pass: interface d0 is up"; }));
    });
}

TEST_CASE("link: events tell of it, also when it is renamed or comes later") {
    with_d0([] {
        Loop loop;
        Watching watching(loop, "link", {{"interface", text("d0")}});
        ip("link set d0 down");
        CHECK(watching.next() == "fail: interface d0 is down");
        ip("link set d0 name other");
        ip("link set other up");
        watching.settle();
        CHECK(watching.reports.size() == 1);
        ip("link set other down");
        ip("link set other name d0");
        ip("link set d0 up");
        CHECK(watching.next() == "pass: interface d0 is up");
        ip("link del d0");
        CHECK(watching.next() == "fail: no interface d0");
        add_d0();
        CHECK(watching.next() == "pass: interface d0 is up");
        CHECK(watching.stop());
    });
}

TEST_CASE("link: what flaps faster than it is looked at is told at most once a look") {
    with_d0([] {
        Loop loop;
        Watching watching(loop, "link", {{"interface", text("lo")}});
        Switch lo("lo");  // whose carrier needs no time
        for (int i = 0; i < 500; ++i) {
            lo.set(false);
            lo.set(true);
        }
        watching.settle();
        CHECK(watching.reports.empty());  // up before and after
        for (int i = 0; i < 20; ++i) {
            lo.set(false);
            CHECK(watching.next() == "fail: interface lo is down");
            lo.set(true);
            CHECK(watching.next() == "pass: interface lo is up");
        }
        watching.settle();
        CHECK(watching.reports.size() == 40);
    });
}

TEST_CASE("netlink: when the kernel had to drop what it wanted to tell, the watch looks") {
    with_d0([] {
        Loop loop;
        Watching watching(loop, "address", {{"address", text("198.51.100.1")}});
        // More than any receive buffer holds, and no concern of ours; what is, comes last.
        std::string batch;
        for (int i = 0; i < 4000; ++i) {
            batch += i % 2 == 0 ? "address add 10.0.0.1/32 dev d0\n"
                                : "address del 10.0.0.1/32 dev d0\n";
        }
        batch += "address add 198.51.100.1/32 dev d0\n";
        const TempDir dir;
        CHECK(run_program({"ip", "-batch", dir.write("batch", batch)}) == 0);
        CHECK(watching.next() == "pass: 198.51.100.1 is on d0");
    });
}

TEST_CASE("address: bound and usable") {
    with_d0([] {
        Loop loop;
        const FieldMap anywhere{{"address", text("198.51.100.1")}};
        const FieldMap on_d0{{"address", text("198.51.100.1")}, {"interface", text("d0")}};
        CHECK(attempt(loop, "address", anywhere) == "fail: 198.51.100.1 is on no interface");
        ip("address add 198.51.100.1/32 dev lo");
        CHECK(attempt(loop, "address", anywhere) == "pass: 198.51.100.1 is on lo");
        CHECK(attempt(loop, "address", on_d0) == "fail: 198.51.100.1 is not on d0");
        ip("address add 198.51.100.1/32 dev d0");
        CHECK(attempt(loop, "address", on_d0) == "pass: 198.51.100.1 is on d0");
        ip("link set d0 down");
        CHECK(attempt(loop, "address", on_d0) == "fail: 198.51.100.1: interface d0 is down");
        CHECK(attempt(loop, "address", anywhere) == "pass: 198.51.100.1 is on lo");
        // Of a point-to-point link our end counts.
        ip("address add 192.0.2.1 peer 192.0.2.2 dev lo");
        CHECK(attempt(loop, "address", {{"address", text("192.0.2.1")}}).starts_with("pass"));
        CHECK(attempt(loop, "address", {{"address", text("192.0.2.2")}}).starts_with("fail"));
    });
}

TEST_CASE("address: IPv6, tentative and after that") {
    with_d0([] {
        Loop loop;
        const FieldMap values{{"address", text("2001:db8::1")}};
        // Without a carrier nobody answers, and the address stays tentative.
        ip("link add v0 type veth peer name v1");
        ip("link set v0 up");
        ip("address add 2001:db8::1/64 dev v0");
        CHECK(attempt(loop, "address", values) ==
              "fail: 2001:db8::1 on v0 is tentative: duplicates are still being looked for");
        ip("address del 2001:db8::1/64 dev v0");
        Watching watching(loop, "address", values);
        ip("address add 2001:db8::1/64 dev d0 nodad");
        CHECK(watching.next() == "pass: 2001:db8::1 is on d0");
    });
}

TEST_CASE("address: many addresses are read in one attempt") {
    with_d0([] {
        Loop loop;
        std::string batch;
        for (int i = 1; i <= 2000; ++i) {
            batch += "address add 10.1." + std::to_string(i / 250) + "." +
                     std::to_string(i % 250 + 1) + "/32 dev d0\n";
        }
        const TempDir dir;
        CHECK(run_program({"ip", "-batch", dir.write("batch", batch)}) == 0);
        CHECK(attempt(loop, "address", {{"address", text("10.1.8.1")}}) ==
              "pass: 10.1.8.1 is on d0");
        CHECK(attempt(loop, "address", {{"address", text("10.1.8.2")}}).starts_with("fail"));
    });
}

TEST_CASE("address: events tell that it comes and goes, and that its interface goes down") {
    with_d0([] {
        Loop loop;
        Watching watching(loop, "address", {{"address", text("198.51.100.1")}});
        ip("address add 198.51.100.2/32 dev d0");
        ip("address add 198.51.100.1/32 dev d0");
        CHECK(watching.next() == "pass: 198.51.100.1 is on d0");
        ip("link set d0 down");
        CHECK(watching.next() == "fail: 198.51.100.1: interface d0 is down");
        ip("link set d0 up");
        CHECK(watching.next().starts_with("pass"));
        ip("address del 198.51.100.1/32 dev d0");
        CHECK(watching.next() == "fail: 198.51.100.1 is on no interface");
        CHECK(watching.reports.size() == 4);
    });
}

TEST_CASE("route: exactly this prefix, with a next hop that is alive") {
    with_d0([] {
        Loop loop;
        FieldMap values{{"prefix", text("203.0.113.0/24")}};
        const auto now = [&] { return attempt(loop, "route", values); };
        ip("address add 192.0.2.1/24 dev d0");
        CHECK(now() == "fail: no route to 203.0.113.0/24");
        ip("route add 203.0.112.0/23 via 192.0.2.2");
        ip("route add 203.0.113.0/25 via 192.0.2.2");
        CHECK(now() == "fail: no route to 203.0.113.0/24");
        ip("route add 203.0.113.0/24 via 192.0.2.2");
        CHECK(now() == "pass: route to 203.0.113.0/24 via 192.0.2.2 on d0");
        values = {{"prefix", text("203.0.113.0/24")},
                  {"via", text("192.0.2.2")},
                  {"interface", text("d0")}};
        CHECK(now().starts_with("pass"));
        values.at("interface") = text("lo");
        CHECK(now() == "fail: route to 203.0.113.0/24 leads elsewhere");
        values = {{"prefix", text("203.0.113.0/24")}, {"via", text("192.0.2.3")}};
        CHECK(now() == "fail: route to 203.0.113.0/24 leads elsewhere");
        ip("route replace 203.0.113.0/24 nexthop via 192.0.2.2 nexthop via 192.0.2.3");
        CHECK(now() == "pass: route to 203.0.113.0/24 via 192.0.2.3 on d0");
        ip("route replace 203.0.113.0/24 via inet6 fe80::2 dev d0");
        values.at("via") = text("fe80::2");
        CHECK(now() == "pass: route to 203.0.113.0/24 via fe80::2 on d0");
    });
}

TEST_CASE("route: of several the one with the lowest metric counts, be it one that refuses") {
    with_d0([] {
        Loop loop;
        const FieldMap values{{"prefix", text("203.0.113.0/24")}};
        const auto now = [&] { return attempt(loop, "route", values); };
        for (const auto& [kind, says] : {std::pair{"blackhole", "is a blackhole"},
                                         std::pair{"unreachable", "says unreachable"},
                                         std::pair{"prohibit", "says prohibited"},
                                         std::pair{"throw", "leads back to the other tables"}}) {
            ip(std::string{"route replace "} + kind + " 203.0.113.0/24 metric 10");
            CHECK(now() == std::string{"fail: route to 203.0.113.0/24 "} + says);
        }
        ip("route add 203.0.113.0/24 dev d0 metric 20");
        CHECK(now().starts_with("fail"));
        ip("route add 203.0.113.0/24 dev d0 metric 5");
        CHECK(now() == "pass: route to 203.0.113.0/24 on d0");
    });
}

TEST_CASE("route: default routes, other tables, and IPv6") {
    with_d0([] {
        Loop loop;
        CHECK(attempt(loop, "route", {{"prefix", text("0.0.0.0/0")}}).starts_with("fail"));
        ip("route add default dev d0");
        CHECK(attempt(loop, "route", {{"prefix", text("0.0.0.0/0")}}) ==
              "pass: route to 0.0.0.0/0 on d0");
        const FieldMap in_table{{"prefix", text("203.0.113.0/24")},
                                {"table", {std::int64_t{1000}}}};
        CHECK(attempt(loop, "route", in_table) == "fail: no route to 203.0.113.0/24 in table 1000");
        ip("route add 203.0.113.0/24 dev d0 table 1000");
        CHECK(attempt(loop, "route", in_table) ==
              "pass: route to 203.0.113.0/24 in table 1000 on d0");
        CHECK(attempt(loop, "route", {{"prefix", text("203.0.113.0/24")}}).starts_with("fail"));
        const FieldMap ipv6{{"prefix", text("2001:db8:1::/48")}};
        CHECK(attempt(loop, "route", ipv6) == "fail: no route to 2001:db8:1::/48");
        ip("route add 2001:db8:1::/48 via fe80::2 dev d0");
        CHECK(attempt(loop, "route", ipv6) == "pass: route to 2001:db8:1::/48 via fe80::2 on d0");
        CHECK(attempt(loop, "route", {{"prefix", text("::/0")}}).starts_with("fail"));
    });
}

TEST_CASE("route: without a carrier its next hop is dead") {
    with_d0([] {
        Loop loop;
        ip("address add 192.0.2.1/24 dev d0");
        ip("route add 203.0.113.0/24 via 192.0.2.2");
        Watching watching(loop, "route", {{"prefix", text("203.0.113.0/24")}});
        ip("link set p0 down");
        CHECK(watching.next() ==
              "fail: route to 203.0.113.0/24 leads to an interface that is down");
        ip("link set p0 up");
        CHECK(watching.next().starts_with("pass"));
    });
}

TEST_CASE("route: events tell that it comes, and that it goes with its interface or address") {
    with_d0([] {
        Loop loop;
        Watching watching(loop, "route", {{"prefix", text("203.0.113.0/24")}});
        const auto comes = [&] {
            ip("address replace 192.0.2.1/24 dev d0");
            ip("route add 203.0.113.0/24 via 192.0.2.2");
            CHECK(watching.next().starts_with("pass"));
        };
        comes();
        ip("route del 203.0.113.0/24");
        CHECK(watching.next().starts_with("fail"));
        comes();
        ip("link set d0 down");  // of which IPv4 routes are told nothing
        CHECK(watching.next().starts_with("fail"));
        ip("link set d0 up");
        comes();
        ip("address del 192.0.2.1/24 dev d0");
        CHECK(watching.next().starts_with("fail"));
    });
}

TEST_CASE("route: a long table is read whole, and a storm in it is no concern of ours") {
    with_d0([] {
        Loop loop;
        Watching watching(loop, "route", {{"prefix", text("203.0.113.0/24")}});
        std::string batch;
        for (int i = 0; i < 20000; ++i) {
            batch += "route add 10." + std::to_string(i / 250) + "." + std::to_string(i % 250) +
                     ".0/24 dev d0\n";
        }
        const TempDir dir;
        CHECK(run_program({"ip", "-batch", dir.write("batch", batch)}) == 0);
        watching.settle();
        CHECK(watching.reports.empty());
        CHECK(attempt(loop, "route", {{"prefix", text("10.79.249.0/24")}}) ==
              "pass: route to 10.79.249.0/24 on d0");
        CHECK(attempt(loop, "route", {{"prefix", text("10.79.250.0/24")}}).starts_with("fail"));
        ip("route add 203.0.113.0/24 dev d0");
        CHECK(watching.next().starts_with("pass"));
    });
}

TEST_CASE("netlink: many watches share one socket, and give it back") {
    with_d0([] {
        Loop loop;
        const auto sockets = [] {
            return std::distance(std::filesystem::directory_iterator{"/proc/self/fd"},
                                 std::filesystem::directory_iterator{});
        };
        Watching{loop, "link", {{"interface", text("d0")}}}.stop();
        const auto before = sockets();
        {
            std::vector<std::unique_ptr<Watching>> all;
            for (int i = 0; i < 100; ++i) {
                all.push_back(
                    std::make_unique<Watching>(loop, "link", FieldMap{{"interface", text("d0")}}));
                all.push_back(std::make_unique<Watching>(
                    loop, "address", FieldMap{{"address", text("198.51.100.1")}}));
                all.push_back(std::make_unique<Watching>(
                    loop, "route", FieldMap{{"prefix", text("203.0.113.0/24")}}));
            }
            CHECK(sockets() == before + 1);
            ip("link set d0 down");
            CHECK(all[0]->next().starts_with("fail"));
            CHECK(all[297]->next().starts_with("fail"));
        }
        CHECK(sockets() == before);
        loop.io.restart();
        loop.io.run_for(10s);
        CHECK(loop.io.stopped());  // out of work
    });
}

TEST_CASE("netlink: attributes that lie about their length are not followed") {
    const auto bytes = [](std::initializer_list<int> values) {
        std::vector<std::byte> out;
        for (const int value : values) out.push_back(static_cast<std::byte>(value));
        return out;
    };
    CHECK(attribute({}, 1).empty());
    for (const auto& odd : {bytes({4, 0}), bytes({0, 0, 1, 0}), bytes({3, 0, 1, 0}),
                            bytes({9, 0, 1, 0, 1, 2, 3, 4}), bytes({255, 255, 1, 0, 1, 2, 3, 4})}) {
        CHECK(attribute(odd, 1).empty());
    }
    const auto two = bytes({5, 0, 2, 0, 7, 0, 0, 0, 8, 0, 1, 0, 1, 0, 0, 0});
    CHECK(number_in(attribute(two, 1)) == 1);
    CHECK(attribute(two, 2).size() == 1);
    CHECK_FALSE(number_in(attribute(two, 2)));
    CHECK_FALSE(address_in(attribute(two, 2)));
    CHECK(address_in(attribute(two, 1)) == Address::parse("1.0.0.0"));
    CHECK_FALSE(NetlinkMessage{RTM_NEWROUTE, attribute(two, 2)}.header<::rtmsg>());
    CHECK(NetlinkMessage{RTM_NEWROUTE, attribute(two, 2)}.attributes<::rtmsg>().empty());
}

TEST_CASE("link, address, route: values that make no probe") {
    CHECK(fault_of("link", {{"interface", text("")}}) ==
          "interface: '' is no name of an interface");
    CHECK(fault_of("link", {{"interface", text("eth 0")}}).ends_with("no name of an interface"));
    CHECK(fault_of("link", {{"interface", text("../eth0")}}).ends_with("no name of an interface"));
    CHECK(fault_of("link", {{"interface", text("sixteen-letters-")}}).ends_with("15 characters"));
    CHECK(fault_of("address", {{"address", text("198.51.100.1/32")}}).ends_with("is no address"));
    CHECK(fault_of("address", {{"address", text("::")}}).ends_with("no address of a host"));
    CHECK(fault_of("address", {{"address", text("192.0.2.1")}, {"interface", text("a/b")}})
              .starts_with("interface: "));
    CHECK(fault_of("route", {{"prefix", text("192.0.2.1")}}) == "prefix: '192.0.2.1' is no prefix");
    CHECK(fault_of("route", {{"prefix", text("192.0.2.1/24")}}) ==
          "prefix: '192.0.2.1/24' has bits behind its length");
    CHECK(fault_of("route", {{"prefix", text("192.0.2.0/24")}, {"via", text("x")}}) ==
          "via: 'x' is no address");
}
