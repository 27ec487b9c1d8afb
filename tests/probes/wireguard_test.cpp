// Real tunnels of userspace WireGuard between two network namespaces, and stand-ins for its socket.

#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/genetlink.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <span>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "health/probes/netlink.hpp"
#include "health/probes/wireguard_source.hpp"
#include "tests/probes/support.hpp"
#include "tests/support/skipped.hpp"

using namespace swerve;
using namespace swerve::health;
using namespace swerve::health::testing;
using namespace std::chrono_literals;
namespace asio = boost::asio;
using asio::local::stream_protocol;

namespace {

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);

std::string said(const Outcome& outcome) {
    return std::string{to_string(outcome.result)} + ": " + outcome.reason;
}

/// Runs in sh; never throws: it is not the test's own thread.
bool sh(const std::string& words) { return run_program({"sh", "-c", words}) == 0; }

bool in_time(const std::function<bool()>& happens) {
    const TimePoint give_up = BootClock::now() + 20s;
    while (!happens() && BootClock::now() < give_up) ::usleep(20'000);
    return happens();
}

/// What keeps the tests of real tunnels from running here; nothing if they can.
std::optional<std::string> hindrance() {
    for (const std::string program : {"wireguard-go", "wg", "ip", "nsenter", "unshare"}) {
        if (!sh("command -v " + program)) return "no " + program;
    }
    if (::geteuid() != 0) return "not root";
    if (::access("/dev/net/tun", F_OK) != 0) {
        std::filesystem::create_directories("/dev/net");
        ::mknod("/dev/net/tun", S_IFCHR | 0600, ::makedev(10, 200));
    }
    const int tun = ::open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    if (tun < 0) return "no /dev/net/tun";
    ::close(tun);
    return std::nullopt;
}

/// One end of a tunnel: 1 is in the namespace of the test, 2 in one of its own.
struct End {
    std::string interface;
    std::string enter;  ///< in front of what is to run there
    std::string key_file;
    std::string public_key;
    std::unique_ptr<Child> wireguard;

    [[nodiscard]] std::string socket() const { return "/var/run/wireguard/" + interface + ".sock"; }
};

/// Keys, keepalives each second, and the tunnel is up when it is made.
class Tunnel {
public:
    Tunnel() {
        // Sockets of all namespaces lie in one directory.
        const std::string number = std::to_string(::getpid());
        one_.interface = "swa" + number;
        two_.interface = "swb" + number;
        const std::string pid = std::to_string(far_.pid());
        two_.enter = "nsenter --net=/proc/" + pid + "/ns/net ";
        CHECK(in_time([&] {
            std::error_code ignored;
            const auto own = std::filesystem::read_symlink("/proc/thread-self/ns/net", ignored);
            const auto far = std::filesystem::read_symlink("/proc/" + pid + "/ns/net", ignored);
            return !far.empty() && own != far;
        }));
        CHECK(sh("ip link add v1 type veth peer name v2 netns " + pid));
        start(one_, "v1", "192.0.2.1");
        start(two_, "v2", "192.0.2.2");
        tell(one_, two_, "192.0.2.2");
        tell(two_, one_, "192.0.2.1");
    }
    ~Tunnel() {
        for (const End* end : {&one_, &two_}) std::filesystem::remove(end->socket());
    }
    Tunnel(const Tunnel&) = delete;
    Tunnel& operator=(const Tunnel&) = delete;

    End& near() { return one_; }
    End& far() { return two_; }

private:
    void start(End& end, const std::string& link, const std::string& address) {
        CHECK(sh(end.enter + "ip address add " + address + "/24 dev " + link + " && " + end.enter +
                 "ip link set " + link + " up"));
        std::vector<std::string> command{"wireguard-go", "-f", end.interface};
        if (!end.enter.empty()) {
            std::istringstream words{end.enter};
            std::vector<std::string> entering;
            for (std::string word; words >> word;) entering.push_back(word);
            command.insert(command.begin(), entering.begin(), entering.end());
        }
        end.wireguard = std::make_unique<Child>(command);
        CHECK(in_time([&] { return sh("wg show " + end.interface); }));
        end.key_file = directory_.file(end.interface);
        CHECK(sh("umask 077; wg genkey >" + end.key_file + "; wg pubkey <" + end.key_file + " >" +
                 end.key_file + ".pub"));
        std::ifstream(end.key_file + ".pub") >> end.public_key;
    }

    void tell(const End& end, const End& other, const std::string& address) {
        CHECK(sh("wg set " + end.interface + " listen-port 51820 private-key " + end.key_file +
                 " peer " + other.public_key + " allowed-ips 10.9.0.0/24 endpoint " + address +
                 ":51820 persistent-keepalive 1"));
        CHECK(sh(end.enter + "ip link set " + end.interface + " up"));
    }

    TempDir directory_;
    Child far_{{"unshare", "--net", "sleep", "infinity"}};
    End one_;
    End two_;
};

void with_tunnel(const std::function<void(Tunnel&)>& body) {
    if (const auto why = hindrance()) {
        swerve::testing::skipped(*why + " (packages wireguard-go and wireguard-tools)");
        return;
    }
    const bool allowed = in_own_network([&] {
        Tunnel tunnel;
        body(tunnel);
    });
    if (!allowed) swerve::testing::skipped("no right to make a network namespace");
}

FieldMap values_of(const std::string& interface, Duration age, Duration within) {
    return {{"interface", text(interface)},
            {"max_handshake_age", {age}},
            {"receiving_within", {within}}};
}

/// A stand-in for the socket of userspace WireGuard, which leaves each connection to `serve`.
class SocketStandIn {
public:
    using Serve = std::function<asio::awaitable<void>(stream_protocol::socket)>;
    SocketStandIn(Loop& loop, Serve serve)
        : acceptor_(loop.io, stream_protocol::endpoint(path())), serve_(std::move(serve)) {
        asio::co_spawn(loop.io, accept(), asio::detached);
    }
    [[nodiscard]] std::string path() const { return directory_.file("wg.sock"); }

private:
    asio::awaitable<void> accept() {
        for (;;) {
            auto [error, socket] = co_await acceptor_.async_accept(as_result);
            if (error) co_return;
            asio::co_spawn(acceptor_.get_executor(), serve_(std::move(socket)), asio::detached);
        }
    }

    TempDir directory_;
    stream_protocol::acceptor acceptor_;
    Serve serve_;
};

asio::awaitable<void> say(stream_protocol::socket socket, std::string answer, std::size_t times,
                          bool stays) {
    std::string question;
    co_await asio::async_read_until(socket, asio::dynamic_buffer(question), "\n\n", as_result);
    for (std::size_t i = 0; i < times; ++i) {
        auto [error, sent] = co_await asio::async_write(socket, asio::buffer(answer), as_result);
        if (error) co_return;
    }
    // Until the other side is gone.
    std::string more;
    if (stays) co_await asio::async_read_until(socket, asio::dynamic_buffer(more), "x", as_result);
}

/// Takes the question, says so much so often, and closes or stays.
SocketStandIn::Serve says_so(std::string answer, std::size_t times = 1, bool stays = false) {
    return [=](stream_protocol::socket socket) {
        return say(std::move(socket), answer, times, stays);
    };
}

/// Makes an attempt of a socket only.
class SocketProbe final : public Probe {
public:
    explicit SocketProbe(std::string path, bool denied = false)
        : path_(std::move(path)), denied_(denied) {}
    asio::awaitable<Outcome> run(const ProbeContext& context, TimePoint /*deadline*/) override {
        auto device = co_await ask_userspace_wireguard(context, path_, "wg0", denied_);
        if (!device) co_return std::move(device.error());
        co_return passed(std::to_string(device->peers.size()) + " peers");
    }

private:
    std::string path_;
    bool denied_;
};

std::string ask(Loop& loop, const std::string& path, bool denied = false) {
    SocketProbe probe(path, denied);
    std::string out = said(loop.attempt(probe, 300ms));
    // The path differs in every run.
    for (auto at = out.find(path); at != std::string::npos; at = out.find(path)) {
        out.replace(at, path.size(), "SOCKET");
    }
    return out;
}

}  // namespace

