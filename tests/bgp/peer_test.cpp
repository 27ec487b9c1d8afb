#include "swerve/bgp/peer.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "swerve/bgp/framer.hpp"
#include "tests/support/pair.hpp"

using namespace swerve;
using namespace swerve::bgp;
using namespace std::chrono_literals;
using test::LinkConditions;
using test::Pair;

namespace {

constexpr Duration tick_size{1};
const Address local_address = *Address::parse("192.0.2.1");

OpenPolicy policy(std::uint32_t as, std::string_view id, std::uint32_t remote_as) {
    return {.local_as = *Asn::from(as),
            .router_id = *RouterId::parse(id),
            .remote_as = Asn::from(remote_as),
            .hold_time = 9s,
            .families = {Family::ipv4}};
}
/// Ours; the neighbor is 64496 with identifier 192.0.2.254, which dominates.
PeerConfig local_config(std::string_view id = "192.0.2.1") {
    return {.open = policy(64500, id, 64496), .seed = 1};
}
OpenPolicy neighbor_policy() { return policy(64496, "192.0.2.254", 64500); }

Bytes operator+(Bytes left, const Bytes& right) {
    left.insert(left.end(), right.begin(), right.end());
    return left;
}
Bytes raw(MessageType type, const Bytes& body) {
    Bytes out;
    const std::size_t begin = begin_message(out, type);
    out.insert(out.end(), body.begin(), body.end());
    finish_message(out, begin);
    return out;
}
Bytes neighbor_open() { return encode(make_open(neighbor_policy())); }

/// The types of the messages in `octets`, one letter each: O, U, N, K, R.
std::string types_in(ByteView octets) {
    Framer framer;
    framer.feed(octets);
    std::string types;
    while (const auto frame = framer.next().value_or(std::nullopt)) {
        types += "?OUNKR"[static_cast<std::size_t>(frame->type)];
    }
    return types;
}

template <class Action>
std::vector<Action> all(const PeerActions& actions) {
    std::vector<Action> found;
    for (const PeerAction& action : actions) {
        if (const auto* one = std::get_if<Action>(&action)) found.push_back(*one);
    }
    return found;
}

template <class Action>
Action last(const PeerActions& actions) {
    const auto found = all<Action>(actions);
    REQUIRE_FALSE(found.empty());
    return found.back();
}

/// One peer with a scripted neighbor.
struct Bench {
    explicit Bench(const PeerConfig& config = local_config()) : peer(config) {}

    void handle(const PeerEvent& event) { peer.handle(now, event, actions); }
    void receive(Side side, const Bytes& bytes) { handle(BytesReceived{side, bytes}); }
    void connect(Side side) { handle(TcpConnected{side, local_address}); }
    void advance(Duration span) {
        now += span;
        peer.tick(now, actions);
    }
    void advance_to(TimePoint when) { advance(when - now); }
    /// What is to be written, all of it taken.
    Bytes drain(Side side) {
        std::vector<ByteView> views;
        const std::size_t size = peer.produce(now, side, 1 << 20, views);
        Bytes out;
        for (const ByteView view : views) out.insert(out.end(), view.begin(), view.end());
        REQUIRE(out.size() == size);
        peer.consumed(now, side, size);
        return out;
    }
    /// Lets time pass with a neighbor that keeps the session.
    void live(Side side, Duration span) {
        const TimePoint until = now + span;
        while (now < until) {
            receive(side, encode_keepalive());
            drain(side);
            advance(std::min<Duration>(2s, until - now));
        }
    }
    void establish(Side side = Side::dialled) {
        if (all<Dial>(actions).empty() && !peer.config().passive) handle(Start{});
        connect(side);
        receive(side, neighbor_open() + encode_keepalive());
        REQUIRE(peer.state() == State::established);
    }
    /// Follows the deadlines until it dials.
    Duration until_dial() {
        const TimePoint began = now;
        const std::size_t dials = all<Dial>(actions).size();
        while (all<Dial>(actions).size() == dials) {
            const auto next = peer.next_deadline();
            REQUIRE(next);
            REQUIRE(*next - began < 5min);
            if (*next > now + tick_size) {
                advance(*next - now - tick_size);
                REQUIRE(all<Dial>(actions).size() == dials);
            }
            advance_to(*next);
        }
        return now - began;
    }
    /// The last NOTIFICATION that was sent.
    [[nodiscard]] Notification sent() const {
        const auto exchanged = last<NotificationExchanged>(actions);
        REQUIRE(exchanged.sent);
        return exchanged.notification;
    }
    [[nodiscard]] CloseTcp closed() const { return last<CloseTcp>(actions); }

