// What our OPENs say from one attempt to the next, and what a session makes of the agreement.

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/bgp/peer_bench.hpp"
#include "tests/support/hex.hpp"

using namespace swerve;
using namespace swerve::bgp;
using namespace swerve::test;

namespace {

const Bytes no_capabilities =
    encode(Notification{ErrorCode::open_message, subcode::unsupported_optional_parameter});

/// The OPEN that waits to be sent.
Open next_open(Bench& bench, Side side) {
    std::vector<ByteView> views;
    bench.peer.produce(bench.now, side, 4096, views);
    REQUIRE_FALSE(views.empty());
    const auto open = decode_open(views[0].subspan(header_size));
    REQUIRE(open);
    return *open;
}
const Address global = *Address::parse("2001:db8::1");
const Address link_local = *Address::parse("fe80::1");

/// A session of which OPEN, KEEPALIVE and End-of-RIB are gone.
struct Session : Bench {
    Session(const PeerConfig& config, const OpenPolicy& neighbor, const TcpConnected& tcp)
        : Bench(config) {
        handle(Start{});
        handle(tcp);
        receive(Side::dialled, encode(make_open(neighbor)) + encode_keepalive());
        REQUIRE(peer.state() == State::established);
        drain(Side::dialled);
    }
    /// What is sent of one route; nothing if it is not.
    std::optional<Update> announced() {
        advertise(peer, block({"198.51.100.0/24"}));
        const Bytes octets = drain(Side::dialled);
        if (octets.empty()) return std::nullopt;
        auto update = decode_update(
            ByteView{octets}.subspan(header_size),
            {.attributes = {}, .families = peer.negotiated()->families, .ipv4_over_ipv6 = true});
        REQUIRE(update);
        return *update;
    }
};

bool is_plain(const Open& open) { return open.capabilities == Capabilities{}; }

}  // namespace

TEST_CASE("peer: RFC 5492 §3: after 2/4 the next OPEN is without capabilities, once") {
    Bench bench;
    bench.handle(Start{});
    bench.connect(Side::dialled);
    CHECK_FALSE(is_plain(next_open(bench, Side::dialled)));
    bench.receive(Side::dialled, no_capabilities);
    CHECK(bench.until_dial() <= 1s);
    bench.connect(Side::dialled);
    CHECK(is_plain(next_open(bench, Side::dialled)));

    SUBCASE("a neighbor of old is content with it") {
        bench.receive(Side::dialled,
                      raw(MessageType::open, {4, 0xfb, 0xf0, 0, 9, 192, 0, 2, 254, 0}));
        bench.receive(Side::dialled, encode_keepalive());
        REQUIRE(bench.peer.state() == State::established);
        CHECK_FALSE(bench.peer.negotiated()->four_octet_as);
        CHECK_FALSE(bench.peer.negotiated()->enhanced_route_refresh);
        bench.handle(TcpFailed{Side::dialled, "connection reset by peer"});
        bench.until_dial();
        bench.connect(Side::dialled);
        CHECK_FALSE(is_plain(next_open(bench, Side::dialled)));  // it may know more by now
    }
    SUBCASE("a neighbor that could have had them agrees on two-octet AS numbers all the same") {
        bench.receive(Side::dialled, neighbor_open() + encode_keepalive());
        REQUIRE(bench.peer.state() == State::established);
        CHECK_FALSE(bench.peer.negotiated()->four_octet_as);
    }
    SUBCASE("one that refuses again is tried with them, and with backoff") {
        for (const Duration hold : {1s, 2s, 4s, 8s}) {
            bench.receive(Side::dialled, no_capabilities);
            CHECK(bench.until_dial() >= hold * 3 / 4);
            bench.connect(Side::dialled);
            CHECK_FALSE(is_plain(next_open(bench, Side::dialled)));
            bench.receive(Side::dialled, no_capabilities);
            CHECK(bench.until_dial() <= 1s);
            bench.connect(Side::dialled);
            CHECK(is_plain(next_open(bench, Side::dialled)));
        }
    }
    SUBCASE("a dial that fails meanwhile changes nothing") {
        bench.handle(TcpFailed{Side::dialled, "connection reset by peer"});
        bench.until_dial();
        bench.connect(Side::dialled);
        CHECK(is_plain(next_open(bench, Side::dialled)));
    }
    SUBCASE("an operator's reset begins anew") {
        bench.handle(Stop{cease(subcode::administrative_reset)});
        bench.handle(Start{});
        bench.connect(Side::dialled);
        CHECK_FALSE(is_plain(next_open(bench, Side::dialled)));
    }
}

