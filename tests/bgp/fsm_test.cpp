// Every event in every state, against a table that is retyped from the RFCs and not from the code.

#include <doctest/doctest.h>

#include <array>
#include <functional>
#include <string>
#include <vector>

#include "swerve/base/overloaded.hpp"
#include "tests/bgp/connection_bench.hpp"

using namespace swerve;
using namespace swerve::bgp;
using namespace swerve::test::one_connection;

namespace {

constexpr std::array all_states{State::idle,      State::connect,      State::active,
                                State::open_sent, State::open_confirm, State::established};

/// What an event leads to: a state, what is done, and the NOTIFICATION that is sent, if any.
struct Expected {
    State state;
    /// In order: D dials, C gives a dial up, X closes TCP, O K and R queue an OPEN, a KEEPALIVE or
    /// a ROUTE-REFRESH, E is established, U hands an UPDATE on, r a request for routes, b and e the
    /// begin and the end of a refresh.
    std::string_view does = "";
    std::string_view sent = "";
};
struct Row {
    std::string_view name;
    std::function<ConnectionEvent()> event;
    std::array<Expected, 6> after;  ///< from Idle, Connect, Active, OpenSent, OpenConfirm, Est.
};

using Event = ConnectionEvent;
using enum State;

// RFC 4271 §8.2.2, RFC 9687 §3.2. The five places where Swerve departs stand in connection.cpp with
// their reasons and are marked here by their number. DelayOpen and the damping of oscillations are
// not there, so neither are events 12 and 13; the idle hold time is the peer's.
std::vector<Row> rows_of_our_side() {
    const Notification shutdown = cease(subcode::administrative_shutdown);
    return {
        {"1, 3 start",
         [] { return Event{StartDialling{}}; },
         {{{connect, "D"}, {connect}, {active}, {open_sent}, {open_confirm}, {established}}}},
        {"4, 5 passive start",
         [] { return Event{StartListening{}}; },
         {{{active}, {connect}, {active}, {open_sent}, {open_confirm}, {established}}}},
        {"2, 8 stop",
         [=] { return Event{Stop{shutdown}}; },
         {{{idle},
           {idle, "C"},
           {idle},
           {idle, "X", "6/2"},
           {idle, "X", "6/2"},
           {idle, "X", "6/2"}}}},
        {"planned restart, RFC 4724 §4.1",
         [] { return Event{Vanish{}}; },
         {{{idle}, {idle, "C"}, {idle}, {idle, "X"}, {idle, "X"}, {idle, "X"}}}},
        {"23 collision dump",
         [] { return Event{CollisionDump{}}; },
         {{{idle},
           {idle, "C"},
           {idle},
           {idle, "X", "6/7"},
           {idle, "X", "6/7"},
           {idle, "X", "6/7"}}}},
        {"16, 17 TCP connected",
         [] { return Event{TcpUp{*Address::parse("192.0.2.1")}}; },
         {{{idle, "X"},
           {open_sent, "O"},
           {open_sent, "O"},
           {open_sent},
           {open_confirm},
           {established}}}},
        {"18 TCP fails",
         [] { return Event{TcpDown{"reset"}}; },
         {{{idle}, {active} /* 1 */, {idle}, {active}, {idle}, {idle}}}},
        {"9 connect retry",
         [] { return Event{ConnectRetryExpired{}}; },
         {{{idle},
           {connect, "CD"},
           {connect, "D"},
           {idle, "X", "5/0"},
           {idle, "X", "5/0"},
           {idle, "X", "5/0"}}}},
        {"10 hold",
         [] { return Event{HoldExpired{}}; },
         {{{idle},
           {idle, "C"},
           {idle},
           {idle, "X", "4/0"},
           {idle, "X", "4/0"},
           {idle, "X", "4/0"}}}},
        {"11 keepalive",
         [] { return Event{KeepaliveExpired{}}; },
         {{{idle},
           {idle, "C"},
           {idle},
           {idle, "X", "5/0"},
           {open_confirm, "K"},
           {established, "K"}}}},
        {"29 send hold, RFC 9687 §3.2",
         [] { return Event{SendHoldExpired{}}; },
         {{{idle},
           {idle, "C"},
           {idle},
           {idle, "X", "5/0"},
           {idle, "X", "5/0"},
           {idle, "X", "8/0"}}}},
    };
}

// RFC 4271 §8.2.2, RFC 6608 §4, RFC 7313 §5: what the neighbor says. In Connect and Active nobody
// is there to say it.
std::vector<Row> rows_of_the_neighbor() {
    const Notification shutdown = cease(subcode::administrative_shutdown);
    const Notification version{ErrorCode::open_message, subcode::unsupported_version};
    const Notification marker{ErrorCode::message_header, subcode::connection_not_synchronized};
    const auto early = [](Event event, Expected in_established) {
        return Row{"",
                   [event] { return event; },
                   {{{idle},
                     {idle, "C"},
                     {idle},
                     {idle, "X", "5/1"},
                     {idle, "X", "5/2"},
                     in_established}}};
    };
    const auto named = [](std::string_view name, Row row) {
        row.name = name;
        return row;
    };
    return {
        {"21 header error",
         [=] { return Event{HeaderError{marker, true}}; },
         {{{idle},
           {idle, "C"},
           {idle},
           {idle, "X", "1/1"},
           {idle, "X", "1/1"},
           {idle, "X", "1/1"} /* 2 */}}},
        {"21 header error of a NOTIFICATION, RFC 4271 §6.4",
         [=] { return Event{HeaderError{marker, false}}; },
         {{{idle}, {idle, "C"}, {idle}, {idle, "X"}, {idle, "X"}, {idle, "X"}}}},
        {"19 OPEN",
         [] { return Event{OpenMessage{good_open}}; },
         {{{idle},
           {idle, "C"},
           {idle},
           {open_confirm, "K"},
           {idle, "X", "5/2"} /* 3 */,
           {idle, "X", "5/3"}}}},
        {"22 wrong OPEN",
         [] { return Event{OpenMessage{bad_open}}; },
         {{{idle},
           {idle, "C"},
           {idle},
           {idle, "X", "2/1"},
           {idle, "X", "5/2"} /* 3 */,
           {idle, "X", "5/3"}}}},
        {"24 NOTIFICATION of a version",
         [=] { return Event{NotificationMessage{version}}; },
         {{{idle}, {idle, "C"}, {idle}, {idle, "X"}, {idle, "X"}, {idle, "X"}}}},
        {"25 NOTIFICATION",
         [=] { return Event{NotificationMessage{shutdown}}; },
         {{{idle}, {idle, "C"}, {idle}, {idle, "X"} /* 4 */, {idle, "X"}, {idle, "X"}}}},
        {"26 KEEPALIVE",
         [] { return Event{KeepaliveMessage{}}; },
         {{{idle}, {idle, "C"}, {idle}, {idle, "X", "5/1"}, {established, "E"}, {established}}}},
        named("27 UPDATE", early(UpdateMessage{empty_update}, {established, "U"})),
        named("28 wrong UPDATE", early(UpdateMessage{bad_update}, {idle, "X", "3/1"})),
        named("ROUTE-REFRESH", early(RouteRefreshMessage{refresh}, {established, "r"})),
        named("BoRR", early(RouteRefreshMessage{refresh_begin}, {established, "b"})),
        named("EoRR of nothing", early(RouteRefreshMessage{refresh_end}, {established})),
        named("wrong BoRR", early(RouteRefreshMessage{bad_refresh}, {idle, "X", "7/1"})),
    };
}

std::vector<Row> rfc_table() {
    std::vector<Row> rows = rows_of_our_side();
    for (Row& row : rows_of_the_neighbor()) rows.push_back(std::move(row));
    return rows;
}

/// What was done, in the letters of Expected.
std::string done(const Bench& bench) {
    std::string out;
    for (const ConnectionAction& action : bench.actions) {
        out += std::visit(Overloaded{
                              [](const Dial&) { return "D"; },
                              [](const CancelDial&) { return "C"; },
                              [](const CloseTcp&) { return "X"; },
                              [](const SessionEstablished&) { return "E"; },
                              [](const UpdateReceived&) { return "U"; },
                              [](const RefreshRequested&) { return "r"; },
                              [](const RefreshBegun&) { return "b"; },
                              [](const RefreshEnded&) { return "e"; },
                              [](const NotificationExchanged&) { return ""; },
                              [](const Ended&) { return ""; },
                          },
                          action);
    }
    std::vector<ByteView> queued;
    bench.connection.outbox().produce(queued);
    for (const ByteView message : queued) out += "?OUNKR"[message[18]];
    return out;
}

}  // namespace

