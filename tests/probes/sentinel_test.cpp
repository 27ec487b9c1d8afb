#include <doctest/doctest.h>
#include <fmt/format.h>

#include "tests/probes/redis_rig.hpp"
#include "tests/probes/support.hpp"

using namespace swerve;
using namespace swerve::health;
using namespace swerve::health::testing;
using namespace std::chrono_literals;

namespace {

FieldMap asking(const Endpoint& endpoint, std::string master, std::string address = "") {
    FieldMap out{{"endpoint", {endpoint}}, {"master", text(std::move(master))}};
    if (!address.empty()) out["address"] = text(std::move(address));
    return out;
}

/// Lets the programs go on until the probe says so, at most half a minute; the last outcome.
Outcome comes_to(Loop& loop, ProbeResult result, const FieldMap& values) {
    const auto probe = make_probe("sentinel", values);
    Outcome outcome;
    for (int tries = 0; tries < 3 && outcome.result != result; ++tries) {
        loop.run_until([&] {
            outcome = loop.attempt(*probe);
            return outcome.result == result;
        });
    }
    return outcome;
}

}  // namespace

TEST_CASE("sentinel: names the master, with and without a quorum, and a new one after failover") {
    if (!has_redis()) return;
    Loop loop;
    const Redis master;
    const Redis replica(master.as_master());
    const auto linked = make_probe("redis", {{"endpoint", {replica.endpoint()}}});
    REQUIRE(loop.run_until([&] { return loop.attempt(*linked).result == ProbeResult::pass; }));
    const Sentinel sentinel(
        fmt::format("sentinel monitor cache 127.0.0.1 {0} 1\n"
                    "sentinel down-after-milliseconds cache 300\n"
                    "sentinel monitor lonely 127.0.0.1 {0} 2\n",
                    master.port()));
    const std::string here = master.endpoint().to_string();

    Outcome outcome = comes_to(loop, ProbeResult::pass, asking(sentinel.endpoint(), "cache", here));
    CHECK(outcome.reason == "master 'cache' is " + here +
                                ", Sentinel says 'OK 1 usable Sentinels. Quorum and failover "
                                "authorization can be reached'");
    CHECK(loop.attempt("sentinel", asking(sentinel.endpoint(), "cache", "127.0.0.1")).result ==
          ProbeResult::pass);
    CHECK(loop.attempt("sentinel", asking(sentinel.endpoint(), "cache")).result ==
          ProbeResult::pass);
    outcome = loop.attempt("sentinel", asking(sentinel.endpoint(), "cache", "198.51.100.1"));
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == "master 'cache' is " + here + ", not 198.51.100.1");

    FieldMap lonely = asking(sentinel.endpoint(), "lonely", here);
    outcome = loop.attempt("sentinel", lonely);
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason.find(" answers SENTINEL with 'NOQUORUM 1 usable Sentinels") !=
          std::string::npos);
    lonely["quorum"] = {false};
    CHECK(loop.attempt("sentinel", lonely).result == ProbeResult::pass);

    outcome = loop.attempt("sentinel", asking(sentinel.endpoint(), "nobody"));
    CHECK(outcome.result == ProbeResult::unknown);
    CHECK(outcome.reason == sentinel.endpoint().to_string() + " knows no master 'nobody'");
    outcome = loop.attempt("redis", {{"endpoint", {sentinel.endpoint()}}});
    CHECK(outcome.result == ProbeResult::unknown);
    CHECK(outcome.reason ==
          sentinel.endpoint().to_string() + " says no role: it may be a Sentinel");
    outcome = loop.attempt("sentinel", asking(master.endpoint(), "cache"));
    CHECK(outcome.result == ProbeResult::unknown);

    master.process().kill();
    outcome = comes_to(loop, ProbeResult::fail, asking(sentinel.endpoint(), "cache", here));
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason ==
          "master 'cache' is " + replica.endpoint().to_string() + ", not " + here);
}

TEST_CASE("sentinel: values that make no probe") {
    const Endpoint endpoint = *Endpoint::parse("127.0.0.1:26379");
    CHECK(fault_of("sentinel", asking(endpoint, "cache")) == "none");
    CHECK(fault_of("sentinel", asking(endpoint, "a b")) == "master: 'a b' is no name of a master");
    CHECK(fault_of("sentinel", asking(endpoint, "")) == "master: '' is no name of a master");
    CHECK(fault_of("sentinel", asking(endpoint, "cache", "here")) ==
          "address: 'here' is not an address");
    CHECK(fault_of("sentinel", asking(endpoint, "cache", "198.51.100.1:0")) ==
          "address: '198.51.100.1:0' is not an address");
    CHECK(fault_of("sentinel", asking(endpoint, "cache", "2001:db8::1")) == "none");
    CHECK(fault_of("sentinel", asking(endpoint, "cache", "[2001:db8::1]:6379")) == "none");
    const ProbeType& type = *find_probe_type("sentinel");
    CHECK(type.target(asking(endpoint, "cache")) == "sentinel://127.0.0.1:26379/cache");
    CHECK(type.caveat(asking(endpoint, "cache")).starts_with("a Sentinel names the master"));
}
