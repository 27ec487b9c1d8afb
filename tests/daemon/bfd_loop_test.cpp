#include "daemon/bfd_loop.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <condition_variable>
#include <cstdlib>
#include <future>
#include <mutex>
#include <numeric>
#include <optional>

#include "swerve/base/clock.hpp"
#include "tests/support/bfd_network.hpp"

using namespace swerve;
using namespace std::chrono_literals;
using bfd::Cause;
using bfd::Discard;
using bfd::Report;
using bfd::SessionConfig;
using bfd::State;
using daemon::BfdLoop;
using daemon::BfdSnapshot;
using daemon::BfdView;
using swerve::testing::in_own_network;
using swerve::testing::PlainSocket;

namespace {

constexpr auto patience = 20s;

/// A bfd loop on a thread of its own, and what it said.
class Site {
public:
    explicit Site(std::uint64_t seed)
        : loop(io,
               {.report = [this](const Report& report) { note(reports_, report); },
                .alarm = [this](std::string what) { note(alarms_, std::move(what)); }},
               seed) {}
    ~Site() { end(); }
    Site(const Site&) = delete;
    Site& operator=(const Site&) = delete;

    void want(std::vector<SessionConfig> sessions) {
        loop.configure({.sessions = std::move(sessions), .realtime = false});
    }
    /// The next report of this kind; those before it are passed over.
    std::optional<Report> hears(const std::function<bool(const Report&)>& kind) {
        std::unique_lock held{mutex_};
        std::optional<Report> out;
        const bool there = said_.wait_for(held, patience, [&] {
            while (read_ < reports_.size()) {
                const Report& report = reports_[read_++];
                if (!kind(report)) continue;
                out = report;
                return true;
            }
            return false;
        });
        CHECK_MESSAGE(there, "no such report came in 20 s");
        return out;
    }
    std::optional<Report> hears(State state, std::uint32_t owner = 1) {
        return hears(
            [=](const Report& report) { return report.state == state && report.owner == owner; });
    }
    bool is_alarmed(const std::string& words) {
        std::unique_lock held{mutex_};
        return said_.wait_for(held, patience, [&] {
            return std::ranges::any_of(alarms_, [&](const std::string& each) {
                return each.find(words) != std::string::npos;
            });
        });
    }
    std::vector<std::string> alarms() {
        const std::lock_guard held{mutex_};
        return alarms_;
    }
    bool was_ever(State state) {
        const std::lock_guard held{mutex_};
        return std::ranges::any_of(reports_,
                                   [&](const Report& each) { return each.state == state; });
    }
    BfdSnapshot look() {
        std::promise<BfdSnapshot> seen;
        auto out = seen.get_future();
        loop.describe([&](BfdSnapshot snapshot) { seen.set_value(std::move(snapshot)); });
        REQUIRE(out.wait_for(patience) == std::future_status::ready);
        return out.get();
    }
    bool shows(const std::function<bool(const BfdSnapshot&)>& what) {
        const auto late = std::chrono::steady_clock::now() + patience;
        while (std::chrono::steady_clock::now() < late) {
            if (what(look())) return true;
            std::unique_lock held{mutex_};
            said_.wait_for(held, 2ms);
        }
        return false;
    }
    void start() {
        thread_ = std::jthread{[this] { io.run(); }};
    }
    void end() {
        if (!thread_.joinable()) return;
        loop.stop();
        work_.reset();
        thread_.join();
    }

