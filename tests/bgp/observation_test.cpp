#include "swerve/bgp/observation.hpp"

#include <doctest/doctest.h>

#include <set>
#include <string>
#include <utility>
#include <vector>

namespace swerve::bgp {
namespace {

constexpr NeighborId a = 1;
constexpr NeighborId b = 2;
constexpr std::uint32_t our_as = 64500;

Prefix prefix(std::string_view text) { return Prefix::parse(text).value(); }
Asn asn(std::uint32_t number) { return Asn::from(number).value(); }

const Prefix own = prefix("198.51.100.0/24");
const Prefix own6 = prefix("2001:db8::/32");
const FamilySet both{Family::ipv4, Family::ipv6};

/// A route with this path, and the number of the site that attached it, if one did.
PathAttributes route(std::vector<std::uint32_t> asns, std::optional<std::uint32_t> site = {}) {
    PathAttributes out;
    out.as_path.segments.push_back({AsPathSegment::Type::as_sequence, {}});
    for (const auto number : asns) out.as_path.segments.back().asns.push_back(asn(number));
    out.large_communities = {{our_as, 2, 9}, {1, 1, 9}};  // not the site's
    if (site) out.large_communities.push_back({our_as, 1, *site});
    return out;
}

/// The site 64500:1:7 with two neighbors.
class Watch {
public:
    Watch() {
        for (const NeighborId id : {a, b}) {
            rib_.neighbor_up(id, {false, RouterId::from(id).value(), Address::v4(id)});
        }
    }

    Watch& hears(NeighborId from, std::string_view of, const PathAttributes& attributes,
                 PathId path_id = 0) {
        Update update;
        update.attributes = std::make_shared<const PathAttributes>(attributes);
        update.reach.push_back({Address::v4(0xc0000201), {prefix(of)}, {path_id}});
        std::vector<BestChanged> changes;
        rib_.update(TimePoint{}, from, update, changes);
        return *this;
    }
    Watch& established(NeighborId id, FamilySet end_of_rib, FamilySet add_path = {}) {
        observers_.push_back({id, end_of_rib, add_path});
        return *this;
    }
    Watch& announces(NeighborId to) {
        sent_.insert(to);
        return *this;
    }
    Watch& without_site_community() {
        site_community_.reset();
        return *this;
    }

