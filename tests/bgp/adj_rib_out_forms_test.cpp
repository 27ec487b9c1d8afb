// The forms in which an Adj-RIB-Out sends one and the same route: IPv4 over IPv6 next hops,
// link-local second halves, extended messages, and the attributes that a session adds.

#include <doctest/doctest.h>

#include <string>

#include "tests/bgp/rib_out_listener.hpp"
#include "tests/support/hex.hpp"

namespace swerve::bgp {
namespace {

using namespace test;
using swerve::test::bgp_message;
using swerve::test::hex;
using swerve::test::to_hex;

SessionEncoding over_ipv6() {
    SessionEncoding out = session();
    out.next_hop_ipv4 = address("2001:db8::1");
    out.ipv4_over_ipv6 = true;
    return out;
}

/// What a session sends of one IPv4 prefix, End-of-RIB left out; then its withdraw.
struct Sent {
    std::string announcement;
    std::string withdrawal;
};
Sent sent(const SessionEncoding& encoding, std::string_view prefix_text = "198.51.100.0/24",
          const RouteRef& what = route(1)) {
    AdjRibOut rib;
    rib.session_up(encoding);
    drain(rib);
    const BlockRef one = block({prefix_text});
    rib.advertise(one, one->all(), what);
    const Bytes announcement = drain(rib);
    rib.withdraw(one, one->all());
    return {to_hex(announcement), to_hex(drain(rib))};
}

std::string message(std::string_view body) { return to_hex(bgp_message(2, hex(body))); }

TEST_CASE("adj-rib-out: RFC 8950 §4: IPv4 with an IPv6 next hop goes in MP_REACH_NLRI") {
    const Sent one = sent(over_ipv6());
    CHECK(one.announcement == message("0000 0030 800e 19 0001 01 10 20010db8 00*11 01 00 18 c63364"
                                      "400101 00 400206 0201 0000fbf4 800404 00000001"));
    CHECK(one.withdrawal == message("0000 000a 800f 07 0001 01 18 c63364"));
}

TEST_CASE("adj-rib-out: RFC 8950 §4: without the capability such a route is not sent") {
    SessionEncoding encoding = over_ipv6();
    encoding.ipv4_over_ipv6 = false;
    CHECK(sent(encoding).announcement.empty());
    // With it an IPv4 next hop is still sent the old way.
    encoding = session();
    encoding.ipv4_over_ipv6 = true;
    CHECK(sent(encoding).announcement == sent(session()).announcement);
}

TEST_CASE("adj-rib-out: RFC 2545 §3: a link-local second half on a shared link only") {
    const std::string global = "20010db8 00*11 01";
    const std::string local = "fe80 00*13 02";
    const auto next_hop_of = [&](const SessionEncoding& encoding) -> std::string {
        const std::string out = sent(encoding, "2001:db8::/32").announcement;
        // Header, two lengths, attribute header, AFI and SAFI stand before.
        return out.empty() ? "" : out.substr(2 * (19 + 4 + 3 + 3), 2 * 34);
    };
    SessionEncoding encoding = session();
    CHECK(next_hop_of(encoding).starts_with(to_hex(hex("10" + global + "00"))));
    encoding.next_hop_link_local = address("fe80::2");
    CHECK(next_hop_of(encoding) == to_hex(hex("20" + global + local + "00")));
    // RFC 8950 §3 has the same form for IPv4.
    SessionEncoding four = over_ipv6();
    four.next_hop_link_local = address("fe80::2");
    CHECK(sent(four).announcement.find(to_hex(hex("0001 01 20" + global + local + "00"))) !=
          std::string::npos);
    // No second half but a link-local one.
    for (const auto* wrong : {"2001:db8::9", "::", "192.0.2.1", "ff02::1"}) {
        encoding.next_hop_link_local = address(wrong);
        CHECK(next_hop_of(encoding).starts_with(to_hex(hex("10" + global + "00"))));
    }
    // A session of link-local addresses: in both places, never zeros.
    encoding.next_hop_ipv6 = address("fe80::2");
    encoding.next_hop_link_local = address("fe80::2");
    CHECK(next_hop_of(encoding) == to_hex(hex("20" + local + local + "00")));
    // Which means nothing beyond the link.
    encoding.next_hop_link_local.reset();
    CHECK(next_hop_of(encoding).empty());
    encoding.next_hop_ipv6 = address("::");
    CHECK(next_hop_of(encoding).empty());
    SessionEncoding zero = session();
    zero.next_hop_ipv4 = address("0.0.0.0");
    CHECK(sent(zero).announcement.empty());
}

TEST_CASE("adj-rib-out: next hops that change their form under a session") {
    AdjRibOut rib;
    SessionEncoding encoding = session();
    encoding.ipv4_over_ipv6 = true;
    Listener listener{encoding};
    rib.session_up(encoding);
    const BlockRef some = block(consecutive(0x0a000000, 24, 3000));
    rib.advertise(some, some->all(), route(1));
    listener.feed(drain(rib));
    CHECK(listener.next_hops().at(prefix("10.0.0.0/24")) == address("192.0.2.1"));
    rib.set_next_hops(address("2001:db8::1"), address("2001:db8::1"));
    listener.feed(drain(rib));
    CHECK(listener.held().size() == 3000);
    CHECK(listener.next_hops().at(prefix("10.0.0.0/24")) == address("2001:db8::1"));
    rib.withdraw(some, {0, 1500});
    rib.set_next_hops(address("192.0.2.9"), address("2001:db8::1"));
    listener.feed(drain(rib));
    CHECK(listener.held().size() == 1500);
    CHECK(listener.next_hops().at(some->at(2999)) == address("192.0.2.9"));
    rib.set_next_hops(std::nullopt, address("2001:db8::1"));
    listener.feed(drain(rib));
    CHECK(listener.held().empty());
}

TEST_CASE("adj-rib-out: RFC 8654 §4: messages of 65,535 octets where the neighbor takes them") {
    for (const bool mp : {false, true}) {
        for (const std::size_t largest : {std::size_t{4096}, std::size_t{65535}}) {
            SessionEncoding encoding = mp ? over_ipv6() : session();
            encoding.largest_message = largest;
            AdjRibOut rib;
            Listener listener{encoding};
            rib.session_up(encoding);
            const BlockRef many = block(consecutive(0x0a000000, 24, 50'000));
            rib.advertise(many, many->all(), route(7));
            listener.feed(drain(rib));
            CHECK(listener.held().size() == 50'000);
            auto heard = listener.take_heard();
            CHECK(heard.size() <= 50'000 * 4 / (largest - 100) + 3);
            CHECK(heard[0].size > largest - 4);
            CHECK(heard[0].size <= largest);
            rib.withdraw(many, many->all());
            listener.feed(drain(rib));
            CHECK(listener.held().empty());
            heard = listener.take_heard();
            CHECK(heard[0].size > largest - 4);
            CHECK(heard[0].size <= largest);
        }
    }
}

TEST_CASE("adj-rib-out: RFC 8654 §4: large attributes go where they fit") {
    const RouteRef large = route(1, 2000);
    CHECK(sent(session(), "198.51.100.0/24", large).announcement.empty());
    SessionEncoding encoding = session();
    encoding.largest_message = 65535;
    CHECK(sent(encoding, "198.51.100.0/24", large).announcement.size() > 2 * 8000);
    const RouteRef too_large = route(1, 16'500);
    CHECK(sent(encoding, "198.51.100.0/24", too_large).announcement.empty());
}

TEST_CASE("adj-rib-out: RFC 9234 §5: OTC goes to customers, clients and peers, never up") {
    const std::string otc = to_hex(hex("c02304 0000fbf4"));
    const auto has_otc = [&](std::optional<Role> role, bool internal = false) {
        SessionEncoding encoding = session();
        encoding.role = role;
        encoding.attributes.internal = internal;
        return sent(encoding).announcement.find(otc) != std::string::npos;
    };
    CHECK(has_otc(Role::provider));
    CHECK(has_otc(Role::peer));
    CHECK(has_otc(Role::route_server));
    CHECK_FALSE(has_otc(Role::customer));
    CHECK_FALSE(has_otc(Role::route_server_client));
    CHECK_FALSE(has_otc(std::nullopt));
    CHECK_FALSE(has_otc(Role::provider, true));
}

TEST_CASE("adj-rib-out: RFC 4271 §5.1.2, RFC 6793 §4.2.2: prepends fill segments of 255") {
    const auto attributes_of = [](SessionEncoding encoding, unsigned prepend) {
        RouteAttributes what;
        what.prepend = prepend;
        const std::string octets =
            sent(encoding, "198.51.100.0/24", std::make_shared<const RouteAttributes>(what))
                .announcement;
        const Bytes update = hex(octets);
        const auto decoded =
            decode_update(ByteView{update}.subspan(19), {encoding.attributes, {Family::ipv4}});
        REQUIRE(decoded);
        REQUIRE(decoded->attributes);
        return *decoded->attributes;
    };
    CHECK(attributes_of(session(), 254).as_path.segments.size() == 1);
    CHECK(attributes_of(session(), 255).as_path.segments.size() == 2);
    CHECK(attributes_of(session(), 255).as_path.length() == 256);
    // A two-octet peer hears AS_TRANS, and the truth in AS4_PATH.
    SessionEncoding old_peer = session();
    old_peer.attributes.four_octet_as = false;
    old_peer.local_as = asn(70000);
    const PathAttributes rebuilt = attributes_of(old_peer, 2);
    CHECK(rebuilt.as_path.to_string() == "70000 70000 70000");
    CHECK(attributes_of(old_peer, 299).as_path.length() == 300);
    CHECK(sent(old_peer, "198.51.100.0/24").announcement.find(to_hex(hex("400204 0201 5ba0"))) !=
          std::string::npos);
    CHECK(
        sent(old_peer, "198.51.100.0/24").announcement.find(to_hex(hex("c01106 0201 00011170"))) !=
        std::string::npos);
    old_peer.local_as = asn(64500);
    CHECK(sent(old_peer).announcement.find("c011") == std::string::npos);
}

TEST_CASE("adj-rib-out: RFC 4360, RFC 8092, RFC 1997: communities of all kinds go along") {
    RouteAttributes what;
    what.origin = Origin::egp;
    what.med = 5;
    what.local_pref = 300;
    what.communities = {*Community::parse("graceful_shutdown")};
    what.extended_communities = {*ExtendedCommunity::parse("rt:64500:100")};
    what.large_communities = {{64500, 1, 7}};
    const auto all = std::make_shared<const RouteAttributes>(what);
    CHECK(sent(session(), "198.51.100.0/24", all)
              .announcement.find(
                  to_hex(hex("400101 01 400206 0201 0000fbf4 400304 c0000201 800404 00000005"
                             "c00804 ffff0000 c01008 0002fbf4 00000064"
                             "c0200c 0000fbf4 00000001 00000007"))) != std::string::npos);
    SessionEncoding internal = session();
    internal.attributes.internal = true;
    // RFC 4271 §5.1.5: LOCAL_PREF inside only.
    CHECK(sent(internal, "198.51.100.0/24", all).announcement.find("4005040000012c") !=
          std::string::npos);
    CHECK(sent(session(), "198.51.100.0/24", all).announcement.find("400504") == std::string::npos);
}

}  // namespace
}  // namespace swerve::bgp
