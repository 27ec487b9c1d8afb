#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "tests/bgp/peer_bench.hpp"

using namespace swerve;
using namespace swerve::bgp;
using namespace swerve::test;

TEST_CASE("peer: start dials at once, a passive peer never") {
    Bench active;
    active.handle(Start{});
    CHECK(all<Dial>(active.actions).size() == 1);
    CHECK(active.peer.state() == State::connect);

    PeerConfig config = local_config();
    config.passive = true;
    Bench passive(config);
    passive.handle(Start{});
    CHECK(passive.peer.state() == State::active);
    CHECK_FALSE(passive.peer.next_deadline());
    CHECK_FALSE(passive.peer.next_retry());
    passive.connect(Side::accepted);
    passive.receive(Side::accepted, raw(MessageType::keepalive, {}));  // an error
    CHECK(passive.peer.state() == State::idle);
    passive.advance(1h);
    CHECK(passive.peer.state() == State::active);
    CHECK(all<Dial>(passive.actions).empty());
}

TEST_CASE("peer: a session comes up over OPEN and KEEPALIVE and says what was agreed") {
    Bench bench;
    bench.handle(Start{});
    bench.connect(Side::dialled);
    CHECK(types_in(bench.drain(Side::dialled)) == "O");
    bench.receive(Side::dialled, neighbor_open());
    CHECK(bench.peer.state() == State::open_confirm);
    CHECK(types_in(bench.drain(Side::dialled)) == "K");
    bench.receive(Side::dialled, encode_keepalive());

    const auto ups = all<SessionUp>(bench.actions);
    REQUIRE(ups.size() == 1);
    CHECK(ups[0].side == Side::dialled);
    CHECK(ups[0].local_address == local_address);
    CHECK(ups[0].negotiated.hold_time == 9s);
    CHECK(ups[0].negotiated == bench.peer.negotiated());
    CHECK(bench.peer.counters().established == 1);
    CHECK(bench.peer.rib_out().session_is_up());
    CHECK(types_in(bench.drain(Side::dialled)) == "U");  // End-of-RIB
    CHECK(bench.peer.counters().sent[2] == 1);

    std::string path;
    for (const StateChanged& change : all<StateChanged>(bench.actions)) {
        CHECK(change.reason.empty() == (change.to == State::connect));
        path += std::string{to_string(change.from)} + ">" + std::string{to_string(change.to)} + " ";
    }
    CHECK(path == "Idle>Connect Connect>OpenSent OpenSent>OpenConfirm OpenConfirm>Established ");
}

