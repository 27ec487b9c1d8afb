#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "swerve/base/random.hpp"
#include "tests/bgp/rib_out_listener.hpp"

namespace swerve::bgp {
namespace {

using namespace test;

TEST_CASE("hand-overs: a prefix that comes in the middle leaves a run on either side") {
    const auto before = block({"10.0.0.0/24", "10.0.1.0/24", "10.0.3.0/24", "10.0.4.0/24"});
    const auto after = block({"10.0.1.0/24", "10.0.2.0/24", "10.0.3.0/24", "10.0.4.0/24"});
    const auto found = hand_overs(std::vector{before}, std::vector{after});
    REQUIRE(found.size() == 1);
    CHECK(found[0].from == before);
    CHECK(found[0].to == after);
    CHECK(found[0].ranges == std::vector<CommonRange>{{{1, 2}, {0, 1}}, {{2, 4}, {2, 4}}});
}

TEST_CASE("hand-overs: between two blocks, what another block stood between is one run") {
    const auto even = block({"10.0.0.0/24", "10.0.2.0/24", "10.0.4.0/24"});
    const auto odd = block({"10.0.1.0/24", "10.0.3.0/24"});
    const auto even_anew = block({"10.0.0.0/24", "10.0.2.0/24", "10.0.4.0/24"});
    const auto odd_anew = block({"10.0.1.0/24", "10.0.3.0/24"});
    CHECK(*even == *even_anew);
    CHECK_FALSE(*even == *odd);
    const auto found = hand_overs(std::vector{even, odd}, std::vector{odd_anew, even_anew});
    REQUIRE(found.size() == 2);
    CHECK(found[0].from == even);
    CHECK(found[0].to == even_anew);
    CHECK(found[0].ranges == std::vector<CommonRange>{{{0, 3}, {0, 3}}});
    CHECK(found[1].from == odd);
    CHECK(found[1].to == odd_anew);
    CHECK(found[1].ranges == std::vector<CommonRange>{{{0, 2}, {0, 2}}});
}

TEST_CASE("hand-overs: a block that stays gives and takes nothing") {
    const auto stays = block({"10.0.0.0/24"});
    const auto before = block({"10.0.1.0/24", "10.0.2.0/24"});
    const auto after = block({"10.0.2.0/24"});
    const auto found = hand_overs(std::vector{stays, before}, std::vector{after, stays});
    REQUIRE(found.size() == 1);
    CHECK(found[0].from == before);
    CHECK(found[0].ranges == std::vector<CommonRange>{{{1, 2}, {0, 1}}});
    CHECK(hand_overs(std::vector{stays}, std::vector{stays}).empty());
}

TEST_CASE("hand-overs: length and family are part of a prefix; nothing in common is nothing") {
    const std::vector ipv4{block({"10.0.0.0/24", "32.1.13.184/32"})};
    CHECK(hand_overs(ipv4, std::vector{block({"10.0.0.0/25"})}).empty());
    CHECK(hand_overs(ipv4, std::vector{block({"2001:db8::/32"})}).empty());
    CHECK(hand_overs(ipv4, {}).empty());
    CHECK(hand_overs({}, ipv4).empty());
    CHECK(hand_overs(ipv4, std::vector{block(std::vector<Prefix>{})}).empty());
    CHECK_FALSE(PrefixBlock{std::vector{prefix("0.0.0.0/0")}} ==
                PrefixBlock{std::vector{prefix("::/0")}});
}

/// A random part of `prefixes`, dealt out to `count` blocks.
std::vector<BlockRef> dealt(Random& random, const std::vector<Prefix>& prefixes,
                            std::size_t count) {
    std::vector<std::vector<Prefix>> hands(count);
    std::size_t hand = 0;
    for (const Prefix& each : prefixes) {
        if (random.below(4) == 0) hand = random.below(count + 1);
        if (hand < count) hands[hand].push_back(each);
    }
    std::vector<BlockRef> out;
    for (const auto& cards : hands) out.push_back(block(cards));
    return out;
}

TEST_CASE("hand-overs: every common prefix is in exactly one, in whole runs") {
    for (std::uint64_t seed = 1; seed <= 100; ++seed) {
        CAPTURE(seed);
        Random random{seed};
        const auto ipv4 = consecutive(0x0a000000, 24, 300);
        std::vector<Prefix> ipv6;
        for (int i = 0; i < 50; ++i)
            ipv6.push_back(prefix("2001:db8:" + std::to_string(i) + "::/48"));
        std::ranges::sort(ipv6);
        std::vector<BlockRef> from;
        std::vector<BlockRef> to;
        for (auto* side : {&from, &to}) {
            for (const auto* family : {&ipv4, &std::as_const(ipv6)}) {
                for (auto& each : dealt(random, *family, 1 + random.below(5))) {
                    side->push_back(std::move(each));
                }
            }
        }
        std::map<Prefix, std::pair<BlockRef, BlockRef>> expected;
        for (const BlockRef& left : from) {
            left->for_each(left->all(), [&](const Prefix& each) {
                const auto taker = std::ranges::find_if(
                    to, [&](const BlockRef& right) { return right->find(each).has_value(); });
                if (taker != to.end()) expected[each] = {left, *taker};
            });
        }
        std::map<Prefix, std::pair<BlockRef, BlockRef>> found;
        std::set<std::pair<BlockRef, BlockRef>> pairs;
        for (const Handover& handover : hand_overs(from, to)) {
            REQUIRE(pairs.emplace(handover.from, handover.to).second);
            REQUIRE_FALSE(handover.ranges.empty());
            IdRange last_from{0, 0};
            IdRange last_to{0, 0};
            for (const CommonRange& range : handover.ranges) {
                REQUIRE(range.from.size() > 0);
                REQUIRE(range.from.size() == range.to.size());
                REQUIRE(range.from.begin >= last_from.end);
                REQUIRE(range.to.begin >= last_to.end);
                const bool first = last_from.end == 0;
                REQUIRE(
                    (first || range.from.begin > last_from.end || range.to.begin > last_to.end));
                for (std::uint32_t i = 0; i < range.from.size(); ++i) {
                    const Prefix each = handover.from->at(range.from.begin + i);
                    REQUIRE(handover.to->at(range.to.begin + i) == each);
                    REQUIRE(found.emplace(each, std::pair{handover.from, handover.to}).second);
                }
                last_from = range.from;
                last_to = range.to;
            }
        }
        REQUIRE((found == expected));
    }
}

}  // namespace
}  // namespace swerve::bgp
