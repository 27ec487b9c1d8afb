// The hostile headers, OPENs, NOTIFICATIONs and ROUTE-REFRESHes that every speaker has met, by
// their number in the list of shapes that BGP implementations have crashed on or reset for, each
// with its one outcome. Those that concern UPDATE stand in malformed_test.cpp.
//
// Each shape is repeated, in three deliveries, because what leaks or is left behind shows only
// then. The long run, meant for the sanitizers:
//     bgp_test --test-case="malformed_long*" --no-skip

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "tests/bgp/peer_bench.hpp"
#include "tests/support/hex.hpp"

using namespace swerve;
using namespace swerve::bgp;
using namespace swerve::test;

namespace {

struct Shape {
    std::string name;
    State at;               ///< where it arrives
    Bytes octets;           ///< what arrives
    std::string_view ends;  ///< the NOTIFICATION sent ("1/2"), or the state it is in then
    std::optional<Bytes> data = std::nullopt;  ///< of the NOTIFICATION; absent: not looked at
    bool internal = false;                     ///< the neighbor is of our own AS
    bool enhanced = true;                      ///< the neighbor has RFC 7313
};

Bytes header(std::string_view length, std::string_view type) {
    return hex("ff*16 ") + hex(length) + hex(type);
}
Bytes message(std::uint8_t type, std::string_view body) { return bgp_message(type, hex(body)); }

constexpr std::string_view fixed = "04 fbf0 0009 c00002fe";  // AS 64496, hold 9 s, 192.0.2.254
/// An OPEN with these octets behind its fixed part.
Bytes open_with(std::string_view rest) { return bgp_message(1, hex(fixed) + hex(rest)); }
/// An OPEN with these capabilities in one parameter.
Bytes open_saying(std::string_view capabilities) {
    const Bytes value = hex(capabilities);
    const auto size = static_cast<std::uint8_t>(value.size());
    return bgp_message(1, hex(fixed) + Bytes{static_cast<std::uint8_t>(size + 2), 2, size} + value);
}
/// The same capability many times, in the form of RFC 9072.
Bytes open_saying(std::string_view capability, int times) {
    Bytes value;
    for (int i = 0; i < times; ++i) value = std::move(value) + hex(capability);
    Bytes body = hex(fixed) + hex("ff ff");
    Writer writer{body};
    writer.u16(static_cast<std::uint16_t>(value.size() + 3));
    writer.u8(2);
    writer.u16(static_cast<std::uint16_t>(value.size()));
    writer.bytes(value);
    return bgp_message(1, body);
}

// RFC 4271 §6.1.
std::vector<Shape> headers() {
    using enum State;
    Bytes marker = header("001d", "01");
    marker[7] = 0xef;
    std::vector<Shape> shapes{{"1 marker", open_sent, marker, "1/1", Bytes{}}};
    for (const State state : {open_sent, open_confirm, established}) {
        for (const std::string_view length : {"0000", "0012", "1001", "ffff"}) {
            shapes.push_back({"2 length", state, header(length, "02"), "1/2", hex(length)});
        }
        shapes.push_back({"3 KEEPALIVE of 20", state, header("0014", "04"), "1/2", hex("0014")});
        for (const std::string_view type : {"00", "06", "ff"}) {
            shapes.push_back({"4, 55 type", state, header("0013", type), "1/3", hex(type)});
        }
    }
    shapes.push_back({"5 two messages after a split header", open_confirm,
                      encode_keepalive() + encode_keepalive() + encode_keepalive(), "Established"});
    shapes.push_back({"6 OPEN of 28", open_sent, header("001c", "01"), "1/2", hex("001c")});
    return shapes;
}

// RFC 4271 §6.2, RFC 5492 §4, RFC 6286 §2, RFC 6793 §4.1, RFC 7607 §2, RFC 9072 §2.
std::vector<Shape> opens() {
    const State at = State::open_sent;
    constexpr std::string_view fine = "OpenConfirm";
    return {
        {"7 parameters beyond the message", at, open_with("05 02 02 0200"), "2/0"},
        {"8 extended, nothing behind", at, open_with("ff ff"), "2/0"},
        {"8 extended, half a length", at, open_with("ff ff 00"), "2/0"},
        {"8 extended, a length and nothing", at, open_with("ff ff 0001"), "2/0"},
        {"8 extended, empty", at, open_with("ff ff 0000"), fine},
        {"9 inner length overrun", at, open_with("ff ff 0005 02 0003 0200"), "2/0"},
        {"9 inner length 65535", at, open_with("ff ff 0005 02 ffff 0200"), "2/0"},
        {"10 empty 65", at, open_saying("4100"), "2/0"},
        {"10 empty 1", at, open_saying("0100"), "2/0"},
        {"10 empty 64", at, open_saying("4000"), "2/0"},
        {"10 empty 69", at, open_saying("4500"), fine},
        {"10 empty 5", at, open_saying("0500"), fine},
        {"10 empty 9", at, open_saying("0900"), "2/0"},
        {"11 capability past its parameter", at, open_with("0c 02 02 4104 02 06 4104 0000fbf0"),
         "2/0"},
        {"12 capability 64 of 1", at, open_saying("4001 00"), "2/0"},
        {"12 capability 64 of 3", at, open_saying("4003 000900"), "2/0"},
        {"13 capability 71 of 6", at, open_saying("4706 000101800000"), fine},
        {"14 capability 75 of 0", at, open_saying("4b00"), fine},
        {"14 capability 75, inner length 255", at, open_saying("4b02 ff41"), fine},
        {"15 capability 73, host name overrun", at, open_saying("4902 ff41"), fine},
        {"16 five hundred families", at, open_saying("0104 0019 00 46", 500), "2/7",
         hex("0104 0001 00 01")},
        {"17 ORF, 255 entries", at, open_saying("0305 0001 00 01 ff"), fine},
        {"18 three hundred of a kind", at, open_saying("0200", 300), fine},
        {"19 hold time 1", at, message(1, "04 fbf0 0001 c00002fe 00"), "2/6", hex("0001")},
        {"19 hold time 2", at, message(1, "04 fbf0 0002 c00002fe 00"), "2/6", hex("0002")},
        {"20 identifier 0", at, message(1, "04 fbf0 0009 00000000 00"), "2/3"},
        {"20 identifier ours, another AS", at, message(1, "04 fbf0 0009 c0000201 00"), fine},
        {"20 identifier ours, our AS", at, message(1, "04 fbf4 0009 c0000201 00"), "2/3",
         std::nullopt, true},
        {"20 identifier 224.0.0.1", at, message(1, "04 fbf0 0009 e0000001 00"), fine},
        {"21 AS 0", at, message(1, "04 0000 0009 c00002fe 00"), "2/2", hex("0000")},
        {"21 AS_TRANS alone", at, message(1, "04 5ba0 0009 c00002fe 00"), "2/2", hex("5ba0")},
        {"21 capability 65 of AS 0", at, open_saying("4104 00000000"), "2/2", hex("0000")},
        {"another version", at, message(1, "03 fbf0 0009 c00002fe 00"), "2/1", hex("0004")},
        {"another parameter", at, open_with("02 01 00"), "2/4"},
        {"two roles", at, open_saying("0901 00 0901 03"), "2/11"},
    };
}

// RFC 6608 §4, RFC 4271 §6.4, RFC 9003 §2, RFC 8538 §3, RFC 2918 §3, RFC 7313 §5.
std::vector<Shape> later_messages() {
    using enum State;
    std::vector<Shape> shapes{
        {"50 UPDATE before OPEN", open_sent, encode_end_of_rib(Family::ipv4), "5/1", Bytes{2}},
        {"50 UPDATE before KEEPALIVE", open_confirm, encode_end_of_rib(Family::ipv4), "5/2",
         Bytes{2}},
        {"50 KEEPALIVE before OPEN", open_sent, encode_keepalive(), "5/1", Bytes{4}},
        {"51 OPEN in OpenConfirm", open_confirm, neighbor_open(), "5/2", Bytes{1}},
        {"51 OPEN in Established", established, neighbor_open(), "5/3", Bytes{1}},
        {"54 ROUTE-REFRESH of 22", established, header("0016", "05"), "1/2", hex("0016")},
        {"54 ROUTE-REFRESH of 24", established, message(5, "0001 00 01 00"), "Established"},
        {"54 BoRR unasked for", established, message(5, "0001 01 01"), "Established", std::nullopt,
         false, false},
        {"54 BoRR of 24 unasked for", established, message(5, "0001 01 01 00"), "Established",
         std::nullopt, false, false},
        {"54 BoRR of 24", established, message(5, "0001 01 01 00"), "7/1",
         message(5, "0001 01 01 00")},
        {"54 EoRR of 24", established, message(5, "0001 02 01 00"), "7/1",
         message(5, "0001 02 01 00")},
        {"54 subtype 3", established, message(5, "0001 03 01"), "Established"},
        {"54 subtype 255 of 24", established, message(5, "0001 ff 01 00"), "Established"},
        {"54 AFI 0", established, message(5, "0000 00 01"), "Established"},
        {"54 SAFI 0", established, message(5, "0001 00 00"), "Established"},
        {"54 before KEEPALIVE", open_confirm, message(5, "0001 00 01"), "5/2", Bytes{5}},
        {"55 dynamic capability", established, message(6, "80 00000001 01"), "1/3", Bytes{6}},
    };
    // None of them is answered.
    for (const State state : {open_sent, open_confirm, established}) {
        shapes.push_back({"52 NOTIFICATION of 20", state, header("0014", "03"), "Idle"});
        for (const std::string_view body :
             {"0000", "ffff", "00ff", "0602 ff 627965", "0602 00", "0602 04 fffe8080",
              "0604 03 000000", "0602 02 627965ff", "0600 ff*200"}) {
            shapes.push_back({"52 NOTIFICATION", state, message(3, body), "Idle"});
        }
        for (const std::string_view body : {"0609", "0609 06", "0609 0602", "0609 0609 0609 06"}) {
            shapes.push_back({"53 Hard Reset", state, message(3, body), "Idle"});
        }
    }
    return shapes;
}

/// A peer in the state where the shape arrives.
Bench bench_for(const Shape& shape) {
    PeerConfig config = local_config();
    if (shape.internal) config.open.remote_as = config.open.local_as;
    Bench bench(config);
    bench.handle(Start{});
    bench.connect(Side::dialled);
    if (shape.at == State::open_sent) return bench;
    static const std::array opens = [] {
        std::array<Bytes, 2> made;
        for (const bool enhanced : {false, true}) {
            Open open = make_open(neighbor_policy());
            open.capabilities.enhanced_route_refresh = enhanced;
            made[enhanced ? 1 : 0] = encode(open);
        }
        return made;
    }();
    bench.receive(Side::dialled, opens[shape.enhanced ? 1 : 0]);
    if (shape.at == State::established) bench.receive(Side::dialled, encode_keepalive());
    return bench;
}

enum class Delivery : std::uint8_t { whole, in_octets, with_more_behind };

void deliver(Bench& bench, const Bytes& octets, Delivery how) {
    if (how == Delivery::whole) return bench.receive(Side::dialled, octets);
    if (how == Delivery::with_more_behind) {
        return bench.receive(Side::dialled, octets + hex("de ad be ef"));
    }
    // A long message is cut twice, so that the long run comes to an end.
    const std::size_t step = octets.size() > 300 ? octets.size() / 3 + 1 : 1;
    for (std::size_t at = 0; at < octets.size(); at += step) {
        const std::size_t size = std::min(step, octets.size() - at);
        bench.handle(BytesReceived{Side::dialled, ByteView{octets}.subspan(at, size)});
    }
}

/// What became of it: the NOTIFICATION, or the state; and whatever should not be so.
std::string outcome(const Bench& bench, const Shape& shape) {
    std::vector<const Notification*> sent;
    std::vector<const CloseTcp*> closed;
    for (const PeerAction& action : bench.actions) {
        if (const auto* exchanged = std::get_if<NotificationExchanged>(&action)) {
            if (exchanged->sent) sent.push_back(&exchanged->notification);
        }
        if (const auto* close = std::get_if<CloseTcp>(&action)) closed.push_back(close);
    }
    const State state = bench.peer.state();
    if (sent.empty()) {
        if (closed.empty() == (state == State::idle)) return "not closed once";
        if (!closed.empty() && !closed[0]->last_words.empty()) return "unexpected last words";
        return std::string{to_string(state)};
    }
    const Notification& words = *sent[0];
    if (sent.size() != 1 || closed.size() != 1) return "not closed once";
    if (state != State::idle) return "not idle";
    if (closed[0]->last_words != encode(words)) return "other last words";
    if (shape.data && words.data != *shape.data) return "data " + to_hex(words.data);
    if (bench.peer.wants_write(Side::dialled)) return "wants to write";
    return std::to_string(words.code) + "/" + std::to_string(words.subcode);
}

void repeat(const std::vector<Shape>& shapes, int times) {
    for (const Shape& shape : shapes) {
        CAPTURE(shape.name);
        CAPTURE(
            to_hex(ByteView{shape.octets}.first(std::min<std::size_t>(60, shape.octets.size()))));
        std::string wrong;
        for (int i = 0; i < times && wrong.empty(); ++i) {
            const auto how = static_cast<Delivery>(i % 3);
            Bench bench = bench_for(shape);
            deliver(bench, shape.octets, how);
            // What survives takes four octets of garbage for the begin of a header.
            const std::string got = outcome(bench, shape);
            if (got != shape.ends) wrong = got;
        }
        CHECK_MESSAGE(wrong.empty(), "expected ", shape.ends, ", got ", wrong);
    }
}

/// The dialled connection is in `state`; the neighbor calls again and again and hangs up.
void call_in(State state, int times) {
    CAPTURE(to_string(state));
    Bench bench;
    bench.handle(Start{});
    if (state == State::idle) {
        bench.connect(Side::dialled);
        bench.receive(Side::dialled, encode_keepalive());  // an error, so backoff
    } else if (state == State::active) {
        bench.handle(TcpFailed{Side::dialled, "connection refused"});
    } else if (state >= State::open_sent) {
        bench.connect(Side::dialled);
        if (state >= State::open_confirm) bench.receive(Side::dialled, neighbor_open());
        if (state == State::established) bench.receive(Side::dialled, encode_keepalive());
    }
    REQUIRE(bench.peer.state() == state);
    const auto retry = bench.peer.next_retry();
    int refused = 0;
    for (int i = 0; i < times; ++i) {
        bench.actions.clear();
        // RFC 4271 §6.8: an Established connection wins, all others let the caller in.
        const auto answer = bench.peer.refuses_connection();
        if (answer) {
            refused += *answer == cease(subcode::connection_collision) ? 1 : 0;
            continue;
        }
        bench.connect(Side::accepted);
        if (bench.peer.refuses_connection() != cease(subcode::connection_collision)) {
            FAIL("a third connection was let in");
        }
        bench.handle(TcpFailed{Side::accepted, "connection reset by peer"});
    }
    CHECK(refused == (state == State::established ? times : 0));
    CHECK(bench.peer.state() == state);
    CHECK(bench.peer.next_retry() == retry);
    CHECK(bench.peer.counters().established == (state == State::established ? 1 : 0));
}

void call_in_every_state(int times) {
    for (const State state : {State::idle, State::connect, State::active, State::open_sent,
                              State::open_confirm, State::established}) {
        call_in(state, times);
    }
}

}  // namespace

TEST_CASE("malformed 1 to 21, 50 to 55: each shape has its one outcome, a hundred times") {
    for (const auto& shapes : {headers(), opens(), later_messages()}) repeat(shapes, 100);
}

TEST_CASE("malformed 56: a thousand calls in every state of the first connection change nothing") {
    call_in_every_state(1000);
}

TEST_CASE("malformed_long: headers, a hundred thousand times" * doctest::skip()) {
    repeat(headers(), 100'000);
}

TEST_CASE("malformed_long: OPENs, a hundred thousand times" * doctest::skip()) {
    repeat(opens(), 100'000);
}

TEST_CASE("malformed_long: later messages, a hundred thousand times" * doctest::skip()) {
    repeat(later_messages(), 100'000);
}

TEST_CASE("malformed_long: calls, a hundred thousand times" * doctest::skip()) {
    call_in_every_state(100'000);
}
