#include "bgp/connection.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "swerve/bgp/update.hpp"

using namespace swerve;
using namespace swerve::bgp;
using namespace std::chrono_literals;

namespace {

constexpr Duration tick_size{1};

OpenPolicy local_policy() {
    return {.local_as = *Asn::from(64500),
            .router_id = *RouterId::parse("192.0.2.1"),
            .remote_as = Asn::from(64496),
            .hold_time = 9s,
            .families = {Family::ipv4}};
}

OpenPolicy remote_policy() {
    return {.local_as = *Asn::from(64496),
            .router_id = *RouterId::parse("192.0.2.254"),
            .remote_as = Asn::from(64500),
            .hold_time = 9s,
            .families = {Family::ipv4}};
}

Bytes body_of(const Bytes& message) {
    return {message.begin() + static_cast<std::ptrdiff_t>(header_size), message.end()};
}

/// The code and subcode of a whole NOTIFICATION at the end of `octets`, as "4/0".
std::string notification_in(ByteView octets) {
    Framer framer;
    framer.feed(octets);
    std::string found;
    while (auto frame = framer.next().value_or(std::nullopt)) {
        if (frame->type != MessageType::notification) continue;
        const Notification words = decode_notification(frame->body);
        found = std::to_string(words.code) + "/" + std::to_string(words.subcode);
    }
    return found;
}

/// One connection and what it did.
struct Bench {
    explicit Bench(Side side = Side::dialled, bool persists = true)
        : connection({side, local_policy(), 5s, persists, 1}, counters) {}

    void handle(const ConnectionEvent& event) { connection.handle(now, event, actions); }
    void tick() { connection.tick(now, actions); }
    void advance(Duration span) {
        now += span;
        tick();
    }
    /// Everything the connection wants to send now.
    Bytes drain() {
        std::vector<ByteView> views;
        const std::size_t size = connection.outbox().produce(views);
        Bytes out;
        for (const ByteView view : views) out.insert(out.end(), view.begin(), view.end());
        CHECK(connection.outbox().consumed(size, counters) == 0);
        return out;
    }
    template <class Action>
    [[nodiscard]] std::size_t count() const {
        return static_cast<std::size_t>(std::ranges::count_if(
            actions, [](const auto& action) { return std::holds_alternative<Action>(action); }));
    }
    template <class Action>
    [[nodiscard]] const Action& last() const {
        for (auto at = actions.rbegin(); at != actions.rend(); ++at) {
            if (const auto* found = std::get_if<Action>(&*at)) return *found;
        }
        FAIL("no such action");
        std::abort();
    }

    /// Leads it there the ordinary way.
    void bring_to(State state) {
        if (state == State::idle) return;
        if (state == State::active && connection.side() == Side::accepted) {
            return handle(StartListening{});
        }
        if (connection.side() == Side::dialled)
            handle(StartDialling{});
        else
            handle(StartListening{});
        if (state == State::connect) return;
        if (state == State::active) return handle(TcpDown{"connection refused"});
        handle(TcpUp{*Address::parse("192.0.2.1")});
        if (state == State::open_sent) return;
        open = body_of(encode(make_open(remote_policy())));
        handle(OpenMessage{open});
        if (state == State::open_confirm) return;
        handle(KeepaliveMessage{});
    }