TEST_CASE("peer: header and OPEN faults get their exact NOTIFICATION") {
    struct Fault {
        std::string name;
        Bytes bytes;
        Notification answer;
    };
    const auto header = [](std::uint16_t length, std::uint8_t type) {
        Bytes out(16, 0xff);
        Writer writer{out};
        writer.u16(length);
        writer.u8(type);
        return out;
    };
    const auto length_fault = [](std::uint16_t length) {
        return Notification{
            ErrorCode::message_header,
            subcode::bad_message_length,
            {static_cast<std::uint8_t>(length >> 8U), static_cast<std::uint8_t>(length & 0xffU)}};
    };
    const auto open_fault = [](std::uint8_t sub, Bytes data = {}) {
        return Notification{ErrorCode::open_message, sub, std::move(data)};
    };
    const auto open_body = [](std::uint8_t version, std::uint16_t as, std::uint16_t hold,
                              std::uint32_t id, const Bytes& parameters) {
        Bytes body;
        Writer writer{body};
        writer.u8(version);
        writer.u16(as);
        writer.u16(hold);
        writer.u32(id);
        writer.u8(static_cast<std::uint8_t>(parameters.size()));
        writer.bytes(parameters);
        return raw(MessageType::open, body);
    };
    constexpr std::uint32_t id = 0xc00002fe;
    Bytes bad_marker = header(29, 1);
    bad_marker[15] = 0xfe;
    const std::vector<Fault> faults{
        {"marker", bad_marker, {ErrorCode::message_header, subcode::connection_not_synchronized}},
        {"length 0", header(0, 1), length_fault(0)},
        {"length 18", header(18, 4), length_fault(18)},
        {"length 4097", header(4097, 2), length_fault(4097)},
        {"length 65535", header(65535, 2), length_fault(65535)},
        {"OPEN of 28", header(28, 1), length_fault(28)},
        {"KEEPALIVE of 20", header(20, 4), length_fault(20)},
        {"type 0", header(19, 0), {ErrorCode::message_header, subcode::bad_message_type, {0}}},
        {"type 6", header(19, 6), {ErrorCode::message_header, subcode::bad_message_type, {6}}},
        {"type 255",
         header(19, 255),
         {ErrorCode::message_header, subcode::bad_message_type, {255}}},
        {"version 3", open_body(3, 64496, 9, id, {}),
         open_fault(subcode::unsupported_version, {0, 4})},
        {"AS 0", open_body(4, 0, 9, id, {}), open_fault(subcode::bad_peer_as, {0, 0})},
        {"AS mismatch", open_body(4, 64497, 9, id, {}),
         open_fault(subcode::bad_peer_as, {0xfb, 0xf1})},
        {"identifier 0", open_body(4, 64496, 9, 0, {}), open_fault(subcode::bad_bgp_identifier)},
        {"hold time 1", open_body(4, 64496, 1, id, {}),
         open_fault(subcode::unacceptable_hold_time, {0, 1})},
        {"hold time 2", open_body(4, 64496, 2, id, {}),
         open_fault(subcode::unacceptable_hold_time, {0, 2})},
        {"hold time 0", open_body(4, 64496, 0, id, {}),
         open_fault(subcode::unacceptable_hold_time, {0, 0})},
        {"parameter type 1", open_body(4, 64496, 9, id, {1, 1, 0}),
         open_fault(subcode::unsupported_optional_parameter)},
        {"parameter beyond its end", open_body(4, 64496, 9, id, {2, 9, 1}),
         open_fault(subcode::unspecific)},
    };
    for (const Fault& fault : faults) {
        CAPTURE(fault.name);
        for (const Side side : {Side::dialled, Side::accepted}) {
            Bench bench;
            bench.handle(Start{});
            bench.connect(side);
            bench.drain(side);
            bench.receive(side, fault.bytes);
            const Notification answer = bench.sent();
            CHECK(answer.code == fault.answer.code);
            CHECK(answer.subcode == fault.answer.subcode);
            if (!fault.answer.data.empty()) CHECK(answer.data == fault.answer.data);
            CHECK(bench.closed().side == side);
            CHECK(bench.closed().last_words == encode(answer));
            CHECK_FALSE(bench.peer.wants_write(side));
            bench.receive(side, neighbor_open());  // too late
            CHECK(bench.peer.state() <= State::connect);
        }
    }
}

TEST_CASE("peer: no common family ends in 2/7 and goes nowhere") {
    PeerConfig config = local_config();
    config.open.families = {Family::ipv6};
    Bench bench(config);
    bench.handle(Start{});
    bench.connect(Side::dialled);
    bench.receive(Side::dialled, neighbor_open() + encode_keepalive());
    CHECK(bench.sent().code == 2);
    CHECK(bench.sent().subcode == subcode::unsupported_capability);
    CHECK(bench.peer.state() == State::idle);
    CHECK(all<SessionUp>(bench.actions).empty());
}

