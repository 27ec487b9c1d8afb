// AS numbers and communities.

#include <doctest/doctest.h>

#include <string>

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

}  // namespace
}  // namespace swerve