    PeerCounters counters;
    Connection connection;
    ConnectionActions actions;
    TimePoint now{1h};
    Bytes open;
};

constexpr std::array all_states{State::idle,      State::connect,      State::active,
                                State::open_sent, State::open_confirm, State::established};

/// What an event leads to: a state, and the NOTIFICATION sent, if any.
struct Expected {
    State state;
    std::string_view sent = "";
};
struct Row {
    std::string_view name;
    std::function<ConnectionEvent()> event;
    std::array<Expected, 6> after;  ///< from Idle, Connect, Active, OpenSent, OpenConfirm, Est.
};

const Bytes good_open = body_of(encode(make_open(remote_policy())));
const Bytes bad_open = [] {
    Bytes body = good_open;
    body[0] = 3;  // version
    return body;
}();
const Bytes empty_update = body_of(encode_end_of_rib(Family::ipv4));
const Bytes bad_update{0xff, 0xff, 0, 0};  // withdrawn routes beyond the message
const Bytes refresh = body_of(encode_route_refresh(Family::ipv4));

// Retyped from RFC 4271 §8.2.2, RFC 6608 §4 and RFC 9687 §3.2, not from the code. The three places
// where Swerve departs stand in connection.cpp with their reasons.
std::vector<Row> rfc_table() {
    using Event = ConnectionEvent;
    using enum State;
    const Notification shutdown = cease(subcode::administrative_shutdown);
    const Notification marker{ErrorCode::message_header, subcode::connection_not_synchronized};
    return {
        {"1, 3 start",
         [] { return Event{StartDialling{}}; },
         {{{connect}, {connect}, {active}, {open_sent}, {open_confirm}, {established}}}},
        {"4, 5 passive start",
         [] { return Event{StartListening{}}; },
         {{{active}, {connect}, {active}, {open_sent}, {open_confirm}, {established}}}},
        {"2, 8 stop",
         [=] { return Event{Stop{shutdown}}; },
         {{{idle}, {idle}, {idle}, {idle, "6/2"}, {idle, "6/2"}, {idle, "6/2"}}}},
        {"23 collision dump",
         [] { return Event{CollisionDump{}}; },
         {{{idle}, {idle}, {idle}, {idle, "6/7"}, {idle, "6/7"}, {idle, "6/7"}}}},
        {"16, 17 TCP connected",
         [] { return Event{TcpUp{*Address::parse("192.0.2.1")}}; },
         {{{idle}, {open_sent}, {open_sent}, {open_sent}, {open_confirm}, {established}}}},
        {"18 TCP fails",
         [] { return Event{TcpDown{"reset"}}; },
         {{{idle}, {active}, {idle}, {active}, {idle}, {idle}}}},  // Connect: departure 1
        {"9 connect retry",
         [] { return Event{ConnectRetryExpired{}}; },
         {{{idle}, {connect}, {connect}, {idle, "5/0"}, {idle, "5/0"}, {idle, "5/0"}}}},
        {"10 hold",
         [] { return Event{HoldExpired{}}; },
         {{{idle}, {idle}, {idle}, {idle, "4/0"}, {idle, "4/0"}, {idle, "4/0"}}}},
        {"11 keepalive",
         [] { return Event{KeepaliveExpired{}}; },
         {{{idle}, {idle}, {idle}, {idle, "5/0"}, {open_confirm}, {established}}}},
        {"29 send hold",
         [] { return Event{SendHoldExpired{}}; },
         {{{idle}, {idle}, {idle}, {idle, "5/0"}, {idle, "5/0"}, {idle, "8/0"}}}},
        {"21 header error",
         [=] { return Event{HeaderError{marker, true}}; },
         {{{idle}, {idle}, {idle}, {idle, "1/1"}, {idle, "1/1"}, {idle, "1/1"}}}},  // Established:
                                                                                    // departure 2
        {"19 OPEN",
         [] { return Event{OpenMessage{good_open}}; },
         {{{idle}, {idle}, {idle}, {open_confirm}, {idle, "5/2"}, {idle, "5/3"}}}},
        {"22 wrong OPEN",
         [] { return Event{OpenMessage{bad_open}}; },
         {{{idle}, {idle}, {idle}, {idle, "2/1"}, {idle, "5/2"}, {idle, "5/3"}}}},  // OpenConfirm:
                                                                                    // departure 3
        {"24, 25 NOTIFICATION",
         [=] { return Event{NotificationMessage{shutdown}}; },
         {{{idle}, {idle}, {idle}, {idle}, {idle}, {idle}}}},
        {"26 KEEPALIVE",
         [] { return Event{KeepaliveMessage{}}; },
         {{{idle}, {idle}, {idle}, {idle, "5/1"}, {established}, {established}}}},
        {"27 UPDATE",
         [] { return Event{UpdateMessage{empty_update}}; },
         {{{idle}, {idle}, {idle}, {idle, "5/1"}, {idle, "5/2"}, {established}}}},
        {"28 wrong UPDATE",
         [] { return Event{UpdateMessage{bad_update}}; },
         {{{idle}, {idle}, {idle}, {idle, "5/1"}, {idle, "5/2"}, {idle, "3/1"}}}},
        {"ROUTE-REFRESH",
         [] { return Event{RouteRefreshMessage{refresh}}; },
         {{{idle}, {idle}, {idle}, {idle, "5/1"}, {idle, "5/2"}, {established}}}},
    };
}

}  // namespace

