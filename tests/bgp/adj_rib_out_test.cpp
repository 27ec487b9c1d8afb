#include "swerve/bgp/adj_rib_out.hpp"

#include <doctest/doctest.h>

#include <string>

#include "tests/bgp/rib_out_listener.hpp"

namespace swerve::bgp {
namespace {

using namespace test;

/// "ff ff …" of all octets, without the markers' sixteen.
std::string hex(ByteView octets) {
    static constexpr std::string_view digits = "0123456789abcdef";
    std::string out;
    for (const std::uint8_t octet : octets) {
        out += digits[octet >> 4U];
        out += digits[octet & 0xfU];
    }
    return out;
}

const std::string marker(32, 'f');
// Header of 23 octets and nothing else; RFC 4724 §2.
const std::string end_of_rib_ipv4 = marker +
                                    "0017"
                                    "02"
                                    "0000"
                                    "0000";
const std::string end_of_rib_ipv6 = marker +
                                    "001d"
                                    "02"
                                    "0000"
                                    "0006"
                                    "800f03"
                                    "000201";

RouteRef plain() { return std::make_shared<const RouteAttributes>(); }

SessionEncoding only(Family family) {
    SessionEncoding out = session();
    out.families = FamilySet{family};
    return out;
}

/// A rib whose neighbor has taken End-of-RIB already.
AdjRibOut fresh(const SessionEncoding& encoding) {
    AdjRibOut rib;
    rib.session_up(encoding);
    (void)drain(rib);
    return rib;
}

std::size_t taken(AdjRibOut& rib) {
    std::vector<ByteView> views;
    return rib.produce(1U << 20U, views);
}

TEST_CASE("adj-rib-out: IPv4 goes as NLRI and withdrawn routes, octet by octet") {
    AdjRibOut rib = fresh(only(Family::ipv4));
    const auto prefixes = block({"198.51.100.0/24"});
    rib.advertise(prefixes, prefixes->all(), plain());
    CHECK(rib.pending_announcements() == 1);
    CHECK(hex(drain(rib)) == marker +
                                 "002f"
                                 "02"
                                 "0000"
                                 "0014"
                                 "40010100"
                                 "400206"
                                 "0201"
                                 "0000fbf4"
                                 "400304"
                                 "c0000201"
                                 "18c63364");
    CHECK(rib.advertised(Family::ipv4) == 1);
    rib.withdraw(prefixes, prefixes->all());
    CHECK(rib.pending_withdrawals() == 1);
    CHECK(hex(drain(rib)) == marker +
                                 "001b"
                                 "02"
                                 "0004"
                                 "18c63364"
                                 "0000");
    CHECK(rib.advertised(Family::ipv4) == 0);
    CHECK(rib.updates_sent() == 3);
}

TEST_CASE("adj-rib-out: IPv6 goes as MP_REACH_NLRI, first of its attributes, and MP_UNREACH_NLRI") {
    AdjRibOut rib = fresh(only(Family::ipv6));
    const auto prefixes = block({"2001:db8:1::/48"});
    rib.advertise(prefixes, prefixes->all(), plain());
    CHECK(hex(drain(rib)) == marker +
                                 "0043"
                                 "02"
                                 "0000"
                                 "002c"
                                 "800e1c"
                                 "000201"
                                 "10"
                                 "20010db8000000000000000000000001"
                                 "00"
                                 "3020010db80001"
                                 "40010100"
                                 "400206"
                                 "0201"
                                 "0000fbf4");
    rib.withdraw(prefixes, prefixes->all());
    CHECK(hex(drain(rib)) == marker +
                                 "0024"
                                 "02"
                                 "0000"
                                 "000d"
                                 "800f0a"
                                 "000201"
                                 "3020010db80001");
}

TEST_CASE("adj-rib-out: an internal peer gets an empty path and LOCAL_PREF 100") {
    SessionEncoding internal = only(Family::ipv4);
    internal.attributes.internal = true;
    AdjRibOut rib = fresh(internal);
    const auto prefixes = block({"198.51.100.0/24"});
    rib.advertise(prefixes, prefixes->all(), plain());
    CHECK(hex(drain(rib)) == marker +
                                 "0030"
                                 "02"
                                 "0000"
                                 "0015"
                                 "40010100"
                                 "400200"
                                 "400304"
                                 "c0000201"
                                 "400504"
                                 "00000064"
                                 "18c63364");
}

TEST_CASE("adj-rib-out: prepending adds the local AS, also towards an internal peer") {
    for (const bool internal : {false, true}) {
        SessionEncoding encoding = only(Family::ipv4);
        encoding.attributes.internal = internal;
        AdjRibOut rib = fresh(encoding);
        RouteAttributes attributes;
        attributes.prepend = 300;
        attributes.local_pref = 7;
        attributes.med = 9;
        const auto prefixes = block({"198.51.100.0/24"});
        rib.advertise(prefixes, prefixes->all(),
                      std::make_shared<const RouteAttributes>(attributes));
        Listener listener{encoding};
        listener.feed(drain(rib));
        const auto heard = listener.take_heard();
        REQUIRE(heard.size() == 1);
        const auto& received = *heard.front().update.attributes;
        CHECK(received.as_path.length() == (internal ? 300U : 301U));
        CHECK(received.as_path.segments.size() == 2);
        CHECK(received.as_path.segments.front().asns == std::vector<Asn>(255, asn(64500)));
        CHECK(received.local_pref == (internal ? std::optional{7U} : std::nullopt));
    }
}

TEST_CASE("adj-rib-out: End-of-RIB follows the first announcements of a family, once") {
    const auto ipv4 = block({"198.51.100.0/24"});
    AdjRibOut rib;
    rib.advertise(ipv4, ipv4->all(), plain());
    CHECK_FALSE(rib.pending());
    rib.session_up(session());
    CHECK(rib.pending());
    const std::string said = hex(drain(rib));
    REQUIRE(said.size() == (47 + 23 + 29) * 2);
    CHECK(said.substr(47 * 2) == end_of_rib_ipv4 + end_of_rib_ipv6);
    rib.withdraw(ipv4, ipv4->all());
    rib.advertise(ipv4, ipv4->all(), route(5));
    CHECK(hex(drain(rib)).find(end_of_rib_ipv4) == std::string::npos);

    rib.session_down();
    rib.session_up(only(Family::ipv6));
    CHECK(hex(drain(rib)) == end_of_rib_ipv6);
}

TEST_CASE("adj-rib-out: what is as it should be sends nothing") {
    AdjRibOut rib = fresh(session());
    const auto prefixes = block(consecutive(0x0a000000, 24, 10));
    const RouteRef a = route(1);
    rib.withdraw(prefixes, prefixes->all());
    CHECK_FALSE(rib.pending());
    rib.advertise(prefixes, prefixes->all(), a);
    (void)drain(rib);
    const auto sent = rib.updates_sent();
    rib.advertise(prefixes, {2, 7}, a);
    rib.withdraw(prefixes, {5, 5});
    CHECK_FALSE(rib.pending());
    // There and back again before the socket takes anything.
    rib.withdraw(prefixes, {3, 6});
    CHECK(rib.pending_withdrawals() == 3);
    rib.advertise(prefixes, {3, 6}, a);
    CHECK_FALSE(rib.pending());
    rib.advertise(prefixes, prefixes->all(), route(2));
    CHECK(rib.pending_announcements() == 10);
    rib.advertise(prefixes, prefixes->all(), a);
    CHECK_FALSE(rib.pending());
    // Announced and withdrawn before it was sent.
    const auto others = block({"192.0.2.0/24"});
    rib.advertise(others, others->all(), a);
    rib.withdraw(others, others->all());
    CHECK_FALSE(rib.pending());
    CHECK(taken(rib) == 0);
    CHECK(rib.updates_sent() == sent);
}

TEST_CASE("adj-rib-out: all withdrawals stand before any announcement") {
    AdjRibOut rib = fresh(session());
    const auto ipv4 = block({"198.51.100.0/24", "203.0.113.0/24"});
    const auto ipv6 = block({"2001:db8:1::/48", "2001:db8:2::/48"});
    const auto others = block({"192.0.2.0/24"});
    for (const auto& each : {ipv4, ipv6, others}) rib.advertise(each, each->all(), route(1));
    Listener listener{session()};
    listener.feed(drain(rib));
    (void)listener.take_heard();

    rib.advertise(ipv4, {0, 1}, route(2));
    rib.withdraw(ipv4, {1, 2});
    rib.withdraw(ipv6, {0, 1});
    rib.withdraw(others, others->all());
    listener.feed(drain(rib));
    const auto heard = listener.take_heard();
    REQUIRE(heard.size() == 3);
    // Prefixes of several blocks share a message.
    CHECK(heard[0].update.withdrawn ==
          std::vector{prefix("203.0.113.0/24"), prefix("192.0.2.0/24")});
    CHECK(heard[1].update.withdrawn == std::vector{prefix("2001:db8:1::/48")});
    CHECK(heard[2].update.reach.size() == 1);
    CHECK(listener.held() == std::map<Prefix, std::uint32_t>{{prefix("198.51.100.0/24"), 2},
                                                             {prefix("2001:db8:2::/48"), 1}});
}

TEST_CASE("adj-rib-out: a message of 4,096 octets is filled to the last and not beyond") {
    // 4,096 − 23 = 4,073 octets of withdrawn routes: 1,017 × 4 + 5.
    for (const auto& [slash24, expected] :
         {std::pair{1017U, std::vector<std::size_t>{4096}}, {1018U, {4095, 28}}}) {
        auto prefixes = consecutive(0x0a000000, 24, slash24);
        prefixes.push_back(prefix("203.0.113.7/32"));
        const auto all = block(prefixes);
        AdjRibOut rib = fresh(session());
        rib.advertise(all, all->all(), route(1));
        Listener listener{session()};
        listener.feed(drain(rib));
        (void)listener.take_heard();
        rib.withdraw(all, all->all());
        listener.feed(drain(rib));
        std::vector<std::size_t> sizes;
        for (const Heard& heard : listener.take_heard()) sizes.push_back(heard.size);
        CHECK(sizes == expected);
        CHECK(listener.held().empty());
    }
}

TEST_CASE("adj-rib-out: the length of an MP attribute is extended above 255 octets only") {
    for (const bool extended : {false, true}) {
        // AFI and SAFI take 3 octets, 36 × /48 take 252; a /56 for the last /48 makes it 256.
        std::vector<Prefix> prefixes;
        for (int i = 16; i < 52; ++i) {
            prefixes.push_back(prefix("2001:db8:" + std::to_string(i) +
                                      (i == 51 && extended ? "::/56" : "::/48")));
        }
        const auto all = block(prefixes);
        AdjRibOut rib = fresh(session());
        rib.advertise(all, all->all(), route(1));
        Listener listener{session()};
        listener.feed(drain(rib));
        rib.withdraw(all, all->all());
        const Bytes withdrawal = drain(rib);
        CHECK(hex(ByteView{withdrawal}.subspan(23, 4)) == (extended ? "900f0100" : "800fff00"));
        listener.feed(withdrawal);
        CHECK(listener.held().empty());
    }
}

TEST_CASE("adj-rib-out: a family without session or next hop is kept back") {
    const auto ipv4 = block({"198.51.100.0/24"});
    const auto ipv6 = block({"2001:db8:1::/48"});
    AdjRibOut rib;
    rib.advertise(ipv4, ipv4->all(), route(1));
    rib.advertise(ipv6, ipv6->all(), route(1));
    SessionEncoding encoding = session();
    encoding.next_hop_ipv6.reset();
    rib.session_up(encoding);
    CHECK(rib.pending_announcements() == 1);
    Listener listener{encoding};
    listener.feed(drain(rib));
    CHECK(listener.held().contains(prefix("198.51.100.0/24")));
    CHECK_FALSE(listener.held().contains(prefix("2001:db8:1::/48")));
    // The family was negotiated: the neighbor waits for its marker.
    CHECK(listener.end_of_rib(Family::ipv6));
    rib.withdraw(ipv6, ipv6->all());
    CHECK_FALSE(rib.pending());

    rib.session_down();
    rib.session_up(only(Family::ipv6));
    CHECK(rib.pending_announcements() == 0);
    CHECK(hex(drain(rib)) == end_of_rib_ipv6);
}

TEST_CASE("adj-rib-out: attributes that leave no room for a prefix take the route away") {
    // 23 + ORIGIN 4 + AS_PATH 9 + NEXT_HOP 7 + MED 7 + COMMUNITIES 4: 4,042 octets are left, of
    // which the longest prefix needs 5.
    const auto prefixes = block({"198.51.100.7/32"});
    for (const auto& [communities, fits] : {std::pair{1009U, true}, {1010U, false}}) {
        AdjRibOut rib = fresh(only(Family::ipv4));
        rib.advertise(prefixes, prefixes->all(), route(1));
        Listener listener{session()};
        listener.feed(drain(rib));
        rib.advertise(prefixes, prefixes->all(), route(2, communities));
        CHECK(rib.pending_announcements() == (fits ? 1 : 0));
        CHECK(rib.pending_withdrawals() == (fits ? 0 : 1));
        listener.feed(drain(rib));
        CHECK(listener.held().size() == (fits ? 1 : 0));
    }
}

TEST_CASE("adj-rib-out: a refresh sends the family once more and withdraws nothing") {
    const auto ipv4 = block(consecutive(0x0a000000, 24, 10));
    const auto ipv6 = block({"2001:db8:1::/48"});
    AdjRibOut rib = fresh(session());
    rib.advertise(ipv4, {0, 8}, route(1));
    rib.advertise(ipv6, ipv6->all(), route(1));
    const Bytes first = drain(rib);
    rib.refresh(Family::ipv4);
    CHECK(rib.pending_announcements() == 8);
    CHECK(rib.pending_withdrawals() == 0);
    const Bytes again = drain(rib);
    CHECK(hex(again) == hex(ByteView{first}.first(again.size())));
    CHECK_FALSE(rib.pending());
    // What is withdrawn meanwhile is withdrawn, and what is wanted again is still sent again.
    rib.refresh(Family::ipv4);
    rib.withdraw(ipv4, {0, 4});
    CHECK(rib.pending_withdrawals() == 4);
    CHECK(rib.pending_announcements() == 4);
    (void)drain(rib);
    CHECK(rib.advertised(Family::ipv4) == 4);
}

TEST_CASE("adj-rib-out: the rest of a partly taken message is returned, later ones are forgotten") {
    const auto ipv4 = block(consecutive(0x0a000000, 24, 3000));
    AdjRibOut rib = fresh(only(Family::ipv4));
    rib.advertise(ipv4, ipv4->all(), route(1));
    const Bytes whole = [&] {
        AdjRibOut other = fresh(only(Family::ipv4));
        other.advertise(ipv4, ipv4->all(), route(1));
        return drain(other);
    }();
    std::vector<ByteView> views;
    const std::size_t size = rib.produce(1U << 20U, views);
    REQUIRE(size == whole.size());
    // Header, length fields and attributes; then the prefixes, where the block holds them.
    CHECK(views.size() == 2 * 3);
    SUBCASE("nothing taken") {
        CHECK(rib.consumed(0).empty());
        CHECK(rib.pending_announcements() == 3000);
    }
    const std::size_t per_message = (4096 - 23 - 27) / 4;
    const std::size_t message = 23 + 27 + per_message * 4;
    SUBCASE("one octet begins a message") {
        const Bytes rest = rib.consumed(1);
        CHECK(hex(rest) == hex(ByteView{whole}.subspan(1, message - 1)));
        CHECK(rib.pending_announcements() == 3000 - per_message);
    }
    SUBCASE("up to a boundary") {
        CHECK(rib.consumed(message).empty());
        CHECK(rib.pending_announcements() == 3000 - per_message);
        CHECK(hex(drain(rib)) == hex(ByteView{whole}.subspan(message)));
    }
    SUBCASE("one octet beyond a boundary") {
        CHECK(rib.consumed(message + 1).size() == message - 1);
        CHECK(rib.pending_announcements() == 3000 - 2 * per_message);
    }
}

TEST_CASE("adj-rib-out: the budget ends behind the message that reaches it") {
    const auto ipv4 = block(consecutive(0x0a000000, 24, 3000));
    AdjRibOut rib = fresh(only(Family::ipv4));
    rib.advertise(ipv4, ipv4->all(), route(1));
    std::vector<ByteView> views;
    CHECK(rib.produce(0, views) == 0);
    CHECK(views.empty());
    const std::size_t message = rib.produce(1, views);
    CHECK(message > 4000);
    CHECK(rib.produce(message, views) == message);
    CHECK(rib.produce(message + 1, views) == 2 * message);
}

TEST_CASE("adj-rib-out: a new session is told everything, an old one nothing") {
    const auto ipv4 = block({"198.51.100.0/24", "203.0.113.0/24"});
    AdjRibOut rib = fresh(session());
    rib.advertise(ipv4, ipv4->all(), route(1));
    (void)drain(rib);
    rib.withdraw(ipv4, {0, 1});
    rib.session_down();
    CHECK_FALSE(rib.session_is_up());
    CHECK_FALSE(rib.pending());
    CHECK(taken(rib) == 0);
    CHECK(rib.advertised(Family::ipv4) == 0);
    rib.session_up(session());
    Listener listener{session()};
    listener.feed(drain(rib));
    CHECK(listener.held() == std::map<Prefix, std::uint32_t>{{prefix("203.0.113.0/24"), 1}});
}

TEST_CASE("adj-rib-out: a block is let go when nothing of it is wanted or sent") {
    auto ipv4 = block({"198.51.100.0/24"});
    const std::weak_ptr<const PrefixBlock> watch = ipv4;
    AdjRibOut rib = fresh(session());
    rib.advertise(ipv4, ipv4->all(), route(1));
    (void)drain(rib);
    rib.withdraw(ipv4, ipv4->all());
    ipv4.reset();
    CHECK_FALSE(watch.expired());
    (void)drain(rib);
    CHECK(watch.expired());
}

TEST_CASE("adj-rib-out: desired and sent are shown for every prefix that has either") {
    const auto ipv4 = block(consecutive(0x0a000000, 24, 4));
    const RouteRef a = route(1);
    const RouteRef b = route(2);
    AdjRibOut rib = fresh(session());
    rib.advertise(ipv4, {0, 2}, a);
    (void)drain(rib);
    rib.withdraw(ipv4, {0, 1});
    rib.advertise(ipv4, {2, 3}, b);
    std::vector<std::tuple<Prefix, RouteRef, RouteRef>> seen;
    rib.for_each([&](const Prefix& each, const RouteRef& desired, const RouteRef& sent) {
        seen.emplace_back(each, desired, sent);
    });
    CHECK(seen ==
          std::vector<std::tuple<Prefix, RouteRef, RouteRef>>{{prefix("10.0.0.0/24"), nullptr, a},
                                                              {prefix("10.0.1.0/24"), a, a},
                                                              {prefix("10.0.2.0/24"), b, nullptr}});
}

/// All prefixes that a stream withdraws or announces, in order, and the number of its messages.
std::pair<std::vector<Prefix>, std::size_t> prefixes_of(ByteView stream) {
    Framer framer;
    framer.feed(stream);
    std::pair<std::vector<Prefix>, std::size_t> out;
    for (auto frame = framer.next(); frame->has_value(); frame = framer.next()) {
        const auto update = decode_update(
            (*frame)->body, {.attributes = session().attributes, .families = session().families});
        REQUIRE(update.has_value());
        const auto& prefixes =
            update->reach.empty() ? update->withdrawn : update->reach.front().prefixes;
        out.first.insert(out.first.end(), prefixes.begin(), prefixes.end());
        ++out.second;
    }
    return out;
}

TEST_CASE("adj-rib-out: a million prefixes there and back") {
    constexpr std::uint32_t count = 1'000'000;
    const auto prefixes = consecutive(0x0a000000, 32, count);
    const auto all = block(prefixes);
    AdjRibOut rib = fresh(only(Family::ipv4));
    rib.advertise(all, all->all(), route(1));
    const auto announced = prefixes_of(drain(rib));
    CHECK((announced.first == prefixes));
    // 4,096 − 50 octets hold 809 prefixes of 5.
    CHECK(announced.second == (count + 808) / 809);

    rib.withdraw(all, all->all());
    CHECK(rib.pending_withdrawals() == count);
    const auto withdrawn = prefixes_of(drain(rib));
    CHECK((withdrawn.first == prefixes));
    CHECK(withdrawn.second == 1229);
    CHECK_FALSE(rib.pending());
}

}  // namespace
}  // namespace swerve::bgp
