// What an operator changes of the BFD of a neighbor.

#include <array>

#include "tests/sim/bfd_side.hpp"
#include "tests/sim/draft.hpp"

namespace swerve::sim {

bfd::Timing some_bfd_timing(Random& random) {
    constexpr std::array intervals{100U, 150U, 300U, 300U, 300U, 500U, 1000U, 1500U};
    bfd::Timing out;
    out.min_tx = milliseconds{pick(random, intervals)};
    out.min_rx = chance(random, 70) ? out.min_tx : milliseconds{pick(random, intervals)};
    out.multiplier = static_cast<std::uint8_t>(chance(random, 60) ? 3 : between(random, 1, 6));
    return out;
}

void Draft::set_bfd(conf::Neighbor& neighbor, const BfdPlan& plan, Random& random) {
    conf::Bfd& bfd = neighbor.bfd.emplace();
    bfd.timing = some_bfd_timing(random);
    if (plan.multihop) bfd.multihop = plan.hops;
    bfd.strict = chance(random, 25);
    bfd.authentication = plan.authentication;
}

std::string Draft::replace_key(unsigned uplink, const bfd::Authentication& key) {
    const auto found = neighbors_.find(uplink);
    if (found == neighbors_.end() || !found->second.config.bfd) return "nothing changes";
    found->second.config.bfd->authentication = key;
    return found->second.config.name + " has another BFD key";
}

std::string Draft::edit_bfd(conf::Neighbor& neighbor, const BfdPlan& plan, Random& random) {
    if (!neighbor.bfd) {
        set_bfd(neighbor, plan, random);
        return neighbor.name + " gets BFD";
    }
    switch (between(random, 0, 5)) {
        case 0:
            neighbor.bfd.reset();
            return neighbor.name + " loses BFD";
        case 1:
            neighbor.bfd->strict = !neighbor.bfd->strict;
            return neighbor.name +
                   (neighbor.bfd->strict ? " is strict about BFD" : " is not strict about BFD");
        case 2:
            neighbor.bfd->timing.multiplier = static_cast<std::uint8_t>(between(random, 1, 6));
            return neighbor.name + " has another BFD multiplier";
        default:
            neighbor.bfd->timing = some_bfd_timing(random);
            return neighbor.name + " has another BFD timing";
    }
}

}  // namespace swerve::sim
