#include "daemon/operations/rto_view.hpp"

#include <algorithm>
#include <boost/json/object.hpp>

#include "daemon/operations/bfd_view.hpp"
#include "daemon/operations/view_parts.hpp"

namespace swerve::daemon::views {

namespace json = boost::json;

namespace {

constexpr std::size_t most_shown = 10;

[[nodiscard]] json::value seconds_of(Duration duration) { return json::value(seconds(duration)); }

[[nodiscard]] json::array cases(const conf::Promise& promise) {
    json::array out;
    for (const conf::WorstCase& worst : promise.cases) {
        out.push_back(json::object{{"failure", json_string(to_string(worst.failure))},
                                   {"bound_s", or_null(worst.bound, seconds_of)},
                                   {"because", json_string(worst.because)},
                                   {"key", text_or_null(worst.key)},
                                   {"kept", conf::is_kept(promise, worst)}});
    }
    return out;
}

/// The newest first.
[[nodiscard]] json::array measured(const Snapshot& snapshot, const conf::Promise& promise) {
    json::array out;
    for (auto record = snapshot.failovers.rbegin(); record != snapshot.failovers.rend(); ++record) {
        const auto lasted = took(*record);
        if (record->subject != promise.service || !lasted) continue;
        out.push_back(json::object{{"id", record->id},
                                   {"time", json_string(rfc3339(record->wall))},
                                   {"took_s", seconds(*lasted)},
                                   {"kept", !promise.rto || *lasted <= *promise.rto},
                                   {"reason", json_string(record->reason)}});
        if (out.size() == most_shown) break;
    }
    return out;
}

}  // namespace

json::array rto(const Snapshot& snapshot, Only only) {
    json::array out;
    for (const conf::Promise& promise :
         conf::promises(*snapshot.config, negotiated_holds(snapshot))) {
        if (only && *only != promise.service) continue;
        out.push_back(json::object{{"name", json_string(promise.service)},
                                   {"rto_s", or_null(promise.rto, seconds_of)},
                                   {"cases", cases(promise)},
                                   {"failovers", measured(snapshot, promise)}});
    }
    return out;
}

std::vector<conf::NegotiatedHold> negotiated_holds(const Snapshot& snapshot) {
    std::vector<conf::NegotiatedHold> out;
    for (const NeighborView& neighbor : snapshot.neighbors) {
        if (neighbor.config == nullptr || !neighbor.negotiated) continue;
        const BfdView* bfd = bfd_session(snapshot, neighbor);
        conf::NegotiatedHold hold{neighbor.config->name, neighbor.negotiated->hold_time};
        if (bfd != nullptr && bfd->session.state == bfd::State::up) {
            hold.bfd_detection = bfd->session.neighbor_detection_time;
        }
        out.push_back(std::move(hold));
    }
    return out;
}

std::optional<Duration> took(const failover::FailoverRecord& record) {
    if (!record.complete()) return std::nullopt;
    std::optional<TimePoint> last;
    for (const auto& neighbor : record.neighbors) {
        // What was written to a session that was lost may never have arrived: the loss counts.
        const auto& reached = neighbor.acknowledged ? neighbor.acknowledged : neighbor.session_lost;
        if (reached) last = std::max(last.value_or(*reached), *reached);
    }
    if (!last) return std::nullopt;
    return *last - record.first_evidence;
}

}  // namespace swerve::daemon::views
