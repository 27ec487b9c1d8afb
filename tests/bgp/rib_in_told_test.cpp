// What RibIn knows of each neighbor beside the best routes: several paths of a prefix, refreshes,
// leaks, and how much was told and is held.

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "swerve/bgp/rib_in.hpp"
#include "tests/support/memory.hpp"

namespace swerve::bgp {
namespace {

using namespace std::chrono_literals;

constexpr TimePoint start{1h};
constexpr NeighborId a = 1;
constexpr NeighborId b = 2;

Prefix prefix(std::string_view text) { return Prefix::parse(text).value(); }
Asn asn(std::uint32_t number) { return Asn::from(number).value(); }

PathAttributes path(std::vector<std::uint32_t> asns) {
    PathAttributes out;
    out.as_path.segments.push_back({AsPathSegment::Type::as_sequence, {}});
    for (const auto number : asns) out.as_path.segments.back().asns.push_back(asn(number));
    return out;
}

Update announce(const std::vector<Prefix>& prefixes, const PathAttributes& attributes,
                const PathIds& path_ids = {}) {
    Update out;
    out.attributes = std::make_shared<const PathAttributes>(attributes);
    out.reach.push_back({Address::v4(0xc0000201), prefixes, path_ids});
    return out;
}

Update withdraw(const std::vector<Prefix>& prefixes, const PathIds& path_ids = {}) {
    Update out;
    out.withdrawn = prefixes;
    out.withdrawn_path_ids = path_ids;
    return out;
}

const Prefix own = prefix("198.51.100.0/24");
const Prefix own6 = prefix("2001:db8::/32");
const Prefix foreign = prefix("203.0.113.0/24");

/// A site that owns two prefixes, with two external neighbors.
struct Site {
    explicit Site(const NeighborRank& of_a = rank(1), const NeighborRank& of_b = rank(2)) {
        rib.neighbor_up(a, of_a);
        rib.neighbor_up(b, of_b);
    }

    static NeighborRank rank(std::uint32_t router_id) {
        return {false, RouterId::from(router_id).value(), Address::v4(router_id)};
    }
    void update(NeighborId neighbor, const Update& update, TimePoint now = start) {
        rib.update(now, neighbor, update, changes);
    }
    /// "neighbor/path id" of each route, the best with a star.
    [[nodiscard]] std::string told(const Prefix& of = own) const {
        std::string out;
        for (const ReceivedRoute& route : rib.routes(of)) {
            out += (out.empty() ? "" : " ") + std::to_string(route.neighbor) + "/" +
                   std::to_string(route.path_id);
            if (&route == rib.best(of)) out += "*";
        }
        return out;
    }

