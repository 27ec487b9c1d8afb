#include "swerve/net/prefix.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace swerve {
namespace {

Prefix prefix(std::string_view text) {
    const auto out = Prefix::parse(text);
    REQUIRE(out);
    return *out;
}

Address address(std::string_view text) { return *Address::parse(text); }

TEST_CASE("prefix: text and back") {
    for (const std::string_view text :
         {"0.0.0.0/0", "198.51.100.0/24", "198.51.100.1/32", "128.0.0.0/1", "::/0", "2001:db8::/32",
          "2001:db8::1/128", "8000::/1"}) {
        CHECK(prefix(text).to_string() == text);
    }
}

TEST_CASE("prefix: a parse error says which of three things is wrong") {
    using enum Prefix::ParseError;
    const auto error = [](std::string_view text) {
        const auto out = Prefix::parse(text);
        REQUIRE_FALSE(out);
        return out.error();
    };
    for (const std::string_view text :
         {"", "/", "198.51.100.0", "198.51.100.0/", "/24", "198.51.100/24", "198.51.100.0/24 ",
          "198.51.100.0/024", "198.51.100.0/-1", "198.51.100.0/+24", "198.51.100.0/24/24",
          "198.51.100.0/x", "198.51.100.0/4294967296", "x/24", "198.51.100.0/00"}) {
        CAPTURE(text);
        CHECK((error(text) == syntax));
    }
    CHECK((error("198.51.100.0/33") == length));
    CHECK((error("2001:db8::/129") == length));
    CHECK((error("198.51.100.1/24") == host_bits));
    CHECK((error("198.51.100.0/21") == host_bits));
    CHECK((error("198.51.100.128/24") == host_bits));
    CHECK(Prefix::parse("198.51.100.128/25"));
    CHECK((error("2001:db8::1/127") == host_bits));
    CHECK((error("0.0.0.1/0") == host_bits));
}

TEST_CASE("prefix: masking clears what stands behind the length") {
    for (unsigned length = 0; length <= 32; ++length) {
        const auto out = Prefix::masked(Address::v4(0xffffffff), length);
        REQUIRE(out);
        for (unsigned bit = 0; bit < 32; ++bit) CHECK(out->address().bit(bit) == (bit < length));
        CHECK(out->length() == length);
    }
    CHECK_FALSE(Prefix::masked(Address::v4(0), 33));
    CHECK(Prefix::masked(address("2001:db8::1"), 128));
    CHECK_FALSE(Prefix::masked(address("2001:db8::1"), 129));
    CHECK(Prefix::masked(address("2001:db8:ffff::"), 33)->to_string() == "2001:db8:8000::/33");
}

TEST_CASE("prefix: contains its first and last address, not the neighbours") {
    const Prefix p = prefix("198.51.100.0/23");
    CHECK(p.contains(address("198.51.100.0")));
    CHECK(p.contains(address("198.51.101.255")));
    CHECK_FALSE(p.contains(address("198.51.99.255")));
    CHECK_FALSE(p.contains(address("198.51.102.0")));
    CHECK_FALSE(p.contains(address("::")));
    CHECK(prefix("0.0.0.0/0").contains(address("255.255.255.255")));
    CHECK_FALSE(prefix("0.0.0.0/0").contains(address("::")));
    CHECK_FALSE(prefix("::/0").contains(address("0.0.0.0")));
}

TEST_CASE("prefix: contains itself and more specifics; overlap goes both ways") {
    const Prefix p = prefix("198.51.100.0/24");
    CHECK(p.contains(p));
    CHECK(p.contains(prefix("198.51.100.128/25")));
    CHECK_FALSE(p.contains(prefix("198.51.100.0/23")));
    CHECK_FALSE(p.contains(prefix("198.51.101.0/24")));
    CHECK(p.overlaps(prefix("198.51.100.0/23")));
    CHECK(prefix("198.51.100.0/23").overlaps(p));
    CHECK_FALSE(p.overlaps(prefix("198.51.101.0/24")));
    CHECK_FALSE(prefix("0.0.0.0/0").overlaps(prefix("::/0")));
}

TEST_CASE("prefix: sorts a covering one before what it covers") {
    std::vector<Prefix> all{prefix("2001:db8::/32"),     prefix("198.51.100.0/25"),
                            prefix("198.51.100.128/25"), prefix("198.51.100.0/24"),
                            prefix("0.0.0.0/0"),         prefix("::/0")};
    std::ranges::sort(all);
    std::string joined;
    for (const Prefix& p : all) joined += p.to_string() + " ";
    CHECK(joined ==
          "0.0.0.0/0 198.51.100.0/24 198.51.100.0/25 198.51.100.128/25 ::/0 2001:db8::/32 ");
}

}  // namespace
}  // namespace swerve
