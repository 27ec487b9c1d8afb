// AS numbers and communities.

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "swerve/net/asn.hpp"
#include "swerve/net/community.hpp"

namespace swerve {
namespace {

TEST_CASE("asn: 1 and 4294967295 are numbers, 0 and 4294967296 are not") {
    CHECK_FALSE(Asn::from(0));  // RFC 7607 §2
    CHECK(Asn::from(1)->value() == 1);
    CHECK_FALSE(Asn::parse("0"));
    CHECK(Asn::parse("1")->value() == 1);
    CHECK(Asn::parse("4294967295")->value() == 0xffffffff);
    CHECK_FALSE(Asn::parse("4294967296"));
    CHECK(Asn::parse("4294967295")->to_string() == "4294967295");
}

TEST_CASE("asn: 65535 fits two octets, 65536 does not") {
    CHECK(Asn::from(65535)->fits_two_octets());
    CHECK_FALSE(Asn::from(65536)->fits_two_octets());
}

TEST_CASE("asn: only plain decimal") {
    // RFC 5396 §2.
    for (const std::string_view text :
         {"", " ", "010", "+1", "-1", "1.10", "0x1", "1 ", " 1", "AS1", "1e3"}) {
        CAPTURE(text);
        CHECK_FALSE(Asn::parse(text));
    }
}

TEST_CASE("community: text and back, names for the well-known") {
    for (const std::string_view text :
         {"0:0", "64500:100", "65535:65534", "no_export", "no_advertise", "no_export_subconfed",
          "no_peer", "blackhole", "graceful_shutdown"}) {
        const auto community = Community::parse(text);
        REQUIRE(community);
        CHECK(community->to_string() == text);
    }
    CHECK(Community::parse("64500:100")->value == 0xfbf40064);
    CHECK(Community::parse("graceful_shutdown")->value == 0xffff0000);    // RFC 8326 §5
    CHECK(Community::parse("blackhole")->value == 0xffff029a);            // RFC 7999 §5
    CHECK(Community::parse("no_export")->value == 0xffffff01);            // RFC 1997
    CHECK(Community::parse("no_advertise")->value == 0xffffff02);         // RFC 1997
    CHECK(Community::parse("no_export_subconfed")->value == 0xffffff03);  // RFC 1997
    CHECK(Community::parse("no_peer")->value == 0xffffff04);              // RFC 3765 §4
    CHECK(Community::parse("65535:0")->to_string() == "graceful_shutdown");
}

TEST_CASE("community: what is none") {
    for (const std::string_view text :
         {"", ":", "64500", "64500:", ":100", "64500:65536", "65536:0", "64500:100:1", "064500:1",
          "64500:01", "64500:-1", "64500:+1", "64500: 1", "64500:1 ", "no-export", "NO_EXPORT",
          "4227072100"}) {
        CAPTURE(text);
        CHECK_FALSE(Community::parse(text));
    }
}

TEST_CASE("large community: three numbers of 32 bits") {
    CHECK(LargeCommunity::parse("64500:1:2") == LargeCommunity{64500, 1, 2});
    CHECK(LargeCommunity::parse("4294967295:0:4294967295")->to_string() ==
          "4294967295:0:4294967295");
    for (const std::string_view text : {"", "::", "1:2", "1:2:", "1:2:3:4", "4294967296:0:0",
                                        "01:2:3", "1:2:3 ", "1::3", "no_export"}) {
        CAPTURE(text);
        CHECK_FALSE(LargeCommunity::parse(text));
    }
}

TEST_CASE("community: RFC 9494 §3, RFC 7611: the other well-known names") {
    CHECK(Community::parse("accept_own")->value == 0xffff0001);
    CHECK(Community::parse("llgr_stale")->value == 0xffff0006);
    CHECK(Community::parse("no_llgr")->value == 0xffff0007);
    CHECK(Community::parse("accept_own_nexthop")->value == 0xffff0008);
    CHECK(Community::parse("65535:7")->to_string() == "no_llgr");
}

TEST_CASE("extended community: RFC 4360 §4, §5, RFC 5668 §2: text, octets and back") {
    const std::vector<std::pair<std::string_view, std::uint64_t>> all{
        {"rt:64500:100", 0x0002fbf400000064},
        {"ro:64500:4294967295", 0x0003fbf4ffffffff},
        {"rt:65535:0", 0x0002ffff00000000},
        {"rt:65536:1", 0x0202000100000001},
        {"ro:4294967295:65535", 0x0203ffffffffffff},
        {"rt:192.0.2.1:7", 0x0102c00002010007},
        {"ro:192.0.2.1:65535", 0x0103c0000201ffff},
        // Another sub-type, a small AS in four octets, AS 0, not transitive, opaque.
        {"0x0004fbf400000064", 0x0004fbf400000064},
        {"0x02020000fbf40064", 0x02020000fbf40064},
        {"0x0002000000000064", 0x0002000000000064},
        {"0x4002fbf400000064", 0x4002fbf400000064},
        {"0x030c000000000008", 0x030c000000000008},
        {"0xffffffffffffffff", 0xffffffffffffffff},
    };
    for (const auto& [text, octets] : all) {
        CAPTURE(text);
        const auto parsed = ExtendedCommunity::parse(text);
        REQUIRE(parsed);
        CHECK(parsed->value == octets);
        CHECK(parsed->to_string() == text);
    }
    CHECK(ExtendedCommunity::parse("0x0002FBF400000064")->to_string() == "rt:64500:100");
}

TEST_CASE("extended community: what is none") {
    for (const std::string_view text : {"",
                                        "rt",
                                        "rt:",
                                        "rt:64500",
                                        "rt::1",
                                        "rt:64500:",
                                        "rt:64500:4294967296",
                                        "rt:65536:65536",
                                        "rt:192.0.2.1:65536",
                                        "rt:192.0.2:1",
                                        "rt:2001:db8::1:1",
                                        "rt:0:1",
                                        "rt:064500:1",
                                        "rt:64500:01",
                                        "rt:64500:1 ",
                                        "xx:64500:1",
                                        "RT:64500:1",
                                        "64500:1",
                                        "0x",
                                        "0x00",
                                        "0x0002fbf40000006",
                                        "0x0002fbf4000000640",
                                        "0x0002fbf40000006g",
                                        "0x-002fbf400000064"}) {
        CAPTURE(text);
        CHECK_FALSE(ExtendedCommunity::parse(text));
    }
}

}  // namespace
}  // namespace swerve