TEST_CASE("connection: every event in every state does what RFC 4271 §8.2.2 says") {
    const std::vector<Row> table = rfc_table();
    for (const Row& row : table) {
        for (std::size_t i = 0; i < all_states.size(); ++i) {
            CAPTURE(row.name);
            CAPTURE(to_string(all_states[i]));
            Bench bench;
            bench.bring_to(all_states[i]);
            REQUIRE(bench.connection.state() == all_states[i]);
            bench.drain();
            bench.actions.clear();
            bench.handle(row.event());
            const Expected& expected = row.after[i];
            CHECK(bench.connection.state() == expected.state);
            const std::string sent = bench.count<CloseTcp>() == 0
                                         ? ""
                                         : notification_in(bench.last<CloseTcp>().last_words);
            CHECK(sent == expected.sent);
            const bool went_idle = expected.state == State::idle && all_states[i] != State::idle;
            CHECK(bench.count<Ended>() == (went_idle ? 1 : 0));
            // Nothing runs in Idle and nothing is left to be sent.
            if (expected.state == State::idle) {
                CHECK_FALSE(bench.connection.next_deadline());
                CHECK(bench.connection.outbox().empty());
            }
        }
    }
}

TEST_CASE("connection: the table of RFC 4271 §8.2.2 names every event there is") {
    std::vector<bool> named(std::variant_size_v<ConnectionEvent>, false);
    for (const Row& row : rfc_table()) named[row.event().index()] = true;
    CHECK(std::ranges::count(named, false) == 0);
}

TEST_CASE("connection: the dial is repeated at the connect retry time and not before") {
    Bench bench;
    bench.handle(StartDialling{});
    CHECK(bench.count<Dial>() == 1);
    const auto due = bench.connection.next_deadline();
    REQUIRE(due);
    CHECK(*due - bench.now >= 3750ms);
    CHECK(*due - bench.now <= 5s);
    bench.advance(*due - bench.now - tick_size);
    CHECK(bench.count<Dial>() == 1);
    bench.advance(tick_size);
    CHECK(bench.count<CancelDial>() == 1);
    CHECK(bench.count<Dial>() == 2);
    CHECK(bench.connection.state() == State::connect);
}

TEST_CASE("connection: after a refused dial the next one comes at the connect retry time") {
    Bench bench;
    bench.bring_to(State::active);
    CHECK(bench.connection.reason() == "connection refused");
    const auto due = bench.connection.next_dial();
    REQUIRE(due);
    bench.advance(*due - bench.now - tick_size);
    CHECK(bench.connection.state() == State::active);
    bench.advance(tick_size);
    CHECK(bench.connection.state() == State::connect);
    CHECK(bench.count<Dial>() == 2);
}

