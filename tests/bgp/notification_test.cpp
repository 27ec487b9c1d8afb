#include "swerve/bgp/notification.hpp"

#include <doctest/doctest.h>

#include <string>

#include "tests/support/hex.hpp"

namespace swerve::bgp {
namespace {

using test::bgp_message;
using test::hex;

Notification received(std::string_view body) { return decode_notification(hex(body)); }

TEST_CASE("notification: what is encoded is decoded again") {
    const Notification sent{ErrorCode::message_header, subcode::bad_message_length, hex("1001")};
    const Bytes message = encode(sent);
    CHECK(message == bgp_message(3, hex("01 02 1001")));
    CHECK(decode_notification(ByteView{message}.subspan(19)) == sent);
}

TEST_CASE("notification: data beyond a message of 4096 octets is cut") {
    Notification sent{ErrorCode::update_message, subcode::optional_attribute_error};
    sent.data.assign(4096 - 21, 0x55);
    CHECK(encode(sent).size() == 4096);
    sent.data.push_back(0x55);
    const Bytes message = encode(sent);
    CHECK(message.size() == 4096);
    CHECK(message[16] == 0x10);
    CHECK(message[17] == 0x00);
}

TEST_CASE("cease: the Shutdown Communication goes with 6/2 and 6/4 only") {
    // RFC 9003 §2.
    CHECK(cease(subcode::administrative_shutdown, "bye").data == hex("03 62 79 65"));
    CHECK(cease(subcode::administrative_reset, "bye").data == hex("03 62 79 65"));
    CHECK(cease(subcode::administrative_shutdown).data.empty());
    CHECK(cease(subcode::connection_collision, "bye").data.empty());
    CHECK(cease(subcode::connection_collision).code == 6);
    CHECK(cease(subcode::connection_collision).subcode == 7);
}

TEST_CASE("cease: 255 octets fit, the 256th is cut") {
    const auto fits = cease(subcode::administrative_shutdown, std::string(255, 'x'));
    CHECK(fits.data.size() == 256);
    const auto cut = cease(subcode::administrative_shutdown, std::string(256, 'x'));
    CHECK(cut == fits);
}

TEST_CASE("cease: a character across octet 255 goes as a whole") {
    const std::string euro = "\xe2\x82\xac";
    for (std::size_t before = 252; before <= 256; ++before) {
        CAPTURE(before);
        const auto sent = cease(subcode::administrative_shutdown, std::string(before, 'x') + euro);
        const std::size_t kept = before <= 252 ? before + 3 : std::min<std::size_t>(before, 255);
        CHECK(sent.data[0] == kept);
        CHECK(sent.data.size() == kept + 1);
    }
    const auto four =
        cease(subcode::administrative_shutdown, std::string(252, 'x') + "\xf0\x9f\x9a\x92");
    CHECK(four.data[0] == 252);
}

TEST_CASE("cease: text that is no UTF-8 is cut where the room ends") {
    const auto sent = cease(subcode::administrative_shutdown, std::string(300, '\x80'));
    CHECK(sent.data[0] == 255);
    CHECK(sent.data.size() == 256);
}

TEST_CASE("shutdown communication: read from 6/2 and 6/4, and from nothing else") {
    CHECK(shutdown_communication(received("06 02 03 627965")) == "bye");
    CHECK(shutdown_communication(received("06 04 03 627965")) == "bye");
    CHECK_FALSE(shutdown_communication(received("06 03 03 627965")));
    CHECK_FALSE(shutdown_communication(received("02 02 03 627965")));
    CHECK_FALSE(shutdown_communication(received("06 02")));
    CHECK_FALSE(shutdown_communication(received("06 02 00")));
    CHECK_FALSE(shutdown_communication(received("06 02 05")));
}

TEST_CASE(
    "notification: malformed 52: hostile Shutdown Communications are shown as far as they go") {
    CHECK(shutdown_communication(received("06 02 ff 627965")) == "bye");
    CHECK(shutdown_communication(received("06 02 02 627965")) == "by");
    CHECK(shutdown_communication(received("06 02 04 6200 ff 0a")) == R"(b\x00\xff\x0a)");
    CHECK(shutdown_communication(received("06 02 ff 41*255")) == std::string(255, 'A'));
    CHECK(shutdown_communication(received("06 02 04 1b5b324a")) == R"(\x1b[2J)");
}

TEST_CASE("notification: malformed 53: a Hard Reset with no or half an inner code is just data") {
    CHECK(describe(received("06 09")) == "Cease/Hard Reset");
    CHECK(describe(received("06 09 06")) == "Cease/Hard Reset");
    CHECK(received("06 09 06").data == hex("06"));
}

TEST_CASE("describe: RFC 8538 §3.1: a Hard Reset tells what it stands for") {
    CHECK(describe(received("06 09 06 02")) == "Cease/Hard Reset (Cease/Administrative Shutdown)");
    CHECK(describe(received("06 09 06 02 03 627965")) ==
          "Cease/Hard Reset (Cease/Administrative Shutdown \"bye\")");
    CHECK(describe(received("06 09 04 00")) == "Cease/Hard Reset (Hold Timer Expired)");
    CHECK(describe(received("06 09 63 01")) == "Cease/Hard Reset (code 99 subcode 1)");
    // One inside another is named and not opened, or four thousand octets would be two thousand
    // levels.
    CHECK(describe(received("06 09 06 09 06 02")) == "Cease/Hard Reset (Cease/Hard Reset)");
}

TEST_CASE("describe: every subcode of Cease has its name") {
    // RFC 4486 §3, RFC 8538 §4, RFC 9384 §4.
    for (std::uint8_t sub = 1; sub <= 10; ++sub) {
        CAPTURE(sub);
        CHECK(describe(Notification{ErrorCode::cease, sub}).find("subcode") == std::string::npos);
    }
    CHECK(describe(received("07 01")) == "ROUTE-REFRESH Message Error/Invalid Message Length");
}

TEST_CASE("notification: a body that is too short reads as zeros") {
    CHECK(received("").code == 0);
    CHECK(received("06").subcode == 0);
}

TEST_CASE("describe: names where the registry has them, numbers elsewhere") {
    CHECK(describe(Notification{ErrorCode::hold_timer_expired, 0}) == "Hold Timer Expired");
    CHECK(describe(Notification{ErrorCode::send_hold_timer_expired, 0}) ==
          "Send Hold Timer Expired");
    CHECK(describe(cease(subcode::administrative_shutdown)) == "Cease/Administrative Shutdown");
    CHECK(describe(cease(subcode::administrative_shutdown, "host down")) ==
          "Cease/Administrative Shutdown \"host down\"");
    CHECK(describe(received("02 06")) == "OPEN Message Error/Unacceptable Hold Time");
    CHECK(describe(received("05 02")) ==
          "Finite State Machine Error/Receive Unexpected Message in OpenConfirm State");
    CHECK(describe(received("06 0a")) == "Cease/BFD Down");
    CHECK(describe(received("06 63")) == "Cease/subcode 99");
    CHECK(describe(received("09 01")) == "code 9 subcode 1");
    CHECK(describe(received("00 00")) == "code 0 subcode 0");
    CHECK(describe(received("ff ff")) == "code 255 subcode 255");
}

}  // namespace
}  // namespace swerve::bgp