TEST_CASE("wireguard: a real tunnel, whose handshake grows old") {
    with_tunnel([](Tunnel& tunnel) {
        Loop loop;
        const std::string name = tunnel.near().interface;
        FieldMap values = values_of(name, 60s, 10s);
        const auto probe = make_probe("wireguard", values);
        std::string found;
        CHECK(in_time([&] {
            found = said(loop.attempt(*probe));
            return found.starts_with("pass") && found.ends_with(", receiving");
        }));
        CHECK(found.starts_with("pass: " + name + ": 1 peer, last handshake "));
        // A first attempt cannot know whether anything comes.
        CHECK(said(loop.attempt("wireguard", values)).ends_with("receiving not known yet"));
        values["peers"] = {std::vector<std::string>{tunnel.far().public_key}};
        CHECK(said(loop.attempt("wireguard", values)).starts_with("pass"));
        values["peers"] = {std::vector<std::string>{tunnel.near().public_key}};
        CHECK(said(loop.attempt("wireguard", values)) ==
              "fail: " + name + ": has no peer " + tunnel.near().public_key);
        // One handshake is for two minutes.
        values = values_of(name, 1s, 0s);
        CHECK(in_time([&] {
            found = said(loop.attempt("wireguard", values));
            return found.starts_with("fail");
        }));
        CHECK(found.contains("the last handshake with peer " + tunnel.far().public_key));
    });
}

