// Many sessions, and those who mean them harm.

#include <doctest/doctest.h>

#include <array>
#include <set>

#include "tests/bfd/sites.hpp"
#include "tests/support/memory.hpp"

using namespace swerve;
using namespace swerve::bfd;
using namespace swerve::bfd::test;

namespace {

const SessionConfig one_hop{
    .owner = 1, .key = {address("192.0.2.1"), address("192.0.2.2")}, .timing = fast};
const SessionConfig hops{.owner = 2,
                         .key = {address("192.0.2.1"), address("192.0.2.2"), {}, true},
                         .hops = 2,
                         .timing = fast};
const SessionConfig with_key{
    .owner = 3,
    .key = {address("2001:db8::1"), address("2001:db8::2")},
    .timing = fast,
    .authentication = Authentication{AuthType::meticulous_keyed_sha1, 1, "a key"}};

struct Forged {
    Bytes octets;
    Discard why;
    int ttl = 255;
};

/// What must not count, of a neighbor that is Up with us and of anybody else.
std::vector<Forged> forged_for(const SessionView& session) {
    const Packet down{.state = State::down,
                      .my_discriminator = session.neighbor->my_discriminator,
                      .your_discriminator = session.discriminator};
    const Bytes good = encode(down);
    const auto with = [&](std::size_t at, std::uint8_t octet) {
        Bytes out = good;
        out[at] = octet;
        return out;
    };
    const auto cleared = [&](std::size_t at) {
        Bytes out = good;
        std::fill_n(out.begin() + static_cast<std::ptrdiff_t>(at), 4, std::uint8_t{0});
        return out;
    };
    Bytes unknown = good;
    unknown[11] ^= 0xffU;
    Bytes up_without_number = cleared(8);
    up_without_number[1] = 0xc0;
    const Authentication other{AuthType::meticulous_keyed_sha1, 1, "another"};
    std::vector<Forged> out{
        {{}, Discard::too_short},
        {Bytes(good.begin(), good.begin() + 23), Discard::too_short},
        {with(3, 23), Discard::too_short},
        {with(3, 25), Discard::longer_than_payload},
        {with(3, 255), Discard::longer_than_payload},
        {with(0, 0x00), Discard::bad_version},
        {with(0, 0x40), Discard::bad_version},
        {with(2, 0), Discard::zero_multiplier},
        {with(1, 0x41), Discard::multipoint},
        {with(1, 0x70), Discard::poll_and_final},
        {with(1, 0x44), Discard::too_short},  // A, and no section
        {cleared(4), Discard::zero_my_discriminator},
        {up_without_number, Discard::zero_your_discriminator},
        {unknown, Discard::unknown_discriminator},
        {good, Discard::ttl_too_low, session.config.key.multihop ? 253 : 254},
    };
    if (session.config.authentication) {
        out.push_back({good, Discard::authentication_missing});
        out.push_back({encode(down, &other, 1), Discard::authentication_failed});
    } else {
        out.push_back({encode(down, &other, 1), Discard::authentication_unexpected});
    }
    return out;
}

Datagram datagram(const SessionKey& to, const Forged& what) {
    return {.octets = what.octets,
            .local = to.local,
            .remote = to.remote,
            .interface = to.interface,
            .multihop = to.multihop,
            .ttl = what.ttl};
}

/// Ends that exist once for each number.
SessionConfig numbered(std::uint32_t number) {
    return {.owner = number,
            .key = {Address::v4(0x0a000001), Address::v4(0x0a010000 + number)},
            .timing = fast};
}

}  // namespace

