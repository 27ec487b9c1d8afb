// A neighbor that asks for our routes once more (RFC 2918, RFC 7313), and the End-of-RIB.

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "bgp/route_refresh.hpp"
#include "tests/bgp/peer_bench.hpp"

using namespace swerve;
using namespace swerve::bgp;
using namespace swerve::test;

namespace {

Bytes marker(Family family, RefreshSubtype subtype) {
    return encode(RouteRefresh{family, subtype});
}

/// A neighbor with these two capabilities and both families.
Bytes open_of(bool enhanced, bool restarts) {
    OpenPolicy policy = neighbor_policy();
    policy.families.insert(Family::ipv6);
    if (restarts) policy.restart_time = 10s;
    Open open = make_open(policy);
    open.capabilities.enhanced_route_refresh = enhanced;
    return encode(open);
}

/// A session that has told its routes, all of them /24s.
struct Told : Bench {
    explicit Told(bool enhanced, std::uint32_t routes, const PeerConfig& config = both_families())
        : Bench(config) {
        if (routes > 0) advertise(peer, large_block(routes));
        handle(Start{});
        connect(Side::dialled);
        receive(Side::dialled, open_of(enhanced, false) + encode_keepalive());
        drain(Side::dialled);
    }
    static PeerConfig both_families() {
        PeerConfig config = local_config();
        config.open.families.insert(Family::ipv6);
        return config;
    }
    void ask(Family family = Family::ipv4) { receive(Side::dialled, encode_route_refresh(family)); }
    /// All that there is to be sent: EoRR becomes due when the last route is gone.
    Bytes told() {
        Bytes out;
        while (peer.wants_write(Side::dialled)) out = std::move(out) + drain(Side::dialled);
        return out;
    }
    std::string heard() { return types_in(told()); }
};

}  // namespace

TEST_CASE("peer: RFC 7313 §4: BoRR, the routes, EoRR; without the capability the routes alone") {
    Told plain(false, 10);
    plain.ask();
    CHECK(plain.heard() == "U");
    Told enhanced(true, 10);
    enhanced.ask();
    const Bytes answer = enhanced.told();
    CHECK(types_in(answer) == "RUR");
    const Bytes begin = marker(Family::ipv4, RefreshSubtype::begin);
    const Bytes end = marker(Family::ipv4, RefreshSubtype::end);
    CHECK(Bytes(answer.begin(), answer.begin() + 23) == begin);
    CHECK(Bytes(answer.end() - 23, answer.end()) == end);
    CHECK(enhanced.peer.counters().sent[5] == 2);
    CHECK(enhanced.peer.counters().received[5] == 1);
    // Of a family without routes it is said that these were all.
    enhanced.ask(Family::ipv6);
    CHECK(enhanced.told() ==
          marker(Family::ipv6, RefreshSubtype::begin) + marker(Family::ipv6, RefreshSubtype::end));
}

TEST_CASE("peer: RFC 7313 §4: EoRR comes when the last route is out, however slowly they go") {
    Told bench(true, 3000);
    bench.ask();
    Bytes stream;
    std::vector<ByteView> views;
    while (bench.peer.wants_write(Side::dialled)) {
        views.clear();
        const std::size_t offered = bench.peer.produce(bench.now, Side::dialled, 500, views);
        const std::size_t taken = std::min<std::size_t>(offered, 333);
        Bytes all_octets;
        for (const ByteView view : views) {
            all_octets.insert(all_octets.end(), view.begin(), view.end());
        }
        stream.insert(stream.end(), all_octets.begin(),
                      all_octets.begin() + static_cast<std::ptrdiff_t>(taken));
        bench.peer.consumed(bench.now, Side::dialled, taken);
    }
    const std::string types = types_in(stream);
    CHECK(types.size() > 3);
    CHECK(types.front() == 'R');
    CHECK(types.back() == 'R');
    CHECK(types.find('R', 1) == types.size() - 1);
}

TEST_CASE("peer: a route that goes while it is to be told once more does not hold EoRR back") {
    Told bench(true, 0);
    const BlockRef prefixes = block({"198.51.100.0/24", "203.0.113.0/24"});
    advertise(bench.peer, prefixes);
    CHECK(bench.heard() == "U");
    bench.ask();
    bench.peer.rib_out().withdraw(prefixes, prefixes->all());
    CHECK(bench.heard() == "RUR");  // a withdraw
    CHECK_FALSE(bench.peer.wants_write(Side::dialled));
}

