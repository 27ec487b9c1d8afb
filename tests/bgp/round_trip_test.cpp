// Generated tables: whatever is desired, with attributes of every kind and towards every kind of
// peer, comes out at the far end as it was meant; and the same with path identifiers, which only
// others send.

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "swerve/base/random.hpp"
#include "tests/bgp/rib_out_listener.hpp"
#include "tests/support/hex.hpp"

namespace swerve::bgp {
namespace {

using namespace test;
using swerve::test::to_hex;
using swerve::test::update_body;

constexpr std::uint32_t u32(std::uint64_t number) { return static_cast<std::uint32_t>(number); }
bool chance(Random& random) { return random.below(2) == 0; }

/// A number that fits two octets, or one that does not.
Asn some_asn(Random& random) {
    return asn(chance(random) ? u32(1 + random.below(20'000))
                              : u32(65'536 + random.below(1 << 20)));
}

SessionEncoding some_session(Random& random) {
    SessionEncoding out{.local_as = some_asn(random),
                        .attributes = {chance(random), chance(random)},
                        .families = {Family::ipv4, Family::ipv6},
                        .next_hop_ipv4 = address("192.0.2.1"),
                        .next_hop_ipv6 = address("2001:db8::1")};
    out.ipv4_over_ipv6 = chance(random);
    if (out.ipv4_over_ipv6 && chance(random)) out.next_hop_ipv4 = address("2001:db8::4");
    if (chance(random)) out.next_hop_link_local = address("fe80::1");
    if (chance(random)) out.largest_message = 65535;
    if (chance(random)) out.role = static_cast<Role>(random.below(5));
    return out;
}

RouteAttributes some_route(Random& random) {
    RouteAttributes out;
    out.origin = static_cast<Origin>(random.below(3));
    if (chance(random)) out.prepend = static_cast<unsigned>(random.below(300));
    if (chance(random)) out.med = u32(random.next());
    if (chance(random)) out.local_pref = u32(random.next());
    for (auto i = random.below(100); i > 0; --i) out.communities.push_back({u32(random.next())});
    for (auto i = random.below(50); i > 0; --i) out.extended_communities.push_back({random.next()});
    for (auto i = random.below(30); i > 0; --i) {
        out.large_communities.push_back({u32(i), u32(random.next()), u32(random.next())});
    }
    return out;
}

std::vector<Prefix> some_prefixes(Random& random) {
    std::vector<Prefix> out;
    const bool ipv4 = chance(random);
    for (auto i = 1 + random.below(2000); i > 0; --i) {
        Bytes octets;
        for (int word = 0; word < (ipv4 ? 1 : 4); ++word) Writer{octets}.u32(u32(random.next()));
        const auto length = static_cast<unsigned>(random.below(ipv4 ? 33 : 129));
        out.push_back(*Prefix::masked(*Address::from_octets(octets), length));
    }
    std::ranges::sort(out);
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
}

/// What RFC 4271 §5, RFC 6793 and RFC 9234 make of a route on its way to such a peer.
PathAttributes meant(const RouteAttributes& route, const SessionEncoding& session) {
    const bool internal = session.attributes.internal;
    PathAttributes out;
    out.origin = route.origin;
    const std::size_t hops = route.prepend + (internal ? 0U : 1U);
    for (std::size_t i = 0; i < hops; ++i) {
        if (i % 255 == 0) {
            out.as_path.segments.push_back({AsPathSegment::Type::as_sequence, {}});
        }
        out.as_path.segments.back().asns.push_back(session.local_as);
    }
    out.med = route.med;
    if (internal) out.local_pref = route.local_pref.value_or(100);
    out.communities = route.communities;
    out.extended_communities = route.extended_communities;
    out.large_communities = route.large_communities;
    using enum Role;
    if (!internal &&
        (session.role == provider || session.role == peer || session.role == route_server)) {
        out.only_to_customer = session.local_as;
    }
    return out;
}

/// The same UPDATE with identifiers before its prefixes (RFC 7911 §3), counted from `first`.
Bytes with_path_ids(const Update& update, const SessionEncoding& session, PathId first) {
    Bytes nlri;
    Writer writer{nlri};
    const Reach& reach = update.reach.at(0);
    for (const Prefix& prefix : reach.prefixes) {
        writer.u32(first++);
        encode_nlri(prefix, nlri);
    }
    const Family family = reach.prefixes[0].family();
    const bool mp = reach.next_hop.family() == Family::ipv6;
    Bytes attributes;
    if (mp) {
        Writer head{attributes};
        head.u16(0x900e);
        head.u16(static_cast<std::uint16_t>(3 + 1 + 16 + 1 + nlri.size()));
        head.u16(family == Family::ipv4 ? 1 : 2);
        head.u16(0x0110);
        head.bytes(reach.next_hop.octets());
        head.u8(0);
        head.bytes(nlri);
        nlri.clear();
    }
    encode_attributes(*update.attributes, mp ? std::nullopt : std::optional{reach.next_hop},
                      session.attributes, attributes);
    return update_body("", to_hex(attributes), to_hex(nlri));
}

void check_with_path_ids(const Update& update, const SessionEncoding& session, PathId first) {
    const UpdateContext context{session.attributes, session.families, session.families, true};
    const Bytes body = with_path_ids(update, session, first);
    const auto again = decode_update(body, context);
    REQUIRE(again);
    REQUIRE(again->fault == "");
    REQUIRE(again->reach.size() == 1);
    REQUIRE(again->reach[0].prefixes == update.reach[0].prefixes);
    REQUIRE(*again->attributes == *update.attributes);
    const PathIds& ids = again->reach[0].path_ids;
    REQUIRE(ids.size() == update.reach[0].prefixes.size());
    for (std::size_t i = 0; i < ids.size(); ++i) REQUIRE(ids[i] == PathId(first + i));
}

TEST_CASE("round trip: a generated table arrives as it was meant, with path identifiers, too") {
    std::size_t routes = 0;
    for (std::uint64_t seed = 0; seed < 150; ++seed) {
        CAPTURE(seed);
        Random random{seed};
        const SessionEncoding session = some_session(random);
        AdjRibOut rib;
        rib.session_up(session);
        std::map<Prefix, PathAttributes> table;
        for (auto blocks = 1 + random.below(4); blocks > 0; --blocks) {
            auto prefixes = some_prefixes(random);
            std::erase_if(prefixes, [&](const Prefix& each) { return table.contains(each); });
            if (prefixes.empty()) continue;
            const RouteAttributes route = some_route(random);
            for (const Prefix& each : prefixes) table.emplace(each, meant(route, session));
            const BlockRef one = block(prefixes);
            rib.advertise(one, one->all(), std::make_shared<const RouteAttributes>(route));
        }
        routes += table.size();
        Framer framer{session.largest_message};
        framer.feed(drain(rib));
        const UpdateContext context{
            session.attributes, session.families, {}, session.ipv4_over_ipv6};
        for (;;) {
            const auto frame = framer.next();
            REQUIRE(frame);
            if (!frame->has_value()) break;
            const auto update = decode_update((*frame)->body, context);
            REQUIRE(update);
            REQUIRE(update->fault == "");
            for (const Reach& reach : update->reach) {
                const auto& next_hop = reach.prefixes[0].family() == Family::ipv4
                                           ? session.next_hop_ipv4
                                           : session.next_hop_ipv6;
                REQUIRE(reach.next_hop == *next_hop);
                for (const Prefix& each : reach.prefixes) {
                    const auto expected = table.find(each);
                    REQUIRE(expected != table.end());
                    REQUIRE(*update->attributes == expected->second);
                    table.erase(expected);
                }
            }
            if (!update->reach.empty()) check_with_path_ids(*update, session, u32(random.next()));
        }
        CHECK(table.empty());
    }
    CHECK(routes > 100'000);
}

}  // namespace
}  // namespace swerve::bgp