    boost::asio::io_context io{1};
    BfdLoop loop;

private:
    template <class What>
    void note(std::vector<What>& in, What what) {
        const std::lock_guard held{mutex_};
        in.push_back(std::move(what));
        said_.notify_all();
    }

    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{
        io.get_executor()};
    std::mutex mutex_;
    std::condition_variable said_;
    std::vector<Report> reports_;
    std::size_t read_ = 0;
    std::vector<std::string> alarms_;
    std::jthread thread_;
};

SessionConfig session(const std::string& local, const std::string& remote,
                      const std::string& interface = "") {
    return {.owner = 1,
            .key = {.local = *Address::parse(local),
                    .remote = *Address::parse(remote),
                    .interface = interface,
                    .multihop = false},
            .hops = 1,
            .timing = {.min_tx = 100ms, .min_rx = 100ms, .multiplier = 100}};
}

SessionConfig multihop(const std::string& local, const std::string& remote) {
    SessionConfig out = session(local, remote);
    out.owner = 2;
    out.key.multihop = true;
    out.hops = 3;
    return out;
}

/// Two sites of one host, and a session between them that nothing but what a test does ends.
struct Two {
    explicit Two(const SessionConfig& of_a = session("127.0.0.2", "127.0.0.3"),
                 const SessionConfig& of_b = session("127.0.0.3", "127.0.0.2")) {
        a.start();
        b.start();
        a.want({of_a});
        b.want({of_b});
        a.hears(State::up);
        b.hears(State::up);
    }

    Site a{1};
    Site b{2};
};

std::uint64_t total(const std::array<std::uint64_t, bfd::discard_count>& counters) {
    return std::accumulate(counters.begin(), counters.end(), std::uint64_t{0});
}

std::uint64_t count(const std::array<std::uint64_t, bfd::discard_count>& counters, Discard why) {
    return counters[static_cast<std::size_t>(why)];
}

Bytes some_packet() {
    return bfd::encode(
        {.my_discriminator = 7, .desired_min_tx_us = 1'000'000, .required_min_rx_us = 1'000'000});
}

bool run(const std::string& command) {
    return std::system(command.c_str()) == 0;  // NOLINT(concurrency-mt-unsafe)
}

}  // namespace

TEST_CASE("bfd loop: two on one host come up, with one hop and with several at once") {
    in_own_network([] {
        Site a{1};
        Site b{2};
        a.start();
        b.start();
        a.want({session("127.0.0.2", "127.0.0.3"), multihop("127.0.0.2", "127.0.0.3")});
        b.want({session("127.0.0.3", "127.0.0.2"), multihop("127.0.0.3", "127.0.0.2")});
        for (Site* site : {&a, &b}) {
            CHECK(site->shows([](const BfdSnapshot& now) {
                return now.sessions.size() == 2 &&
                       std::ranges::all_of(now.sessions, [](const BfdView& each) {
                           return each.session.state == State::up;
                       });
            }));
            const BfdSnapshot now = site->look();
            for (const BfdView& each : now.sessions) {
                CHECK(each.source_port >= 49152);
                CHECK(each.trouble.empty());
                CHECK(each.session.counters.received > 0);
            }
            CHECK(now.sessions.at(0).source_port != now.sessions.at(1).source_port);
            CHECK(total(now.discarded) == 0);
            CHECK(std::accumulate(now.lateness.buckets.begin(), now.lateness.buckets.end(),
                                  std::uint64_t{0}) > 0);
            CHECK_FALSE(now.realtime);
            CHECK(site->alarms().empty());
        }
    });
}

TEST_CASE("bfd loop: packets carry TTL 255 and CS6, from one port above 49151") {
    in_own_network([] {
        const PlainSocket neighbor{"127.0.0.3", bfd::single_hop_port};
        Site a{1};
        a.start();
        a.want({session("127.0.0.2", "127.0.0.3")});
        std::uint16_t port = 0;
        for (int i = 0; i < 3; ++i) {
            const auto packet = neighbor.receive();
            REQUIRE(packet.has_value());
            CHECK(packet->ttl == 255);
            CHECK(packet->tos == 0xc0);
            CHECK(packet->source_port >= 49152);
            if (i > 0) CHECK(packet->source_port == port);
            port = packet->source_port;
            CHECK(bfd::decode(packet->octets).has_value());
        }
        CHECK(a.look().sessions.at(0).source_port == port);
    });
}