TEST_CASE("connection: every event in every state does what RFC 4271 §8.2.2 says") {
    for (const Row& row : rfc_table()) {
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
            CHECK(done(bench) == expected.does);
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

TEST_CASE("connection: RFC 4271 §8.2.2: which timers run in which state, and for how long") {
    struct Timers {
        State state;
        Duration least;  ///< of the earliest; jitter shortens
        Duration most;
    };
    const auto timers = std::to_array<Timers>({
        {State::connect, 3750ms, 5s},       // ConnectRetryTimer
        {State::active, 3750ms, 5s},        // ConnectRetryTimer
        {State::open_sent, 240s, 240s},     // HoldTimer, a large value
        {State::open_confirm, 2250ms, 3s},  // KeepaliveTimer, before the HoldTimer
        {State::established, 2250ms, 3s},   // KeepaliveTimer
    });
    for (const Timers& expected : timers) {
        CAPTURE(to_string(expected.state));
        Bench bench;
        bench.bring_to(expected.state);
        REQUIRE(bench.connection.next_deadline());
        const Duration wait = *bench.connection.next_deadline() - bench.now;
        CHECK(wait >= expected.least);
        CHECK(wait <= expected.most);
    }
    // Who only listens waits without end.
    Bench listening(Side::accepted);
    listening.bring_to(State::active);
    CHECK_FALSE(listening.connection.next_deadline());
}

TEST_CASE(
    "connection: RFC 4271 §4.2: with hold time 0 no timer runs, and KEEPALIVE opens the way") {
    OpenPolicy forever = local_policy();
    forever.hold_time = 0s;
    Bench bench(Side::dialled, true, forever);
    bench.bring_to(State::open_confirm);
    CHECK(bench.connection.negotiated()->hold_time == 0s);
    CHECK(bench.counters.sent[4] == 0);
    bench.drain();
    CHECK(bench.counters.sent[4] == 1);  // ours, which the neighbor waits for
    bench.advance(open_sent_hold_time - 1s);
    CHECK(bench.connection.state() == State::open_confirm);
    bench.handle(KeepaliveMessage{});
    CHECK(bench.connection.state() == State::established);
    for (const ConnectionEvent& event :
         {ConnectionEvent{KeepaliveMessage{}}, ConnectionEvent{UpdateMessage{empty_update}}}) {
        bench.handle(event);
        bench.connection.update_sent(bench.now);
        bench.connection.watch_output(bench.now, true, false);  // RFC 9687 §3
        CHECK_FALSE(bench.connection.next_deadline());
    }
    bench.advance(24h);
    CHECK(bench.connection.state() == State::established);
    CHECK(bench.connection.outbox().empty());
}

TEST_CASE("connection: with hold time 0 a neighbor that never confirms does not hold us for ever") {
    OpenPolicy forever = local_policy();
    forever.hold_time = 0s;
    Bench bench(Side::dialled, true, forever);
    bench.bring_to(State::open_confirm);
    bench.drain();
    bench.advance(open_sent_hold_time);
    CHECK(bench.connection.state() == State::idle);
}

TEST_CASE("connection: RFC 7313 §4: EoRR ends what BoRR began, once") {
    Bench bench;
    bench.bring_to(State::established);
    const auto hear = [&](const Bytes& body) { bench.handle(RouteRefreshMessage{body}); };
    for (int round = 0; round < 2; ++round) {
        bench.actions.clear();
        hear(refresh_end);
        hear(refresh_begin);
        hear(refresh_begin);  // starts over
        hear(refresh_end);
        hear(refresh_end);
        CHECK(bench.count<RefreshBegun>() == 2);
        CHECK(bench.count<RefreshEnded>() == 1);
        CHECK(bench.last<RefreshEnded>().family == Family::ipv4);
    }
}

TEST_CASE(
    "connection: RFC 7313 §4: a BoRR before the End-of-RIB of a restarting neighbor is void") {
    for (const bool restarts : {false, true}) {
        CAPTURE(restarts);
        OpenPolicy remote = remote_policy();
        if (restarts) remote.restart_time = 10s;
        const Bytes open = body_of(encode(make_open(remote)));
        Bench bench;
        bench.bring_to(State::open_sent);
        bench.handle(OpenMessage{open});
        bench.handle(KeepaliveMessage{});
        bench.handle(RouteRefreshMessage{refresh_begin});
        CHECK(bench.count<RefreshBegun>() == (restarts ? 0 : 1));
        bench.handle(RouteRefreshMessage{refresh_end});
        CHECK(bench.count<RefreshEnded>() == (restarts ? 0 : 1));
        bench.handle(UpdateMessage{empty_update});
        bench.handle(RouteRefreshMessage{refresh_begin});
        CHECK(bench.count<RefreshBegun>() == (restarts ? 1 : 2));
    }
}

TEST_CASE("connection: RFC 8654 §4: what we offered decides what we take, octet for octet") {
    for (const bool offered : {false, true}) {
        CAPTURE(offered);
        OpenPolicy policy = local_policy();
        policy.extended_message = offered;
        Bench bench(Side::dialled, true, policy);
        bench.bring_to(State::established);
        Bytes body = empty_update;
        body.resize(5000 - header_size);  // 0.0.0.0/0 many times, without attributes
        Bytes message;
        const std::size_t begin = begin_message(message, MessageType::update);
        Writer{message}.bytes(body);
        finish_message(message, begin);
        bench.connection.receive(message);
        while (const auto event = bench.connection.next_event()) bench.handle(*event);
        if (offered) {
            CHECK(bench.connection.state() == State::established);
            CHECK(bench.count<UpdateReceived>() == 1);
        } else {
            CHECK(notification_in(bench.last<CloseTcp>().last_words) == "1/2");
            CHECK(bench.last<Ended>().sent->data == Bytes{0x13, 0x88});
        }
    }
}
