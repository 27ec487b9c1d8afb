#include "swerve/bgp/open.hpp"

#include <doctest/doctest.h>

#include <array>
#include <string>
#include <vector>

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
    CHECK(message == bgp_message(1, hex("04 5ba0 0009 c0000201 16"
                                        "02 14 0104 0001 00 01 0104 0002 00 01 0200"
                                        "4104 00011170")));
    CHECK(decode_open(ByteView{message}.subspan(19)) == open);
}

TEST_CASE("open: a two-octet AS number stands in the field and in the capability") {
    const Open open = make_open({as(64500), id("192.0.2.1"), std::nullopt, 90s, {Family::ipv6}});
    const Bytes message = encode(open);
    CHECK(message == bgp_message(1, hex("04 fbf4 005a c0000201 10"
                                        "02 0e 0104 0002 00 01 0200 4104 0000fbf4")));
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

TEST_CASE("open: malformed 10: an empty value is 2/0 where the length is fixed, else ignored") {
    check_error(decode_with("02 02 4100"), subcode::unspecific);
    check_error(decode_with("02 02 0100"), subcode::unspecific);
    check_error(decode_with("02 05 4103 00fbf0"), subcode::unspecific);
    check_error(decode_with("02 07 4105 0000fbf000"), subcode::unspecific);
    check_error(decode_with("02 05 0103 000100"), subcode::unspecific);
    check_error(decode_with("02 07 0105 0001000100"), subcode::unspecific);
    for (const std::uint8_t code : std::to_array<std::uint8_t>({64, 69, 5, 9})) {
        CAPTURE(code);
        const auto open = received(joined({hex(fixed), hex("04 02 02"), {code}, hex("00")}));
        REQUIRE(open);
        CHECK(open->capabilities.unknown == std::vector<std::uint8_t>{code});
    }
}

TEST_CASE("open: malformed 11: a capability beyond its parameter is 2/0, though octets follow") {
    check_error(decode_with("02 02 4104 02 02 0000fbf0"), subcode::unspecific);
    check_error(decode_with("02 01 02 02 02 0200"), subcode::unspecific);
    check_error(decode_with("02 04 0206 0001"), subcode::unspecific);
}

TEST_CASE("open: malformed 12 to 15, 17: odd bodies of capabilities we do not know are no fault") {
    for (const std::string_view capability :
         {"40 01 00", "40 03 000900", "47 06 00010180 0000", "4b 00", "4b 02 ff 41", "49 02 ff 41",
          "03 05 0001 00 01 ff", "80 00", "02 01 ff"}) {
        CAPTURE(capability);
        const Bytes value = hex(capability);
        Bytes parameter{2, static_cast<std::uint8_t>(value.size())};
        parameter = joined({parameter, value});
        CHECK(received(
            joined({hex(fixed), {static_cast<std::uint8_t>(parameter.size())}, parameter})));
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
    const auto open = decode_extended(joined({hex("02 0258"), [] {
                                                  Bytes many;
                                                  for (int i = 0; i < 300; ++i) {
                                                      many.push_back(70);
                                                      many.push_back(0);
                                                  }
                                                  return many;
                                              }()}));
    REQUIRE(open);
    CHECK(open->capabilities.unknown == std::vector<std::uint8_t>{70});
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

OpenPolicy ours() {
    return {as(64500), id("192.0.2.1"), as(64496), 9s, {Family::ipv4, Family::ipv6}};
}

Open theirs() {
    return make_open(
        {as(64496), id("192.0.2.254"), std::nullopt, 90s, {Family::ipv4, Family::ipv6}});
}

void check_refused(const OpenPolicy& policy, const Open& open, std::uint8_t sub,
                   std::string_view data = "") {
    const auto result = negotiate(policy, open);
    REQUIRE_FALSE(result);
    CHECK(result.error() == Notification{ErrorCode::open_message, sub, hex(data)});
}

TEST_CASE("negotiate: takes the smaller hold time, a third of it for keepalives") {
    const auto done = negotiate(ours(), theirs());
    REQUIRE(done);
    CHECK(done->remote_as == as(64496));
    CHECK(done->remote_id == id("192.0.2.254"));
    CHECK_FALSE(done->internal);
    CHECK(done->four_octet_as);
    CHECK(done->route_refresh);
    CHECK(done->hold_time == 9s);
    CHECK(done->keepalive == 3s);
    CHECK(done->families == FamilySet{Family::ipv4, Family::ipv6});

    Open shorter = theirs();
    shorter.hold_time_s = 3;
    CHECK(negotiate(ours(), shorter)->hold_time == 3s);
    CHECK(negotiate(ours(), shorter)->keepalive == 1s);
    shorter.hold_time_s = 4;
    CHECK(negotiate(ours(), shorter)->keepalive > 1s);
}

TEST_CASE("negotiate: a wrong AS is 2/2 with the number, two octets where it fits") {
    Open other = theirs();
    other.as = as(64497);
    check_refused(ours(), other, subcode::bad_peer_as, "fbf1");
    other.as = as(70000);
    check_refused(ours(), other, subcode::bad_peer_as, "00011170");
    OpenPolicy any = ours();
    any.remote_as.reset();
    CHECK(negotiate(any, other)->remote_as == as(70000));
}

TEST_CASE("negotiate: malformed 20: our own identifier is 2/3 inside one AS and legal outside") {
    Open twin = theirs();
    twin.router_id = ours().router_id;
    CHECK(negotiate(ours(), twin));
    twin.as = as(64500);
    OpenPolicy internal = ours();
    internal.remote_as = as(64500);
    check_refused(internal, twin, subcode::bad_bgp_identifier);
    twin.router_id = id("192.0.2.2");
    CHECK(negotiate(internal, twin)->internal);
}

TEST_CASE("negotiate: a hold time of 0 is 2/6, for a dead peer would never be noticed") {
    Open forever = theirs();
    forever.hold_time_s = 0;
    check_refused(ours(), forever, subcode::unacceptable_hold_time, "0000");
}

TEST_CASE("negotiate: families are those of both; none in common is 2/7 with ours") {
    Open six = theirs();
    six.capabilities.multiprotocol = {Family::ipv6};
    CHECK(negotiate(ours(), six)->families == FamilySet{Family::ipv6});
    OpenPolicy four_only = ours();
    four_only.families = {Family::ipv4};
    check_refused(four_only, six, subcode::unsupported_capability, "0104 0001 00 01");
    // RFC 4760 §8: without the capability IPv4 unicast is meant, with foreign ones it is not.
    Open plain = theirs();
    plain.capabilities = {};
    CHECK(negotiate(ours(), plain)->families == FamilySet{Family::ipv4});
    CHECK_FALSE(negotiate(ours(), plain)->four_octet_as);
    CHECK_FALSE(negotiate(ours(), plain)->route_refresh);
    plain.capabilities.has_multiprotocol = true;
    check_refused(ours(), plain, subcode::unsupported_capability,
                  "0104 0001 00 01 0104 0002 00 01");
}

}  // namespace
}  // namespace swerve::bgp
