#include "swerve/bgp/framer.hpp"

#include <doctest/doctest.h>

#include <array>
#include <vector>

#include "tests/support/hex.hpp"

namespace swerve::bgp {
namespace {

using test::bgp_message;
using test::hex;
using test::joined;

/// Everything that comes out of a framer, with the views copied.
struct Received {
    std::vector<MessageType> types;
    std::vector<Bytes> bodies;
    std::optional<Notification> error;
};

void drain(Framer& framer, Received& out) {
    while (true) {
        const auto frame = framer.next();
        if (!frame) {
            out.error = frame.error();
            return;
        }
        if (!frame->has_value()) return;
        out.types.push_back((*frame)->type);
        out.bodies.emplace_back((*frame)->body.begin(), (*frame)->body.end());
    }
}

Received receive(ByteView stream, std::size_t chunk) {
    Framer framer;
    Received out;
    for (std::size_t at = 0; at < stream.size(); at += chunk) {
        framer.feed(stream.subspan(at, std::min(chunk, stream.size() - at)));
        drain(framer, out);
    }
    return out;
}

/// A header fault: the same answer whole, octet by octet, and with foreign octets behind.
void check_fault(const Bytes& stream, std::uint8_t sub, std::string_view data) {
    const Notification expected{ErrorCode::message_header, sub, hex(data)};
    const Bytes longer = joined({stream, hex("de ad be ef")});
    CHECK(receive(stream, stream.size()).error == expected);
    CHECK(receive(stream, 1).error == expected);
    CHECK(receive(longer, longer.size()).error == expected);
    CHECK(receive(longer, 1).bodies.empty());
}

Bytes header(std::string_view length, std::string_view type) {
    return joined({hex("ff*16"), hex(length), hex(type)});
}

TEST_CASE("framer: each message type comes out whole, octet by octet and with more behind") {
    const std::vector<std::pair<MessageType, Bytes>> vectors{
        {MessageType::open, hex("04 fbf0 0009 c0000201 00")},
        {MessageType::update, hex("0000 0000")},
        {MessageType::notification, hex("06 02")},
        {MessageType::keepalive, {}},
        {MessageType::route_refresh, hex("0001 00 01")},
    };
    for (const auto& [type, body] : vectors) {
        CAPTURE(static_cast<int>(type));
        const Bytes message = bgp_message(static_cast<std::uint8_t>(type), body);
        for (const std::size_t chunk : {message.size(), std::size_t{1}}) {
            const Received got = receive(message, chunk);
            REQUIRE(got.bodies.size() == 1);
            CHECK(got.types[0] == type);
            CHECK(got.bodies[0] == body);
        }
        const Bytes two = joined({message, bgp_message(4, {}), hex("ff*7")});
        const Received got = receive(two, two.size());
        CHECK(got.bodies.size() == 2);
        CHECK_FALSE(got.error);
    }
}

TEST_CASE("framer: a stream gives the same messages wherever it is split") {
    const Bytes stream = joined({bgp_message(1, hex("04 fbf0 0009 c0000201 00")),
                                 bgp_message(4, {}), bgp_message(2, hex("0000 0000")),
                                 bgp_message(3, hex("06 04 00")), bgp_message(4, {})});
    for (std::size_t split = 1; split < stream.size(); ++split) {
        Framer framer;
        Received got;
        framer.feed(ByteView{stream}.first(split));
        drain(framer, got);
        framer.feed(ByteView{stream}.subspan(split));
        drain(framer, got);
        REQUIRE(got.bodies.size() == 5);
        CHECK(framer.buffered() == 0);
    }
}

TEST_CASE("framer: a message is not there before its last octet") {
    const Bytes message = bgp_message(2, hex("0000 0000"));
    Framer framer;
    framer.feed(ByteView{message}.first(message.size() - 1));
    CHECK_FALSE(framer.next()->has_value());
    CHECK(framer.buffered() == message.size() - 1);
    framer.feed(ByteView{message}.last(1));
    CHECK(framer.next()->has_value());
}

TEST_CASE("framer: malformed 1: a marker with one bit off is 1/1") {
    for (std::size_t octet = 0; octet < 16; ++octet) {
        for (unsigned bit = 0; bit < 8; ++bit) {
            Bytes message = bgp_message(4, {});
            message[octet] = static_cast<std::uint8_t>(message[octet] ^ (1U << bit));
            check_fault(message, subcode::connection_not_synchronized, "");
        }
    }
}

TEST_CASE("framer: malformed 2: a length outside 19..4096 is 1/2 with the two octets") {
    for (const std::string_view length : {"0000", "0012", "1001", "ffff"}) {
        // The length is judged before the type, so that an unknown one changes nothing.
        for (const std::string_view type : {"01", "02", "03", "04", "05", "09"}) {
            check_fault(header(length, type), subcode::bad_message_length, length);
        }
    }
}

TEST_CASE("framer: malformed 3, 6, 22, 52, 54: a length below the minimum of its type is 1/2") {
    check_fault(header("0014", "04"), subcode::bad_message_length, "0014");
    check_fault(header("001c", "01"), subcode::bad_message_length, "001c");
    check_fault(header("0016", "02"), subcode::bad_message_length, "0016");
    check_fault(header("0014", "03"), subcode::bad_message_length, "0014");
    check_fault(header("0016", "05"), subcode::bad_message_length, "0016");
}

TEST_CASE("framer: the smallest and the largest message of each type pass") {
    for (const auto& [type, least] : std::vector<std::pair<std::uint8_t, std::size_t>>{
             {1, 29}, {2, 23}, {3, 21}, {4, 19}, {5, 23}}) {
        CAPTURE(type);
        const Bytes small = bgp_message(type, Bytes(least - 19, 0));
        CHECK(receive(small, small.size()).bodies.size() == 1);
        if (type == 4) continue;
        const Bytes large = bgp_message(type, Bytes(4096 - 19, 0));
        CHECK(receive(large, large.size()).bodies.size() == 1);
    }
}

TEST_CASE("framer: malformed 4, 55: an unknown type is 1/3 with the type octet") {
    for (const std::string_view type : {"00", "06", "ff"}) {
        check_fault(header("0013", type), subcode::bad_message_type, type);
    }
}

TEST_CASE("framer: malformed 5: nineteen single octets, then two messages in one write") {
    const Bytes first = bgp_message(4, {});
    const Bytes two = joined({bgp_message(2, hex("0000 0000")), bgp_message(4, {})});
    Framer framer;
    Received got;
    for (const std::uint8_t octet : first) {
        framer.feed({&octet, 1});
        drain(framer, got);
    }
    framer.feed(two);
    drain(framer, got);
    CHECK(got.bodies.size() == 3);
    CHECK_FALSE(got.error);
}

TEST_CASE("framer: malformed 48: an extended message that was not offered is 1/2 by its header") {
    // RFC 8654 §4: nothing of the body needs to arrive for the answer.
    check_fault(header("ffff", "02"), subcode::bad_message_length, "ffff");
    check_fault(header("1001", "02"), subcode::bad_message_length, "1001");
}

TEST_CASE(
    "framer: malformed 48: where we offered them, extended messages of all but two types pass") {
    // RFC 8654 §4.
    const auto sizes_pass = [](std::uint8_t type, std::size_t size) {
        Framer framer{max_extended_size};
        framer.feed(bgp_message(type, Bytes(size - header_size, 0)));
        const auto frame = framer.next();
        return frame && frame->has_value() && (*frame)->body.size() == size - header_size;
    };
    for (const auto type : std::to_array<std::uint8_t>({2, 3, 5})) {
        CHECK(sizes_pass(type, 4097));
        CHECK(sizes_pass(type, 65535));
    }
    CHECK(sizes_pass(1, 4096));
    CHECK_FALSE(sizes_pass(1, 4097));
    for (const auto& [length, type] :
         {std::pair{"1001", "01"}, std::pair{"ffff", "01"}, std::pair{"1001", "04"}}) {
        Framer framer{max_extended_size};
        framer.feed(header(length, type));
        const auto frame = framer.next();
        REQUIRE_FALSE(frame);
        CHECK(frame.error() ==
              Notification{ErrorCode::message_header, subcode::bad_message_length, hex(length)});
    }
}

TEST_CASE("framer: a fault comes after the good messages before it and stays for good") {
    const Bytes stream = joined({bgp_message(4, {}), header("0013", "09"), bgp_message(4, {})});
    Framer framer;
    Received got;
    framer.feed(stream);
    drain(framer, got);
    CHECK(got.bodies.size() == 1);
    const Notification expected{ErrorCode::message_header, subcode::bad_message_type, {9}};
    CHECK(got.error == expected);
    const std::size_t held = framer.buffered();
    framer.feed(bgp_message(4, {}));
    CHECK(framer.buffered() == held);
    const auto again = framer.next();
    REQUIRE_FALSE(again);
    CHECK(again.error() == expected);
}

TEST_CASE("framer: a frame's view stays valid while further frames are taken") {
    Framer framer;
    framer.feed(joined({bgp_message(3, hex("06 02")), bgp_message(3, hex("06 04"))}));
    const auto first = framer.next();
    const auto second = framer.next();
    CHECK((*first)->body[1] == 2);
    CHECK((*second)->body[1] == 4);
}

TEST_CASE("framer: a long stream in chunks that cut messages leaves no more than one unfinished") {
    Bytes stream;
    for (int i = 0; i < 3000; ++i) {
        const Bytes message = bgp_message(2, joined({hex("0000 0000"), Bytes(i % 200, 0)}));
        stream.insert(stream.end(), message.begin(), message.end());
    }
    for (const std::size_t chunk : {1000U, 4095U, 4097U, 65536U}) {
        Framer framer;
        Received got;
        for (std::size_t at = 0; at < stream.size(); at += chunk) {
            framer.feed(ByteView{stream}.subspan(at, std::min(chunk, stream.size() - at)));
            drain(framer, got);
            CHECK(framer.buffered() < max_message_size);
        }
        CHECK(got.bodies.size() == 3000);
    }
}

TEST_CASE("framer: begin_message and finish_message write the header behind what is there") {
    Bytes out = hex("aa bb");
    const std::size_t begin = begin_message(out, MessageType::update);
    CHECK(begin == 2);
    Writer{out}.u32(0);
    finish_message(out, begin);
    CHECK(out == joined({hex("aa bb"), bgp_message(2, hex("0000 0000"))}));
}

TEST_CASE("framer: a KEEPALIVE is a bare header") {
    CHECK(encode_keepalive() == hex("ff*16 0013 04"));
}

}  // namespace
}  // namespace swerve::bgp