TEST_CASE("bfd loop: a port that is taken is told once, and the session heals by itself") {
    in_own_network([] {
        auto other = std::make_unique<PlainSocket>("127.0.0.2", bfd::single_hop_port);
        Site a{1};
        Site b{2};
        a.start();
        b.start();
        SessionConfig another = session("127.0.0.2", "127.0.0.4");
        another.owner = 3;
        a.want({session("127.0.0.2", "127.0.0.3"), another});
        b.want({session("127.0.0.3", "127.0.0.2")});
        CHECK(a.is_alarmed("cannot bind 127.0.0.2:3784: Address already in use"));
        const BfdSnapshot now = a.look();
        for (const BfdView& each : now.sessions) {
            CHECK(each.source_port == 0);
            CHECK(each.trouble.find("does another BFD speaker run here?") != std::string::npos);
        }
        other.reset();
        a.hears(State::up);
        b.hears(State::up);
        CHECK(a.look().sessions.at(0).trouble.empty());
        CHECK(a.alarms().size() == 1);
    });
}

TEST_CASE("bfd loop: what came too far, or from elsewhere, is counted and changes nothing") {
    in_own_network([] {
        Site a{1};
        a.start();
        a.want({session("127.0.0.2", "127.0.0.3")});
        (void)a.look();  // its sockets are there
        const PlainSocket far{"127.0.0.3", 0, 254};
        CHECK(far.send(some_packet(), "127.0.0.2", bfd::single_hop_port));
        CHECK(a.shows([](const BfdSnapshot& now) {
            return count(now.sessions.at(0).session.counters.discarded, Discard::ttl_too_low) == 1;
        }));
        const PlainSocket stranger{"127.0.0.4"};
        CHECK(stranger.send(some_packet(), "127.0.0.2", bfd::single_hop_port));
        CHECK(a.shows([](const BfdSnapshot& now) {
            return count(now.discarded, Discard::unknown_discriminator) == 1;
        }));
        CHECK(a.look().sessions.at(0).session.counters.received == 0);
        const PlainSocket near{"127.0.0.3"};
        CHECK(near.send(some_packet(), "127.0.0.2", bfd::single_hop_port));
        a.hears(State::init);
    });
}

TEST_CASE("bfd loop: a flood of 100,000 datagrams ends no session, and is counted") {
    in_own_network([] {
        Two two;
        const PlainSocket forger{"127.0.0.3"};
        const PlainSocket stranger{"127.0.0.4"};
        const Bytes garbage(24, 0xa5);
        for (int i = 0; i < 50'000; ++i) {
            (void)forger.send(garbage, "127.0.0.2", bfd::single_hop_port);
            (void)stranger.send(some_packet(), "127.0.0.2", bfd::single_hop_port);
        }
        const auto received = two.a.look().sessions.at(0).session.counters.received;
        CHECK(two.a.shows([&](const BfdSnapshot& now) {
            return now.sessions.at(0).session.counters.received >= received + 5;
        }));
        const BfdSnapshot after = two.a.look();
        CHECK(total(after.discarded) > 1000);
        CHECK(total(after.sessions.at(0).session.counters.discarded) > 1000);
        CHECK(after.sessions.at(0).session.state == State::up);
        CHECK_FALSE(two.a.was_ever(State::down));
        CHECK_FALSE(two.b.was_ever(State::down));
    });
}

