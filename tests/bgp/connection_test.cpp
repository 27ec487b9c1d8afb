#include <doctest/doctest.h>

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "tests/bgp/connection_bench.hpp"

using namespace swerve;
using namespace swerve::bgp;
using namespace swerve::test::one_connection;

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
