#include "bgp/refresh_answers.hpp"

#include <utility>

#include "bgp/route_refresh.hpp"

namespace swerve::bgp {
namespace {

constexpr Duration shortest_interval = std::chrono::seconds{1};

void push(Outbox& outbox, Family family, RefreshSubtype subtype) {
    outbox.push(MessageType::route_refresh, encode(RouteRefresh{family, subtype}));
}

}  // namespace

void RefreshAnswers::asked(TimePoint now, Family family, const Session& session) {
    Owed& owed = owed_[static_cast<std::size_t>(family)];
    const Rest rest = rest_of(family);
    if (rests_.armed(rest)) {
        owed.answer = true;
        return;
    }
    rests_.set(rest, now + shortest_interval);
    // RFC 7313 §4: with graceful restart no BoRR goes before the End-of-RIB.
    if (session.negotiated.remote_restart && session.rib.end_of_rib_due(family)) {
        owed.answer = true;
        return;
    }
    if (session.negotiated.enhanced_route_refresh) {
        push(session.outbox, family, RefreshSubtype::begin);
        owed.end = true;
    }
    session.rib.refresh(family);
    sent(session);
}

void RefreshAnswers::tick(TimePoint now, const Session& session) {
    for (const Family family : all_families) {
        Owed& owed = owed_[static_cast<std::size_t>(family)];
        const bool rested = rests_.take_expired(rest_of(family), now);
        if (rested && std::exchange(owed.answer, false)) asked(now, family, session);
    }
}

void RefreshAnswers::sent(const Session& session) {
    for (const Family family : all_families) {
        Owed& owed = owed_[static_cast<std::size_t>(family)];
        if (!owed.end || session.rib.refreshing(family)) continue;
        push(session.outbox, family, RefreshSubtype::end);
        owed.end = false;
    }
}

}  // namespace swerve::bgp
