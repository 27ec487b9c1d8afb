#include "swerve/bgp/rib_in.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <string_view>
#include <tuple>
#include <vector>

#include "swerve/base/random.hpp"

namespace swerve::bgp {
namespace {

using namespace std::chrono_literals;
using Changes =
    std::vector<std::tuple<std::string, std::optional<NeighborId>, std::optional<NeighborId>>>;

constexpr TimePoint start{1h};
constexpr NeighborId a = 1;
constexpr NeighborId b = 2;
constexpr NeighborId c = 3;

Prefix prefix(std::string_view text) { return Prefix::parse(text).value(); }
Asn asn(std::uint32_t number) { return Asn::from(number).value(); }

PathAttributes path(std::initializer_list<std::uint32_t> asns) {
    PathAttributes out;
    if (asns.size() > 0) {
        out.as_path.segments.push_back({AsPathSegment::Type::as_sequence, {}});
        for (const auto number : asns) out.as_path.segments.back().asns.push_back(asn(number));
    }
    return out;
}

Update announce(std::initializer_list<std::string_view> prefixes,
                const PathAttributes& attributes) {
    Update out;
    out.attributes = std::make_shared<const PathAttributes>(attributes);
    out.reach.push_back({Address::v4(0xc0000201), {}});
    for (const auto each : prefixes) out.reach.front().prefixes.push_back(prefix(each));
    return out;
}

Update withdraw(std::initializer_list<std::string_view> prefixes) {
    Update out;
    for (const auto each : prefixes) out.withdrawn.push_back(prefix(each));
    return out;
}

NeighborRank rank(std::uint32_t router_id, std::uint32_t address = 0x0a000001,
                  bool internal = false) {
    return {internal, RouterId::from(router_id).value(), Address::v4(address)};
}

/// A collector with three external neighbors, the first with the lowest identifier.
class Collector {
public:
    Collector() : Collector({rank(1), rank(2), rank(3)}) {}
    explicit Collector(const std::vector<NeighborRank>& ranks) : rib_({}, true, asn(64500)) {
        NeighborId id = a;
        for (const auto& each : ranks) rib_.neighbor_up(id++, each);
    }

    Changes reconfigure(std::uint32_t local_as) {
        std::vector<BestChanged> out;
        rib_.reconfigure({}, asn(local_as), out);
        return texts(out);
    }
    Changes update(NeighborId neighbor, const Update& update, TimePoint now = start) {
        std::vector<BestChanged> out;
        rib_.update(now, neighbor, update, out);
        return texts(out);
    }
    Changes down(NeighborId neighbor) {
        std::vector<BestChanged> out;
        rib_.neighbor_down(neighbor, out);
        return texts(out);
    }
    std::optional<NeighborId> best(std::string_view text = "198.51.100.0/24") const {
        const ReceivedRoute* route = rib_.best(prefix(text));
        return route == nullptr ? std::nullopt : std::optional{route->neighbor};
    }
    RibIn& rib() { return rib_; }

private:
    static Changes texts(const std::vector<BestChanged>& changes) {
        Changes out;
        for (const auto& each : changes) {
            out.emplace_back(each.prefix.to_string(), each.from, each.to);
        }
        return out;
    }

