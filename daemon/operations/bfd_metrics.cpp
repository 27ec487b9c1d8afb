#include "daemon/operations/bfd_metrics.hpp"

#include <array>
#include <string>

#include "daemon/operations/bfd_view.hpp"
#include "daemon/operations/json_text.hpp"
#include "daemon/operations/metric_builder.hpp"

namespace swerve::daemon {
namespace {

using metric::counter;
using metric::gauge;
using metric::histogram;
using metric::Labels;

using DiscardCounts = std::array<std::uint64_t, bfd::discard_count>;

void add_discards(metric::Builder& out, const std::string& neighbor, const DiscardCounts& counts) {
    for (std::size_t i = 0; i < counts.size(); ++i) {
        const auto reason = static_cast<bfd::Discard>(i);
        out.add({{"neighbor", neighbor}, {"reason", std::string{to_string(reason)}}}, counts[i]);
    }
}

/// Of the loop with all its sessions.
void add_loop(const BfdSnapshot& loop, std::vector<prometheus::MetricFamily>& out) {
    auto lateness = histogram("swerve_bfd_lateness_seconds",
                              "How late the timer of the BFD sessions was served.");
    lateness.add({}, loop.lateness);
    auto realtime = gauge("swerve_bfd_realtime",
                          "1 while the bfd loop runs with real-time priority and locked memory.");
    realtime.add({}, loop.realtime ? 1 : 0);
    metric::move_all(out, lateness, realtime);
}

}  // namespace

void add_bfd(const Snapshot& snapshot, const EventCounters& counters,
             std::vector<prometheus::MetricFamily>& out) {
    auto up = gauge("swerve_bfd_session_up", "1 while the BFD session is Up.");
    auto detection = gauge("swerve_bfd_detection_time_seconds",
                           "After which silence of the neighbor the session goes down.");
    auto sent = counter("swerve_bfd_packets_sent_total", "BFD control packets sent.");
    auto received =
        counter("swerve_bfd_packets_received_total", "BFD control packets that counted.");
    auto discards = counter("swerve_bfd_discards_total",
                            "BFD control packets that were dropped, by reason (RFC 5880).");
    auto downs = counter("swerve_bfd_session_downs_total", "How often the session left Up.");
    bool any = false;
    for (const NeighborView& neighbor : snapshot.neighbors) {
        if (!views::has_bfd(neighbor)) continue;
        any = true;
        const Labels label{{"neighbor", neighbor.name}};
        const BfdView* view = views::bfd_session(snapshot, neighbor);
        const bool is_up = view != nullptr && view->session.state == bfd::State::up;
        up.add(label, is_up ? 1 : 0);
        if (view == nullptr) continue;
        const bfd::SessionView& session = view->session;
        if (session.detection_time) detection.add(label, seconds(*session.detection_time));
        sent.add(label, view->packets_sent);
        received.add(label, session.counters.received);
        add_discards(discards, neighbor.name, session.counters.discarded);
        downs.add(label, session.counters.downs);
    }
    if (!any) return;
    add_discards(discards, "", snapshot.bfd.discarded);
    auto transitions =
        counter("swerve_bfd_session_transitions_total", "BFD sessions that came Up or left it.");
    for (const auto& [key, count] : counters.bfd_sessions()) {
        transitions.add({{"neighbor", key.first}, {"to", key.second}}, count);
    }
    metric::move_all(out, up, detection, sent, received, discards, downs, transitions);
    add_loop(snapshot.bfd, out);
}

}  // namespace swerve::daemon