TEST_CASE("peer: malformed 54: who asks ten thousand times a second is answered once a second") {
    constexpr std::uint32_t routes = 5000;
    for (const bool enhanced : {false, true}) {
        CAPTURE(enhanced);
        Told bench(enhanced, routes);
        const std::uint64_t table = bench.peer.counters().sent[2];
        for (int i = 0; i < 100'000; ++i) {  // ten seconds
            bench.ask();
            if (i % 1000 == 0) bench.receive(Side::dialled, encode_keepalive());
            if (i % 10 == 0) bench.told();
            bench.advance(100us);
        }
        bench.told();
        const std::uint64_t answers =
            (bench.peer.counters().sent[2] - table) / (table - 2);  // two were End-of-RIB
        CHECK(answers == 11);  // at once, and after each of ten seconds
        CHECK(bench.peer.counters().sent[5] == (enhanced ? 22 : 0));
        CHECK(bench.peer.state() == State::established);
        bench.live(Side::dialled, 10s);
        CHECK((bench.peer.counters().sent[2] - table) / (table - 2) == answers);
    }
}

TEST_CASE("peer: what a neighbor asked for is forgotten with its session") {
    Told bench(true, 10);
    bench.ask();
    bench.ask();
    bench.handle(TcpFailed{Side::dialled, "connection reset by peer"});
    bench.until_dial();
    bench.connect(Side::dialled);
    bench.receive(Side::dialled, open_of(true, false) + encode_keepalive());
    CHECK(bench.heard() == "OKUUU");
    bench.live(Side::dialled, 5s);
    CHECK(bench.peer.counters().sent[5] == 0);
    bench.ask();
    CHECK(bench.heard() == "RUR");
}

TEST_CASE("peer: RFC 7313 §4: a neighbor's refresh is told with its begin and its end") {
    Told bench(true, 0);
    bench.receive(Side::dialled, marker(Family::ipv6, RefreshSubtype::begin) +
                                     encode_end_of_rib(Family::ipv6) +
                                     marker(Family::ipv6, RefreshSubtype::end));
    REQUIRE(all<RefreshBegun>(bench.actions).size() == 1);
    CHECK(all<RefreshBegun>(bench.actions)[0].family == Family::ipv6);
    REQUIRE(all<RefreshEnded>(bench.actions).size() == 1);
    CHECK(all<RefreshEnded>(bench.actions)[0].family == Family::ipv6);
    CHECK(bench.heard().empty());
}

TEST_CASE("peer: RFC 4724 §4.1: End-of-RIB is held, announcements are not") {
    PeerConfig config = Told::both_families();
    config.hold_end_of_rib = true;
    Bench bench(config);
    advertise(bench.peer, block({"198.51.100.0/24"}));
    bench.handle(Start{});
    bench.connect(Side::dialled);
    bench.receive(Side::dialled, open_of(true, true) + encode_keepalive());
    CHECK(types_in(bench.drain(Side::dialled)) == "OKU");
    CHECK_FALSE(bench.peer.wants_write(Side::dialled));
    // RFC 7313 §4: nor is a BoRR sent before it.
    bench.receive(Side::dialled, encode_route_refresh(Family::ipv4));
    bench.live(Side::dialled, 5s);
    CHECK(bench.peer.counters().sent[5] == 0);
    CHECK(bench.peer.counters().sent[2] == 1);
    bench.peer.release_end_of_rib();
    CHECK(bench.peer.wants_write(Side::dialled));
    CHECK(bench.drain(Side::dialled) ==
          encode_end_of_rib(Family::ipv4) + encode_end_of_rib(Family::ipv6));
    bench.live(Side::dialled, 2s);
    CHECK(types_in(bench.drain(Side::dialled)).starts_with("RU"));
    // For good: the next session does not wait.
    bench.peer.reconfigure(config);
    bench.handle(TcpFailed{Side::dialled, "connection reset by peer"});
    bench.until_dial();
    bench.connect(Side::dialled);
    bench.receive(Side::dialled, open_of(true, true) + encode_keepalive());
    CHECK(types_in(bench.drain(Side::dialled)) == "OKUUU");
}
