#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "tests/bgp/peer_bench.hpp"

using namespace swerve;
using namespace swerve::bgp;
using namespace swerve::test;

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

TEST_CASE("peer: a caller that hangs up during backoff leaves no trace") {
    Bench bench;
    bench.handle(Start{});
    bench.connect(Side::dialled);
    bench.receive(Side::dialled, encode_keepalive());
    const auto due = bench.peer.next_retry();
    bench.connect(Side::accepted);
    CHECK(bench.peer.state() == State::open_sent);
    bench.handle(TcpFailed{Side::accepted, "connection reset by peer"});
    CHECK(bench.peer.state() == State::idle);
    CHECK(bench.peer.next_retry() == due);
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