    RibIn rib_;
};

/// Which of two routes is best, whichever comes first.
NeighborId better(const std::vector<NeighborRank>& ranks, const PathAttributes& of_a,
                  const PathAttributes& of_b) {
    Collector forwards{ranks};
    forwards.update(a, announce({"198.51.100.0/24"}, of_a));
    forwards.update(b, announce({"198.51.100.0/24"}, of_b));
    Collector backwards{ranks};
    backwards.update(b, announce({"198.51.100.0/24"}, of_b));
    backwards.update(a, announce({"198.51.100.0/24"}, of_a));
    REQUIRE(forwards.best() == backwards.best());
    return forwards.best().value();
}

const std::vector<NeighborRank> a_first{rank(1), rank(2)};
const std::vector<NeighborRank> b_first{rank(2), rank(1)};

TEST_CASE(
    "rib-in: RFC 4271 §9.1.1: the highest LOCAL_PREF wins over a shorter path, 100 if absent") {
    auto preferred = path({65001, 65002, 65003});
    preferred.local_pref = 101;
    CHECK(better(b_first, preferred, path({65009})) == a);
    preferred.local_pref = 100;
    CHECK(better(b_first, preferred, path({65009})) == b);
    preferred.local_pref = 0;
    CHECK(better(a_first, preferred, path({65001, 65002, 65003})) == b);
}

TEST_CASE("rib-in: RFC 4271 §9.1.2.2 a: the shortest AS_PATH wins over ORIGIN, a set counts one") {
    auto shorter = path({65001});
    shorter.origin = Origin::incomplete;
    CHECK(better(b_first, shorter, path({65002, 65003})) == a);
    auto set = path({65001});
    set.as_path.segments.push_back({AsPathSegment::Type::as_set, {asn(65002), asn(65003)}});
    CHECK(better(b_first, set, path({65004, 65005, 65006})) == a);
    CHECK(better(b_first, set, path({65004, 65005})) == b);
}

TEST_CASE("rib-in: RFC 4271 §9.1.2.2 b: the lowest ORIGIN wins over MED") {
    auto egp = path({65001});
    egp.origin = Origin::egp;
    auto incomplete = path({65001});
    incomplete.origin = Origin::incomplete;
    egp.med = 9;
    incomplete.med = 1;
    CHECK(better(b_first, egp, incomplete) == a);
    CHECK(better(a_first, egp, path({65001})) == b);
}

TEST_CASE("rib-in: RFC 4271 §9.1.2.2 c: MED counts within one neighbor AS only, absent is 0") {
    auto low = path({65001, 65009});
    low.med = 1;
    auto high = path({65001, 65008});
    high.med = 2;
    CHECK(better(b_first, low, high) == a);
    CHECK(better(b_first, path({65001, 65009}), low) == a);
    auto elsewhere = path({65002, 65009});
    elsewhere.med = 2;
    CHECK(better(b_first, low, elsewhere) == b);
}

TEST_CASE("rib-in: RFC 4271 §9.1.2.2 c: with MED the order of arrival does not matter") {
    // c loses to b by MED, a beats b by its identifier, c would beat a by its own.
    auto of_a = path({65002});
    of_a.med = 0;
    auto of_b = path({65001});
    of_b.med = 1;
    auto of_c = path({65001});
    of_c.med = 2;
    const std::map<NeighborId, PathAttributes> attributes{{a, of_a}, {b, of_b}, {c, of_c}};
    std::vector<NeighborId> order{a, b, c};
    do {
        Collector collector{{rank(2), rank(3), rank(1)}};
        for (const NeighborId each : order) {
            collector.update(each, announce({"198.51.100.0/24"}, attributes.at(each)));
        }
        CHECK(collector.best() == a);
    } while (std::ranges::next_permutation(order).found);
}

TEST_CASE("rib-in: RFC 4271 §9.1.2.2 d: eBGP wins over iBGP and over a lower identifier") {
    CHECK(better({rank(2), rank(1, 0x0a000001, true)}, path({65001}), path({65002})) == a);
    CHECK(better({rank(2, 0x0a000001, true), rank(1, 0x0a000001, true)}, path({65001}),
                 path({65002})) == b);
}

TEST_CASE("rib-in: RFC 4271 §9.1.2.2 f, g: the lowest BGP Identifier, then the lowest address") {
    CHECK(better({rank(9, 2), rank(0xc0000201, 1)}, path({65001}), path({65002})) == a);
    CHECK(better({rank(9, 2), rank(9, 1)}, path({65001}), path({65002})) == b);
}

TEST_CASE(
    "rib-in: a change is reported when the neighbor of the best route changes, and only then") {
    Collector collector;
    const std::string p = "198.51.100.0/24";
    CHECK(collector.update(b, announce({p}, path({65001}))) == Changes{{p, std::nullopt, b}});
    CHECK(collector.update(b, announce({p}, path({65001, 65001}))).empty());
    CHECK(collector.update(c, announce({p}, path({65001, 65001}))).empty());
    CHECK(collector.update(a, announce({p}, path({65001}))) == Changes{{p, b, a}});
    CHECK(collector.update(c, withdraw({p})).empty());
    CHECK(collector.update(c, withdraw({p})).empty());
    CHECK(collector.update(a, announce({p}, path({65001, 65002, 65003}))) == Changes{{p, a, b}});
    CHECK(collector.update(b, withdraw({p})) == Changes{{p, b, a}});
    CHECK(collector.update(a, withdraw({p})) == Changes{{p, a, std::nullopt}});
    CHECK(collector.update(a, withdraw({"203.0.113.0/24"})).empty());
    CHECK_FALSE(collector.best());
}

TEST_CASE("rib-in: what one UPDATE both withdraws and announces is announced") {
    Collector collector;
    collector.update(a, announce({"198.51.100.0/24"}, path({65001})));
    Update both = announce({"198.51.100.0/24"}, path({65001, 65002}));
    both.withdrawn.push_back(prefix("198.51.100.0/24"));
    CHECK(collector.update(a, both).empty());
    CHECK(collector.best() == a);
}

TEST_CASE("rib-in: a route with our own AS in its path is kept and never best") {
    Collector collector;
    CHECK(collector.update(a, announce({"198.51.100.0/24"}, path({64500}))).empty());
    CHECK_FALSE(collector.best());
    CHECK(collector.rib().kept(a) == 1);
    CHECK(collector.update(b, announce({"198.51.100.0/24"}, path({65001, 65002}))).size() == 1);
    CHECK(collector.best() == b);
    std::vector<std::tuple<NeighborId, bool, bool>> seen;
    collector.rib().for_each([&](const Prefix&, const ReceivedRoute& route, bool best) {
        seen.emplace_back(route.neighbor, route.own_as_in_path, best);
    });
    CHECK(seen ==
          std::vector<std::tuple<NeighborId, bool, bool>>{{b, false, true}, {a, true, false}});
    // The best route's own neighbor comes to send our AS.
    CHECK(collector.update(b, announce({"198.51.100.0/24"}, path({65001, 64500}))) ==
          Changes{{"198.51.100.0/24", b, std::nullopt}});
}

TEST_CASE("rib-in: with another AS of ours other routes have it in their path") {
    Collector collector({rank(1), rank(2)});
    collector.update(a, announce({"198.51.100.0/24"}, path({64500})));
    collector.update(b, announce({"198.51.100.0/24"}, path({64501, 65001})));
    REQUIRE(collector.best() == b);
    CHECK(collector.reconfigure(64501) == Changes{{"198.51.100.0/24", b, a}});
    CHECK(collector.best() == a);
    // Told once more, it is what it was.
    CHECK(collector.update(b, announce({"198.51.100.0/24"}, path({64501, 65001}))).empty());
    CHECK(collector.reconfigure(64502) == Changes{});
    CHECK(collector.reconfigure(64500) == Changes{{"198.51.100.0/24", a, b}});
}

TEST_CASE("rib-in: another AS of the site leaves a session's own as it was") {
    NeighborRank own = rank(1);
    own.local_as = asn(64510);
    Collector collector({own});
    collector.update(a, announce({"198.51.100.0/24"}, path({64510})));
    CHECK(collector.reconfigure(64501).empty());
    CHECK_FALSE(collector.best());
}

TEST_CASE("rib-in: a neighbor that goes takes all its routes along") {
    Collector collector;
    collector.update(a, announce({"10.0.0.0/8", "198.51.100.0/24"}, path({65001})));
    collector.update(b, announce({"198.51.100.0/24", "203.0.113.0/24"}, path({65001})));
    CHECK(collector.rib().received(a) == 2);
    CHECK(collector.down(a) == Changes{{"10.0.0.0/8", a, std::nullopt}, {"198.51.100.0/24", a, b}});
    CHECK(collector.rib().received(a) == 0);
    CHECK(collector.rib().received(b) == 2);
    collector.rib().neighbor_up(a, rank(9));
    CHECK(collector.update(a, announce({"198.51.100.0/24"}, path({65001}))).empty());
    CHECK(collector.down(b).size() == 2);
    CHECK(collector.best() == a);
}

TEST_CASE("rib-in: a repetition keeps the age of a route, a change renews it") {
    Collector collector;
    const auto since = [&] { return collector.rib().best(prefix("10.0.0.0/8"))->since; };
    collector.update(a, announce({"10.0.0.0/8"}, path({65001})), start);
    collector.update(a, announce({"10.0.0.0/8"}, path({65001})), start + 1s);
    CHECK(since() == start);
    collector.update(a, announce({"10.0.0.0/8"}, path({65001, 65001})), start + 2s);
    CHECK(since() == start + 2s);
    Update moved = announce({"10.0.0.0/8"}, path({65001, 65001}));
    moved.reach.front().next_hop = Address::v4(0xc0000202);
    collector.update(a, moved, start + 3s);
    CHECK(since() == start + 3s);
    CHECK(collector.rib().received(a) == 1);
}

TEST_CASE("rib-in: only what overlaps the owned prefixes is kept") {
    RibIn rib{{prefix("198.51.100.0/24"), prefix("10.0.0.0/8"), prefix("10.1.0.0/16"),
               prefix("2001:db8::/32")},
              false,
              asn(64500)};
    rib.neighbor_up(a, rank(1));
    std::vector<BestChanged> out;
    // The same, a more specific, a less specific; beside them, one bit off.
    rib.update(
        start, a,
        announce({"198.51.100.0/24", "198.51.100.128/25", "198.51.96.0/20", "0.0.0.0/0",
                  "10.200.0.0/16", "2001:db8:5::/48", "2001:d00::/24", "198.51.101.0/24",
                  "198.51.99.0/24", "9.0.0.0/8", "11.0.0.0/8", "2001:db9::/32", "2001:db7::/32"},
                 path({65001})),
        out);
    std::vector<std::string> kept;
    rib.for_each(
        [&](const Prefix& each, const ReceivedRoute&, bool) { kept.push_back(each.to_string()); });
    CHECK(kept == std::vector<std::string>{"0.0.0.0/0", "10.200.0.0/16", "198.51.96.0/20",
                                           "198.51.100.0/24", "198.51.100.128/25", "2001:d00::/24",
                                           "2001:db8:5::/48"});
    CHECK(rib.kept(a) == 7);
    CHECK(rib.received(a) == 13);
    CHECK(out.size() == 7);
}

TEST_CASE("rib-in: overlap is found as a comparison with every owned prefix finds it") {
    Random random{3};
    const auto some = [&] {
        return *Prefix::masked(Address::v4(static_cast<std::uint32_t>(random.below(64)) << 26U),
                               static_cast<unsigned>(random.below(7)));
    };
    for (int round = 0; round < 2000; ++round) {
        std::vector<Prefix> owned;
        for (auto count = random.below(5); count > 0; --count) owned.push_back(some());
        RibIn rib{owned, false, asn(64500)};
        rib.neighbor_up(a, rank(1));
        const Prefix heard = some();
        std::vector<BestChanged> out;
        Update update = announce({}, path({65001}));
        update.reach.front().prefixes = {heard};
        rib.update(start, a, update, out);
        const bool expected =
            std::ranges::any_of(owned, [&](const Prefix& each) { return each.overlaps(heard); });
        REQUIRE((rib.best(heard) != nullptr) == expected);
    }
}

}  // namespace
}  // namespace swerve::bgp