    Peer peer;
    PeerActions actions;
    TimePoint now{1h};
};

BlockRef block(const std::vector<std::string>& prefixes) {
    std::vector<Prefix> parsed;
    parsed.reserve(prefixes.size());
    for (const std::string& text : prefixes) parsed.push_back(*Prefix::parse(text));
    return std::make_shared<const PrefixBlock>(parsed);
}

/// Distinct /24s.
BlockRef large_block(std::uint32_t count) {
    std::vector<Prefix> prefixes;
    prefixes.reserve(count);
    for (std::uint32_t i = 0; i < count; ++i) {
        prefixes.push_back(
            *Prefix::parse(Address::v4(0x0a000000U + (i << 8U)).to_string() + "/24"));
    }
    return std::make_shared<const PrefixBlock>(prefixes);
}

void advertise(Peer& peer, const BlockRef& prefixes) {
    peer.rib_out().advertise(prefixes, prefixes->all(), std::make_shared<const RouteAttributes>());
}

}  // namespace

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

TEST_CASE("peer: a refused dial is repeated after connect retry, without backoff") {
    Bench bench;
    bench.handle(Start{});
    for (int i = 0; i < 10; ++i) {
        bench.handle(TcpFailed{Side::dialled, "connection refused"});
        CHECK(bench.peer.state() == State::active);
        CHECK(last<StateChanged>(bench.actions).reason == "connection refused");
        CHECK(bench.peer.next_retry() == bench.peer.next_deadline());
        const Duration wait = bench.until_dial();
        CHECK(wait >= 3750ms);
        CHECK(wait <= 5s);
    }
}

TEST_CASE("peer: a dial that is not answered is said once and repeated") {
    Bench bench;
    bench.handle(Start{});
    for (int i = 0; i < 5; ++i) {
        const Duration wait = bench.until_dial();
        CHECK(wait >= 3750ms);
        CHECK(wait <= 5s);
    }
    const auto changes = all<StateChanged>(bench.actions);
    REQUIRE(changes.size() == 2);
    CHECK(changes[1].from == State::connect);
    CHECK(changes[1].to == State::connect);
    CHECK(changes[1].reason == "no answer to the dial");
}

TEST_CASE("peer: a neighbor that resets at any octet costs no more than its session") {
    const Bytes stream = neighbor_open() + encode_keepalive() + encode_end_of_rib(Family::ipv4) +
                         encode_route_refresh(Family::ipv4);
    for (const Side side : {Side::dialled, Side::accepted}) {
        for (std::size_t taken = 0; taken <= stream.size(); ++taken) {
            for (const std::size_t given : {std::size_t{0}, taken}) {
                CAPTURE(taken);
                Bench bench;
                bench.handle(Start{});
                advertise(bench.peer, block({"198.51.100.0/24"}));
                bench.connect(side);
                bench.receive(
                    side, {stream.begin(), stream.begin() + static_cast<std::ptrdiff_t>(taken)});
                std::vector<ByteView> views;
                const std::size_t offered = bench.peer.produce(bench.now, side, 4096, views);
                bench.peer.consumed(bench.now, side, std::min(offered, given));
                bench.handle(TcpFailed{side, "connection reset by peer"});
                CHECK(bench.peer.state() <= State::active);
                CHECK_FALSE(bench.peer.wants_write(side));
                CHECK(all<SessionUp>(bench.actions).size() ==
                      all<SessionDown>(bench.actions).size());
                bench.until_dial();
                bench.connect(Side::dialled);
                CHECK(types_in(bench.drain(Side::dialled)) == "O");
                bench.receive(Side::dialled, neighbor_open() + encode_keepalive());
                CHECK(types_in(bench.drain(Side::dialled)) == "KUU");
            }
        }
    }
}

TEST_CASE("peer: errors back off 1, 2, 4 … 60 s, jittered downwards") {
    Bench bench;
    bench.handle(Start{});
    for (const Duration hold : {1s, 2s, 4s, 8s, 16s, 32s, 60s, 60s, 60s}) {
        bench.connect(Side::dialled);
        bench.receive(Side::dialled, encode_keepalive());
        CHECK(bench.peer.state() == State::idle);
        REQUIRE(bench.peer.next_retry());
        CHECK(*bench.peer.next_retry() == *bench.peer.next_deadline());
        const Duration wait = bench.until_dial();
        CHECK(wait <= hold);
        CHECK(wait >= hold * 3 / 4);
    }
}

