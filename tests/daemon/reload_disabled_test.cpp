#include "daemon/operations/reload_disabled.hpp"

#include <doctest/doctest.h>

#include "swerve/conf/load.hpp"
#include "tests/support/snapshot.hpp"

using namespace swerve;
using namespace swerve::test;
using daemon::Reenabled;

namespace {

[[nodiscard]] conf::Config with(const std::string& neighbors) {
    const auto loaded = conf::load_text(R"(site: fra1
local_as: 64500
router_id: 192.0.2.1
owned: [198.51.100.0/24]
bgp: {listen: ["127.0.0.2:1179"]}
neighbors:
  other: {address: 192.0.2.7, remote_as: 64496}
)" + neighbors,
                                        "test.yaml");
    REQUIRE(loaded.has_value());
    return **loaded;
}

/// What comes up when this is in force, after `name` was disabled at 192.0.2.254.
[[nodiscard]] std::vector<Reenabled> after(const std::string& neighbors,
                                           const std::string& name = "upstream-a") {
    daemon::NeighborView view = sample_neighbor_view(sample_neighbor(name, "192.0.2.254"));
    view.disabled = true;
    const daemon::NeighborView other = sample_neighbor_view(sample_neighbor("other", "192.0.2.7"));
    return daemon::reenabled(with(neighbors), std::vector{view, other});
}

using Found = std::vector<Reenabled>;

}  // namespace

TEST_CASE("reload: the word of an operator does not follow an address to another name") {
    CHECK(after("  upstream-x: {address: 192.0.2.254, remote_as: 64496}\n") ==
          Found{{"upstream-x", "upstream-a"}});
    CHECK(after("  lan: {range: 192.0.2.128/25, remote_as: 64496}\n"
                "  all: {range: 192.0.2.0/24, remote_as: 64496}\n") ==
          Found{{"lan-192.0.2.254", "upstream-a"}});
    CHECK(after("  upstream-x: {address: 192.0.2.254, remote_as: 64496}\n", "all-192.0.2.254") ==
          Found{{"upstream-x", "all-192.0.2.254"}});
    CHECK(after("  new: {range: 192.0.2.0/24, remote_as: 64496}\n", "all-192.0.2.254") ==
          Found{{"new-192.0.2.254", "all-192.0.2.254"}});
}

TEST_CASE("reload: nothing comes up that keeps its name, is gone or is kept down") {
    CHECK(after("").empty());
    CHECK(after("  upstream-a: {address: 192.0.2.254, remote_as: 64499}\n").empty());
    CHECK(after("  upstream-a: {address: 192.0.2.253, remote_as: 64496}\n"
                "  upstream-x: {address: 192.0.2.254, remote_as: 64496}\n")
              .empty());
    CHECK(after("  upstream-x: {address: 192.0.2.254, remote_as: 64496, admin_down: true}\n")
              .empty());
    CHECK(after("  all: {range: 192.0.2.0/24, remote_as: 64496}\n", "all-192.0.2.254").empty());
    // One that takes over the address and was disabled itself stays so.
    daemon::NeighborView gone = sample_neighbor_view(sample_neighbor("a", "192.0.2.254"));
    daemon::NeighborView heir = sample_neighbor_view(sample_neighbor("b", "192.0.2.253"));
    gone.disabled = heir.disabled = true;
    CHECK(daemon::reenabled(with("  b: {address: 192.0.2.254, remote_as: 64496}\n"),
                            std::vector{gone, heir})
              .empty());
    const daemon::NeighborView up = sample_neighbor_view(sample_neighbor("a", "192.0.2.254"));
    CHECK(
        daemon::reenabled(with("  b: {address: 192.0.2.254, remote_as: 64496}\n"), {{up}}).empty());
}
