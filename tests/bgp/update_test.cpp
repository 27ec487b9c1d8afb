#include "swerve/bgp/update.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "bgp/route_refresh.hpp"
#include "tests/support/hex.hpp"
#include "tests/support/update_checks.hpp"

namespace swerve::bgp {
namespace {

using namespace test;

TEST_CASE("update: IPv4 routes in the NLRI field with their attributes") {
    const auto update = decode_good(update_body("", base + next_hop, "18 c63364 20 cb007101"));
    REQUIRE(update.reach.size() == 1);
    CHECK(update.reach[0].next_hop == address("192.0.2.1"));
    CHECK(update.reach[0].prefixes == prefixes({"198.51.100.0/24", "203.0.113.1/32"}));
    CHECK(update.withdrawn.empty());
    REQUIRE(update.attributes);
    CHECK(update.attributes->origin == Origin::igp);
    CHECK(update.attributes->as_path.to_string() == "64496");
    CHECK_FALSE(update.end_of_rib);
}

TEST_CASE("update: withdrawn IPv4 routes need no attributes") {
    const auto update = decode_good(update_body("18 c63364 00", "", ""));
    CHECK(update.withdrawn == prefixes({"198.51.100.0/24", "0.0.0.0/0"}));
    CHECK(update.reach.empty());
    CHECK_FALSE(update.attributes);
    CHECK_FALSE(update.end_of_rib);
}

TEST_CASE("update: a prefix of every length keeps its octets, host bits are cleared") {
    // RFC 4271 §4.3: the value of trailing bits is irrelevant.
    for (unsigned length = 0; length <= 32; ++length) {
        Bytes nlri{static_cast<std::uint8_t>(length)};
        nlri.insert(nlri.end(), (length + 7) / 8, 0xff);
        const auto update = decode_good(update_body("", base + next_hop, to_hex(nlri)));
        REQUIRE(update.reach.size() == 1);
        const auto expected = Prefix::masked(Address::v4(0xffffffff), length);
        CHECK(update.reach[0].prefixes == std::vector<Prefix>{*expected});
        Bytes canonical;
        encode_nlri(*expected, canonical);
        CHECK(canonical.size() == nlri.size());
    }
    for (unsigned length = 0; length <= 128; ++length) {
        Bytes nlri{static_cast<std::uint8_t>(length)};
        nlri.insert(nlri.end(), (length + 7) / 8, 0xff);
        const auto update = decode_good(mp_reach_body("0002 01 10 20010db8 00*11 01 00", nlri));
        REQUIRE(update.reach.size() == 1);
        CHECK(update.reach[0].prefixes[0].length() == length);
    }
}

TEST_CASE("update: IPv6 routes in MP_REACH_NLRI, NEXT_HOP beside it is ignored") {
    const std::string reach = "800e 1a 0002 01 10 20010db8 00*11 01 00 20 20010db8";
    for (const std::string& attributes : {reach + base, base + reach, reach + base + next_hop,
                                          reach + base + "400305 7f00000100"}) {
        CAPTURE(attributes);
        const auto update = decode_good(update_body("", attributes, ""));
        REQUIRE(update.reach.size() == 1);
        CHECK(update.reach[0].next_hop == address("2001:db8::1"));
        CHECK(update.reach[0].prefixes == prefixes({"2001:db8::/32"}));
        REQUIRE(update.attributes);
    }
}

TEST_CASE("update: a 32-octet IPv6 next hop keeps its global half, or else the link-local one") {
    const auto next_hop_of = [](std::string_view octets) {
        const auto update =
            decode_good(mp_reach_body("0002 01 20 " + std::string{octets} + " 00", hex("00")));
        REQUIRE(update.reach.size() == 1);
        return update.reach[0].next_hop;
    };
    CHECK(next_hop_of("20010db8 00*11 01 fe80 00*13 02") == address("2001:db8::1"));
    CHECK(next_hop_of("00*16 fe80 00*13 02") == address("fe80::2"));
    CHECK(next_hop_of("fe80 00*13 02 fe80 00*13 02") == address("fe80::2"));
}

TEST_CASE("update: IPv4 routes in MP_REACH_NLRI have a next hop of 4 octets") {
    const auto update = decode_good(mp_reach_body("0001 01 04 c0000201 00", hex("18 c63364")));
    REQUIRE(update.reach.size() == 1);
    CHECK(update.reach[0].next_hop == address("192.0.2.1"));
    // RFC 8950 was not negotiated.
    check_reset(mp_reach_body("0001 01 10 20010db8 00*11 01 00", hex("18 c63364")), 9,
                "800e 19 0001 01 10 20010db8 00*11 01 00 18 c63364");
}

TEST_CASE("update: RFC 8950 §3: IPv4 routes with an IPv6 next hop, where it was negotiated") {
    UpdateContext both = external_peer;
    both.ipv4_over_ipv6 = true;
    const auto next_hop_of = [&](const std::string& octets) -> std::optional<Address> {
        const auto update =
            decode_update(mp_reach_body("0001 01 " + octets + " 00", hex("18 c63364 00")), both);
        if (!update) {
            CHECK(update.error().subcode == subcode::optional_attribute_error);
            return std::nullopt;
        }
        REQUIRE(update->reach.size() == 1);
        CHECK(update->reach[0].prefixes == prefixes({"198.51.100.0/24", "0.0.0.0/0"}));
        return update->reach[0].next_hop;
    };
    CHECK(next_hop_of("10 20010db8 00*11 01") == address("2001:db8::1"));
    CHECK(next_hop_of("20 20010db8 00*11 01 fe80 00*13 02") == address("2001:db8::1"));
    CHECK(next_hop_of("20 00*16 fe80 00*13 02") == address("fe80::2"));
    CHECK(next_hop_of("20 fe80 00*13 02 fe80 00*13 02") == address("fe80::2"));
    CHECK(next_hop_of("10 fe80 00*13 02") == address("fe80::2"));
    CHECK(next_hop_of("04 c0000201") == address("192.0.2.1"));
    for (const std::string octets : {"00", "0f 20*15", "18 20*24", "11 20*17", "30 20*48"}) {
        CHECK_FALSE(next_hop_of(octets));
    }
    // MP_UNREACH_NLRI has no next hop to negotiate about.
    CHECK(decode_good(update_body("", "800f 07 0001 01 18 c63364", "")).withdrawn ==
          prefixes({"198.51.100.0/24"}));
}

TEST_CASE("update: RFC 2545 §3: a link-local next hop alone, in 16 octets") {
    const auto update = decode_good(mp_reach_body("0002 01 10 fe80 00*13 02 00", hex("00")));
    CHECK(update.reach.at(0).next_hop == address("fe80::2"));
}

TEST_CASE("update: RFC 7911 §3: path identifiers stand before prefixes, by family") {
    const UpdateContext add_path{{}, {Family::ipv4, Family::ipv6}, {Family::ipv4}};
    const auto update =
        decode_update(update_body("00000007 18 c63365 00000000 00",
                                  "800e 1a 0002 01 10 20010db8 00*11 01 00 20 20010db8"
                                  "800f 08 0002 01 20 20010db9" +
                                      base + next_hop,
                                  "00000001 18 c63364 ffffffff 18 c63364"),
                      add_path);
    REQUIRE(update);
    CHECK(update->withdrawn == prefixes({"198.51.101.0/24", "0.0.0.0/0", "2001:db9::/32"}));
    CHECK(update->withdrawn_path_ids == PathIds{7, 0, 0});
    REQUIRE(update->reach.size() == 2);
    CHECK(update->reach[0].prefixes == prefixes({"198.51.100.0/24", "198.51.100.0/24"}));
    CHECK(update->reach[0].path_ids == PathIds{1, 0xffffffff});
    CHECK(update->reach[1].path_ids.empty());
    // Treat-as-withdraw takes the identifiers along.
    const auto condemned =
        decode_update(update_body("",
                                  "400101 07" + as_path + next_hop +
                                      "800e 1a 0002 01 10 20010db8 00*11 01 00 20 20010db8",
                                  "00000001 18 c63364 00000002 00"),
                      add_path);
    REQUIRE(condemned);
    CHECK(condemned->withdrawn == prefixes({"198.51.100.0/24", "0.0.0.0/0", "2001:db8::/32"}));
    CHECK(condemned->withdrawn_path_ids == PathIds{1, 2, 0});
    // The other order of families.
    const UpdateContext six{{}, {Family::ipv4, Family::ipv6}, {Family::ipv6}};
    const auto mixed =
        decode_update(update_body("18 c63365", "800f 0c 0002 01 00000009 20 20010db9", ""), six);
    REQUIRE(mixed);
    CHECK(mixed->withdrawn_path_ids == PathIds{0, 9});
    // End-of-RIB carries none.
    CHECK(decode_update(update_body("", "800f 03 0002 01", ""), six)->end_of_rib == Family::ipv6);
}

TEST_CASE("update: both ways at once, announced and withdrawn") {
    const auto update =
        decode_good(update_body("18 c63365",
                                "800e 1a 0002 01 10 20010db8 00*11 01 00 20 20010db8"
                                "800f 08 0002 01 20 20010db9" +
                                    base + next_hop,
                                "18 c63364"));
    CHECK(update.withdrawn == prefixes({"198.51.101.0/24", "2001:db9::/32"}));
    REQUIRE(update.reach.size() == 2);
    CHECK(update.reach[0].prefixes == prefixes({"198.51.100.0/24"}));
    CHECK(update.reach[1].prefixes == prefixes({"2001:db8::/32"}));
}

TEST_CASE("update: families that were not negotiated are passed over unread") {
    const UpdateContext only_six{{}, {Family::ipv6}};
    const auto four = decode_update(update_body("21 00", base + next_hop, "21 00"), only_six);
    REQUIRE(four);
    CHECK(four->withdrawn.empty());
    CHECK(four->reach.empty());
    CHECK(four->consequence == Consequence::none);
    const UpdateContext only_four{{}, {Family::ipv4}};
    const auto six = decode_update(
        update_body("", "800e 1a 0002 01 03 010203 00 ff*18 " + base + "800f 04 0002 01 ff", ""),
        only_four);
    REQUIRE(six);
    CHECK(six->withdrawn.empty());
    CHECK(six->reach.empty());
    CHECK_FALSE(six->attributes);
    // What is left over of the message still counts, and lacks nothing.
    const auto both = decode_update(
        update_body("", "800e 1a 0002 01 10 20010db8 00*11 01 00 20 20010db8" + base, "18 c63364"),
        only_six);
    REQUIRE(both);
    CHECK(both->consequence == Consequence::none);
    CHECK(both->reach.size() == 1);
}

TEST_CASE("end-of-rib: both forms, for negotiated families only") {
    CHECK(encode_end_of_rib(Family::ipv4) == hex("ff*16 0017 02 0000 0000"));
    CHECK(encode_end_of_rib(Family::ipv6) == hex("ff*16 001d 02 0000 0006 800f 03 0002 01"));
    for (const Family family : all_families) {
        const Bytes message = encode_end_of_rib(family);
        const ByteView body = ByteView{message}.subspan(19);
        for (const Family negotiated : all_families) {
            const auto update = decode_update(body, {{}, {negotiated}});
            REQUIRE(update);
            CHECK(update->end_of_rib ==
                  (family == negotiated ? std::optional{family} : std::nullopt));
        }
    }
    CHECK(decode_good(update_body("", "800f 03 0001 01", "")).end_of_rib == Family::ipv4);
    // An MP_UNREACH_NLRI with an extended length is none the less empty.
    CHECK(decode_good(update_body("", "900f 0003 0002 01", "")).end_of_rib == Family::ipv6);
    // Anything beside it makes it an ordinary UPDATE.
    CHECK_FALSE(decode_good(update_body("00", "800f 03 0002 01", "")).end_of_rib);
    CHECK_FALSE(decode_good(update_body("", "800f 03 0002 01 c063 00", "")).end_of_rib);
    CHECK_FALSE(decode_good(update_body("", "800f 04 0002 01 00", "")).end_of_rib);
    CHECK_FALSE(decode_good(update_body("", "800f 03 0002 02", "")).end_of_rib);
    CHECK_FALSE(decode_good(update_body("", base, "")).end_of_rib);
}

TEST_CASE("nlri: the octets that carry the length, no more") {
    const auto encoded = [](std::string_view text) {
        Bytes out = hex("aa");
        encode_nlri(*Prefix::parse(text), out);
        return to_hex(out);
    };
    CHECK(encoded("0.0.0.0/0") == "aa00");
    CHECK(encoded("128.0.0.0/1") == "aa0180");
    CHECK(encoded("198.0.0.0/8") == "aa08c6");
    CHECK(encoded("198.51.100.0/24") == "aa18c63364");
    CHECK(encoded("198.51.100.128/25") == "aa19c6336480");
    CHECK(encoded("198.51.100.1/32") == "aa20c6336401");
    CHECK(encoded("::/0") == "aa00");
    CHECK(encoded("2001:db8::/32") == "aa2020010db8");
    CHECK(encoded("2001:db8::1/128") == "aa8020010db8000000000000000000000001");
}

TEST_CASE("update: a packed one of 800 prefixes comes out complete and in order") {
    Bytes nlri;
    std::vector<Prefix> expected;
    for (std::uint32_t i = 0; i < 800; ++i) {
        expected.push_back(*Prefix::masked(Address::v4(0x0b000000U + (i << 8U)), 24));
        encode_nlri(expected.back(), nlri);
    }
    const auto announced = decode_good(update_body("", base + next_hop, to_hex(nlri)));
    CHECK(announced.reach.at(0).prefixes == expected);
    CHECK(announced.reach.at(0).prefixes.capacity() == 800);
    const auto withdrawn = decode_good(update_body(to_hex(nlri), "", ""));
    CHECK(withdrawn.withdrawn == expected);
    CHECK(withdrawn.withdrawn.capacity() == 800);
}

TEST_CASE("route refresh: RFC 2918 §3: the families we know, subtype 0, and silence to all else") {
    CHECK(encode_route_refresh(Family::ipv4) == hex("ff*16 0017 05 0001 00 01"));
    CHECK(encode_route_refresh(Family::ipv6) == hex("ff*16 0017 05 0002 00 01"));
    const auto asked_for = [](std::string_view body) -> std::optional<Family> {
        const auto read = decode_route_refresh(hex(body), false);
        REQUIRE(read);
        if (!*read) return std::nullopt;
        CHECK((*read)->subtype == RefreshSubtype::request);
        return (*read)->family;
    };
    CHECK(asked_for("0001 00 01") == Family::ipv4);
    CHECK(asked_for("0002 00 01") == Family::ipv6);
    // Malformed 54: AFI 0, foreign SAFI, the subtypes of RFC 7313, odd lengths.
    for (const std::string_view body :
         {"0000 00 01", "0003 00 01", "0001 00 02", "0001 01 01", "0002 02 01", "0001 ff 01",
          "0001 00", "0001 00 01 00", ""}) {
        CHECK_FALSE(asked_for(body));
    }
}

TEST_CASE("update: RFC 4760 §3, §4: the family of its routes is told without decoding them") {
    CHECK(family_of_routes(update_body("18 c63364", "", "")) == Family::ipv4);
    CHECK(family_of_routes(update_body("", base + next_hop, "18 c63364")) == Family::ipv4);
    CHECK(family_of_routes(update_body("", base + "80 0f 03 0002 01", "")) == Family::ipv6);
    CHECK(family_of_routes(update_body("", "90 0e 0005 0001 01 00 00", "")) == Family::ipv4);
    // Multicast, another AFI, no SAFI; attributes and fields that are cut off.
    for (const std::string_view mp :
         {"80 0f 03 0002 02", "80 0f 03 0003 01", "80 0f 02 0002", "80 0f 04 0002 01", "40"}) {
        CHECK_FALSE(family_of_routes(update_body("", std::string{mp}, "")));
    }
    CHECK_FALSE(family_of_routes(hex("0001")));
    CHECK_FALSE(family_of_routes(hex("0000 0001")));
}

}  // namespace
}  // namespace swerve::bgp