TEST_CASE("peer: the backoff ends only after five minutes in Established") {
    for (const bool proven : {false, true}) {
        CAPTURE(proven);
        Bench bench;
        bench.handle(Start{});
        for (int i = 0; i < 4; ++i) {
            bench.connect(Side::dialled);
            bench.receive(Side::dialled, encode_keepalive());
            bench.until_dial();
        }
        bench.establish();
        bench.live(Side::dialled, 5min - (proven ? Duration{0} : tick_size));
        bench.receive(Side::dialled, neighbor_open());  // 5/3
        const Duration wait = bench.until_dial();
        if (proven)
            CHECK(wait <= 1s);
        else
            CHECK(wait >= 12s);
    }
}

TEST_CASE("peer: a session lost without a word is dialled again after connect retry") {
    Bench bench;
    bench.establish();
    bench.live(Side::dialled, 10min);
    bench.handle(TcpFailed{Side::dialled, "connection reset by peer"});
    CHECK(bench.peer.state() == State::idle);
    CHECK(last<SessionDown>(bench.actions).reason == "connection reset by peer");
    const Duration wait = bench.until_dial();
    CHECK(wait >= 3750ms);
    CHECK(wait <= 5s);
    // In a row it backs off like an error.
    Duration last{0};
    for (int i = 0; i < 8; ++i) {
        bench.establish();
        bench.handle(TcpFailed{Side::dialled, "connection reset by peer"});
        last = bench.until_dial();
    }
    CHECK(last >= 45s);
}

TEST_CASE("peer: an accepted connection is admitted during backoff and ends it") {
    Bench bench;
    bench.handle(Start{});
    for (int i = 0; i < 7; ++i) {
        bench.connect(Side::dialled);
        bench.receive(Side::dialled, encode_keepalive());
        if (i < 6) bench.until_dial();
    }
    CHECK(bench.peer.state() == State::idle);
    CHECK_FALSE(bench.peer.refuses_connection());
    bench.establish(Side::accepted);
    CHECK_FALSE(bench.peer.next_retry());
}

