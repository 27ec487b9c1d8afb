#include "swerve/bgp/prefix_block.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "swerve/base/random.hpp"
#include "swerve/bgp/update.hpp"
#include "tests/bgp/rib_out_listener.hpp"

namespace swerve::bgp {
namespace {

using test::prefix;

std::vector<Prefix> random_prefixes(Random& random, Family family, std::size_t count) {
    std::set<Prefix> prefixes;
    while (prefixes.size() < count) {
        std::array<std::uint8_t, 16> octets{};
        for (auto& octet : octets) octet = static_cast<std::uint8_t>(random.below(256));
        const std::size_t size = address_bits(family) / 8;
        const auto address = Address::from_octets({octets.data(), size});
        prefixes.insert(*Prefix::masked(
            *address, static_cast<unsigned>(random.below(address_bits(family) + 1))));
    }
    return {prefixes.begin(), prefixes.end()};
}

TEST_CASE("prefix block: octets are the packed NLRI of RFC 4271 §4.3") {
    const std::vector<Prefix> prefixes{prefix("0.0.0.0/0"), prefix("10.0.0.0/8"),
                                       prefix("198.51.100.0/25"), prefix("203.0.113.7/32")};
    const PrefixBlock block{prefixes};
    const Bytes expected{0, 8, 10, 25, 198, 51, 100, 0, 32, 203, 0, 113, 7};
    CHECK(std::ranges::equal(block.octets(block.all()), expected));
    CHECK(std::ranges::equal(block.octets({1, 3}), ByteView{expected}.subspan(1, 7)));
    CHECK(block.octets({2, 2}).empty());
    CHECK(block.octets({4, 4}).empty());
}

TEST_CASE("prefix block: an empty block is empty everywhere") {
    const PrefixBlock block{{}};
    CHECK(block.size() == 0);
    CHECK(block.octets(block.all()).empty());
    CHECK(block.fitting(block.all(), 100) == IdRange{0, 0});
    CHECK_FALSE(block.find(prefix("10.0.0.0/8")));
}

TEST_CASE("prefix block: every prefix is found where it stands, and no other") {
    Random random{7};
    for (const Family family : {Family::ipv4, Family::ipv6}) {
        // Around the distance of two checkpoints (64), where an offset would be off by one.
        for (const std::size_t count : {1U, 2U, 63U, 64U, 65U, 127U, 128U, 129U, 1000U}) {
            const auto all = random_prefixes(random, family, count * 2);
            std::vector<Prefix> in;
            std::vector<Prefix> out;
            for (std::size_t i = 0; i < all.size(); ++i) (i % 2 == 0 ? in : out).push_back(all[i]);
            const PrefixBlock block{in};
            CHECK(block.family() == family);
            REQUIRE(block.size() == count);
            std::vector<Prefix> visited;
            block.for_each(block.all(), [&](const Prefix& each) { visited.push_back(each); });
            CHECK(visited == in);
            for (std::uint32_t id = 0; id < block.size(); ++id) {
                REQUIRE(block.at(id) == in[id]);
                REQUIRE(block.find(in[id]) == id);
                REQUIRE_FALSE(block.find(out[id]));
            }
        }
    }
    CHECK_FALSE(PrefixBlock{std::vector{prefix("10.0.0.0/8")}}.find(prefix("2001:db8::/32")));
}

TEST_CASE("prefix block: as many prefixes fit as a count by hand says") {
    Random random{11};
    for (const Family family : {Family::ipv4, Family::ipv6}) {
        const auto prefixes = random_prefixes(random, family, 700);
        const PrefixBlock block{prefixes};
        for (int round = 0; round < 2000; ++round) {
            const auto begin = static_cast<std::uint32_t>(random.below(701));
            const auto end = begin + static_cast<std::uint32_t>(random.below(701 - begin));
            const std::size_t room = random.below(random.below(2) == 0 ? 40 : 5000);
            Bytes packed;
            std::uint32_t expected = begin;
            for (; expected < end; ++expected) {
                encode_nlri(prefixes[expected], packed);
                if (packed.size() > room) break;
            }
            REQUIRE(block.fitting({begin, end}, room) == IdRange{begin, expected});
        }
    }
}

TEST_CASE("prefix block: one octet less of room holds one prefix less") {
    const PrefixBlock block{test::consecutive(0x0a000000, 24, 200)};
    CHECK(block.fitting(block.all(), 400) == IdRange{0, 100});
    CHECK(block.fitting(block.all(), 399) == IdRange{0, 99});
    CHECK(block.fitting({64, 128}, 256) == IdRange{64, 128});
    CHECK(block.fitting({64, 128}, 255) == IdRange{64, 127});
    CHECK(block.fitting({64, 128}, 3) == IdRange{64, 64});
}

}  // namespace
}  // namespace swerve::bgp
