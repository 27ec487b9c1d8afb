#include <doctest/doctest.h>
#include <sched.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "daemon/actions/addresses.hpp"
#include "daemon/actions/interface_address.hpp"
#include "swerve/base/clock.hpp"
#include "tests/support/fake_main_port.hpp"
#include "tests/support/skipped.hpp"
#include "tests/support/snapshot.hpp"

using namespace swerve;
using namespace swerve::test;
using namespace std::chrono_literals;
using daemon::add_address;
using daemon::has_our_mark;
using daemon::remove_address;

namespace {

/// In a network namespace that ends with it; needs root.
void in_namespace(const std::function<void()>& test) {
    std::thread{[&] {
        if (::unshare(CLONE_NEWNET) != 0) {
            swerve::testing::skipped("no network namespace without root");
            return;
        }
        test();
    }}.join();
}

conf::Config with(const std::vector<std::string>& addresses, const std::string& interface = "lo",
                  Duration grace = 1ms) {
    conf::Config out = sample_config();
    out.services[0].addresses =
        conf::ServiceAddresses{.interface = interface, .add = {}, .grace = grace};
    for (const auto& each : addresses) out.services[0].addresses->add.push_back(prefix(each));
    return out;
}

/// Whether it is there, found out by adding it, which leaves it as it was.
bool is_on_lo(const std::string& address) {
    const auto added = add_address("lo", prefix(address));
    REQUIRE(added.has_value());
    if (*added) REQUIRE(remove_address("lo", prefix(address)).has_value());
    return !*added;
}

struct Bench {
    explicit Bench(const conf::Config& config)
        : addresses(config, io.get_executor(),
                    [this](std::string alarm) { alarms.push_back(std::move(alarm)); }) {
        addresses.add(config);
    }
    /// What operations does at a reload that main agrees to.
    void reload(const conf::Config& config) {
        addresses.add(config);
        addresses.in_force(config, main);
    }
    /// Until everything that waits for its grace has gone.
    bool run_until(const std::function<bool()>& is_true) {
        const TimePoint late = BootClock::now() + 20s;
        while (!is_true() && BootClock::now() < late) {
            io.restart();
            io.run_one_for(5ms);
        }
        return is_true();
    }

    boost::asio::io_context io{1};
    FakeMainPort main;
    std::vector<std::string> alarms;
    daemon::Addresses addresses;
};

const std::string v4 = "198.51.100.1/32";
const std::string v6 = "2001:db8::1/128";

}  // namespace

TEST_CASE("addresses: added once, marked, and removed again, in both families") {
    in_namespace([] {
        for (const std::string& address : {v4, v6}) {
            CHECK(add_address("lo", prefix(address)).value());
            CHECK_FALSE(add_address("lo", prefix(address)).value());
            CHECK(has_our_mark("lo", prefix(address)));
            CHECK(remove_address("lo", prefix(address)).has_value());
            CHECK_FALSE(has_our_mark("lo", prefix(address)));
            CHECK(remove_address("lo", prefix(address)).has_value());
        }
    });
}

TEST_CASE("addresses: of two that differ in length alone, ours is removed") {
    in_namespace([] {
        for (const auto& [before, ours] : {std::pair{"198.51.100.0/24", "198.51.100.0/32"},
                                           std::pair{"2001:db8::/64", "2001:db8::/128"}}) {
            REQUIRE(add_address("lo", prefix(before)).value());
            const auto added = add_address("lo", prefix(ours));
            // IPv6 has no two of them.
            if (!added.value()) continue;
            CHECK(remove_address("lo", prefix(ours)).has_value());
            CHECK(has_our_mark("lo", prefix(before)));
            CHECK_FALSE(has_our_mark("lo", prefix(ours)));
        }
    });
}

TEST_CASE("addresses: an interface that is not there is an alarm, once") {
    const conf::Config config = with({v4}, "nowhere0");
    Bench bench{config};
    bench.addresses.add(config);
    CHECK(bench.alarms == std::vector<std::string>{"address 198.51.100.1/32 on nowhere0 cannot be "
                                                   "had: there is no interface nowhere0"});
    CHECK(bench.addresses.grace() == 0s);
    CHECK(remove_address("nowhere0", prefix(v4)).has_value());
}

TEST_CASE("addresses: at the end ours go, those of a daemon before this one too, and no others") {
    in_namespace([] {
        CHECK(add_address("lo", prefix(v6)).value());
        Bench bench{with({v4, v6})};
        CHECK(bench.addresses.grace() == 1ms);
        bench.addresses.remove_all();
        CHECK_FALSE(is_on_lo(v4));
        CHECK_FALSE(is_on_lo(v6));
    });
}

TEST_CASE("addresses: what a reload drops stays until the withdraw is acknowledged and then goes") {
    in_namespace([] {
        Bench bench{with({v4}, "lo", 0ms)};
        bench.reload(with({v6}));
        CHECK(is_on_lo(v6));
        REQUIRE(bench.main.unsettled.size() == 1);
        bench.io.poll();
        CHECK(is_on_lo(v4));
        bench.main.unsettled[0]();
        CHECK(is_on_lo(v4));
        CHECK(bench.run_until([] { return !is_on_lo(v4); }));
        CHECK(is_on_lo(v6));
        bench.addresses.stop();
    });
}

TEST_CASE("addresses: one that comes back within its grace stays") {
    in_namespace([] {
        Bench bench{with({v4, v6})};
        bench.reload(with({}));
        bench.main.unsettled.at(0)();
        bench.reload(with({v4}));
        bench.io.poll();
        CHECK(is_on_lo(v6));
        bench.main.unsettled.at(1)();
        CHECK(bench.run_until([] { return !is_on_lo(v6); }));
        CHECK(is_on_lo(v4));
        bench.addresses.stop();
    });
}

TEST_CASE("addresses: an acknowledgement that is older than the reload takes nothing off") {
    in_namespace([] {
        Bench bench{with({v4})};
        bench.reload(with({}));
        bench.reload(with({v4}));
        bench.reload(with({v6}));
        REQUIRE(bench.main.unsettled.size() == 2);
        bench.main.unsettled[0]();
        bench.io.poll();
        CHECK(is_on_lo(v4));
        bench.main.unsettled[1]();
        CHECK(bench.run_until([] { return !is_on_lo(v4); }));
        bench.addresses.stop();
    });
}

TEST_CASE("addresses: what was added for a configuration that main refused goes") {
    in_namespace([] {
        Bench bench{with({v4})};
        bench.addresses.add(with({v4, v6}));
        CHECK(is_on_lo(v6));
        bench.addresses.undo();
        CHECK_FALSE(is_on_lo(v6));
        CHECK(is_on_lo(v4));
    });
}

TEST_CASE("addresses: what somebody takes away is put back, and what could not be had is tried") {
    in_namespace([] {
        Bench bench{with({v4})};
        CHECK(remove_address("lo", prefix(v4)).has_value());
        bench.addresses.start();
        CHECK(bench.run_until([] { return has_our_mark("lo", prefix(v4)); }));
        bench.addresses.stop();
        bench.io.restart();
        bench.io.run();
    });
}