TEST_CASE("wireguard: the other end is killed, and then our own") {
    with_tunnel([](Tunnel& tunnel) {
        Loop loop;
        const std::string name = tunnel.near().interface;
        const auto probe = make_probe("wireguard", values_of(name, 60s, 3s));
        const auto now = [&] { return said(loop.attempt(*probe)); };
        CHECK(in_time([&] { return now().ends_with(", receiving"); }));
        tunnel.far().wireguard.reset();
        std::string found;
        CHECK(in_time([&] {
            found = now();
            return !found.starts_with("pass");
        }));
        CHECK(found.starts_with("fail: " + name + ": nothing was received from peer " +
                                tunnel.far().public_key + " for 3s"));
        tunnel.near().wireguard->signal(SIGSTOP);
        // Its threads may answer once more before they stop.
        CHECK(in_time([&] {
            found = said(loop.attempt(*probe, 300ms));
            return found.contains("no answer");
        }));
        CHECK(found ==
              "fail: no answer within 300ms, waiting for the answer of " + tunnel.near().socket());
        tunnel.near().wireguard.reset();
        CHECK(now() == "fail: no interface " + name);
    });
}

TEST_CASE("wireguard: no steps and no reasons hold the keys that are secret") {
    with_tunnel([](Tunnel& tunnel) {
        Loop loop;
        std::string told;
        const ProbeContext context{.owned = {}, .step = [&](std::string step) { told += step; }};
        const auto values = values_of(tunnel.near().interface, 60s, 10s);
        told += loop.attempt("wireguard", values, 5s, context).reason;
        std::string secret;
        std::ifstream(tunnel.near().key_file) >> secret;
        REQUIRE(secret.size() == 44);
        CHECK_FALSE(told.contains(secret));
        CHECK(told.contains("connected to "));
    });
}

TEST_CASE("wireguard: interfaces that are none of WireGuard, or not there") {
    Loop loop;
    CHECK(said(loop.attempt("wireguard", {{"interface", text("swnone0")}})) ==
          "fail: no interface swnone0");
    // lo is never one. Without rights a kernel with WireGuard does not say so much.
    const std::string found = said(loop.attempt("wireguard", {{"interface", text("lo")}}));
    const bool is_denied = found.contains("CAP_NET_ADMIN");
    CHECK((is_denied ||
           found == "unknown: lo is no interface of WireGuard: the kernel has none of "
                    "this name, and there is no /var/run/wireguard/lo.sock" ||
           found.starts_with("unknown: no right to connect")));
}

TEST_CASE("wireguard: a socket that nobody answers, or that is not to be had") {
    Loop loop;
    const TempDir directory;
    const std::string path = directory.file("none.sock");
    CHECK(ask(loop, path).starts_with("unknown: wg0 is no interface of WireGuard"));
    CHECK(ask(loop, path, true) ==
          "unknown: the state of wg0 may not be read: give swerved CAP_NET_ADMIN "
          "(AmbientCapabilities= and CapabilityBoundingSet= of its unit)");
    {
        const stream_protocol::acceptor stale(loop.io, stream_protocol::endpoint(path));
        // It listens, and nobody accepts.
        CHECK(ask(loop, path) == "fail: no answer within 300ms, waiting for the answer of SOCKET");
    }
    CHECK(ask(loop, path) ==
          "fail: the userspace WireGuard of wg0 is gone: nobody listens at SOCKET");
    CHECK(ask(loop, "/proc/self/mem").starts_with("fail: the userspace WireGuard of wg0 is gone"));
    CHECK(ask(loop, std::string(200, 'x')).starts_with("unknown: "));
}