TEST_CASE("peer: RFC 5492 §3: a session of IPv6 alone cannot do without capabilities") {
    PeerConfig config = local_config();
    config.open.families = {Family::ipv6};
    Bench bench(config);
    bench.handle(Start{});
    bench.connect(Side::dialled);
    bench.receive(Side::dialled, no_capabilities);
    bench.until_dial();
    bench.connect(Side::dialled);
    CHECK_FALSE(is_plain(next_open(bench, Side::dialled)));
}

TEST_CASE("peer: a connection is judged by the OPEN that went out on it, not by the next one") {
    Bench bench;
    bench.handle(Start{});
    bench.connect(Side::dialled);
    bench.connect(Side::accepted);
    bench.receive(Side::dialled, no_capabilities);
    bench.receive(Side::accepted, neighbor_open() + encode_keepalive());
    REQUIRE(bench.peer.state() == State::established);
    CHECK(bench.peer.negotiated()->four_octet_as);
}

TEST_CASE(
    "peer: RFC 4724 §3: R and F until the first session after a planned restart, then never") {
    PeerConfig config = local_config();
    config.open.restart_time = 15s;
    config.open.restarting = true;
    Bench bench(config);
    const auto restart_said = [&](Side side) {
        const auto restart = next_open(bench, side).capabilities.graceful_restart;
        REQUIRE(restart);
        CHECK_FALSE(restart->notification);
        CHECK(restart->restart_time_s == 15);
        CHECK(restart->families == FamilySet{Family::ipv4});
        CHECK(restart->forwarding.contains(Family::ipv4) == restart->restarting);
        return restart->restarting;
    };
    bench.handle(Start{});
    // Of two connections one is lost to the collision; the one that stays must have said it.
    bench.connect(Side::dialled);
    CHECK(restart_said(Side::dialled));
    bench.connect(Side::accepted);
    CHECK(restart_said(Side::accepted));
    bench.receive(Side::accepted, neighbor_open() + encode_keepalive());
    REQUIRE(bench.peer.state() == State::established);
    bench.handle(TcpFailed{Side::accepted, "connection reset by peer"});
    for (int i = 0; i < 3; ++i) {
        bench.until_dial();
        bench.connect(Side::dialled);
        CHECK_FALSE(restart_said(Side::dialled));
        bench.receive(Side::dialled, neighbor_open() + encode_keepalive());
        bench.handle(TcpFailed{Side::dialled, "connection reset by peer"});
    }
    // An equal configuration does not bring it back.
    bench.peer.reconfigure(config);
    bench.until_dial();
    bench.connect(Side::dialled);
    CHECK_FALSE(restart_said(Side::dialled));
}

TEST_CASE("peer: RFC 9234 §4.2: roles that do not fit end in 2/11 and in backoff") {
    PeerConfig config = local_config();
    config.open.role = Role::customer;
    OpenPolicy neighbor = neighbor_policy();
    for (const bool fits : {false, true}) {
        CAPTURE(fits);
        neighbor.role = fits ? Role::provider : Role::peer;
        Bench bench(config);
        bench.handle(Start{});
        bench.connect(Side::dialled);
        CHECK(next_open(bench, Side::dialled).capabilities.role == Role::customer);
        bench.receive(Side::dialled, encode(make_open(neighbor)) + encode_keepalive());
        CHECK((bench.peer.state() == State::established) == fits);
        if (fits) continue;
        CHECK(bench.sent() == Notification{ErrorCode::open_message, subcode::role_mismatch});
        CHECK(bench.until_dial() <= 1s);
    }
}

TEST_CASE("peer: RFC 4271 §4.2: with hold time 0 on both sides silence lasts as long as it likes") {
    PeerConfig config = local_config();
    config.open.hold_time = 0s;
    Bench bench(config);
    bench.handle(Start{});
    bench.connect(Side::dialled);
    OpenPolicy neighbor = neighbor_policy();
    neighbor.hold_time = 0s;
    bench.receive(Side::dialled, encode(make_open(neighbor)));
    CHECK(bench.peer.state() == State::open_confirm);
    bench.receive(Side::dialled, encode_keepalive());
    REQUIRE(bench.peer.state() == State::established);
    // Nothing is taken by the neighbor for a day: no send hold timer, either.
    advertise(bench.peer, block({"198.51.100.0/24"}));
    std::vector<ByteView> views;
    bench.peer.produce(bench.now, Side::dialled, 4096, views);
    bench.peer.consumed(bench.now, Side::dialled, 0);
    CHECK_FALSE(bench.peer.next_deadline());
    bench.advance(24h);
    CHECK(types_in(bench.drain(Side::dialled)) == "OKUU");
    bench.advance(24h);
    CHECK_FALSE(bench.peer.wants_write(Side::dialled));
    CHECK(bench.peer.state() == State::established);
}

