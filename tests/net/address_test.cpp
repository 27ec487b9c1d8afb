#include "swerve/net/address.hpp"

#include <doctest/doctest.h>

#include <string>

#include "swerve/net/router_id.hpp"
#include "tests/support/hex.hpp"

namespace swerve {
namespace {

Address address(std::string_view text) {
    const auto out = Address::parse(text);
    REQUIRE(out);
    return *out;
}

TEST_CASE("address: text and back, in the canonical form of RFC 5952") {
    for (const std::string_view text :
         {"0.0.0.0", "192.0.2.1", "255.255.255.255", "::", "::1", "2001:db8::1", "fe80::1",
          "2001:db8:0:1:1:1:1:1", "::ffff:192.0.2.1"}) {
        CHECK(address(text).to_string() == text);
    }
    CHECK(address("2001:DB8:0:0:0:0:0:1").to_string() == "2001:db8::1");
    CHECK(address("192.0.2.1").family() == Family::ipv4);
    CHECK(address("::ffff:192.0.2.1").family() == Family::ipv6);
}

TEST_CASE("address: what is none") {
    for (const std::string_view text : {"",
                                        " ",
                                        "192.0.2",
                                        "192.0.2.1.",
                                        "192.0.2.256",
                                        "192.0.2.01",
                                        "0x7f.0.0.1",
                                        "1",
                                        "192.0.2.1/24",
                                        " 192.0.2.1",
                                        "192.0.2.1 ",
                                        ":",
                                        ":::",
                                        "2001:db8",
                                        "2001:db8::1::2",
                                        "2001:db8::g",
                                        "fe80::1%eth0",
                                        "[::1]",
                                        "1:2:3:4:5:6:7:8:9",
                                        "localhost"}) {
        CAPTURE(text);
        CHECK_FALSE(Address::parse(text));
    }
    CHECK_FALSE(Address::parse(std::string_view{"192.0.2.1\0x", 11}));
}

TEST_CASE("address: 4 octets are IPv4, 16 are IPv6, others are none") {
    CHECK(Address::from_octets(test::hex("c0000201")) == address("192.0.2.1"));
    CHECK(Address::from_octets(test::hex("20010db8 00*11 01")) == address("2001:db8::1"));
    for (const std::size_t size : {0U, 3U, 5U, 15U, 17U}) {
        CHECK_FALSE(Address::from_octets(Bytes(size, 1)));
    }
    CHECK(Address::v4(0xc0000201) == address("192.0.2.1"));
    CHECK(address("192.0.2.1").octets().size() == 4);
    CHECK(address("::1").octets().size() == 16);
}

TEST_CASE("address: bits count from the left") {
    CHECK(address("128.0.0.1").bit(0));
    CHECK_FALSE(address("128.0.0.1").bit(1));
    CHECK(address("128.0.0.1").bit(31));
    CHECK(address("::1").bit(127));
    CHECK_FALSE(address("::1").bit(126));
}

TEST_CASE("address: the special ranges end where they end") {
    CHECK(address("127.0.0.1").is_loopback());
    CHECK(address("127.255.255.255").is_loopback());
    CHECK_FALSE(address("126.255.255.255").is_loopback());
    CHECK_FALSE(address("128.0.0.0").is_loopback());
    CHECK(address("::1").is_loopback());
    CHECK_FALSE(address("::2").is_loopback());
    CHECK_FALSE(address("1::1").is_loopback());

    CHECK_FALSE(address("223.255.255.255").is_multicast());
    CHECK(address("224.0.0.0").is_multicast());
    CHECK(address("239.255.255.255").is_multicast());
    CHECK_FALSE(address("240.0.0.0").is_multicast());
    CHECK(address("ff02::1").is_multicast());
    CHECK_FALSE(address("fe00::1").is_multicast());

    CHECK(address("fe80::1").is_ipv6_link_local());
    CHECK(address("febf:ffff::1").is_ipv6_link_local());
    CHECK_FALSE(address("fec0::1").is_ipv6_link_local());
    CHECK_FALSE(address("fe7f::1").is_ipv6_link_local());
    CHECK_FALSE(address("169.254.0.1").is_ipv6_link_local());

    CHECK(address("0.0.0.0").is_unspecified());
    CHECK(address("::").is_unspecified());
    CHECK_FALSE(address("0.0.0.1").is_unspecified());
    CHECK_FALSE(address("::1").is_unspecified());
}

TEST_CASE("address: ordered by family, then as numbers") {
    CHECK(address("9.0.0.0") < address("10.0.0.0"));
    CHECK(address("255.255.255.255") < address("::"));
    CHECK(address("2001:db8::9") < address("2001:db8::10"));
}

TEST_CASE("endpoint: text and back") {
    for (const std::string_view text :
         {"192.0.2.1:179", "[2001:db8::1]:179", "0.0.0.0:0", "[::]:65535"}) {
        const auto endpoint = Endpoint::parse(text);
        REQUIRE(endpoint);
        CHECK(endpoint->to_string() == text);
    }
}

TEST_CASE("endpoint: what is none") {
    for (const std::string_view text :
         {"", ":", "192.0.2.1", "192.0.2.1:", "192.0.2.1:65536", "192.0.2.1:-1", "192.0.2.1:+1",
          "192.0.2.1:0179", "192.0.2.1:179 ", "192.0.2.1:17x", "[192.0.2.1]:179", "2001:db8::1:179",
          "2001:db8::1", "[2001:db8::1]", "[]:179", "[2001:db8::1:179", "host:179", ":179"}) {
        CAPTURE(text);
        CHECK_FALSE(Endpoint::parse(text));
    }
}

TEST_CASE("router id: a dotted quad that is not zero, ordered as a number") {
    CHECK(RouterId::parse("192.0.2.1")->value() == 0xc0000201);
    CHECK(RouterId::parse("192.0.2.1")->to_string() == "192.0.2.1");
    CHECK(*RouterId::parse("9.255.255.255") < *RouterId::parse("10.0.0.0"));
    CHECK(*RouterId::parse("127.0.0.1") < *RouterId::parse("192.0.2.1"));
    CHECK(RouterId::from(1));
    CHECK_FALSE(RouterId::from(0));
    CHECK_FALSE(RouterId::parse("0.0.0.0"));
    CHECK_FALSE(RouterId::parse("2001:db8::1"));
    CHECK_FALSE(RouterId::parse("3221225985"));
}

}  // namespace
}  // namespace swerve