    RibIn rib{{own, own6}, false, asn(64500)};
    std::vector<BestChanged> changes;
};

TEST_CASE("rib-in: RFC 7911 §2: several paths of a neighbor stand beside each other") {
    Site site;
    site.update(a, announce({own, own}, path({65001, 65009}), {2, 1}));
    CHECK(site.told() == "1/1* 1/2");
    CHECK(site.rib.kept(a) == 2);
    // The same identifier replaces its own path only.
    site.update(a, announce({own}, path({65001}), {2}));
    CHECK(site.told() == "1/2* 1/1");
    site.update(b, announce({own}, path({65002})));
    CHECK(site.told() == "1/2* 1/1 2/0");
    // So does a withdraw; one of an identifier that is not there does nothing.
    site.update(a, withdraw({own}, {3}));
    site.update(a, withdraw({own}));
    CHECK(site.told() == "1/2* 1/1 2/0");
    site.update(a, withdraw({own}, {2}));
    CHECK(site.told() == "2/0* 1/1");
    CHECK(site.rib.kept(a) == 1);
    site.rib.neighbor_down(b, site.changes);
    CHECK(site.told() == "1/1*");
    site.update(a, withdraw({own}, {1}));
    CHECK(site.told() == "");
    CHECK(site.rib.kept(a) == 0);
    CHECK(site.rib.kept_octets(a) == 0);
}

TEST_CASE("rib-in: RFC 4271 §4.3: withdrawn and announced in one UPDATE means each path its own") {
    Site site;
    site.update(a, announce({own, own}, path({65001}), {1, 2}));
    Update both = announce({own}, path({65001, 65002}), {1});
    both.withdrawn = {own, own};
    both.withdrawn_path_ids = {1, 2};
    site.update(a, both);
    CHECK(site.told() == "1/1*");
}

TEST_CASE("rib-in: RFC 7313 §4: what a refresh does not repeat is gone at its end") {
    Site site;
    const Prefix more = prefix("198.51.100.128/25");
    site.update(a, announce({own, more}, path({65001})));
    site.update(a, announce({own6}, path({65001})));
    site.update(b, announce({own}, path({65002, 65003})));
    site.rib.refresh_begun(a, Family::ipv4);
    site.update(a, announce({own}, path({65001})), start + 5s);
    CHECK(site.rib.kept(a) == 3);
    site.changes.clear();
    site.rib.refresh_ended(a, Family::ipv4, site.changes);
    REQUIRE(site.changes.size() == 1);
    CHECK(site.changes[0].prefix == more);
    CHECK(site.told() == "1/0* 2/0");
    CHECK(site.told(more) == "");
    CHECK(site.told(own6) == "1/0*");
    CHECK(site.rib.kept(a) == 2);
    // What was repeated is as old as before.
    CHECK(site.rib.best(own)->since == start);
}

TEST_CASE("rib-in: RFC 7313 §4: odd refreshes") {
    Site site;
    site.update(a, announce({own}, path({65001})));
    SUBCASE("an end without a beginning forgets nothing") {
        site.rib.refresh_ended(a, Family::ipv4, site.changes);
        CHECK(site.told() == "1/0*");
        site.rib.refresh_begun(a, Family::ipv6);
        site.rib.refresh_ended(a, Family::ipv4, site.changes);
        CHECK(site.told() == "1/0*");
    }
    SUBCASE("a second beginning starts over") {
        site.rib.refresh_begun(a, Family::ipv4);
        site.update(a, announce({own}, path({65001})));
        site.rib.refresh_begun(a, Family::ipv4);
        site.rib.refresh_ended(a, Family::ipv4, site.changes);
        CHECK(site.told() == "");
        CHECK(site.rib.kept(a) == 0);
    }
    SUBCASE("withdrawn or new meanwhile") {
        site.rib.refresh_begun(a, Family::ipv4);
        site.update(a, withdraw({own}));
        site.update(a, announce({own}, path({65001, 65001})));
        site.rib.refresh_ended(a, Family::ipv4, site.changes);
        CHECK(site.told() == "1/0*");
        // And a second, complete one.
        site.rib.refresh_begun(a, Family::ipv4);
        site.rib.refresh_ended(a, Family::ipv4, site.changes);
        CHECK(site.told() == "");
    }
    SUBCASE("a session that ends in the middle leaves nothing behind") {
        site.rib.refresh_begun(a, Family::ipv4);
        site.rib.neighbor_down(a, site.changes);
        site.rib.refresh_ended(a, Family::ipv4, site.changes);
        site.rib.neighbor_up(a, Site::rank(1));
        site.update(a, announce({own}, path({65001})));
        site.rib.refresh_ended(a, Family::ipv4, site.changes);
        CHECK(site.told() == "1/0*");
    }
    SUBCASE("each path of its own") {
        site.update(a, announce({own}, path({65001}), {1}));
        site.rib.refresh_begun(a, Family::ipv4);
        site.update(a, announce({own}, path({65001}), {1}));
        site.rib.refresh_ended(a, Family::ipv4, site.changes);
        CHECK(site.told() == "1/1*");
    }
}

TEST_CASE("rib-in: RFC 9234 §5: a leaked route is kept and never best") {
    const auto best_with = [](std::optional<Role> role, std::optional<std::uint32_t> marked_by,
                              bool internal = false) {
        NeighborRank of_a = Site::rank(1);
        of_a.role = role;
        of_a.remote_as = asn(65001);
        of_a.internal = internal;
        Site site{of_a};
        PathAttributes attributes = path({65001});
        if (marked_by) attributes.only_to_customer = asn(*marked_by);
        site.update(a, announce({own}, attributes));
        REQUIRE(site.rib.kept(a) == 1);
        CHECK(site.rib.routes(own)[0].leaked == (site.rib.best(own) == nullptr));
        return site.rib.best(own) != nullptr;
    };
    // From a customer, or a client of our route server: any mark is a leak.
    for (const Role role : {Role::provider, Role::route_server}) {
        CHECK(best_with(role, std::nullopt));
        CHECK_FALSE(best_with(role, 65001));
        CHECK_FALSE(best_with(role, 65009));
    }
    // From a peer: its own mark is right.
    CHECK(best_with(Role::peer, std::nullopt));
    CHECK(best_with(Role::peer, 65001));
    CHECK_FALSE(best_with(Role::peer, 65009));
    // From a provider, or a route server: any.
    for (const Role role : {Role::customer, Role::route_server_client}) {
        CHECK(best_with(role, 65009));
        CHECK(best_with(role, std::nullopt));
    }
    CHECK(best_with(std::nullopt, 65009));
    CHECK(best_with(Role::provider, 65009, true));
}

TEST_CASE("rib-in: a leaked route gives way, and comes back when the mark goes") {
    NeighborRank of_a = Site::rank(1);
    of_a.role = Role::provider;
    Site site{of_a};
    PathAttributes marked = path({65001});
    marked.only_to_customer = asn(65001);
    site.update(a, announce({own}, marked));
    site.update(b, announce({own}, path({65002, 65003})));
    CHECK(site.told() == "2/0* 1/0");
    site.update(a, announce({own}, path({65001})));
    CHECK(site.told() == "1/0* 2/0");
}

TEST_CASE("rib-in: RFC 4271 §9.1.2: the AS of the session is ours, too") {
    NeighborRank of_a = Site::rank(1);
    of_a.local_as = asn(64999);
    Site site{of_a};
    site.update(a, announce({own}, path({65001, 64999})));
    CHECK(site.told() == "1/0");
    site.update(a, announce({own}, path({65001, 64500})));
    CHECK(site.told() == "1/0");
    site.update(b, announce({own}, path({65001, 64999})));
    CHECK(site.told() == "2/0* 1/0");
}

TEST_CASE("rib-in: received counts announced minus withdrawn, kept or not, repetitions once") {
    Site site;
    site.update(a, announce({own, foreign, prefix("0.0.0.0/0")}, path({65001})));
    CHECK(site.rib.kept(a) == 2);
    CHECK(site.rib.received(a) == 3);
    for (std::uint32_t i = 0; i < 10; ++i) {
        site.update(a, announce({own, foreign}, path({65001, 65002 + i})));
    }
    CHECK(site.rib.received(a) == 3);
    // Each path of its own.
    site.update(a, announce({foreign, foreign}, path({65001}), {1, 2}));
    CHECK(site.rib.received(a) == 5);
    site.update(a, withdraw({foreign, foreign, own}, {1, 0, 0}));
    CHECK(site.rib.received(a) == 2);
    site.update(a, withdraw({foreign, prefix("192.0.2.0/24")}, {2, 0}));
    CHECK(site.rib.received(a) == 1);
    CHECK(site.rib.received(b) == 0);
    site.rib.neighbor_down(a, site.changes);
    CHECK(site.rib.received(a) == 0);
    // A refresh counts anew.
    site.update(b, announce({own, foreign, prefix("192.0.2.0/24")}, path({65001})));
    site.rib.refresh_begun(b, Family::ipv4);
    site.update(b, announce({own, foreign}, path({65001})));
    site.rib.refresh_ended(b, Family::ipv4, site.changes);
    CHECK(site.rib.received(b) == 2);
}

TEST_CASE("rib-in: a change of what is owned moves routes between kept and received") {
    Site site;
    site.update(a, announce({own, foreign}, path({65001})));
    site.rib.reconfigure({foreign}, asn(64500), site.changes);
    CHECK(site.rib.kept(a) == 0);
    CHECK(site.rib.received(a) == 2);
    site.update(a, announce({own, foreign}, path({65001})));
    CHECK(site.rib.kept(a) == 1);
    CHECK(site.rib.received(a) == 2);
}

TEST_CASE("rib-in: octets held grow with the attributes and go with the routes") {
    Site site;
    site.update(a, announce({own}, path({65001})));
    const std::size_t small = site.rib.kept_octets(a);
    CHECK(small > sizeof(ReceivedRoute) + sizeof(PathAttributes));
    PathAttributes large = path(std::vector<std::uint32_t>(1000, 65001));
    large.communities.assign(500, Community{1});
    large.large_communities.assign(100, LargeCommunity{1, 2, 3});
    large.extended_communities.assign(100, ExtendedCommunity{4});
    site.update(a, announce({own}, large));
    CHECK(site.rib.kept_octets(a) == small + 999 * 4 + 500 * 4 + 100 * 12 + 100 * 8);
    site.update(a, announce({own6}, path({65001})));
    site.update(a, withdraw({own}));
    CHECK(site.rib.kept_octets(a) == small);
    site.update(a, withdraw({own6}));
    CHECK(site.rib.kept_octets(a) == 0);
}

TEST_CASE("rib-in: malformed 49: a million foreign routes are counted and take no memory") {
    Site site;
    site.update(a, announce({own, foreign}, path({65001})));  // what is made once is made now
    constexpr std::uint32_t at_once = 1000;
    const auto tell = [&](bool announced, std::uint32_t routes = 1'000'000) {
        for (std::uint32_t first = 0; first < routes; first += at_once) {
            Update update;
            auto& list =
                announced ? update.reach.emplace_back(Address::v4(1)).prefixes : update.withdrawn;
            for (std::uint32_t i = first; i < first + at_once; ++i) {
                list.push_back(*Prefix::masked(Address::v4(0x0a000000 + (i << 8U)), 24));
            }
            update.attributes = std::make_shared<const PathAttributes>(path({65001}));
            site.update(a, update);
        }
    };
    tell(true, at_once);
    const test::MemoryHeld before;
    tell(true);
    CHECK(before.grown() < 1024);
    CHECK(site.rib.kept(a) == 1);
    CHECK(site.rib.received(a) > 995'000);
    CHECK(site.rib.received(a) < 1'005'000);
    tell(true);
    CHECK(site.rib.received(a) < 1'005'000);
    tell(false);
    CHECK(site.rib.received(a) <= 2);
    CHECK(before.grown() < 1024);
}

TEST_CASE("rib-in: overlapping prefixes are visited from the outermost in, nothing else is") {
    RibIn rib{{}, true, asn(64500)};
    rib.neighbor_up(a, Site::rank(1));
    std::vector<BestChanged> changes;
    std::vector<Prefix> all;
    for (const auto* text : {"0.0.0.0/0", "198.51.96.0/20", "198.51.100.0/24", "198.51.100.0/25",
                             "198.51.100.128/25", "198.51.101.0/24", "198.51.99.0/24", "::/0"}) {
        all.push_back(prefix(text));
    }
    rib.update(start, a, announce(all, path({65001})), changes);
    const auto visited = [&](const Prefix& of) {
        std::string out;
        rib.for_each_overlapping(of, [&](const Prefix& each, const ReceivedRoute&, bool best) {
            CHECK(best);
            out += each.to_string() + " ";
        });
        return out;
    };
    CHECK(visited(own) ==
          "0.0.0.0/0 198.51.96.0/20 198.51.100.0/24 198.51.100.0/25 198.51.100.128/25 ");
    CHECK(visited(prefix("198.51.100.0/23")) ==
          "0.0.0.0/0 198.51.96.0/20 198.51.100.0/24 198.51.100.0/25 198.51.100.128/25 "
          "198.51.101.0/24 ");
    CHECK(visited(prefix("203.0.113.0/24")) == "0.0.0.0/0 ");
    CHECK(visited(own6) == "::/0 ");
    CHECK(visited(prefix("::/0")) == "::/0 ");
}

}  // namespace
}  // namespace swerve::bgp
