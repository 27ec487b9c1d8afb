#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "bgp/outbox.hpp"
#include "swerve/base/deadlines.hpp"
#include "swerve/base/time.hpp"
#include "swerve/bgp/adj_rib_out.hpp"
#include "swerve/bgp/open.hpp"

namespace swerve::bgp {

/// Answers a neighbor that asks for our routes once more (RFC 2918 §4): the routes, between BoRR
/// and EoRR where both sides have RFC 7313. One that asks again and again is answered once a
/// second, or it would decide how much work we do.
class RefreshAnswers {
public:
    /// What the answers are made from and where they go.
    struct Session {
        AdjRibOut& rib;
        Outbox& outbox;
        const Negotiated& negotiated;
    };

    void asked(TimePoint now, Family family, const Session& session);
    void tick(TimePoint now, const Session& session);
    /// To be told after the Adj-RIB-Out has sent something.
    void sent(const Session& session);
    [[nodiscard]] std::optional<TimePoint> next_deadline() const { return rests_.next(); }

private:
    enum class Rest : std::uint8_t { ipv4, ipv6, count_ };
    struct Owed {
        bool answer = false;  ///< a request waits for its time
        bool end = false;     ///< BoRR was sent, so EoRR must follow
    };
    [[nodiscard]] static Rest rest_of(Family family) {
        return family == Family::ipv4 ? Rest::ipv4 : Rest::ipv6;
    }

    Deadlines<Rest> rests_;
    std::array<Owed, 2> owed_;  ///< by family
};

}  // namespace swerve::bgp