TEST_CASE("bfd table: a hundred thousand forged packets of every kind change nothing") {
    Sites sites;
    sites.configure_both({one_hop, hops, with_key});
    sites.come_up();
    sites.run(1s);
    sites.a().forget();
    SessionKey stranger = one_hop.key;
    stranger.remote = address("192.0.2.77");
    const swerve::test::MemoryHeld held;
    for (const SessionConfig& each : {one_hop, hops, with_key}) {
        const auto view = sites.a().find(each.key);
        REQUIRE(view);
        const auto forged = forged_for(*view);
        const std::size_t rounds = 34'000 / forged.size();
        std::array<std::uint64_t, discard_count> expected = view->counters.discarded;
        for (std::size_t round = 0; round < rounds; ++round) {
            for (const Forged& what : forged) {
                sites.receive(0, datagram(each.key, what));
                sites.receive(0, datagram(stranger, what));
                ++expected[static_cast<std::size_t>(what.why)];
            }
            // Time goes on meanwhile, and with it what is true.
            if (round % 16 == 0) sites.run(1ms);
        }
        CHECK(sites.a().find(each.key)->counters.discarded == expected);
    }
    CHECK(sites.a().reports.empty());
    CHECK(sites.a().all_up());
    CHECK(sites.a().table->views().size() == 3);
    // Nobody was answered: what was sent is what its intervals ask for.
    CHECK(sites.a().sent.size() < 2000);
    sites.a().sent = {};
    sites.b().sent = {};
    CHECK(held.grown() < 16'384);
    CHECK(sites.a().discarded(Discard::unknown_discriminator) > 2000);
}

TEST_CASE("bfd table: who forges changes without end is heard some fifty times a second") {
    using enum State;
    const std::vector<std::vector<State>> storms{{down, admin_down}, {down, init, down, admin_down},
                                                 {init, admin_down}, {init, down, admin_down},
                                                 {admin_down, up},   {init, down}};
    for (const auto& storm : storms) {
        for (const bool is_blind : {true, false}) {
            Sites sites;
            sites.configure(0, {one_hop});
            sites.run(100ms);
            sites.a().forget();
            const auto id = sites.a().find(one_hop.key)->discriminator;
            const swerve::test::MemoryHeld held;
            for (std::size_t i = 0; i < 100'000; ++i) {
                const State state = storm[i % storm.size()];
                // Init and Up without a number are refused before.
                const Bytes octets = encode({.state = state,
                                             .my_discriminator = 7,
                                             .your_discriminator = is_blind ? 0 : id,
                                             .desired_min_tx_us = 1'000'000,
                                             .required_min_rx_us = 1'000'000});
                sites.receive(0, datagram(one_hop.key, {octets, {}}));
                if (i % 100 == 0) sites.run(1ms);
            }
            CAPTURE(to_string(storm[0]));
            CAPTURE(storm.size());
            CAPTURE(is_blind);
            CHECK(sites.a().reports.size() <= 60);
            if (!is_blind) CHECK(sites.a().reports.size() >= 10);
            CHECK(sites.a().sent.size() <= 60);
            CHECK(held.grown() < 65'536);
        }
    }
    // Some calm, and one comes up as ever.
    Sites sites;
    sites.configure_both({one_hop});
    for (int i = 0; i < 1000; ++i) {
        const Bytes octets = encode({.state = i % 2 == 0 ? down : admin_down,
                                     .my_discriminator = 7,
                                     .desired_min_tx_us = 1'000'000,
                                     .required_min_rx_us = 1'000'000});
        sites.receive(0, datagram(one_hop.key, {octets, {}}));
    }
    sites.come_up(4s);
}

TEST_CASE("bfd table: intervals of 0 and of 71 minutes stop no other session") {
    Sites sites;
    sites.configure_both({one_hop, hops});
    sites.come_up();
    sites.run(1s);
    sites.lost = [](std::size_t from, const SessionKey& on) { return from == 1 && !on.multihop; };
    const auto view = sites.a().find(one_hop.key);
    for (const std::uint32_t tx : {0U, 1U, 0xffff'ffffU}) {
        for (const std::uint32_t rx : {0U, 1U, 0xffff'ffffU}) {
            const Bytes octets = encode({.state = State::up,
                                         .detect_multiplier = 255,
                                         .my_discriminator = view->neighbor->my_discriminator,
                                         .your_discriminator = view->discriminator,
                                         .desired_min_tx_us = tx,
                                         .required_min_rx_us = rx});
            sites.receive(0, datagram(one_hop.key, {octets, {}}));
            sites.run(100ms);
            CHECK(sites.a().all_up());
        }
    }
}

TEST_CASE("bfd table: replaced in a storm, one says AdminDown three times before it is closed") {
    Sites sites;
    sites.configure(0, {one_hop});
    sites.run(100ms);
    // What it may answer at once is used up.
    const auto id = sites.a().find(one_hop.key)->discriminator;
    for (int i = 0; i < 20; ++i) {
        const Bytes octets = encode({.state = i % 2 == 0 ? State::init : State::down,
                                     .my_discriminator = 7,
                                     .your_discriminator = id,
                                     .desired_min_tx_us = 1'000'000,
                                     .required_min_rx_us = 1'000'000});
        sites.receive(0, datagram(one_hop.key, {octets, {}}));
    }
    sites.a().forget();
    SessionConfig other = one_hop;
    other.authentication = with_key.authentication;
    sites.configure(0, {other});
    CHECK(sites.a().closed.empty());
    CHECK(sites.a().opened.size() == 1);
    CHECK(sites.a().sent.at(0).second.state == State::admin_down);
    CHECK_FALSE(sites.a().table->has_said_farewell());
    sites.run(39ms);
    CHECK(sites.a().closed.empty());
    CHECK_FALSE(sites.a().table->has_said_farewell());
    sites.run(1ms);
    CHECK(sites.a().table->has_said_farewell());
    CHECK(sites.a().closed == std::vector{id});
    CHECK(sites.a().find(one_hop.key)->discriminator == sites.a().opened[0]);
    CHECK(std::ranges::count(sites.a().sent, State::admin_down,
                             [](const auto& each) { return each.second.state; }) == 3);
}

TEST_CASE("bfd table: a neighbor that wants no packets keeps nobody waiting for a farewell") {
    for (const bool is_replaced : {false, true}) {
        Sites sites;
        sites.configure(0, {one_hop});
        sites.run(100ms);
        const auto id = sites.a().find(one_hop.key)->discriminator;
        const Bytes octets = encode({.state = State::init,
                                     .my_discriminator = 7,
                                     .your_discriminator = id,
                                     .desired_min_tx_us = 1'000'000});
        sites.receive(0, datagram(one_hop.key, {octets, {}}));
        CHECK(sites.a().all_up());
        sites.a().forget();
        SessionConfig other = one_hop;
        other.authentication = with_key.authentication;
        sites.configure(0, is_replaced ? std::vector{other} : std::vector<SessionConfig>{});
        CHECK(sites.a().table->has_said_farewell());
        sites.run(4s);
        CHECK(sites.a().closed == std::vector{id});
    }
}

TEST_CASE("bfd table: replaced while it goes, the old one is closed when it has said so") {
    Sites sites;
    sites.configure(0, {one_hop});
    const auto before = sites.a().find(one_hop.key)->discriminator;
    sites.configure(0, {});
    SessionConfig other = one_hop;
    other.authentication = with_key.authentication;
    sites.configure(0, {other});
    CHECK(sites.a().closed.empty());
    sites.run(40ms);
    CHECK(sites.a().closed == std::vector{before});
    CHECK(sites.a().sockets.size() == 1);
}

TEST_CASE("bfd table: five hundred sessions, each at its time and none before") {
    std::vector<SessionConfig> wanted;
    for (std::uint32_t i = 0; i < 500; ++i) wanted.push_back(numbered(i));
    Sites sites;
    sites.configure_both(wanted);
    sites.come_up();
    sites.run(1s);
    std::set<std::uint32_t> discriminators;
    for (const SessionView& each : sites.a().table->views()) {
        discriminators.insert(each.discriminator);
    }
    CHECK(discriminators.size() == 500);
    sites.a().forget();
    sites.b().forget();
    sites.run(1s);
    // RFC 5880 §6.8.7: between three quarters of the interval and the whole of it.
    CHECK(sites.a().sent.size() >= 500 * 19);
    CHECK(sites.a().sent.size() <= 500 * 27);
    CHECK(sites.a().reports.empty());
    CHECK(sites.b().reports.empty());
    // Half of them go silent: those go down, within the detection time, and no others.
    sites.lost = [](std::size_t from, const SessionKey& on) {
        return from == 1 && on.local.octets()[3] % 2 == 1;
    };
    sites.run(151ms);
    CHECK(sites.a().reports.size() == 250);
    for (const Report& each : sites.a().reports) {
        CHECK(each.owner % 2 == 1);
        CHECK(each.cause == Cause::detection_time_expired);
    }
    sites.configure_both({});
    sites.run(40ms);
    CHECK(sites.a().table->has_said_farewell());
    sites.run(5s);
    CHECK(sites.a().sockets.empty());
    CHECK(sites.b().sockets.empty());
    CHECK_FALSE(sites.a().table->next_deadline());
}

TEST_CASE("bfd table: whatever is configured, lost and said, no session leaks or stalls") {
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        CAPTURE(seed);
        Random random(seed);
        Sites sites(seed);
        const std::vector<SessionConfig> pool{one_hop, hops, with_key, numbered(1), numbered(2)};
        std::uint64_t loss = 0;
        sites.lost = [&](std::size_t, const SessionKey&) { return random.below(100) < loss; };
        for (int step = 0; step < 200; ++step) {
            std::vector<SessionConfig> wanted;
            for (SessionConfig each : pool) {
                if (random.below(4) == 0) continue;
                each.owner = static_cast<std::uint32_t>(random.below(3));
                if (random.below(3) == 0) each.timing = usual;
                if (random.below(8) == 0) each.authentication = with_key.authentication;
                if (each.key.multihop && random.below(8) == 0) each.hops = 5;
                wanted.push_back(each);
            }
            const std::size_t which = random.below(2);
            const auto seen_from_there = which == 0 ? wanted : mirrored(wanted);
            if (random.below(3) == 0) sites.configure(which, seen_from_there);
            if (random.below(10) == 0) loss = random.below(3) * 30;
            if (random.below(300) == 0) sites.hold_down(which);
            const auto chosen = sites.sites[which].table->views();
            if (!chosen.empty()) {
                // Anything at all, from the neighbor of a session.
                const SessionView& to = chosen[random.below(chosen.size())];
                Packet packet{
                    .state = static_cast<State>(random.below(4)),
                    .poll = random.below(4) == 0,
                    .demand = random.below(4) == 0,
                    .my_discriminator = 1 + static_cast<std::uint32_t>(random.below(3)),
                    .your_discriminator = random.below(2) == 0 ? to.discriminator : 0,
                    .desired_min_tx_us = static_cast<std::uint32_t>(random.below(90'000)),
                    .required_min_rx_us = static_cast<std::uint32_t>(random.below(2)) * 30'000};
                sites.receive(which, datagram(to.config.key, {encode(packet), {}}));
            }
            sites.run(Duration{static_cast<Duration::rep>(random.below(400'000'000))});
            for (Site& site : sites.sites) {
                // All that is open and not going is in sight.
                std::size_t wanted_count = 0;
                for (const auto& [id, key] : site.sockets) {
                    const auto view = site.table->view(id);
                    REQUIRE(view);
                    wanted_count += view->state != State::admin_down ? 1 : 0;
                }
                REQUIRE(site.table->views().size() == wanted_count);
            }
        }
        sites.configure_both({});
        sites.run(10s);
        CHECK(sites.a().sockets.empty());
        CHECK(sites.b().sockets.empty());
        CHECK_FALSE(sites.a().table->next_deadline());
    }
}
