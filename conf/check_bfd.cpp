// The rules about BFD that look at more than one key.

#include <fmt/format.h>

#include "conf/draft.hpp"
#include "conf/subject.hpp"

namespace swerve::conf {

namespace {

/// A shorter one is over before a busy machine has given both ends their turn.
constexpr Duration shortest_detection = std::chrono::milliseconds{30};

Duration detection_time(const Bfd& bfd) { return bfd.timing.multiplier * bfd.timing.min_tx; }

std::string product(const Bfd& bfd) {
    return fmt::format("{} × {}", bfd.timing.multiplier, format_duration(bfd.timing.min_tx));
}

void check_timing(const Subject& subject, const Bfd& bfd) {
    if (!subject.sound("bfd.interval") || !subject.sound("bfd.multiplier")) return;
    if (detection_time(bfd) >= shortest_detection) return;
    subject.fault(
        {"bfd", subject.has({"bfd", "interval"}) ? "interval" : "multiplier"},
        fmt::format("{} = {} until a neighbor counts as gone is less than {}", product(bfd),
                    format_duration(detection_time(bfd)), format_duration(shortest_detection)),
        "a machine that is busy for so long would look dead");
}

/// The sockets of a session are bound to its own address, so that several daemons of one host do
/// not collide, and a packet is of one session alone.
void check_own_address(const Subject& subject, const Neighbor& neighbor) {
    if (!subject.sound("local_address")) return;
    if (!neighbor.local_address) {
        subject.fault({"bfd"}, "needs local_address",
                      "set it to the address that the neighbor has of this site");
        return;
    }
    if (!subject.sound("address")) return;
    const bool is_link_local = neighbor.address.is_ipv6_link_local();
    const bool is_same_family = neighbor.local_address->family() == neighbor.address.family();
    if (!is_same_family || neighbor.local_address->is_ipv6_link_local() == is_link_local) return;
    subject.fault({"local_address"},
                  quote(neighbor.local_address->to_string()) +
                      (is_link_local ? " is not link-local, and the neighbor's address is"
                                     : " is link-local, and the neighbor's address is not"),
                  "BFD goes from the address that the neighbor knows this site by");
}

/// Whether what reaches the neighbor's BGP reaches its BFD, too.
void check_reach(const Subject& subject, const Neighbor& neighbor) {
    if (!subject.sound("bfd.multihop")) return;
    if (neighbor.bfd->multihop) {
        if (!subject.sound("address") || !neighbor.address.is_ipv6_link_local()) return;
        subject.fault({"bfd", "multihop"}, "a link-local neighbor is never some hops away",
                      "remove it");
        return;
    }
    const bool is_far = neighbor.multihop && subject.sound("multihop");
    const bool may_be_far = neighbor.ttl_security.value_or(1) > 1 && subject.sound("ttl_security");
    if (!is_far && !may_be_far) return;
    const std::string_view key = is_far ? "multihop" : "ttl_security";
    subject.fault(
        {"bfd"},
        fmt::format("reaches one hop, and {} says that the neighbor may be further away", key),
        fmt::format("set bfd.multihop to the hops to it at most, like {}",
                    is_far ? *neighbor.multihop : *neighbor.ttl_security));
}

}  // namespace

void check_bfd(const Subject& subject, const Neighbor& neighbor) {
    if (!neighbor.bfd || !subject.sound("bfd")) return;
    if (!subject.sound("range") || (neighbor.range && !subject.sound("address"))) return;
    if (neighbor.range) {
        subject.fault({"bfd"}, "does not go with range",
                      "nobody of a range is known before it calls; give each its own neighbor");
        return;
    }
    check_timing(subject, *neighbor.bfd);
    check_own_address(subject, neighbor);
    check_reach(subject, neighbor);
}

void warn_of_bfd(Draft& draft, const Faults& faults) {
    for (std::size_t i = 0; i < draft.neighbors.size(); ++i) {
        const Neighbor& neighbor = draft.config.neighbors[i];
        const bool has_hold_time = neighbor.hold_time > Duration{};
        if (!neighbor.bfd || !has_hold_time || detection_time(*neighbor.bfd) < neighbor.hold_time) {
            continue;
        }
        const Place place = draft.neighbors[i].at({"bfd"});
        draft.config.warnings.push_back(
            {.file = faults.file(),
             .line = place.line,
             .column = place.column,
             .path = draft.neighbors[i].path + ".bfd",
             .message =
                 fmt::format("is of no use: {} = {} is not shorter than the hold time of {}",
                             product(*neighbor.bfd), format_duration(detection_time(*neighbor.bfd)),
                             format_duration(neighbor.hold_time)),
             .hint = "set a shorter interval or a smaller multiplier",
             .severity = Severity::warning});
    }
}

}  // namespace swerve::conf