TEST_CASE("peer: RFC 8950 §4: IPv4 routes go over the session's IPv6 address where both agreed") {
    for (const bool we_offer : {false, true}) {
        for (const bool they_offer : {false, true}) {
            PeerConfig config = local_config();
            config.open.ipv4_over_ipv6 = we_offer;
            OpenPolicy neighbor = neighbor_policy();
            neighbor.ipv4_over_ipv6 = they_offer;
            Session session(config, neighbor, TcpConnected{Side::dialled, global});
            const auto next_hop = session.announced();
            REQUIRE(next_hop.has_value() == (we_offer && they_offer));
            if (next_hop) CHECK(next_hop->reach[0].next_hop == global);
        }
    }
}

TEST_CASE("peer: RFC 2545 §3: the link-local address goes along on a shared link only") {
    struct Case {
        bool shared_link;
        TcpConnected tcp;
        std::string_view octets;  ///< of the next hop, behind its length; empty: no route
    };
    const std::string both = "20010db8000000000000000000000001fe800000000000000000000000000001";
    const std::string local_twice =
        "fe800000000000000000000000000001fe800000000000000000000000000001";
    for (const Case& one : std::vector<Case>{
             {true, {Side::dialled, global, link_local}, both},
             {false, {Side::dialled, global, link_local}, std::string_view{both}.substr(0, 32)},
             {true, {Side::dialled, global}, std::string_view{both}.substr(0, 32)},
             {true, {Side::dialled, link_local, link_local}, local_twice},
             {true, {Side::dialled, link_local}, local_twice},
             {false, {Side::dialled, link_local, link_local}, ""},
         }) {
        CAPTURE(one.octets);
        PeerConfig config = local_config();
        config.open.families = {Family::ipv6};
        config.shared_link = one.shared_link;
        OpenPolicy neighbor = neighbor_policy();
        neighbor.families = {Family::ipv6};
        Session session(config, neighbor, one.tcp);
        advertise(session.peer, block({"2001:db8:1::/48"}));
        const std::string sent = to_hex(session.drain(Side::dialled));
        const bool announced = sent.find("20010db80001") != std::string::npos;
        CHECK(announced == !one.octets.empty());
        const std::string length = one.octets.size() == 64 ? "20" : "10";
        if (announced) {
            // AFI 2, SAFI 1, the next hop, a reserved octet.
            CHECK(sent.find("000201" + length + std::string{one.octets} + "00") !=
                  std::string::npos);
        }
    }
}

TEST_CASE("peer: RFC 8654 §4: how much is sent in one message is the neighbor's word alone") {
    for (const bool we_offer : {false, true}) {
        for (const bool they_offer : {false, true}) {
            PeerConfig config = local_config();
            config.open.extended_message = we_offer;
            OpenPolicy neighbor = neighbor_policy();
            neighbor.extended_message = they_offer;
            Session session(config, neighbor, TcpConnected{Side::dialled, local_address});
            advertise(session.peer, large_block(3000));
            const Bytes sent = session.drain(Side::dialled);
            const std::size_t first = static_cast<std::size_t>(sent[16]) << 8U | sent[17];
            CHECK((first > max_message_size) == they_offer);
        }
    }
}

TEST_CASE("peer: RFC 9234 §5: the session's role reaches its routes") {
    for (const bool provider : {false, true}) {
        PeerConfig config = local_config();
        if (provider) config.open.role = Role::provider;
        OpenPolicy neighbor = neighbor_policy();
        if (provider) neighbor.role = Role::customer;
        Session session(config, neighbor, TcpConnected{Side::dialled, local_address});
        const auto update = session.announced();
        REQUIRE(update);
        CHECK(update->attributes->only_to_customer.has_value() == provider);
    }
}

TEST_CASE("peer: malformed 58: a neighbor that connects and says nothing is given up after 240 s") {
    // RFC 4271 §8.2.2: a large hold time while the OPEN is awaited.
    for (const Side side : {Side::dialled, Side::accepted}) {
        Bench bench;
        bench.handle(Start{});
        bench.handle(TcpFailed{Side::dialled, "connection refused"});
        bench.connect(side);
        const TimePoint connected = bench.now;
        const auto silent = [&] {
            return std::ranges::none_of(all<CloseTcp>(bench.actions),
                                        [&](const CloseTcp& one) { return one.side == side; });
        };
        while (silent()) {
            const TimePoint next = *bench.peer.next_deadline();
            REQUIRE(next <= connected + 240s);
            bench.advance_to(next);
        }
        CHECK(bench.now == connected + 240s);
        CHECK(bench.closed().last_words == encode(Notification{ErrorCode::hold_timer_expired, 0}));
    }
}