TEST_CASE("connection: connect retry is jittered over 75 to 100 percent") {
    Duration least = 1h;
    Duration most{0};
    for (std::uint64_t seed = 0; seed < 500; ++seed) {
        PeerCounters counters;
        Connection connection({Side::dialled, local_policy(), 8s, false, seed}, counters);
        ConnectionActions actions;
        const TimePoint now{1h};
        connection.handle(now, StartDialling{}, actions);
        const Duration wait = *connection.next_deadline() - now;
        least = std::min(least, wait);
        most = std::max(most, wait);
    }
    CHECK(least >= 6s);
    CHECK(least < 6100ms);
    CHECK(most <= 8s);
    CHECK(most > 7900ms);
}

TEST_CASE("connection: a neighbor that never speaks is given up after 240 s in open_sent") {
    Bench bench;
    bench.bring_to(State::open_sent);
    bench.drain();
    bench.advance(240s - tick_size);
    CHECK(bench.connection.state() == State::open_sent);
    bench.advance(tick_size);
    CHECK(bench.connection.state() == State::idle);
    CHECK(notification_in(bench.last<CloseTcp>().last_words) == "4/0");
    CHECK(bench.last<Ended>().reason == "hold timer expired");
    CHECK(bench.last<Ended>().cause == Ended::Cause::error);
}

TEST_CASE("connection: hold expiry in open_confirm sends Hold Timer Expired and goes idle") {
    Bench bench;
    bench.bring_to(State::open_confirm);
    const TimePoint expiry = bench.now + 9s;
    while (bench.now < expiry - 1s) {
        bench.drain();
        bench.advance(1s);
    }
    bench.drain();
    bench.advance(expiry - bench.now - tick_size);
    CHECK(bench.connection.state() == State::open_confirm);
    bench.drain();
    bench.advance(tick_size);
    CHECK(bench.connection.state() == State::idle);
    CHECK(notification_in(bench.last<CloseTcp>().last_words) == "4/0");
}

TEST_CASE("connection: KEEPALIVE and UPDATE restart the hold timer, ROUTE-REFRESH does not") {
    const std::vector<std::pair<ConnectionEvent, bool>> cases{
        {KeepaliveMessage{}, true},
        {UpdateMessage{empty_update}, true},
        {RouteRefreshMessage{refresh}, false},
    };
    for (const auto& [event, restarts] : cases) {
        CAPTURE(event.index());
        Bench bench;
        bench.bring_to(State::established);
        bench.drain();
        bench.advance(5s);
        bench.handle(event);
        bench.drain();
        bench.advance(4s - tick_size);
        CHECK(bench.connection.state() == State::established);
        bench.drain();
        bench.advance(tick_size);
        CHECK((bench.connection.state() == State::established) == restarts);
        bench.drain();
        bench.advance(5s - tick_size);
        CHECK((bench.connection.state() == State::established) == restarts);
        bench.advance(tick_size);
        CHECK(bench.connection.state() == State::idle);
    }
}

TEST_CASE("connection: KEEPALIVE is sent with the OPEN's answer and then every third of the hold") {
    Bench bench;
    bench.bring_to(State::established);
    CHECK(bench.drain().size() > header_size);  // OPEN and KEEPALIVE
    CHECK(bench.counters.sent[1] == 1);
    CHECK(bench.counters.sent[4] == 1);
    for (int i = 0; i < 50; ++i) {
        const auto due = bench.connection.next_deadline();
        REQUIRE(due);
        const Duration wait = *due - bench.now;
        CHECK(wait >= 2250ms);
        CHECK(wait <= 3s);
        bench.advance(wait - tick_size);
        CHECK(bench.connection.outbox().empty());
        bench.advance(tick_size);
        CHECK(bench.drain() == encode_keepalive());
        bench.handle(KeepaliveMessage{});
    }
}

TEST_CASE("connection: KEEPALIVE is not sent more often than once a second") {
    PeerCounters counters;
    OpenPolicy policy = local_policy();
    policy.hold_time = 3s;
    Connection connection({Side::dialled, policy, 5s, false, 7}, counters);
    ConnectionActions actions;
    const TimePoint now{1h};
    connection.handle(now, StartDialling{}, actions);
    connection.handle(now, TcpUp{*Address::parse("192.0.2.1")}, actions);
    connection.handle(now, OpenMessage{good_open}, actions);
    REQUIRE(connection.negotiated()->hold_time == 3s);
    CHECK(*connection.next_deadline() == now + 1s);
}

