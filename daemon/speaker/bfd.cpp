// What BFD has to do with BGP (RFC 5882 §3.2 and §4.1, RFC 9384): its failure ends the session at
// once, and nothing but `bfd.strict` waits for it.

#include <utility>

#include "daemon/speaker/speaker_parts.hpp"

namespace swerve::daemon {
namespace {

/// Before the first dial after BFD ended a session; whoever calls sooner is not let in.
constexpr Duration idle_after_bfd = std::chrono::seconds{1};

/// Whether it says that the path is gone, or the neighbor. That somebody switched BFD off does not.
bool is_failure(bfd::Cause cause) {
    return cause == bfd::Cause::detection_time_expired ||
           cause == bfd::Cause::neighbor_signaled_down;
}

std::string milliseconds_text(Duration duration) {
    using std::chrono::milliseconds;
    return std::to_string(std::chrono::duration_cast<milliseconds>(duration).count()) + "ms";
}

std::string reason_of(const bfd::Report& report) {
    switch (report.cause) {
        case bfd::Cause::detection_time_expired:
            return "nothing arrived for " + milliseconds_text(report.detection_time);
        case bfd::Cause::neighbor_signaled_down:
            return "the neighbor says Down: " + std::string{to_string(report.neighbor_diagnostic)};
        case bfd::Cause::neighbor_admin_down:
            return "the neighbor switched it off (AdminDown)";
        case bfd::Cause::admin_down:
            return "switched off here";
        case bfd::Cause::path_down:
            return "the daemon hangs (Path Down)";
        case bfd::Cause::came_up:
        case bfd::Cause::neighbor_agrees:
            break;
    }
    return {};
}

}  // namespace

bfd::SessionKey bfd_key(const Neighbor& neighbor) {
    return {.local = *neighbor.config->local_address,
            .remote = neighbor.address,
            .interface = neighbor.interface,
            .multihop = neighbor.config->bfd->multihop.has_value()};
}

bool Neighbor::waits_for_bfd() const {
    if (!wants_bfd() || !config->bfd->strict) return false;
    return !bfd || (bfd->state != bfd::State::up && !bfd->neighbor_admin_down);
}

void Speaker::Parts::start(NeighborId id, Turn turn) {
    const Neighbor& neighbor = *table.find(id);
    if (!neighbor.kept_down() && !neighbor.waits_for_bfd()) handle(id, bgp::Start{}, turn);
}

void Speaker::Parts::bfd_reported(const bfd::Report& report, Turn turn) {
    Neighbor* found = table.find(report.owner);
    if (found == nullptr || !found->wants_bfd() || found->kept_down() || found->vanished) return;
    Neighbor& neighbor = *found;
    const bool waited = neighbor.waits_for_bfd();
    const bfd::State from = neighbor.bfd ? neighbor.bfd->state : bfd::State::down;
    if (!neighbor.bfd || from != report.state) neighbor.bfd_since = turn.at.now;
    neighbor.bfd = report;
    const bool lost = from == bfd::State::up && report.state != bfd::State::up;
    const bool came_up = from != bfd::State::up && report.state == bfd::State::up;
    // The cause stands before what comes of it.
    if (lost || came_up) {
        turn.tell(BfdEvent{neighbor.name, from, report.state, reason_of(report), report.cause});
    }
    if (lost && is_failure(report.cause)) {
        end_for_bfd(report.owner, turn);
    } else if (waited) {
        start(report.owner, turn);
    } else {
        hold_for_bfd(report.owner, turn);
    }
}

void Speaker::Parts::hold_for_bfd(NeighborId id, Turn turn) {
    const Neighbor& neighbor = *table.find(id);
    const bool is_stopped =
        neighbor.peer.state() == bgp::State::idle && !neighbor.peer.next_deadline();
    if (!neighbor.waits_for_bfd() || is_stopped) return;
    // One that stands is left alone: BFD was switched off over there, or is strict from now on.
    if (neighbor.peer.state() == bgp::State::established) return;
    handle(id, bgp::Stop{bgp::cease(bgp::subcode::bfd_down)}, turn);
}

void Speaker::Parts::end_for_bfd(NeighborId id, Turn turn) {
    const Neighbor& neighbor = *table.find(id);
    const auto words = bgp::cease(bgp::subcode::bfd_down);
    if (neighbor.config->bfd->strict) {
        handle(id, bgp::Stop{words}, turn);
    } else if (neighbor.peer.state() >= bgp::State::open_sent) {
        handle(id, bgp::Halt{words, idle_after_bfd}, turn);
    }
}

std::vector<bfd::SessionConfig> Speaker::bfd_sessions() const {
    std::vector<bfd::SessionConfig> out;
    for (const auto& [id, neighbor] : parts_->table) {
        if (!neighbor->wants_bfd() || neighbor->kept_down()) continue;
        const conf::Bfd& wanted = *neighbor->config->bfd;
        out.push_back({.owner = id,
                       .key = bfd_key(*neighbor),
                       .hops = wanted.multihop.value_or(1),
                       .timing = wanted.timing,
                       .authentication = wanted.authentication});
    }
    return out;
}

}  // namespace swerve::daemon
