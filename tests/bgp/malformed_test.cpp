// The hostile UPDATEs that every speaker has met, by their number in the list of shapes that BGP
// implementations have crashed on or reset for, each with its one outcome (RFC 7606). Those that
// concern the header, OPEN, NOTIFICATION and ROUTE-REFRESH stand with their codecs.

#include <doctest/doctest.h>

#include <string>

#include "swerve/bgp/update.hpp"
#include "tests/support/hex.hpp"
#include "tests/support/update_checks.hpp"

namespace swerve::bgp {
namespace {

using namespace test;

const std::string nlri = "18 c63364 ";
const std::string mp_reach_value = "0002 01 10 20010db8 00*11 01 00 20 20010db8 ";
const std::string mp_reach = "800e 1a " + mp_reach_value;
constexpr std::string_view route = "198.51.100.0/24";
constexpr std::string_view route6 = "2001:db8::/32";

/// One attribute beside what a route needs: what becomes of the route, and of a message without
/// one.
void check_attribute_withdraws(const std::string& attribute) {
    check_withdraw(update_body("", base + next_hop + attribute, nlri), {route});
    check_withdraw(update_body("", mp_reach + base + attribute, ""), {route6});
    // RFC 7606 §5.2.
    check_reset(update_body("", attribute, ""), subcode::malformed_attribute_list);
}

void check_attribute_discarded(const std::string& attribute) {
    check_announce(update_body("", base + next_hop + attribute, nlri), {route},
                   Consequence::discard_attribute);
    CHECK(decode_update(update_body("00", attribute, ""), external_peer)->consequence ==
          Consequence::discard_attribute);
}

void check_attribute_ignored(const std::string& attribute) {
    check_announce(update_body("", base + next_hop + attribute, nlri), {route});
    check_announce(update_body("", mp_reach + base + attribute, ""), {route6});
}

TEST_CASE("update: malformed 22, 23, 24: lengths that do not fit the message are 3/1") {
    for (const std::string_view body :
         {"", "00", "0000", "0000 00", "0001 0000", "0004 0000", "ffff 0000 0000", "0000 0001",
          "0000 ffff 400101 00", "0000 0005 400101 00"}) {
        check_reset(hex(body), subcode::malformed_attribute_list);
    }
}

TEST_CASE("update: malformed 25: an attribute list of one or two octets") {
    for (const std::string attributes : {"40", "40 01", "50 01 00", "40 01 01"}) {
        check_withdraw(update_body("", attributes, nlri), {route});
        check_reset(update_body("", attributes, ""), subcode::malformed_attribute_list);
    }
}

TEST_CASE("update: malformed 26: ORIGIN longer than the list") {
    check_reset(update_body("", "4001 20 00", ""), subcode::malformed_attribute_list);
    check_withdraw(update_body("", "4001 20 00", nlri), {route});
    // The NLRI are found by the total length, not by where the attribute claims to end.
    check_withdraw(update_body("18 c63365", base + next_hop + "4008 06 fbf00064", nlri + "08 0a"),
                   {"198.51.101.0/24", route, "10.0.0.0/8"});
}

TEST_CASE("update: malformed 27: one octet left of an extended length") {
    check_withdraw(update_body("", base + next_hop + "5004 00", nlri), {route});
    check_withdraw(update_body("", base + next_hop + "5004", nlri), {route});
    check_withdraw(update_body("", base + next_hop + "5004 0001", nlri), {route});
}

TEST_CASE("update: malformed 28: low flag bits are accepted") {
    check_announce(update_body("", "4f0101 00" + as_path + next_hop, nlri), {route});
}

TEST_CASE("update: malformed 29: an unknown well-known attribute is 3/2 with the attribute") {
    check_reset(update_body("", base + next_hop + "40c8 02 abcd", nlri),
                subcode::unrecognized_well_known, "40c8 02 abcd");
    check_reset(update_body("", base + next_hop + "50c8 0001 ab", nlri),
                subcode::unrecognized_well_known, "50c8 0001 ab");
    check_reset(update_body("", "00c8 00", ""), subcode::unrecognized_well_known, "00c8 00");
}

TEST_CASE("update: malformed 30: unknown optional attributes are dropped, whatever they hold") {
    for (const std::string_view type : {"ff", "17", "28", "1d", "27", "80"}) {
        for (const std::string_view value : {" 00", " 01 ff", " 08 de ad be ef 00 ff 00 ff"}) {
            for (const std::string_view flags : {"c0", "e0", "80", "cf"}) {
                check_attribute_ignored(std::string{flags} + std::string{type} +
                                        std::string{value});
            }
        }
    }
}

TEST_CASE("update: malformed 31, 32: routes without the attributes they need") {
    check_withdraw(update_body("", "c0ff 02 abcd", nlri), {route});
    check_withdraw(update_body("", "", nlri), {route});
    check_withdraw(update_body("", as_path + next_hop, nlri), {route});
    check_withdraw(update_body("", origin + next_hop, nlri), {route});
    check_withdraw(update_body("", base, nlri), {route});
    check_withdraw(update_body("", mp_reach + origin, ""), {route6});
    check_withdraw(update_body("", mp_reach + as_path, ""), {route6});
    // NEXT_HOP belongs to the NLRI field: here both kinds of route go.
    check_withdraw(update_body("", mp_reach + base, nlri), {route, route6});
}

TEST_CASE("update: malformed 33: NEXT_HOP of 0, 3 or 5 octets, or of no host") {
    for (const std::string attribute :
         {"400300 ", "400303 c00002 ", "400305 c000020101 ", "400304 00000000 ", "400304 7f000001 ",
          "400304 e0000005 ", "400304 ffffffff "}) {
        check_withdraw(update_body("", base + attribute, nlri), {route});
        // RFC 4760 §3: beside MP_REACH_NLRI alone it is ignored.
        check_announce(update_body("", mp_reach + base + attribute, ""), {route6});
        check_reset(update_body("", attribute, ""), subcode::malformed_attribute_list);
    }
    check_announce(update_body("", base + "400304 dfffffff", nlri), {route});
    check_announce(update_body("", base + "400304 01000000", nlri), {route});
}

TEST_CASE("update: malformed 34, 36: AS_PATHs that are none, and AS_SETs") {
    for (const std::string attribute :
         {"400200", "400202 0200", "400206 02ff 0000fbf0", "400206 0501 0000fbf0",
          "400207 0201 0000fbf0 02", "400205 0201 00fbf0", "400206 0201 00000000",
          "400206 0101 0000fbf0", "40020c 0201 0000fbf0 0101 0000fbf1", "400206 0301 0000fbf0",
          "400206 0401 0000fbf0"}) {
        check_withdraw(update_body("", origin + attribute + next_hop, nlri), {route});
        check_withdraw(update_body("", mp_reach + origin + attribute, ""), {route6});
    }
}

TEST_CASE("update: malformed 35: AS4_PATH before AS_PATH, malformed, from either kind of peer") {
    const std::string field = "c011 03 020100" + base + next_hop;
    check_announce(update_body("", field, nlri), {route}, Consequence::discard_attribute);
    UpdateContext old_peer = external_peer;
    old_peer.attributes.four_octet_as = false;
    const auto update = decode_update(
        update_body("", "c011 03 020100 400204 0201 fbf0" + origin + next_hop, nlri), old_peer);
    REQUIRE(update);
    CHECK(update->consequence == Consequence::discard_attribute);
    CHECK(update->attributes->as_path.to_string() == "64496");
}

TEST_CASE("update: malformed 37: repeated attributes") {
    check_attribute_discarded(origin + "400101 02" + origin);
    check_announce(update_body("", base + "400101 02" + next_hop, nlri), {route},
                   Consequence::discard_attribute);
    // RFC 7606 §3 g: a second MP attribute leaves the routes of one unknown.
    check_reset(update_body("", mp_reach + mp_reach + base, ""), subcode::malformed_attribute_list);
    check_reset(update_body("", "800f 03 0002 01 800f 03 0001 01", ""),
                subcode::malformed_attribute_list);
}

TEST_CASE("update: malformed 38: MP_REACH_NLRI next hops of every wrong length are 3/9") {
    for (const std::size_t size : {0U, 1U, 8U, 15U, 17U, 31U, 33U}) {
        CAPTURE(size);
        Bytes value = hex("0002 01");
        value.push_back(static_cast<std::uint8_t>(size));
        value.insert(value.end(), size, 0x20);
        value = joined({value, hex("00 20 20010db8")});
        Bytes attribute{0x80, 0x0e, static_cast<std::uint8_t>(value.size())};
        attribute = joined({attribute, value});
        check_reset(update_body("", to_hex(attribute) + base, ""),
                    subcode::optional_attribute_error, to_hex(attribute));
    }
    for (const std::string attribute :
         {"800e 0c 0002 01 ff 20010db8 00*4", "800e 14 0002 01 10 20*16", "800e 00",
          "800e 03 0002 01", "800e 04 0002 01 10"}) {
        check_reset(update_body("", attribute + " " + base, ""), subcode::optional_attribute_error,
                    attribute);
    }
    // One that overruns the list, also with routes elsewhere that could be withdrawn.
    check_reset(update_body("", base + next_hop + "800e 1a 0002 01", nlri),
                subcode::optional_attribute_error, "800e 1a 0002 01");
    // Right in length, but nobody's address.
    for (const std::string octets : {"00*16", "00*15 01", "ff02 00*13 01", "00*16 00*16"}) {
        const std::string size = hex(octets).size() == 16 ? "10 " : "20 ";
        check_withdraw(mp_reach_body("0002 01 " + size + octets + " 00", hex("20 20010db8")),
                       {route6});
    }
}

TEST_CASE("update: malformed 39: families that were not negotiated reach no parser") {
    for (const std::string safi : {"85", "80", "46", "00", "ff"}) {
        for (const std::string afi : {"0001", "0002", "0019", "0000"}) {
            const std::string field = "800e 0e" + afi + safi + "04 c0000201 00 ff ff ff ff ff ";
            check_announce(update_body("", field + base + next_hop, nlri), {route});
            const auto alone = decode_good(update_body("", field + base, ""));
            CHECK(alone.reach.empty());
            const auto gone = decode_good(update_body("", "800f 05" + afi + safi + "ff ff", ""));
            CHECK(gone.withdrawn.empty());
            CHECK_FALSE(gone.end_of_rib);
        }
    }
}

TEST_CASE("update: malformed 40: MP_UNREACH_NLRI with /129, or /64 with 4 octets, is 3/9") {
    for (const std::string attribute :
         {"800f 14 0002 01 81 20010db8 00*12", "800f 08 0002 01 40 20010db8",
          "800f 08 0001 01 21 c6336400", "800f 02 0002", "800f 00"}) {
        check_reset(update_body("", attribute, ""), subcode::optional_attribute_error, attribute);
        check_reset(update_body("", attribute + " " + base + next_hop, nlri),
                    subcode::optional_attribute_error, attribute);
    }
    check_reset(mp_reach_body("0002 01 10 20010db8 00*11 01 00", hex("81 20*16")),
                subcode::optional_attribute_error,
                "800e 26 0002 01 10 20010db8 00*11 01 00 81 20*16");
}

TEST_CASE("update: malformed 41: /33, or /32 with 3 octets, is 3/10 in both fields") {
    for (const std::string field : {"21 c633640100", "20 c63364", "19 c63364", "01", "ff"}) {
        check_reset(update_body("", base + next_hop, field), subcode::invalid_network_field);
        check_reset(update_body("", base + next_hop, nlri + field), subcode::invalid_network_field);
        check_reset(update_body(field, "", ""), subcode::invalid_network_field);
        // Worse attributes change nothing: routes that cannot be read cannot be withdrawn.
        check_reset(update_body("", "400101 07", field), subcode::invalid_network_field);
    }
}

TEST_CASE("update: malformed 42: an End-of-RIB with octets behind is routes or a fault") {
    check_reset(update_body("", "800f 05 0002 01 ab cd", ""), subcode::optional_attribute_error,
                "800f 05 0002 01 ab cd");
    const auto routes = decode_good(update_body("", "800f 05 0002 01 00 00", ""));
    CHECK(routes.withdrawn == prefixes({"::/0", "::/0"}));
    CHECK_FALSE(routes.end_of_rib);
    check_reset(update_body("", "800f 03 0002 01 00", ""), subcode::malformed_attribute_list);
}

TEST_CASE("update: malformed 43: MP_UNREACH_NLRI and NLRI without the mandatory attributes") {
    check_withdraw(update_body("", "800f 08 0002 01 20 20010db9", nlri), {"2001:db9::/32", route});
}

TEST_CASE("update: malformed 44: an End-of-RIB that carries a malformed attribute is 3/1") {
    check_reset(update_body("", "800f 03 0002 01 400101 07", ""),
                subcode::malformed_attribute_list);
    check_reset(update_body("", "400101 07", ""), subcode::malformed_attribute_list);
    // An attribute to discard is none of that, and no End-of-RIB either.
    const auto weak =
        decode_update(update_body("", "800f 03 0002 01 400601 07", ""), external_peer);
    REQUIRE(weak);
    CHECK(weak->consequence == Consequence::discard_attribute);
    CHECK_FALSE(weak->end_of_rib);
}

TEST_CASE("update: malformed 45: communities of impossible lengths") {
    for (const std::string attribute :
         {"c00800", "c00803 fbf000", "c00805 fbf0006400", "c02000", "c0200d 00*13", "c01000",
          "c01009 00*9", "c01900", "c01915 00*21"}) {
        check_attribute_withdraws(attribute);
    }
    for (const std::string attribute :
         {"c00804 fbf00064", "c0200c 00*12", "c01008 00*8", "c01914 00*20"}) {
        check_attribute_ignored(attribute);
    }
}

TEST_CASE("update: malformed 46: ONLY_TO_CUSTOMER of 0, 3 or 5 octets") {
    for (const std::string attribute : {"c02300", "c02303 00fbf0", "c02305 0000fbf000"}) {
        check_attribute_withdraws(attribute);
    }
    check_attribute_ignored("c02304 0000fbf0");
}

TEST_CASE("update: malformed 47: path identifiers that were not negotiated read as prefixes") {
    // RFC 7911 §3: 00 00 00 01 would be the identifier. Three default routes, then /1, then /198.
    check_reset(update_body("", base + next_hop, "00000001 18 c63364"),
                subcode::invalid_network_field);
}

TEST_CASE("update: other attributes of a wrong length, and flags") {
    for (const std::string attribute : {"800403 000000", "800405 0000000000", "c00404 00000001",
                                        "000404 00000001", "a00404 00000001"}) {
        check_attribute_withdraws(attribute);
    }
    for (const std::string attribute :
         {"400601 00", "c00706 fbf0c0000201", "c00708 00000000c0000201", "400504 00000064",
          "400501 00", "800904 c0000201", "800a03 c00002", "c01106 020100011170",
          "c01208 00011170c0000201"}) {
        check_attribute_discarded(attribute);
    }
    // The routes of an MP attribute with wrong flags are read all the same, to withdraw them.
    check_withdraw(update_body("", "c00e 1a" + mp_reach_value + base, ""), {route6});
    check_withdraw(update_body("", "c00f 08 0002 01 20 20010db8", ""), {route6});
}

}  // namespace
}  // namespace swerve::bgp