TEST_CASE("peer: exactly one SessionDown for every SessionUp, however it ends") {
    const auto ends = std::vector<std::pair<std::string, std::function<void(Bench&)>>>{
        {"sent Cease/Administrative Shutdown \"maint\"",
         [](Bench& bench) {
             bench.handle(Stop{cease(subcode::administrative_shutdown, "maint")});
         }},
        {"connection reset by peer",
         [](Bench& bench) { bench.handle(TcpFailed{Side::dialled, "connection reset by peer"}); }},
        {"hold timer expired", [](Bench& bench) { bench.advance(9s); }},
        {"peer sent Cease/Administrative Shutdown \"maint\"",
         [](Bench& bench) {
             bench.receive(Side::dialled, encode(cease(subcode::administrative_shutdown, "maint")));
         }},
        {"", [](Bench& bench) { bench.receive(Side::dialled, neighbor_open()); }},
        {"", [](Bench& bench) { bench.receive(Side::dialled, Bytes(19, 0)); }},
        {"",
         [](Bench& bench) {
             bench.receive(Side::dialled, raw(MessageType::update, {0xff, 0xff, 0, 0}));
         }},
    };
    for (const auto& [reason, end] : ends) {
        CAPTURE(reason);
        Bench bench;
        bench.establish();
        end(bench);
        end(bench);
        bench.advance(0s);
        const auto downs = all<SessionDown>(bench.actions);
        REQUIRE(downs.size() == 1);
        if (!reason.empty()) CHECK(downs[0].reason == reason);
        CHECK_FALSE(downs[0].reason.empty());
        CHECK_FALSE(bench.peer.rib_out().session_is_up());
        CHECK_FALSE(bench.peer.negotiated());
        CHECK_FALSE(bench.peer.wants_write(Side::dialled));
    }
}

TEST_CASE("peer: stop says Cease where an OPEN was sent, and only closes where none was") {
    const Notification words = cease(subcode::administrative_shutdown);
    SUBCASE("dialling") {
        Bench bench;
        bench.handle(Start{});
        bench.handle(Stop{words});
        CHECK(all<CancelDial>(bench.actions).size() == 1);
        CHECK(all<NotificationExchanged>(bench.actions).empty());
    }
    SUBCASE("two connections") {
        Bench bench;
        bench.handle(Start{});
        bench.connect(Side::dialled);
        bench.connect(Side::accepted);
        bench.handle(Stop{words});
        const auto closes = all<CloseTcp>(bench.actions);
        REQUIRE(closes.size() == 2);
        CHECK(closes[0].last_words == encode(words));
        CHECK(closes[1].last_words == encode(words));
    }
    SUBCASE("in backoff") {
        Bench bench;
        bench.handle(Start{});
        bench.connect(Side::dialled);
        bench.receive(Side::dialled, encode_keepalive());
        bench.handle(Stop{words});
    }
    SUBCASE("stopped twice") {
        Bench bench;
        bench.establish();
        bench.handle(Stop{words});
        bench.handle(Stop{words});
        CHECK(all<CloseTcp>(bench.actions).size() == 1);
    }
    // Whatever it was doing, it is quiet afterwards, until it is started again.
    Bench bench;
    bench.establish();
    bench.handle(Stop{words});
    CHECK(bench.peer.state() == State::idle);
    CHECK_FALSE(bench.peer.next_deadline());
    CHECK(bench.peer.refuses_connection() == cease(subcode::connection_rejected));
    bench.handle(Start{});
    CHECK(bench.peer.state() == State::connect);
}

TEST_CASE("peer: received UPDATEs are handed on with the negotiated context") {
    Bench bench;
    bench.establish();
    // ORIGIN IGP, AS_PATH 64496 in four octets, NEXT_HOP 192.0.2.254; 198.51.100.0/24.
    const Bytes body{0, 0,    0,    20,   0x40, 1, 1,   0, 0x40, 2,   6,  2,   1,  0,
                     0, 0xfb, 0xf0, 0x40, 3,    4, 192, 0, 2,    254, 24, 198, 51, 100};
    bench.receive(Side::dialled, raw(MessageType::update, body));
    const auto updates = all<UpdateReceived>(bench.actions);
    REQUIRE(updates.size() == 1);
    REQUIRE(updates[0].update.reach.size() == 1);
    CHECK(updates[0].update.reach[0].prefixes == std::vector{*Prefix::parse("198.51.100.0/24")});
    CHECK(updates[0].update.attributes->as_path.to_string() == "64496");
}

TEST_CASE("peer: it can be moved, timers and all") {
    Bench bench;
    bench.establish();
    Peer moved = std::move(bench.peer);
    PeerActions actions;
    moved.tick(bench.now + 9s, actions);
    CHECK(last<SessionDown>(actions).reason == "hold timer expired");
}