TEST_CASE("connection: a KEEPALIVE that was not begun is not doubled") {
    Bench bench;
    bench.bring_to(State::established);
    bench.drain();
    for (int i = 0; i < 3; ++i) {
        bench.handle(KeepaliveMessage{});
        bench.advance(3s);
    }
    CHECK(bench.drain() == encode_keepalive());
}

TEST_CASE("connection: send hold fires at twice the hold time without progress and not before") {
    Bench bench;
    bench.bring_to(State::established);
    bench.drain();
    const auto pass = [&](Duration span) {
        const TimePoint until = bench.now + span;
        while (bench.now < until && bench.connection.state() == State::established) {
            bench.handle(KeepaliveMessage{});
            bench.drain();
            bench.advance(std::min<Duration>(1s, until - bench.now));
        }
    };
    bench.connection.watch_output(bench.now, true, false);
    pass(10s);
    bench.connection.watch_output(bench.now, true, false);  // no progress: runs on
    pass(8s - tick_size);
    REQUIRE(bench.connection.state() == State::established);
    SUBCASE("nothing taken") {
        bench.drain();
        pass(tick_size);
        REQUIRE(bench.connection.state() == State::idle);
        CHECK(bench.last<CloseTcp>().reset);
        CHECK(notification_in(bench.last<CloseTcp>().last_words) == "8/0");
        CHECK(bench.last<Ended>().reason == "send hold timer expired");
    }
    SUBCASE("octets taken restart it") {
        bench.connection.watch_output(bench.now, true, true);
        pass(18s - tick_size);
        CHECK(bench.connection.state() == State::established);
        pass(tick_size);
        CHECK(bench.connection.state() == State::idle);
    }
    SUBCASE("nothing left to send ends it") {
        bench.connection.watch_output(bench.now, false, true);
        pass(10min);
        CHECK(bench.connection.state() == State::established);
    }
    SUBCASE("no NOTIFICATION behind half a message") {
        bench.connection.outbox().push_rest({1, 2, 3});
        bench.now += tick_size;
        bench.tick();
        REQUIRE(bench.connection.state() == State::idle);
        CHECK(bench.last<CloseTcp>().reset);
        CHECK(bench.last<CloseTcp>().last_words.empty());
        CHECK(bench.count<NotificationExchanged>() == 0);
        CHECK_FALSE(bench.last<Ended>().sent);
    }
}

TEST_CASE("connection: last words begin with the rest of a message that was partly sent") {
    Bench bench;
    bench.bring_to(State::established);
    std::vector<ByteView> views;
    bench.connection.outbox().produce(views);
    const Bytes open(views[0].begin(), views[0].end());
    CHECK(bench.connection.outbox().consumed(10, bench.counters) == 0);
    const Notification words = cease(subcode::administrative_shutdown, "maint");
    bench.handle(Stop{words});
    Bytes expected(open.begin() + 10, open.end());
    const Bytes notification = encode(words);
    expected.insert(expected.end(), notification.begin(), notification.end());
    CHECK(bench.last<CloseTcp>().last_words == expected);
}

TEST_CASE("connection: messages that were not begun are not sent before the NOTIFICATION") {
    Bench bench;
    bench.bring_to(State::established);
    const Notification words = cease(subcode::administrative_shutdown);
    bench.handle(Stop{words});
    CHECK(bench.last<CloseTcp>().last_words == encode(words));
    CHECK(bench.connection.outbox().empty());
}