    [[nodiscard]] Observation of(const Prefix& prefix) const {
        auto all = observe(std::vector{prefix}, {rib_, observers_,
                                                 [&](NeighborId id, const Prefix& each) {
                                                     return each == own && sent_.contains(id);
                                                 },
                                                 site_community_});
        REQUIRE(all.size() == 1);
        CHECK(all[0].prefix == prefix);
        return std::move(all[0]);
    }
    [[nodiscard]] std::string_view visibility() const { return to_string(of(own).visibility); }

private:
    RibIn rib_{{own, own6}, false, asn(our_as)};
    std::vector<Observer> observers_;
    std::set<NeighborId> sent_;
    std::optional<LargeCommunity> site_community_{{our_as, 1, 7}};
};

TEST_CASE("observation: nobody to ask, nothing observable") {
    CHECK(Watch{}.visibility() == "not_observable");
    CHECK(Watch{}.established(a, {}).visibility() == "not_observable");
    // End-of-RIB of the other family says nothing.
    CHECK(Watch{}.established(a, {Family::ipv6}).visibility() == "not_observable");
}

TEST_CASE("observation: the silence of a neighbor that would tell is not_seen") {
    CHECK(Watch{}.established(a, both).visibility() == "not_seen");
    // One is enough.
    CHECK(Watch{}.established(a, {}).established(b, both).visibility() == "not_seen");
}

TEST_CASE("observation: a neighbor whose best route is ours says nothing about others") {
    CHECK(Watch{}.established(a, both).announces(a).visibility() == "not_observable");
    CHECK(Watch{}.established(a, both).announces(a).established(b, both).visibility() ==
          "not_seen");
}

TEST_CASE("observation: RFC 7911 §2: a neighbor that tells all its paths is asked all the same") {
    CHECK(Watch{}.established(a, both, {Family::ipv4}).announces(a).visibility() == "not_seen");
    CHECK(Watch{}.established(a, both, {Family::ipv6}).announces(a).visibility() ==
          "not_observable");
    // Before its End-of-RIB it may still have something to tell.
    CHECK(Watch{}.established(a, {}, {Family::ipv4}).announces(a).visibility() == "not_observable");
}

TEST_CASE("observation: another site's route is seen, whoever else is silent") {
    const auto observed =
        Watch{}.established(a, both).hears(b, "198.51.100.0/24", route({65001, our_as}, 8)).of(own);
    CHECK(observed.visibility == Visibility::seen);
    REQUIRE(observed.routes.size() == 1);
    CHECK(observed.routes[0].site == 8);
    CHECK_FALSE(observed.routes[0].may_be_ours);
    CHECK(observed.routes[0].route.neighbor == b);
    CHECK(observed.routes[0].route.own_as_in_path);
    CHECK(observed.routes[0].route.attributes->as_path.to_string() == "65001 64500");
    CHECK(observed.routes[0].route.next_hop == Address::v4(0xc0000201));
}

TEST_CASE("observation: somebody else's route for our prefix is seen, too") {
    const auto observed = Watch{}.hears(a, "198.51.100.0/24", route({65001, 65009})).of(own);
    CHECK(observed.visibility == Visibility::seen);
    CHECK_FALSE(observed.routes[0].site);
    CHECK_FALSE(observed.routes[0].may_be_ours);
}

TEST_CASE("observation: our own route that comes back is not another site's") {
    const auto echo = route({65001, our_as}, 7);
    const auto heard = [&] { return Watch{}.hears(a, "198.51.100.0/24", echo); };
    CHECK(heard().established(a, both).visibility() == "not_observable");
    CHECK(heard().of(own).routes.at(0).may_be_ours);
    // All paths and none but ours; and a second neighbor that tells nothing.
    CHECK(heard().established(a, both, both).visibility() == "not_seen");
    CHECK(heard().established(a, both).established(b, both).visibility() == "not_seen");
    // Beside it, the other site's path.
    CHECK(heard()
              .hears(a, "198.51.100.0/24", route({65001, our_as}, 8), 2)
              .established(a, both, both)
              .visibility() == "seen");
}

TEST_CASE("observation: without the community of a site an echo cannot be told from another site") {
    const auto heard = [] {
        return Watch{}.without_site_community().hears(a, "198.51.100.0/24",
                                                      route({65001, our_as}, 8));
    };
    // We announce nothing, so it is not ours.
    CHECK(heard().established(a, both).visibility() == "seen");
    // We do: it may be ours, and it may be not.
    CHECK(heard().established(a, both).established(b, both).announces(b).visibility() ==
          "not_observable");
    CHECK(heard().established(a, both, both).announces(a).visibility() == "not_observable");
    // A route without our AS in its path is surely another's.
    CHECK(Watch{}
              .without_site_community()
              .hears(a, "198.51.100.0/24", route({65001, 65009}))
              .established(b, both)
              .announces(b)
              .visibility() == "seen");
}

TEST_CASE("observation: less and more specific routes stand apart and decide nothing") {
    const auto observed = Watch{}
                              .established(a, both)
                              .hears(a, "198.51.0.0/16", route({65001}))
                              .hears(a, "0.0.0.0/0", route({65001}))
                              .hears(b, "198.51.100.64/26", route({65001, our_as}, 8))
                              .hears(b, "2001:db8::/32", route({65001}))
                              .of(own);
    CHECK(observed.visibility == Visibility::not_seen);
    CHECK(observed.routes.empty());
    REQUIRE(observed.covering.size() == 2);
    CHECK(observed.covering[0].prefix == prefix("0.0.0.0/0"));
    CHECK(observed.covering[1].prefix == prefix("198.51.0.0/16"));
    REQUIRE(observed.inside.size() == 1);
    CHECK(observed.inside[0].prefix == prefix("198.51.100.64/26"));
    CHECK(observed.inside[0].site == 8);
}

TEST_CASE("observation: each prefix has its own answer, in the order asked") {
    RibIn rib{{own, own6}, false, asn(our_as)};
    const std::vector<Observer> observers{{a, {Family::ipv6}, {}}};
    const auto all = observe(std::vector{own6, own},
                             {rib, observers, [](NeighborId, const Prefix&) { return false; }});
    REQUIRE(all.size() == 2);
    CHECK(all[0].prefix == own6);
    CHECK(all[0].visibility == Visibility::not_seen);
    CHECK(all[1].visibility == Visibility::not_observable);
}

}  // namespace
}  // namespace swerve::bgp