TEST_CASE("wireguard: a socket whose queue is full belongs to one that hangs") {
    Loop loop;
    const TempDir directory;
    const std::string path = directory.file("full.sock");
    stream_protocol::acceptor hanging(loop.io);
    hanging.open();
    hanging.bind(stream_protocol::endpoint(path));
    hanging.listen(0);
    stream_protocol::socket first(loop.io);
    first.connect(stream_protocol::endpoint(path));
    const std::string hangs = "fail: SOCKET hangs: it is full of those it did not answer";
    CHECK(ask(loop, path) == hangs);
    // Somebody has to listen there for that, so it is not the kernel that was to be asked.
    CHECK(ask(loop, path, true) == hangs);
    hanging.accept();
    CHECK(ask(loop, path) == "fail: no answer within 300ms, waiting for the answer of SOCKET");
}

TEST_CASE("wireguard: stand-ins that close, hang, lie and never end") {
    Loop loop;
    const auto with = [&loop](SocketStandIn::Serve serve) {
        const SocketStandIn server(loop, std::move(serve));
        return ask(loop, server.path());
    };
    CHECK(with(says_so("errno=0\n\n")) == "pass: 0 peers");
    CHECK(with(says_so("errno=0\n\n", 1, true)) == "pass: 0 peers");
    CHECK(with([](stream_protocol::socket) -> asio::awaitable<void> { co_return; }) ==
          "fail: SOCKET closed before its answer was whole");
    CHECK(with(says_so("")) == "fail: SOCKET closed before its answer was whole");
    CHECK(with(says_so("listen_port=1\n")) == "fail: SOCKET closed before its answer was whole");
    CHECK(with(says_so("listen_port=1\n", 1, true)) ==
          "fail: no answer within 300ms, waiting for the answer of SOCKET");
    CHECK(with(says_so("errno=13\n\n")) == "unknown: SOCKET: it answers with error 13");
    CHECK(with(says_so(std::string("\0\xff\x01\n", 4))) ==
          "unknown: SOCKET: the answer is not one of WireGuard");
    CHECK(with(says_so(std::string(4096, 'x'), 1'000'000)) ==
          "unknown: SOCKET: the answer has a line of more than 512 octets");
}

TEST_CASE("wireguard: generic netlink, asked of the one family that every kernel has") {
    std::vector<std::string> names;
    const auto each = [&names](std::span<const std::byte> attributes) {
        const auto name = attribute(attributes, CTRL_ATTR_FAMILY_NAME);
        REQUIRE_FALSE(name.empty());
        names.emplace_back(static_cast<const char*>(static_cast<const void*>(name.data())));
    };
    CHECK(dump_family("nlctrl", CTRL_CMD_GETFAMILY, {}, each) == 0);
    CHECK(std::ranges::find(names, "nlctrl") != names.end());
    names.clear();
    CHECK(dump_family("swerve-none", 0, {}, each) == ENOENT);
    // Not even a name that the kernel would refuse is asked of it, so none makes it run modprobe.
    CHECK(dump_family("swerve-none-that-is-long", 0, {}, each) == ENOENT);
    CHECK(dump_family("nlctr", CTRL_CMD_GETFAMILY, {}, each) == ENOENT);
    CHECK(dump_family("nlctrl", 99, {}, each) == EOPNOTSUPP);
    CHECK(names.empty());
}

TEST_CASE("wireguard: values that make no probe") {
    const auto with = [](const std::string& name, FieldValue value) {
        FieldMap values{{"interface", text("wg0")}};
        values[name] = std::move(value);
        return fault_of("wireguard", values);
    };
    CHECK(with("interface", text("a/b")) == "interface: 'a/b' is no name of an interface");
    CHECK(with("peers", {std::vector<std::string>{}}) == "peers: has no members");
    CHECK(with("peers", {std::vector<std::string>{"abc"}}) ==
          "peers: has a member that is no public key");
    CHECK(with("peers", {std::vector<std::string>(1025, std::string(43, 'A') + "=")}) ==
          "peers: has more than 1024 members");
    CHECK(with("max_handshake_age", {Duration{999ms}}) == "max_handshake_age: is less than 1s");
    CHECK(with("receiving_within", {Duration{0s}}) == "none");
}