TEST_CASE("connection: a message cut at every offset is the same message") {
    Bytes stream = encode(make_open(remote_policy()));
    const Bytes keepalive = encode_keepalive();
    stream.insert(stream.end(), keepalive.begin(), keepalive.end());
    for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
        CAPTURE(cut);
        Bench bench;
        bench.bring_to(State::open_sent);
        for (const ByteView part : {ByteView{stream}.first(cut), ByteView{stream}.subspan(cut)}) {
            bench.connection.receive(part);
            while (const auto event = bench.connection.next_event()) bench.handle(*event);
        }
        CHECK(bench.connection.state() == State::established);
        CHECK(bench.counters.received[1] == 1);
        CHECK(bench.counters.received[4] == 1);
    }
}

TEST_CASE("connection: what comes behind an error in the same segment is not handled") {
    Bench bench;
    bench.bring_to(State::open_sent);
    Bytes stream = encode_keepalive();  // too early
    const Bytes open = encode(make_open(remote_policy()));
    stream.insert(stream.end(), open.begin(), open.end());
    bench.connection.receive(stream);
    while (const auto event = bench.connection.next_event()) bench.handle(*event);
    CHECK(bench.connection.state() == State::idle);
    CHECK(bench.count<CloseTcp>() == 1);
    CHECK(bench.counters.received[1] == 0);
}

TEST_CASE("connection: an unexpected message is named in the data of the NOTIFICATION") {
    Bench bench;
    bench.bring_to(State::open_sent);
    bench.handle(UpdateMessage{empty_update});
    REQUIRE(bench.last<Ended>().sent);
    CHECK(bench.last<Ended>().sent->data == Bytes{2});
}

TEST_CASE("connection: a NOTIFICATION is not answered, however wrong it is") {
    // Too short to hold a code and a subcode (RFC 4271 §6.4), cut at every offset.
    Bytes stream = encode_keepalive();
    Bytes message;
    finish_message(message, begin_message(message, MessageType::notification));
    stream.insert(stream.end(), message.begin(), message.end());
    stream.push_back(0xaa);
    for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
        CAPTURE(cut);
        Bench bench;
        bench.bring_to(State::established);
        for (const ByteView part : {ByteView{stream}.first(cut), ByteView{stream}.subspan(cut)}) {
            bench.connection.receive(part);
            while (const auto event = bench.connection.next_event()) bench.handle(*event);
        }
        REQUIRE(bench.connection.state() == State::idle);
        CHECK(bench.last<CloseTcp>().last_words.empty());
        CHECK(bench.last<Ended>().reason == "peer sent a malformed NOTIFICATION");
    }
}

TEST_CASE("connection: the same length in another message is answered with 1/2") {
    for (const MessageType type : {MessageType::open, MessageType::update}) {
        Bench bench;
        bench.bring_to(State::established);
        Bytes message;
        finish_message(message, begin_message(message, type));
        bench.connection.receive(message);
        while (const auto event = bench.connection.next_event()) bench.handle(*event);
        CHECK(notification_in(bench.last<CloseTcp>().last_words) == "1/2");
    }
}

TEST_CASE("connection: a listening one returns to Active when TCP ends before the OPEN") {
    Bench bench(Side::accepted, true);
    bench.bring_to(State::open_sent);
    bench.handle(TcpDown{"connection closed by peer"});
    CHECK(bench.connection.state() == State::active);
    CHECK_FALSE(bench.connection.next_deadline());
    CHECK(bench.count<Ended>() == 0);
}

TEST_CASE("connection: a second session starts from nothing") {
    Bench bench;
    bench.bring_to(State::open_sent);
    bench.connection.receive(ByteView{encode_keepalive()}.first(10));
    bench.handle(TcpDown{"connection reset by peer"});
    bench.advance(5s);
    bench.handle(TcpUp{*Address::parse("192.0.2.1")});
    const Bytes open = encode(make_open(remote_policy()));
    bench.connection.receive(open);
    while (const auto event = bench.connection.next_event()) bench.handle(*event);
    CHECK(bench.connection.state() == State::open_confirm);
}
