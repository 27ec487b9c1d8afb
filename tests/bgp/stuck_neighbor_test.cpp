// A neighbor that takes nothing for less than its send hold time, with a table announced and
// withdrawn meanwhile: what it has not been sent is state, so it reads no more stale announcements
// than were on their way, and its withdrawals behind them at once (DESIGN.md §4.8).

#include <doctest/doctest.h>

#include <set>
#include <span>

#include "tests/bgp/peer_bench.hpp"
#include "tests/support/pair.hpp"

using namespace swerve;
using namespace swerve::bgp;
using namespace swerve::test;

namespace {

constexpr std::uint32_t table_size = 100'000;  // 400 KB of /24
constexpr std::size_t window = 16 * 1024;      // in proportion to 5 MB and 256 KiB
constexpr std::size_t octets_of_prefix = 4;    // its share of the message left out
constexpr Duration delay = 5ms;                // one way
// The stuck side counts its hold time of 9 s from the last KEEPALIVE it read, up to 3 s earlier.
constexpr Duration stuck_for = 5s;
constexpr Duration other_side = 2 * delay + 1ms;  // until what one side does is seen there

/// What a neighbor heard, and the prefixes that it holds now.
struct Heard {
    std::size_t announced = 0;
    std::size_t withdrawn = 0;
    bool announced_behind_withdrawal = false;
    std::set<Prefix> held;

    void add(std::span<const PeerAction> actions) {
        for (const PeerAction& action : actions) {
            const auto* received = std::get_if<UpdateReceived>(&action);
            if (received == nullptr) continue;
            for (const Prefix& prefix : received->update.withdrawn) held.erase(prefix);
            withdrawn += received->update.withdrawn.size();
            for (const Reach& reach : received->update.reach) {
                held.insert(reach.prefixes.begin(), reach.prefixes.end());
                announced += reach.prefixes.size();
                if (withdrawn > 0) announced_behind_withdrawal = true;
            }
        }
    }
};

/// A speaker on the left, its neighbor on the right.
struct Stuck {
    Stuck() : pair{speaker(), neighbor(), 1, {.delay = delay, .window = window}} {
        pair.start();
        REQUIRE(pair.run_until([&] { return pair.both_established(); }, 10s));
        pair.run_for(1s);
        read_all();
    }
    static PeerConfig speaker() { return {.open = policy(64500, "192.0.2.1", 64496), .seed = 1}; }
    static PeerConfig neighbor() {
        return {.open = policy(64496, "192.0.2.2", 64500), .passive = true, .seed = 2};
    }

    void announce() {
        advertise(pair.left().peer, table);
        pair.flush(Pair::End::left);
    }
    void withdraw() {
        pair.left().peer.rib_out().withdraw(table, table->all());
        pair.flush(Pair::End::left);
    }
    /// How many there have been.
    [[nodiscard]] std::uint64_t sessions() { return pair.left().peer.counters().established; }
    void set_reads(bool reads) { pair.set_reads(Pair::End::right, reads); }
    /// What the neighbor heard since the last time.
    Heard read_all() {
        Heard heard;
        heard.held = std::exchange(held, {});
        heard.add(
            std::span{pair.right().log}.subspan(std::exchange(seen, pair.right().log.size())));
        held = heard.held;
        return heard;
    }

    Pair pair;
    BlockRef table = large_block(table_size);
    std::size_t seen = 0;  ///< actions of the right side
    std::set<Prefix> held;
};

}  // namespace

TEST_CASE("stuck neighbor: a table announced and withdrawn leaves no more than was on its way") {
    Stuck stuck;
    stuck.set_reads(false);
    stuck.announce();
    stuck.pair.run_for(stuck_for);
    stuck.withdraw();
    CHECK(stuck.read_all().announced == 0);

    const std::size_t on_its_way = stuck.pair.left().peer.rib_out().advertised(Family::ipv4);
    CHECK(on_its_way > 0);
    CHECK(on_its_way * octets_of_prefix <= window + max_message_size);
    stuck.set_reads(true);
    stuck.pair.run_for(2 * other_side);
    const Heard heard = stuck.read_all();
    CHECK(heard.announced == on_its_way);
    CHECK(heard.withdrawn == on_its_way);
    CHECK_FALSE(heard.announced_behind_withdrawal);
    CHECK(heard.held.empty());
    CHECK_FALSE(stuck.pair.left().peer.rib_out().pending());
    CHECK(stuck.sessions() == 1);
}

TEST_CASE("stuck neighbor: flaps that it did not see cost nothing when it reads on") {
    Stuck stuck;
    stuck.announce();
    stuck.pair.run_for(5s);
    REQUIRE(stuck.read_all().held.size() == table_size);
    stuck.set_reads(false);
    for (int flap = 0; flap < 100; ++flap) {
        stuck.withdraw();
        stuck.pair.run_for(stuck_for / 200);
        stuck.announce();
        stuck.pair.run_for(stuck_for / 200);
    }
    stuck.set_reads(true);
    stuck.pair.run_for(1s);
    const Heard heard = stuck.read_all();
    CHECK(heard.held.size() == table_size);
    // Of the first withdrawal the octets that were on their way, and their re-announcement.
    CHECK(heard.withdrawn > 0);
    CHECK(heard.withdrawn * octets_of_prefix <= window + max_message_size);
    CHECK(heard.announced == heard.withdrawn);
    CHECK(stuck.sessions() == 1);
}

TEST_CASE("stuck neighbor: reading on a moment before its send hold time ends keeps the session") {
    Bench bench;
    bench.establish();
    bench.drain(Side::dialled);
    const BlockRef table = large_block(table_size);
    advertise(bench.peer, table);
    std::vector<ByteView> views;
    bench.peer.produce(bench.now, Side::dialled, window, views);
    bench.peer.consumed(bench.now, Side::dialled, window);  // and then no more
    const std::size_t sent = bench.peer.rib_out().advertised(Family::ipv4);
    const TimePoint until = bench.now + 18s - tick_size;
    while (bench.now < until) {
        bench.receive(Side::dialled, encode_keepalive());
        views.clear();
        bench.peer.produce(bench.now, Side::dialled, window, views);  // nothing is taken
        bench.advance(std::min<Duration>(1s, until - bench.now));
    }
    bench.peer.rib_out().withdraw(table, table->all());
    CHECK(bench.peer.rib_out().pending_withdrawals() == sent);
    CHECK(bench.peer.rib_out().pending_announcements() == 0);
    bench.drain(Side::dialled);
    bench.advance(1s);
    CHECK(bench.peer.state() == State::established);
    CHECK_FALSE(bench.peer.rib_out().pending());
    CHECK(bench.peer.rib_out().advertised(Family::ipv4) == 0);
}
