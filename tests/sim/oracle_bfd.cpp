// What BFD has to do with BGP, as a neighbor sees it (RFC 5882).

#include <algorithm>
#include <array>

#include "tests/sim/oracle.hpp"

namespace swerve::sim {

using daemon::NeighborId;

void Oracle::told(const daemon::Speaker& speaker, const bfd::Report& report) {
    const daemon::Neighbor* const neighbor = speaker.neighbors().find(report.owner);
    if (neighbor == nullptr) return;
    Bfd& known = bfd_[neighbor->address];
    const bool was_up = known.last.state == bfd::State::up;
    known.failed = was_up && report.state != bfd::State::up &&
                   (report.cause == bfd::Cause::detection_time_expired ||
                    report.cause == bfd::Cause::neighbor_signaled_down);
    known.last = report;
}

bool Oracle::ended_by(const daemon::Speaker& speaker, const bfd::Report& report,
                      ByteView last_words) const {
    const daemon::Neighbor* const neighbor = speaker.neighbors().find(report.owner);
    if (neighbor == nullptr || !neighbor->config->bfd) return false;
    const bool is_up = neighbor->peer.state() == bgp::State::established;
    if (!bfd_.at(neighbor->address).failed) {
        if (is_up) return false;
        violate("S12", "{}: the session with {} is ended by a word of BFD that is no failure: {}",
                site_, neighbor->name, to_string(report.cause));
    }
    if (is_up) {
        violate("S11", "{}: BFD is down and the session with {} is not", site_, neighbor->name);
    }
    // RFC 9384: Cease (6), BFD Down (10).
    constexpr std::array<std::uint8_t, 5> words{0, 21, 3, 6, 10};
    if (!last_words.empty() && (last_words.size() < words.size() ||
                                !std::ranges::equal(last_words.last(words.size()), words))) {
        violate("S11", "{}: the session with {} does not end with Cease/BFD Down", site_,
                neighbor->name);
    }
    return true;
}

// S13: RFC 5882 §4.1 as `strict` has it.
void Oracle::opens(const daemon::Speaker& speaker, NeighborId id) const {
    const daemon::Neighbor& neighbor = *speaker.neighbors().find(id);
    if (!neighbor.config->bfd || !neighbor.config->bfd->strict) return;
    const auto known = bfd_.find(neighbor.address);
    if (known != bfd_.end() &&
        (known->second.last.state == bfd::State::up || known->second.last.neighbor_admin_down)) {
        return;
    }
    violate("S13", "{}: an OPEN goes to {} before BFD is up", site_, neighbor.name);
}

bool Oracle::bfd_is_up(const daemon::Neighbor& neighbor) const {
    const auto known = bfd_.find(neighbor.address);
    return known != bfd_.end() && known->second.last.state == bfd::State::up;
}

}  // namespace swerve::sim
