#include "swerve/bfd/packet.hpp"

#include <doctest/doctest.h>

#include <string>

#include "tests/support/hex.hpp"

using namespace swerve;
using namespace swerve::bfd;
using test::hex;
using test::to_hex;

namespace {

// RFC 5880 §4.1, octet by octet: version 1 and Neighbor Signaled Session Down; Up with poll and
// demand; multiplier 3; 24 octets; both discriminators; 300 ms, 50 ms, no echo.
const std::string up_with_poll = "23 e2 03 18 0a0b0c0d 01020304 000493e0 0000c350 00000000";

Bytes with(std::size_t at, std::uint8_t value) {
    Bytes out = hex(up_with_poll);
    out.at(at) = value;
    return out;
}

Discard refusal(const Bytes& octets) {
    const auto decoded = decode(octets);
    REQUIRE_FALSE(decoded);
    return decoded.error();
}

Packet some() {
    return {.diagnostic = Diagnostic::neighbor_signaled_down,
            .state = State::up,
            .poll = true,
            .demand = true,
            .detect_multiplier = 3,
            .my_discriminator = 0x0a0b0c0d,
            .your_discriminator = 0x01020304,
            .desired_min_tx_us = 300'000,
            .required_min_rx_us = 50'000};
}

}  // namespace

TEST_CASE("bfd packet: what RFC 5880 §4.1 draws is read and written") {
    const Bytes octets = hex(up_with_poll);
    const auto decoded = decode(octets);
    REQUIRE(decoded);
    CHECK(decoded->packet == some());
    CHECK(decoded->authentication.empty());
    CHECK(to_hex(encode(some())) == to_hex(octets));
}

TEST_CASE("bfd packet: every state, diagnostic and flag survives the way there and back") {
    for (unsigned bits = 0; bits < 4U * 32U * 16U; ++bits) {
        Packet packet = some();
        packet.state = static_cast<State>(bits & 3U);
        packet.diagnostic = static_cast<Diagnostic>(bits >> 2U & 31U);
        packet.poll = (bits >> 7U & 1U) != 0;
        packet.final = !packet.poll && (bits >> 8U & 1U) != 0;
        packet.control_plane_independent = (bits >> 9U & 1U) != 0;
        packet.demand = (bits >> 10U & 1U) != 0;
        const Bytes octets = encode(packet);
        const auto decoded = decode(octets);
        REQUIRE(decoded);
        CHECK(decoded->packet == packet);
    }
}

TEST_CASE("bfd packet: malformed 59, each wrong shape is dropped under its own name") {
    // RFC 5880 §6.8.6.
    CHECK(refusal({}) == Discard::too_short);
    CHECK(refusal(Bytes(23, 0x20)) == Discard::too_short);
    CHECK(refusal(with(0, 0x03)) == Discard::bad_version);
    CHECK(refusal(with(0, 0x43)) == Discard::bad_version);
    CHECK(refusal(with(3, 23)) == Discard::too_short);
    CHECK(refusal(with(3, 25)) == Discard::longer_than_payload);
    CHECK(refusal(with(3, 255)) == Discard::longer_than_payload);
    CHECK(refusal(with(2, 0)) == Discard::zero_multiplier);
    CHECK(refusal(with(1, 0xe3)) == Discard::multipoint);
    CHECK(refusal(hex("20 c0 03 18 00000000 01020304 000493e0 0000c350 00000000")) ==
          Discard::zero_my_discriminator);
    // Not to know us is for those who are Down, by what the packet says and not by what we are.
    CHECK(refusal(hex("20 c0 03 18 0a0b0c0d 00000000 000493e0 0000c350 00000000")) ==
          Discard::zero_your_discriminator);
    CHECK(refusal(hex("20 80 03 18 0a0b0c0d 00000000 000493e0 0000c350 00000000")) ==
          Discard::zero_your_discriminator);
    CHECK(decode(hex("20 40 03 18 0a0b0c0d 00000000 000493e0 0000c350 00000000")));
    CHECK(decode(hex("20 00 03 18 0a0b0c0d 00000000 000493e0 0000c350 00000000")));
    CHECK(refusal(with(1, 0xf0)) == Discard::poll_and_final);
    // The authentication bit with no room for a section.
    CHECK(refusal(with(1, 0xe4)) == Discard::too_short);
}

TEST_CASE("bfd packet: intervals of 0 and of 71 minutes are values like others") {
    const auto decoded = decode(hex("20 c0 ff 18 0a0b0c0d 01020304 00000000 ffffffff 00000000"));
    REQUIRE(decoded);
    CHECK(decoded->packet.desired_min_tx_us == 0);
    CHECK(decoded->packet.required_min_rx_us == 0xffff'ffff);
    CHECK(decoded->packet.detect_multiplier == 255);
}

TEST_CASE("bfd packet: what follows the packet in its datagram is not looked at") {
    Bytes octets = hex(up_with_poll);
    octets.insert(octets.end(), 40, 0xff);
    const auto decoded = decode(octets);
    REQUIRE(decoded);
    CHECK(decoded->octets.size() == 24);
}

TEST_CASE("bfd packet: a simple password proves the sender, another one or another key does not") {
    const Authentication right{AuthType::simple_password, 7, "lilac"};
    const Bytes octets = encode(some(), &right);
    CHECK(to_hex(ByteView{octets}.subspan(24)) == to_hex(hex("01 08 07 6c 69 6c 61 63")));
    const auto decoded = decode(octets);
    REQUIRE(decoded);
    CHECK(verify(*decoded, right) == 0U);
    for (const Authentication& wrong :
         {Authentication{AuthType::simple_password, 7, "lilas"},
          Authentication{AuthType::simple_password, 7, "lila"},
          Authentication{AuthType::simple_password, 8, "lilac"},
          Authentication{AuthType::meticulous_keyed_sha1, 7, "lilac"}}) {
        const auto verified = verify(*decoded, wrong);
        REQUIRE_FALSE(verified);
        CHECK(verified.error() == Discard::authentication_failed);
    }
    const Bytes bare = encode(some());
    CHECK(verify(*decode(bare), right).error() == Discard::authentication_missing);
}

TEST_CASE("bfd packet: a SHA-1 digest covers every octet of the packet") {
    const Authentication key{AuthType::meticulous_keyed_sha1, 1, "a key of twenty octs"};
    const Bytes octets = encode(some(), &key, 0x01020304);
    REQUIRE(octets.size() == 52);
    CHECK(to_hex(ByteView{octets}.subspan(24, 8)) == to_hex(hex("05 1c 01 00 01 02 03 04")));
    // printf of the packet with the key in the digest's place, through sha1sum.
    CHECK(to_hex(ByteView{octets}.subspan(32)) ==
          to_hex(hex("84ca49c5396146c9f8ed50fff4cd018e4b441eb6")));
    CHECK(verify(*decode(octets), key) == 0x01020304U);
    for (std::size_t at = 0; at < octets.size(); ++at) {
        Bytes other = octets;
        other[at] ^= 1U;
        const auto decoded = decode(other);
        if (!decoded) continue;
        CAPTURE(at);
        CHECK_FALSE(verify(*decoded, key));
    }
}

TEST_CASE("bfd packet: an authentication section that lies about itself proves nothing") {
    const Authentication key{AuthType::meticulous_keyed_sha1, 1, "key"};
    const Authentication password{AuthType::simple_password, 1, "p"};
    for (const std::string section : {"05 02", "05 1c", "05 03 01", "01 02", "01 03 01",
                                      "01 ff 01 70", "05 00 01", "00 02", "01 04 01 71"}) {
        Bytes octets = hex(up_with_poll);
        const Bytes added = hex(section);
        octets.insert(octets.end(), added.begin(), added.end());
        octets[1] |= 0x04U;
        octets[3] = static_cast<std::uint8_t>(octets.size());
        const auto decoded = decode(octets);
        REQUIRE(decoded);
        CAPTURE(section);
        CHECK(verify(*decoded, key).error() == Discard::authentication_failed);
        CHECK(verify(*decoded, password).error() == Discard::authentication_failed);
    }
}

TEST_CASE("bfd packet: every name is a name") {
    for (unsigned i = 0; i < discard_count; ++i) {
        CHECK_FALSE(to_string(static_cast<Discard>(i)).empty());
    }
    CHECK(to_string(Diagnostic::path_down) == "Path Down");
    CHECK(to_string(static_cast<Diagnostic>(31)) == "reserved");
    CHECK(to_string(State::admin_down) == "AdminDown");
}