TEST_CASE("peer: a caller that talks nonsense does not keep us from dialling") {
    Bench bench;
    bench.handle(Start{});
    bench.connect(Side::dialled);
    bench.receive(Side::dialled, encode_keepalive());
    const auto due = bench.peer.next_retry();
    REQUIRE(due);
    for (int i = 0; i < 20; ++i) {
        bench.connect(Side::accepted);
        bench.receive(Side::accepted, encode_keepalive());
    }
    CHECK(bench.peer.next_retry() == due);
    bench.advance_to(*due);
    CHECK(bench.peer.state() == State::connect);
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

TEST_CASE("peer: an accepted OPEN cancels the pending dial") {
    for (const bool refused : {false, true}) {
        CAPTURE(refused);
        Bench bench;
        bench.handle(Start{});
        if (refused) bench.handle(TcpFailed{Side::dialled, "connection refused"});
        bench.connect(Side::accepted);
        CHECK(all<CancelDial>(bench.actions).empty());  // one that says nothing cancels nothing
        bench.receive(Side::accepted, neighbor_open());
        CHECK(all<CancelDial>(bench.actions).size() == (refused ? 0 : 1));
        CHECK_FALSE(bench.peer.next_retry());
        bench.receive(Side::accepted, encode_keepalive());
        CHECK(bench.peer.state() == State::established);
        CHECK(last<SessionUp>(bench.actions).side == Side::accepted);
        // When that session ends we dial again.
        bench.receive(Side::accepted, encode(cease(subcode::administrative_reset)));
        CHECK(bench.until_dial() <= 1s);
    }
}

TEST_CASE("peer: of two connections in open_confirm the dominant speaker's survives") {
    struct Case {
        std::string_view id;
        std::uint32_t local_as;
        Side kept;
    };
    // The neighbor is 192.0.2.254 in AS 64496. Identifiers compare as unsigned numbers.
    const std::vector<Case> cases{
        {"192.0.2.1", 64500, Side::accepted},      {"192.0.2.255", 64500, Side::dialled},
        {"10.255.255.255", 64500, Side::accepted}, {"200.0.0.1", 64500, Side::dialled},
        {"192.0.2.254", 64500, Side::dialled},     {"192.0.2.254", 64400, Side::accepted},
    };
    for (const Case& one : cases) {
        for (const Side first : {Side::dialled, Side::accepted}) {
            CAPTURE(one.id);
            CAPTURE(one.local_as);
            CAPTURE(to_string(first));
            Bench bench({.open = policy(one.local_as, one.id, 64496), .seed = 1});
            bench.handle(Start{});
            bench.connect(Side::dialled);
            bench.connect(Side::accepted);
            const Side second = first == Side::dialled ? Side::accepted : Side::dialled;
            bench.receive(first, neighbor_open());
            CHECK(all<CloseTcp>(bench.actions).empty());
            // The KEEPALIVE comes in the same segment; it must not overtake the decision.
            bench.receive(second, neighbor_open() + encode_keepalive());
            REQUIRE(all<CloseTcp>(bench.actions).size() == 1);
            CHECK(bench.closed().side != one.kept);
            CHECK(bench.sent() == cease(subcode::connection_collision));
            bench.receive(one.kept, encode_keepalive());
            CHECK(bench.peer.state() == State::established);
            CHECK(all<SessionUp>(bench.actions).size() == 1);
            CHECK(last<SessionUp>(bench.actions).side == one.kept);
            CHECK_FALSE(bench.peer.next_retry());
        }
    }
}

TEST_CASE("peer: an Established connection wins a collision, whoever dominates") {
    for (const std::string_view id : {"192.0.2.1", "192.0.2.255"}) {
        for (const Side first : {Side::dialled, Side::accepted}) {
            CAPTURE(id);
            CAPTURE(to_string(first));
            const Side second = first == Side::dialled ? Side::accepted : Side::dialled;
            Bench bench(local_config(id));
            bench.handle(Start{});
            bench.connect(Side::dialled);
            bench.connect(Side::accepted);
            bench.receive(first, neighbor_open() + encode_keepalive());
            CHECK(bench.peer.state() == State::established);
            CHECK(bench.closed().side == second);
            CHECK(bench.closed().last_words == encode(cease(subcode::connection_collision)));
            CHECK(bench.peer.refuses_connection() == cease(subcode::connection_collision));
            bench.receive(second, neighbor_open() + encode_keepalive());
            bench.receive(first, encode_keepalive());
            CHECK(all<SessionDown>(bench.actions).empty());
        }
    }
}

TEST_CASE("peer: a connection that cannot be admitted is answered and disturbs nothing") {
    Bench bench;
    bench.connect(Side::accepted);  // not started
    CHECK(bench.closed().last_words == encode(cease(subcode::connection_rejected)));
    bench.establish();
    bench.connect(Side::accepted);
    CHECK(bench.closed().side == Side::accepted);
    CHECK(bench.closed().last_words == encode(cease(subcode::connection_collision)));
    CHECK(bench.peer.state() == State::established);
    CHECK(all<SessionDown>(bench.actions).empty());

    Bench second;
    second.handle(Start{});
    second.connect(Side::accepted);
    CHECK(second.peer.refuses_connection() == cease(subcode::connection_collision));
}

TEST_CASE("peer: KEEPALIVE goes ahead of routes and behind the rest of a message") {
    Bench bench;
    bench.establish();
    bench.drain(Side::dialled);
    advertise(bench.peer, large_block(4000));
    std::vector<ByteView> views;
    bench.peer.produce(bench.now, Side::dialled, 1 << 20, views);
    bench.peer.consumed(bench.now, Side::dialled, 100);  // of the first UPDATE
    bench.advance(3s);                                   // a KEEPALIVE is due
    const Bytes rest = bench.drain(Side::dialled);
    // The rest ends where the UPDATE's length says; the KEEPALIVE follows at once.
    std::size_t at = 0;
    const Bytes keepalive = encode_keepalive();
    while (at < rest.size() && !std::equal(keepalive.begin(), keepalive.end(),
                                           rest.begin() + static_cast<std::ptrdiff_t>(at))) {
        ++at;
    }
    CHECK(at > 0);
    CHECK(at < max_message_size);
    const std::string types = types_in(ByteView{rest}.subspan(at));
    CHECK(types.starts_with("KUU"));
    CHECK(std::ranges::count(types, 'K') == 1);
    CHECK_FALSE(bench.peer.wants_write(Side::dialled));
    CHECK(bench.peer.counters().sent[2] == bench.peer.rib_out().updates_sent());
}

TEST_CASE("peer: output taken in any portions is the same stream") {
    const auto stream_in = [](std::size_t portion) {
        Bench bench;
        bench.establish();
        advertise(bench.peer, large_block(3000));
        Bytes stream;
        std::size_t turns = 0;
        while (bench.peer.wants_write(Side::dialled)) {
            std::vector<ByteView> views;
            bench.peer.produce(bench.now, Side::dialled, 5000, views);
            Bytes all_octets;
            for (const ByteView view : views) {
                all_octets.insert(all_octets.end(), view.begin(), view.end());
            }
            all_octets.resize(std::min(all_octets.size(), portion));
            bench.peer.consumed(bench.now, Side::dialled, all_octets.size());
            stream.insert(stream.end(), all_octets.begin(), all_octets.end());
            REQUIRE(++turns < 100000);
        }
        return stream;
    };
    const auto prefixes_of = [](const Bytes& stream) {
        Framer framer;
        framer.feed(stream);
        std::size_t count = 0;
        while (const auto frame = framer.next().value_or(std::nullopt)) {
            if (frame->type != MessageType::update) continue;
            const auto update = decode_update(frame->body, {{true, false}, {Family::ipv4}});
            REQUIRE(update);
            for (const Reach& reach : update->reach) count += reach.prefixes.size();
        }
        CHECK(framer.buffered() == 0);
        return count;
    };
    for (const std::size_t portion : {1, 7, 19, 100, 4095, 4096, 4097, 1 << 20}) {
        CAPTURE(portion);
        CHECK(prefixes_of(stream_in(portion)) == 3000);
    }
}

TEST_CASE("peer: a neighbor that never reads is dropped after twice the hold time") {
    Bench bench;
    bench.establish();
    const TimePoint began = bench.now;
    const auto pass_until = [&](TimePoint until) {
        while (bench.now < until) {
            bench.receive(Side::dialled, encode_keepalive());
            std::vector<ByteView> views;
            bench.peer.produce(bench.now, Side::dialled, 1 << 16, views);  // nothing is taken
            bench.advance(std::min<Duration>(1s, until - bench.now));
        }
    };
    pass_until(began + 18s - tick_size);
    CHECK(bench.peer.state() == State::established);
    pass_until(began + 18s);
    CHECK(bench.peer.state() == State::idle);
    CHECK(bench.closed().reset);
    CHECK(last<SessionDown>(bench.actions).reason == "send hold timer expired");
}

TEST_CASE("peer: ROUTE-REFRESH sends the family once more, an unknown family nothing") {
    Bench bench;
    bench.establish();
    advertise(bench.peer, block({"198.51.100.0/24", "203.0.113.0/24"}));
    CHECK(types_in(bench.drain(Side::dialled)).starts_with("OKU"));
    bench.receive(Side::dialled, raw(MessageType::route_refresh, {0, 25, 0, 65}));
    bench.receive(Side::dialled, encode_route_refresh(Family::ipv6));  // not negotiated
    CHECK_FALSE(bench.peer.wants_write(Side::dialled));
    bench.receive(Side::dialled, encode_route_refresh(Family::ipv4));
    CHECK(types_in(bench.drain(Side::dialled)) == "U");
    CHECK(bench.peer.state() == State::established);
}

TEST_CASE("peer: the next hop is the configured one, else the session's own address") {
    const auto next_hop = [](const PeerConfig& config) {
        Bench bench(config);
        bench.establish();
        advertise(bench.peer, block({"198.51.100.0/24"}));
        const Bytes sent = bench.drain(Side::dialled);
        Framer framer;
        framer.feed(sent);
        while (const auto frame = framer.next().value_or(std::nullopt)) {
            if (frame->type != MessageType::update) continue;
            const auto update = decode_update(frame->body, {{true, false}, {Family::ipv4}});
            REQUIRE(update);
            if (!update->reach.empty()) return update->reach[0].next_hop.to_string();
        }
        return std::string{"none"};
    };
    PeerConfig config = local_config();
    CHECK(next_hop(config) == "192.0.2.1");
    config.next_hop_ipv4 = *Address::parse("192.0.2.77");
    CHECK(next_hop(config) == "192.0.2.77");
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

TEST_CASE("peer: two peers that start at once settle on one connection") {
    for (std::uint64_t seed = 0; seed < 300; ++seed) {
        CAPTURE(seed);
        Random random(seed);
        LinkConditions conditions;
        conditions.delay = Duration{static_cast<Duration::rep>(random.below(50'000'000))};
        conditions.delay_spread = Duration{static_cast<Duration::rep>(random.below(50'000'000))};
        conditions.largest_segment = 1 + random.below(100);
        PeerConfig left{.open = policy(64500, "192.0.2.1", 64496), .seed = seed};
        PeerConfig right{.open = policy(64496, "192.0.2.2", 64500), .seed = seed + 1000};
        if (random.below(2) == 0) std::swap(left.open.router_id, right.open.router_id);
        Pair pair(left, right, seed, conditions);
        pair.handle(Pair::End::left, Start{});
        pair.run_for(Duration{static_cast<Duration::rep>(random.below(100'000'000))});
        pair.handle(Pair::End::right, Start{});
        REQUIRE(pair.run_until([&] { return pair.both_established(); }, 60s));
        // And it lasts: nothing of the collision is left to break it.
        const auto downs = all<SessionDown>(pair.left().log).size();
        pair.run_for(10min);
        CHECK(pair.both_established());
        CHECK(all<SessionDown>(pair.left().log).size() == downs);
        for (Pair::Site* site : {&pair.left(), &pair.right()}) {
            CHECK(all<SessionUp>(site->log).size() == all<SessionDown>(site->log).size() + 1);
            CHECK((site->tcp[0] == 0) != (site->tcp[1] == 0));
        }
    }
}

TEST_CASE("peer: connections that break at any moment are built anew") {
    for (std::uint64_t seed = 0; seed < 60; ++seed) {
        CAPTURE(seed);
        Random random(seed);
        LinkConditions conditions;
        conditions.largest_segment = 30;
        conditions.delay_spread = 3ms;
        PeerConfig left{.open = policy(64500, "192.0.2.1", 64496), .seed = seed};
        PeerConfig right{.open = policy(64496, "192.0.2.2", 64500), .seed = seed + 1000};
        right.passive = random.below(2) == 0;
        Pair pair(left, right, seed, conditions);
        pair.start();
        for (int i = 0; i < 10; ++i) {
            pair.run_for(Duration{static_cast<Duration::rep>(random.below(200'000'000))});
            pair.reset_connections();
        }
        CHECK(pair.run_until([&] { return pair.both_established(); }, 3min));
    }
}

TEST_CASE("peer: routes reach the other side through a narrow and bumpy link") {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        CAPTURE(seed);
        LinkConditions conditions;
        conditions.largest_segment = 300;
        conditions.window = 1000;
        conditions.delay_spread = 1ms;
        PeerConfig left{.open = policy(64500, "192.0.2.1", 64496), .seed = seed};
        PeerConfig right{.open = policy(64496, "192.0.2.2", 64500), .seed = seed + 1000};
        Pair pair(left, right, seed, conditions);
        advertise(pair.left().peer, large_block(2000));
        pair.start();
        const auto received = [&] {
            std::size_t count = 0;
            for (const UpdateReceived& one : all<UpdateReceived>(pair.right().log)) {
                for (const Reach& reach : one.update.reach) count += reach.prefixes.size();
            }
            return count;
        };
        REQUIRE(pair.run_until([&] { return pair.both_established(); }, 10s));
        pair.run_for(30s);
        CHECK(received() == 2000);
        CHECK(pair.both_established());
    }
}

TEST_CASE("peer: a side that stalls loses the session and gets it back") {
    PeerConfig left{.open = policy(64500, "192.0.2.1", 64496), .seed = 1};
    PeerConfig right{.open = policy(64496, "192.0.2.2", 64500), .seed = 2};
    LinkConditions conditions;
    conditions.window = 5000;
    Pair pair(left, right, 5, conditions);
    advertise(pair.left().peer, large_block(20000));
    pair.start();
    REQUIRE(pair.run_until([&] { return pair.both_established(); }, 10s));
    pair.set_reads(Pair::End::right, false);
    REQUIRE(pair.run_until([&] { return !all<SessionDown>(pair.left().log).empty(); }, 60s));
    CHECK(last<SessionDown>(pair.left().log).reason == "peer sent Hold Timer Expired");
    pair.set_reads(Pair::End::right, true);
    CHECK(pair.run_until([&] { return pair.both_established(); }, 2min));
}

TEST_CASE("peer: it can be moved, timers and all") {
    Bench bench;
    bench.establish();
    Peer moved = std::move(bench.peer);
    PeerActions actions;
    moved.tick(bench.now + 9s, actions);
    CHECK(last<SessionDown>(actions).reason == "hold timer expired");
}