TEST_CASE("bfd loop: packets that waited while it did not run have not come late") {
    in_own_network([] {
        // A believes B dead after 0.5 s of silence, B believes in A for 10 s.
        SessionConfig of_b = session("127.0.0.3", "127.0.0.2");
        of_b.timing.multiplier = 5;
        Two two{session("127.0.0.2", "127.0.0.3"), of_b};
        std::promise<void> stands;
        std::promise<void> goes_on;
        boost::asio::post(two.a.io, [&] {
            stands.set_value();
            goes_on.get_future().wait();
        });
        stands.get_future().wait();
        // In front of what B sends is more than a turn reads.
        const PlainSocket stranger{"127.0.0.4"};
        for (int i = 0; i < 3000; ++i) {
            (void)stranger.send(some_packet(), "127.0.0.2", bfd::single_hop_port);
        }
        const auto sent = two.b.look().sessions.at(0).session.counters.sent;
        CHECK(two.b.shows([&](const BfdSnapshot& now) {
            return now.sessions.at(0).session.counters.sent >= sent + 15;
        }));
        goes_on.set_value();
        CHECK(two.a.shows([](const BfdSnapshot& now) { return total(now.discarded) >= 3000; }));
        CHECK(two.a.look().sessions.at(0).session.state == State::up);
        CHECK_FALSE(two.a.was_ever(State::down));
        CHECK_FALSE(two.b.was_ever(State::down));
    });
}

TEST_CASE("bfd loop: that it stood still for longer than a neighbor waits is told") {
    in_own_network([] {
        SessionConfig of_a = session("127.0.0.2", "127.0.0.3");
        of_a.timing.multiplier = 5;
        Two two{of_a};
        std::promise<void> goes_on;
        boost::asio::post(two.a.io, [&] { goes_on.get_future().wait(); });
        const auto down = two.b.hears(State::down);
        REQUIRE(down.has_value());
        CHECK(down->cause == Cause::detection_time_expired);
        goes_on.set_value();
        CHECK(two.a.is_alarmed("BFD: this process stood still for 0."));
        const auto here = two.a.hears(State::down);
        REQUIRE(here.has_value());
        CHECK(here->cause == Cause::neighbor_signaled_down);
    });
}

TEST_CASE("bfd loop: whoever stops says AdminDown, and runs out of work") {
    in_own_network([] {
        Two two;
        two.a.end();  // returns
        const auto down = two.b.hears(State::down);
        REQUIRE(down.has_value());
        CHECK(down->cause == Cause::neighbor_admin_down);
    });
}

TEST_CASE("bfd loop: whoever hangs tells its neighbors to leave, with Path Down") {
    in_own_network([] {
        Two two;
        two.a.loop.hold_down();
        const auto down = two.b.hears(State::down);
        REQUIRE(down.has_value());
        CHECK(down->cause == Cause::neighbor_signaled_down);
        CHECK(down->neighbor_diagnostic == bfd::Diagnostic::path_down);
    });
}

TEST_CASE("bfd loop: nobody waits for a loop that does not run") {
    in_own_network([] {
        Site a{1};
        a.loop.hold_down();  // returns
        a.start();
        a.want({session("127.0.0.2", "127.0.0.3")});
        CHECK(a.shows([](const BfdSnapshot& now) { return now.sessions.size() == 1; }));
    });
}

TEST_CASE("bfd loop: other timing is negotiated without a flap, from the same port") {
    in_own_network([] {
        Two two;
        const std::uint16_t port = two.a.look().sessions.at(0).source_port;
        SessionConfig other = session("127.0.0.2", "127.0.0.3");
        other.timing = {.min_tx = 200ms, .min_rx = 250ms, .multiplier = 50};
        other.owner = 9;
        two.a.want({other});
        two.a.hears(State::up, 9);
        CHECK(two.b.shows([](const BfdSnapshot& now) {
            const auto& neighbor = now.sessions.at(0).session.neighbor;
            return neighbor && neighbor->desired_min_tx_us == 200'000 &&
                   neighbor->required_min_rx_us == 250'000 && neighbor->detect_multiplier == 50 &&
                   !neighbor->poll;
        }));
        CHECK(two.a.look().sessions.at(0).source_port == port);
        CHECK_FALSE(two.a.was_ever(State::down));
        CHECK_FALSE(two.b.was_ever(State::down));
    });
}

TEST_CASE("bfd loop: the last session of an address gives its socket back") {
    in_own_network([] {
        Site a{1};
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
        Site a{1};
        Site b{2};
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
