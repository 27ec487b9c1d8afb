#include "swerve/bgp/open.hpp"

#include <doctest/doctest.h>

#include <array>
#include <string>
#include <vector>

#include "bgp/capability.hpp"
#include "tests/support/deliveries.hpp"
#include "tests/support/hex.hpp"

namespace swerve::bgp {
namespace {

using namespace std::chrono_literals;
using test::bgp_message;
using test::hex;
using test::joined;

constexpr std::string_view fixed = "04 fbf0 0009 c0000201";  // AS 64496, hold 9 s, 192.0.2.1

Asn as(std::uint32_t number) { return *Asn::from(number); }
RouterId id(std::string_view text) { return *RouterId::parse(text); }

/// Decodes an OPEN, after it came through a framer in three deliveries.
Result<Open, Notification> received(const Bytes& body) {
    test::check_deliveries(MessageType::open, body);
    return decode_open(body);
}

Result<Open, Notification> decode(std::string_view text) { return received(hex(text)); }

/// An OPEN whose optional parameters field holds `parameters`, with its length in one octet.
Result<Open, Notification> decode_with(std::string_view parameters) {
    const Bytes field = hex(parameters);
    return received(joined({hex(fixed), {static_cast<std::uint8_t>(field.size())}, field}));
}

/// The same in the form of RFC 9072.
Result<Open, Notification> decode_extended(const Bytes& field) {
    Bytes body = joined({hex(fixed), hex("ff ff")});
    Writer{body}.u16(static_cast<std::uint16_t>(field.size()));
    return received(joined({body, field}));
}

/// One optional parameter around capabilities, as hex.
std::string parameter_of(std::string_view capabilities) {
    const auto size = static_cast<std::uint8_t>(hex(capabilities).size());
    return "02" + test::to_hex(std::array{size}) + std::string{capabilities};
}

void check_error(const Result<Open, Notification>& open, std::uint8_t sub,
                 std::string_view data = "") {
    REQUIRE_FALSE(open);
    CHECK(open.error() == Notification{ErrorCode::open_message, sub, hex(data)});
}

TEST_CASE("open: one without parameters speaks IPv4 unicast with two-octet AS numbers") {
    const auto open = decode("04 fbf0 005a c0000201 00");
    REQUIRE(open);
    CHECK(open->as == as(64496));
    CHECK(open->hold_time_s == 90);
    CHECK(open->router_id == id("192.0.2.1"));
    CHECK(open->capabilities == Capabilities{});
}

TEST_CASE(
    "open: all capabilities in one parameter, or each in its own, or one with all in RFC 9072") {
    const std::string_view each =
        "02 06 0104 0001 00 01"  // multiprotocol IPv4 unicast
        "02 06 0104 0002 00 01"  // multiprotocol IPv6 unicast
        "02 02 0200"             // route refresh
        "02 06 4104 00011170";   // four-octet AS 70000
    const std::string_view one = "02 14 0104 0001 00 01 0104 0002 00 01 0200 4104 00011170";
    const std::string_view wide = "02 0014 0104 0001 00 01 0104 0002 00 01 0200 4104 00011170";
    const auto a = decode_with(each);
    // The two-octet field must be AS_TRANS for such a number.
    check_error(a, subcode::bad_peer_as, "fbf0");
    const Bytes trans = hex("04 5ba0 0009 c0000201");
    for (const Bytes& rest :
         {joined({hex("1c"), hex(each)}), joined({hex("16"), hex(one)}),
          joined({hex("ff ff 0017"), hex(wide)}), joined({hex("01 ff 0017"), hex(wide)})}) {
        const auto open = received(joined({trans, rest}));
        REQUIRE(open);
        CHECK(open->as == as(70000));
        CHECK(open->capabilities.multiprotocol == FamilySet{Family::ipv4, Family::ipv6});
        CHECK(open->capabilities.route_refresh);
        CHECK(open->capabilities.four_octet_as == as(70000));
        CHECK(open->capabilities.unknown.empty());
    }
}

TEST_CASE("open: our own is canonical and reads back as itself") {
    const OpenPolicy policy{
        as(70000), id("192.0.2.1"), std::nullopt, 9s, {Family::ipv4, Family::ipv6}};
    const Open open = make_open(policy);
    const Bytes message = encode(open);
    CHECK(message == bgp_message(1, hex("04 5ba0 0009 c0000201 18"
                                        "02 16 0104 0001 00 01 0104 0002 00 01 0200"
                                        "4104 00011170 4600")));
    CHECK(decode_open(ByteView{message}.subspan(19)) == open);
}

TEST_CASE("open: a two-octet AS number stands in the field and in the capability") {
    const Open open = make_open({as(64500), id("192.0.2.1"), std::nullopt, 90s, {Family::ipv6}});
    const Bytes message = encode(open);
    CHECK(message == bgp_message(1, hex("04 fbf4 005a c0000201 12"
                                        "02 10 0104 0002 00 01 0200 4104 0000fbf4 4600")));
    CHECK(decode_open(ByteView{message}.subspan(19)) == open);
}

TEST_CASE("open: every cut of a valid one is 2/0 and never accepted") {
    const Bytes message =
        encode(make_open({as(64500), id("192.0.2.1"), std::nullopt, 9s, {Family::ipv4}}));
    const ByteView body = ByteView{message}.subspan(19);
    for (std::size_t size = 0; size < body.size(); ++size) {
        CAPTURE(size);
        check_error(decode_open(body.first(size)), subcode::unspecific);
    }
    CHECK(decode_open(body));
    check_error(decode_open(joined({Bytes(body.begin(), body.end()), hex("00")})),
                subcode::unspecific);
}

TEST_CASE("open: another version is 2/1 with the version we speak, whatever else is wrong") {
    for (const std::string_view version : {"00", "03", "05", "ff"}) {
        check_error(decode(std::string{version} + "0000 0001 00000000 00"),
                    subcode::unsupported_version, "0004");
    }
}

TEST_CASE("open: malformed 7: a parameter length beyond or short of the message is 2/0") {
    check_error(decode("04 fbf0 0009 c0000201 01"), subcode::unspecific);
    check_error(decode("04 fbf0 0009 c0000201 05 02 02 0200"), subcode::unspecific);
    check_error(decode("04 fbf0 0009 c0000201 03 02 02 0200"), subcode::unspecific);
    check_error(decode("04 fbf0 0009 c0000201 00 02 02 0200"), subcode::unspecific);
    CHECK(decode("04 fbf0 0009 c0000201 04 02 02 0200"));
}

TEST_CASE("open: malformed 8: the head of the extended form, cut after each octet") {
    check_error(decode("04 fbf0 0009 c0000201 ff ff"), subcode::unspecific);
    check_error(decode("04 fbf0 0009 c0000201 ff ff 00"), subcode::unspecific);
    check_error(decode("04 fbf0 0009 c0000201 ff ff 0001"), subcode::unspecific);
    check_error(decode("04 fbf0 0009 c0000201 ff ff 0000 02"), subcode::unspecific);
    check_error(decode("04 fbf0 0009 c0000201 ff ff 0000 02 0002 0200"), subcode::unspecific);
    CHECK(decode("04 fbf0 0009 c0000201 ff ff 0000"));
    CHECK(decode("04 fbf0 0009 c0000201 ff ff 0000")->capabilities == Capabilities{});
}

TEST_CASE("open: malformed 9: an inner length of the extended form that overruns is 2/0") {
    check_error(decode_extended(hex("02 0003 0200")), subcode::unspecific);
    check_error(decode_extended(hex("02 ffff 0200")), subcode::unspecific);
    check_error(decode_extended(hex("02 00")), subcode::unspecific);
    check_error(decode_extended(hex("02")), subcode::unspecific);
    CHECK(decode_extended(hex("02 0002 0200"))->capabilities.route_refresh);
}

TEST_CASE("open: malformed 10, 12: a value of a length that its capability cannot have is 2/0") {
    for (const std::string_view capability :
         {"4100", "4103 00fbf0", "4105 0000fbf000",           // RFC 6793 §3: four octets
          "0100", "0103 000100", "0105 0001000100",           // RFC 4760 §8: four octets
          "4000", "4001 00", "4003 000900", "4004 00090001",  // RFC 4724 §3: two and fours
          "4005 0009000100", "4501 00", "4503 000101",        // RFC 7911 §4: fours
          "4505 0001010100", "0501 00", "0505 0001000100",    // RFC 8950 §4: sixes
          "0507 00010001000200", "0900", "0902 0303"}) {      // RFC 9234 §4.1: one octet
        CAPTURE(capability);
        check_error(decode_with(parameter_of(capability)), subcode::unspecific);
    }
    // Two lists that may be empty, and are.
    CHECK(decode_with("02 02 4500")->capabilities == Capabilities{});
    CHECK(decode_with("02 02 0500")->capabilities == Capabilities{});
}

TEST_CASE("open: malformed 11: a capability beyond its parameter is 2/0, though octets follow") {
    check_error(decode_with("02 02 4104 02 02 0000fbf0"), subcode::unspecific);
    check_error(decode_with("02 01 02 02 02 0200"), subcode::unspecific);
    check_error(decode_with("02 04 0206 0001"), subcode::unspecific);
}

TEST_CASE(
    "open: malformed 13, 14, 15, 17: odd bodies of capabilities we do not know are no fault") {
    // LLGR, software version, host name, ORF; a value where none is due; a bare flag of old.
    for (const std::string_view capability :
         {"4706 000101800000", "4b00", "4b02 ff41", "4902 ff41", "0305 00010001ff", "8000",
          "0201 ff", "0601 ff", "4601 ff"}) {
        CAPTURE(capability);
        CHECK(decode_with(parameter_of(capability)));
    }
}

TEST_CASE("open: malformed 16: five hundred families we do not know are none") {
    Bytes capabilities;
    for (unsigned i = 0; i < 500; ++i) {
        const Bytes one = hex("0104 0019 00 46");
        capabilities.insert(capabilities.end(), one.begin(), one.end());
    }
    Bytes field{2};
    Writer{field}.u16(static_cast<std::uint16_t>(capabilities.size()));
    const auto open = decode_extended(joined({field, capabilities}));
    REQUIRE(open);
    CHECK(open->capabilities.has_multiprotocol);
    CHECK(open->capabilities.multiprotocol.empty());
}

TEST_CASE("open: malformed 18: three hundred identical capabilities count as one") {
    // RFC 5492 §4.
    for (const std::string_view one : {"4600", "5000"}) {
        Bytes many = hex("02 0258");
        for (int i = 0; i < 300; ++i) many = joined({std::move(many), hex(one)});
        const auto open = decode_extended(many);
        REQUIRE(open);
        CHECK(open->capabilities.enhanced_route_refresh == (one == "4600"));
        CHECK(open->capabilities.unknown.size() == (one == "4600" ? 0 : 1));
    }
}

TEST_CASE("open: every capability is read from its octets and written as the same octets") {
    Open open =
        make_open({as(70000), id("192.0.2.1"), std::nullopt, 9s, {Family::ipv4, Family::ipv6}});
    open.capabilities.extended_message = true;
    open.capabilities.ipv4_over_ipv6 = true;
    open.capabilities.role = Role::customer;
    open.capabilities.graceful_restart = GracefulRestart{.restarting = true,
                                                         .notification = true,
                                                         .restart_time_s = 4095,
                                                         .families = {Family::ipv4, Family::ipv6},
                                                         .forwarding = {Family::ipv6}};
    open.capabilities.add_path_send = {Family::ipv4};
    open.capabilities.add_path_receive = {Family::ipv4, Family::ipv6};
    const Bytes body =
        hex("04 5ba0 0009 c0000201 3b 02 39"
            "0104 0001 00 01 0104 0002 00 01"  // RFC 4760 §8
            "0200"                             // RFC 2918 §2
            "0506 0001 0001 0002"              // RFC 8950 §4
            "0600"                             // RFC 8654 §3
            "0901 03"                          // RFC 9234 §4.1
            "400a cfff 0001 01 00 0002 01 80"  // RFC 4724 §3, RFC 8538 §2
            "4104 00011170"                    // RFC 6793 §3
            "4508 0001 01 03 0002 01 01"       // RFC 7911 §4
            "4600");                           // RFC 7313 §3.1
    CHECK(encode(open) == bgp_message(1, body));
    CHECK(received(body) == open);
}

TEST_CASE("open: RFC 8950 §4: only IPv4 unicast with an IPv6 next hop is meant") {
    const auto says = [](std::string_view capability) {
        return decode_with(parameter_of(capability))->capabilities.ipv4_over_ipv6;
    };
    CHECK(says("050c 0001 0080 0002 0001 0001 0002"));
    CHECK(says("0506 0001 0001 0002 0506 0001 0080 0002"));
    CHECK_FALSE(says("0506 0001 0080 0002"));
    CHECK_FALSE(says("0506 0001 0001 0001"));
    CHECK_FALSE(says("0506 0002 0001 0002"));
    CHECK_FALSE(says("0506 0001 0101 0002"));
}

TEST_CASE("open: RFC 7911 §4: a mode that is not assigned empties its capability, and no other") {
    const auto open = decode_with(parameter_of("4508 0001 01 02 0002 01 04 4504 0002 01 01"));
    REQUIRE(open);
    CHECK(open->capabilities.add_path_send.empty());
    CHECK(open->capabilities.add_path_receive == FamilySet{Family::ipv6});
    CHECK(decode_with(parameter_of("4504 0001 01 00"))->capabilities == Capabilities{});
    CHECK(decode_with(parameter_of("4504 0001 80 03"))->capabilities == Capabilities{});
}

TEST_CASE("open: RFC 4724 §3: of several graceful restart capabilities the last counts") {
    const auto open = decode_with(parameter_of("4006 8078 0001 01 80 4006 0005 0019 46 80"));
    REQUIRE(open);
    CHECK(open->capabilities.graceful_restart == GracefulRestart{.restart_time_s = 5});
}

TEST_CASE("open: RFC 9234 §4.2: the same role twice is one, two roles are 2/11") {
    CHECK(decode_with(parameter_of("0901 03 0901 03"))->capabilities.role == Role::customer);
    check_error(decode_with(parameter_of("0901 03 0901 04")), subcode::role_mismatch);
    CHECK(to_string(*decode_with(parameter_of("0901 ff"))->capabilities.role) == "unknown");
}

TEST_CASE("open: RFC 9072 §2: the extended form is written from 256 octets on, and reads back") {
    for (const std::size_t count : {std::size_t{0}, std::size_t{253}, std::size_t{254},
                                    std::size_t{300}, std::size_t{4000}}) {
        CAPTURE(count);
        Bytes capabilities;
        for (std::size_t left = count; left >= 2;) {  // unknown ones, as large as they may be
            const std::size_t size = std::min<std::size_t>(left, 257) - 2;
            const std::size_t take = left - size - 2 == 1 ? size - 1 : size;
            capabilities.push_back(200);
            capabilities.push_back(static_cast<std::uint8_t>(take));
            capabilities.insert(capabilities.end(), take, 0xff);
            left -= take + 2;
        }
        REQUIRE(capabilities.size() == count);
        Bytes body = hex(fixed);
        encode_parameters(capabilities, body);
        CHECK(body.size() == hex(fixed).size() + count + (count == 0 ? 1U : count > 253 ? 7U : 3U));
        CHECK((body.size() > 10 && body[9] == 255 && body[10] == 255) == (count > 253));
        const auto open = received(body);
        REQUIRE(open);
        CHECK(open->capabilities.unknown.size() == (count == 0 ? 0 : 1));
    }
}

TEST_CASE("open: malformed 19: a hold time of 1 or 2 s is 2/6 with its octets; 0 and 3 pass") {
    check_error(decode("04 fbf0 0001 c0000201 00"), subcode::unacceptable_hold_time, "0001");
    check_error(decode("04 fbf0 0002 c0000201 00"), subcode::unacceptable_hold_time, "0002");
    CHECK(decode("04 fbf0 0000 c0000201 00")->hold_time_s == 0);
    CHECK(decode("04 fbf0 0003 c0000201 00")->hold_time_s == 3);
    CHECK(decode("04 fbf0 ffff c0000201 00")->hold_time_s == 65535);
}

TEST_CASE("open: malformed 20: identifier 0 is 2/3; a class D one is legal") {
    // RFC 6286 §2.1: four octets, not zero; they need be no address.
    check_error(decode("04 fbf0 0009 00000000 00"), subcode::bad_bgp_identifier);
    CHECK(decode("04 fbf0 0009 e0000001 00"));
    CHECK(decode("04 fbf0 0009 00000001 00"));
}

TEST_CASE("open: malformed 21: AS 0 and AS_TRANS name nobody: 2/2") {
    check_error(decode("04 0000 0009 c0000201 00"), subcode::bad_peer_as, "0000");
    check_error(decode("04 5ba0 0009 c0000201 00"), subcode::bad_peer_as, "5ba0");
    check_error(decode_with("02 06 4104 00000000"), subcode::bad_peer_as, "0000");
    check_error(decode_with("02 06 4104 00005ba0"), subcode::bad_peer_as, "5ba0");
    // Two capabilities that disagree.
    check_error(decode_with("02 0c 4104 0000fbf0 4104 00011170"), subcode::bad_peer_as, "00011170");
    CHECK(decode_with("02 0c 4104 0000fbf0 4104 0000fbf0")->as == as(64496));
    // AS_TRANS in the field with a small number in the capability is odd, and clear.
    CHECK(decode("04 5ba0 0009 c0000201 08 02 06 4104 0000fbf0")->as == as(64496));
}

TEST_CASE("open: an unknown parameter type is 2/4, also in the extended form") {
    check_error(decode_with("01 01 00"), subcode::unsupported_optional_parameter);
    check_error(decode_with("02 02 0200 03 00"), subcode::unsupported_optional_parameter);
    check_error(decode_extended(hex("01 0001 00")), subcode::unsupported_optional_parameter);
    check_error(decode_extended(hex("ff 0000")), subcode::unsupported_optional_parameter);
}

}  // namespace
}  // namespace swerve::bgp
