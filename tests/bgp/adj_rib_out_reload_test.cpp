// What a change of the configuration does to an Adj-RIB-Out: new blocks, new route objects, other
// next hops.

#include <doctest/doctest.h>

#include <string>

#include "tests/bgp/rib_out_listener.hpp"

namespace swerve::bgp {
namespace {

using namespace test;

/// A rib with a neighbor that has taken all there was.
struct Told {
    explicit Told(const std::vector<Desired>& all, const SessionEncoding& encoding = session())
        : listener(encoding) {
        rib.assign(all);
        rib.session_up(encoding);
        listener.feed(drain(rib));
        (void)listener.take_heard();
    }
    /// What is said now, one word per prefix: "-10.0.0.0/24 +10.0.1.0/24=2".
    std::string hear() {
        listener.feed(drain(rib));
        std::string out;
        for (const Heard& heard : listener.take_heard()) {
            for (const Prefix& each : heard.update.withdrawn) out += " -" + each.to_string();
            for (const Reach& reach : heard.update.reach) {
                for (const Prefix& each : reach.prefixes) {
                    out += " +" + each.to_string() + "=" +
                           std::to_string(*heard.update.attributes->med);
                }
            }
        }
        return out.empty() ? out : out.substr(1);
    }

    AdjRibOut rib;
    Listener listener;
};

Desired all_of(const BlockRef& block, std::uint32_t med) {
    return {block, block->all(), route(med)};
}

std::vector<Handover> between(const BlockRef& from, const BlockRef& to) {
    return hand_overs(std::vector{from}, std::vector{to});
}

TEST_CASE("adj-rib-out: what a block is handed is not said again") {
    const auto before = block({"10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/24"});
    const auto after = block({"10.0.1.0/24", "10.0.2.0/24", "10.0.3.0/24"});
    Told told{{all_of(before, 1)}};
    told.rib.hand_over(between(before, after));
    CHECK_FALSE(told.rib.pending());
    CHECK(told.rib.advertised(Family::ipv4) == 3);
    told.rib.assign(std::vector{all_of(after, 1)});
    CHECK(told.hear() == "-10.0.0.0/24 +10.0.3.0/24=1");
    CHECK(told.rib.advertised(Family::ipv4) == 3);
}

TEST_CASE("adj-rib-out: a hand-over carries what is pending, and lets the old block go") {
    auto before = block(consecutive(0x0a000000, 24, 4));
    const auto after = block(consecutive(0x0a000000, 24, 5));
    const std::weak_ptr<const PrefixBlock> watch = before;
    Told told{{{before, {0, 3}, route(1)}}};
    told.rib.withdraw(before, {0, 1});
    told.rib.advertise(before, {1, 2}, route(2));
    told.rib.advertise(before, {3, 4}, route(1));
    told.rib.hand_over(between(before, after));
    before.reset();
    CHECK(watch.expired());
    CHECK(told.rib.pending_withdrawals() == 1);
    CHECK(told.rib.pending_announcements() == 2);
    CHECK(told.hear() == "-10.0.0.0/24 +10.0.1.0/24=2 +10.0.3.0/24=1");
}

TEST_CASE("adj-rib-out: a refresh that was asked for is handed over too") {
    const auto before = block({"10.0.0.0/24", "10.0.1.0/24"});
    const auto after = block({"10.0.0.0/24"});
    Told told{{all_of(before, 1)}};
    told.rib.refresh(Family::ipv4);
    told.rib.hand_over(between(before, after));
    CHECK(told.rib.pending_announcements() == 2);
    CHECK(told.hear() == "+10.0.1.0/24=1 +10.0.0.0/24=1");
}

TEST_CASE("adj-rib-out: a hand-over leaves what stands beside it alone") {
    const auto left = block({"10.0.0.0/24", "10.0.2.0/24"});
    const auto right = block({"10.0.1.0/24", "10.0.3.0/24"});
    const auto both = block(consecutive(0x0a000000, 24, 4));
    Told told{{all_of(left, 1), all_of(right, 2)}};
    told.rib.hand_over(between(right, both));
    told.rib.hand_over(between(left, both));
    CHECK_FALSE(told.rib.pending());
    std::string seen;
    told.rib.for_each([&](const Prefix&, const RouteRef& desired, const RouteRef& sent) {
        CHECK(desired == sent);
        seen += std::to_string(*sent->med);
    });
    CHECK(seen == "1212");
    // Of a block that nobody knows there is nothing to hand over.
    told.rib.hand_over(between(left, block({"10.0.0.0/24"})));
    CHECK_FALSE(told.rib.pending());
}

TEST_CASE("adj-rib-out: blocks that exchange prefixes hand them over at once") {
    const std::vector before{block({"10.0.0.0/24", "10.0.2.0/24"}),
                             block({"10.0.1.0/24", "10.0.3.0/24"})};
    const std::vector after{block({"10.0.2.0/24", "10.0.3.0/24"}),
                            block({"10.0.0.0/24", "10.0.1.0/24"})};
    Told told{{all_of(before[0], 1), all_of(before[1], 2)}};
    told.rib.hand_over(hand_overs(before, after));
    CHECK_FALSE(told.rib.pending());
    told.rib.assign(std::vector{all_of(after[0], 1), all_of(after[1], 2)});
    CHECK(told.hear() == "+10.0.3.0/24=1 +10.0.0.0/24=2");
}

TEST_CASE("adj-rib-out: without a session a hand-over keeps what is desired") {
    const auto before = block({"10.0.0.0/24", "10.0.1.0/24"});
    const auto after = block({"10.0.0.0/24"});
    AdjRibOut rib;
    rib.assign(std::vector{all_of(before, 1)});
    rib.hand_over(between(before, after));
    CHECK_FALSE(rib.pending());
    rib.session_up(session());
    CHECK(rib.pending_announcements() == 2);
}

TEST_CASE("adj-rib-out: an equal route in another object is the same route") {
    const auto prefixes = block({"10.0.0.0/24", "10.0.1.0/24"});
    Told told{{all_of(prefixes, 1)}};
    told.rib.assign(std::vector{all_of(prefixes, 1)});
    CHECK_FALSE(told.rib.pending());
    told.rib.advertise(prefixes, {0, 1}, route(1));
    CHECK_FALSE(told.rib.pending());
    // Also after it was not wanted for a moment, and when the first object is long gone.
    told.rib.withdraw(prefixes, prefixes->all());
    told.rib.advertise(prefixes, prefixes->all(), route(1));
    CHECK_FALSE(told.rib.pending());
    told.rib.assign(std::vector{all_of(prefixes, 2)});
    CHECK(told.hear() == "+10.0.0.0/24=2 +10.0.1.0/24=2");
}

TEST_CASE("adj-rib-out: equal routes stay one however many others come and go") {
    const auto prefixes = block({"10.0.0.0/24", "10.0.1.0/24"});
    Told told{{all_of(prefixes, 0)}};
    for (std::uint32_t med = 1; med < 1000; ++med) {
        told.rib.advertise(prefixes, {0, 1}, route(med));
        told.rib.advertise(prefixes, {1, 2}, route(0));
        REQUIRE(told.rib.pending_announcements() == 1);
        if (med % 10 == 0) told.listener.feed(drain(told.rib));
    }
    told.rib.assign(std::vector{all_of(prefixes, 999)});
    told.listener.feed(drain(told.rib));
    CHECK(told.listener.held() == std::map<Prefix, std::uint32_t>{{prefix("10.0.0.0/24"), 999},
                                                                  {prefix("10.0.1.0/24"), 999}});
}

TEST_CASE("adj-rib-out: services with equal attributes share messages") {
    std::vector<Desired> all;
    for (const Prefix& each : consecutive(0x0a000000, 24, 100)) {
        all.push_back(all_of(block(std::vector{each}), 1));
    }
    AdjRibOut rib;
    rib.assign(all);
    rib.session_up(session());
    (void)drain(rib);
    CHECK(rib.updates_sent() == 1 + 2);  // and End-of-RIB for each family
}

TEST_CASE("adj-rib-out: exactly what is assigned is desired") {
    const auto a = block(consecutive(0x0a000000, 24, 6));
    const auto b = block({"192.0.2.0/24"});
    const auto c = block({"2001:db8:1::/48"});
    Told told{{{a, {0, 4}, route(1)}, all_of(b, 1)}};
    // Ranges of a block in any order, an empty one among them; a block that comes, one that goes.
    told.rib.assign(std::vector<Desired>{
        {a, {4, 6}, route(1)}, all_of(c, 3), {a, {3, 3}, route(9)}, {a, {1, 3}, route(2)}});
    CHECK(told.rib.pending_withdrawals() == 3);
    CHECK(told.rib.pending_announcements() == 5);
    CHECK(told.hear() ==
          "-10.0.0.0/24 -10.0.3.0/24 -192.0.2.0/24 +10.0.1.0/24=2 +10.0.2.0/24=2 "
          "+10.0.4.0/24=1 +10.0.5.0/24=1 +2001:db8:1::/48=3");
    told.rib.assign({});
    CHECK(told.rib.pending_withdrawals() == 5);
    (void)told.hear();
    CHECK(told.listener.held().empty());
    told.rib.assign({});
    CHECK_FALSE(told.rib.pending());
    // A service may have no prefixes; nothing is kept of it.
    auto empty = block(std::vector<Prefix>{});
    const std::weak_ptr<const PrefixBlock> watch = empty;
    told.rib.assign(std::vector{all_of(empty, 1)});
    empty.reset();
    CHECK(watch.expired());
}

TEST_CASE("adj-rib-out: another next hop is sent for its family at once") {
    const auto ipv4 = block({"10.0.0.0/24", "10.0.1.0/24"});
    const auto ipv6 = block({"2001:db8:1::/48"});
    const auto next_hop = [](const char* text) { return std::optional{address(text)}; };
    Told told{{{ipv4, {0, 1}, route(1)}, all_of(ipv6, 1)}};
    told.rib.set_next_hops(session().next_hop_ipv4, session().next_hop_ipv6);
    CHECK_FALSE(told.rib.pending());

    told.rib.set_next_hops(next_hop("192.0.2.77"), session().next_hop_ipv6);
    CHECK(told.hear() == "+10.0.0.0/24=1");
    CHECK(told.listener.next_hops().at(prefix("10.0.0.0/24")) == address("192.0.2.77"));
    told.rib.advertise(ipv4, {1, 2}, route(1));
    CHECK(told.hear() == "+10.0.1.0/24=1");
    CHECK(told.listener.next_hops().at(prefix("10.0.1.0/24")) == address("192.0.2.77"));

    told.rib.set_next_hops(next_hop("192.0.2.77"), next_hop("2001:db8::77"));
    CHECK(told.hear() == "+2001:db8:1::/48=1");
    CHECK(told.listener.next_hops().at(prefix("2001:db8:1::/48")) == address("2001:db8::77"));

    SUBCASE("none: withdrawn, and back with the next one") {
        told.rib.set_next_hops({}, next_hop("2001:db8::77"));
        CHECK(told.rib.pending_withdrawals() == 2);
        CHECK(told.hear() == "-10.0.0.0/24 -10.0.1.0/24");
        told.rib.set_next_hops(next_hop("192.0.2.78"), next_hop("2001:db8::77"));
        CHECK(told.hear() == "+10.0.0.0/24=1 +10.0.1.0/24=1");
    }
    SUBCASE("of the other family: as good as none") {
        told.rib.set_next_hops(next_hop("2001:db8::77"), next_hop("192.0.2.77"));
        CHECK(told.rib.pending_withdrawals() == 3);
        (void)told.hear();
        CHECK(told.listener.held().empty());
    }
    SUBCASE("without a session nothing happens") {
        told.rib.session_down();
        told.rib.set_next_hops(next_hop("192.0.2.79"), {});
        CHECK_FALSE(told.rib.pending());
        told.rib.session_up(session());
        told.listener = Listener{session()};
        (void)told.hear();
        CHECK(told.listener.next_hops().at(prefix("10.0.0.0/24")) == address("192.0.2.1"));
        CHECK(told.listener.held().size() == 3);
    }
}

TEST_CASE("adj-rib-out: a table cut anew into thousands of blocks and back says nothing") {
    constexpr std::uint32_t count = 20'000;
    const auto prefixes = consecutive(0x0a000000, 24, count);
    const std::vector whole{block(prefixes)};
    std::vector<BlockRef> pieces;
    std::vector<Desired> wanted;
    for (std::uint32_t i = 0; i < count; i += 10) {
        pieces.push_back(block({prefixes.begin() + i, prefixes.begin() + i + 10}));
        wanted.push_back(all_of(pieces.back(), 1));
    }
    Told told{{all_of(whole.front(), 1)}};
    told.rib.hand_over(hand_overs(whole, pieces));
    told.rib.assign(wanted);
    CHECK_FALSE(told.rib.pending());
    told.rib.hand_over(hand_overs(pieces, whole));
    told.rib.assign(std::vector{all_of(whole.front(), 1)});
    CHECK_FALSE(told.rib.pending());
    CHECK(told.rib.advertised(Family::ipv4) == count);
    std::size_t sent_ranges = 0;
    told.rib.for_each_sent([&](const BlockRef&, IdRange) { ++sent_ranges; });
    CHECK(sent_ranges == 1);
}

}  // namespace
}  // namespace swerve::bgp
