// What BFD has to do with BGP (RFC 5882 §3.2 and §4.1, RFC 9384): its failure ends the session at
// once, and nothing but `bfd.strict` waits for it.

#include <algorithm>
#include <limits>
#include <utility>

#include "daemon/speaker/speaker_parts.hpp"
#include "swerve/base/deadlines.hpp"

namespace swerve::daemon {
namespace {

/// Before the first dial after BFD ended a session; whoever calls sooner is not let in.
constexpr Duration idle_after_bfd = std::chrono::seconds{1};

/// AdminDown of a neighbor that is given up follows its BGP session's last words, which have a
/// second to arrive: some take it for a failure, and one that keeps routes over those would keep
/// them over this.
constexpr Duration bfd_after_end = std::chrono::seconds{1};

/// No neighbor ever has this number.
constexpr NeighborId nobody = std::numeric_limits<NeighborId>::max();

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
            if (report.state == bfd::State::down) return "begun anew";
            break;
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
    if (ending || neighbor.kept_down() || neighbor.waits_for_bfd()) return;
    handle(id, bgp::Start{}, turn);
}

void Speaker::Parts::bfd_reported(const bfd::Report& report, Turn turn) {
    Neighbor* found = table.find(report.owner);
    if (found == nullptr || !found->wants_bfd()) return;
    Neighbor& neighbor = *found;
    const bool waited = neighbor.waits_for_bfd();
    const bfd::State from = neighbor.bfd ? neighbor.bfd->state : bfd::State::down;
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
    }
    hold_for_bfd(report.owner, turn);
}

void Speaker::Parts::hold_for_bfd(NeighborId id, Turn turn) {
    const Neighbor& neighbor = *table.find(id);
    if (!neighbor.waits_for_bfd()) return;
    const bgp::State state = neighbor.peer.state();
    const bool is_stopped = state == bgp::State::idle && !neighbor.peer.next_deadline();
    // A pause for too many prefixes goes on, and lets nobody in.
    const bool is_paused = state == bgp::State::idle && neighbor.over_limit;
    // One that stands is left alone: BFD was switched off over there, or is strict from now on.
    if (is_stopped || is_paused || state == bgp::State::established) return;
    handle(id, bgp::Stop{bgp::cease(bgp::subcode::bfd_down)}, turn);
}

void Speaker::Parts::end_for_bfd(NeighborId id, Turn turn) {
    const Neighbor& neighbor = *table.find(id);
    if (neighbor.peer.state() < bgp::State::open_sent) return;
    const auto words = bgp::cease(bgp::subcode::bfd_down);
    if (neighbor.config->bfd->strict) {
        handle(id, bgp::Stop{words}, turn);
    } else {
        handle(id, bgp::Halt{words, idle_after_bfd}, turn);
    }
}

void Speaker::Parts::settle_bfd(Turn turn) {
    std::vector<BfdSession> next;
    for (const auto& [id, neighbor] : table) {
        if (!neighbor->wants_bfd() || neighbor->kept_down()) continue;
        const conf::Bfd& wanted = *neighbor->config->bfd;
        next.push_back({{.owner = id,
                         .key = bfd_key(*neighbor),
                         .hops = wanted.multihop.value_or(1),
                         .timing = wanted.timing,
                         .authentication = wanted.authentication},
                        std::nullopt});
    }
    for (BfdSession& known : bfd_wanted) {
        const auto is_same = [&](const BfdSession& each) {
            return each.config.key == known.config.key;
        };
        if (std::ranges::any_of(next, is_same)) continue;
        if (!known.leaves_at) known.leaves_at = turn.at.now + bfd_after_end;
        // The neighbor may have another session by now, of another kind.
        known.config.owner = nobody;
        if (*known.leaves_at > turn.at.now) {
            next.push_back(known);
        } else {
            forget_bfd(known.config.key, turn);
        }
    }
    bfd_wanted = std::move(next);
    turn.out.bfd_changed = true;
}

/// The session is no more, and so is what it told.
void Speaker::Parts::forget_bfd(const bfd::SessionKey& key, Turn turn) {
    for (const auto& [id, neighbor] : table) {
        if (!neighbor->wants_bfd() || bfd_key(*neighbor) != key) continue;
        const auto last = std::exchange(neighbor->bfd, std::nullopt);
        if (!last || last->state != bfd::State::up) continue;
        bfd::Report gone = *last;
        gone.cause = bfd::Cause::admin_down;
        turn.tell(BfdEvent{neighbor->name, last->state, bfd::State::admin_down, reason_of(gone),
                           gone.cause});
    }
}

std::optional<TimePoint> Speaker::Parts::next_bfd_leave() const {
    std::optional<TimePoint> next;
    for (const BfdSession& each : bfd_wanted) next = earlier(next, each.leaves_at);
    return next;
}

std::vector<bfd::SessionConfig> Speaker::bfd_sessions() const {
    std::vector<bfd::SessionConfig> out;
    for (const auto& each : parts_->bfd_wanted) out.push_back(each.config);
    return out;
}

}  // namespace swerve::daemon
