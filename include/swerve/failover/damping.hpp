#pragma once
// A model of the route flap damping (RFC 2439) that upstreams may apply to our routes, so that what
// is announced is not suppressed by them. It holds back announcements only; a withdraw never waits.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string_view>

#include "swerve/base/time.hpp"

namespace swerve::failover {

/// Whose parameters are assumed: `cisco` (also FRR), `junos`, or the recommendation of RFC 7196.
enum class DampingProfile : std::uint8_t { none, rfc7196, cisco, junos };
[[nodiscard]] std::string_view to_string(DampingProfile profile);

struct DampingPolicy {
    DampingProfile profile = DampingProfile::none;
    /// From a withdraw to the next announcement at least.
    Duration hold_down{};
    /// Withdrawals in any hour after which an announcement waits; 0: not limited.
    unsigned changes_per_hour = 0;

    friend bool operator==(const DampingPolicy&, const DampingPolicy&) = default;
};

/// Figures of a profile: penalties have no unit, only their ratio to the threshold counts.
struct DampingFigures {
    double withdraw;
    double announce;   ///< an announcement after a withdraw
    double attribute;  ///< an announcement with other attributes
    double suppress;   ///< above this a route is suppressed
    double ceiling;    ///< the penalty never exceeds this
    Duration half_life;
};
/// Those of `none` are cisco's: it counts, and lets everything pass.
[[nodiscard]] DampingFigures figures_of(DampingProfile profile);

/// What one service has cost so far.
class Damping {
public:
    explicit Damping(DampingPolicy policy) : policy_(policy) {}

    // What was shown to the network. A withdraw of what is withdrawn, or an announcement of what is
    // not, changes nothing there and costs nothing.
    void withdrawn(TimePoint now);
    void announced(TimePoint now);
    void changed(TimePoint now);  ///< other attributes

    /// How many there were in the last hour.
    [[nodiscard]] std::size_t withdrawals(TimePoint now) const;
    /// Of this moment; at least 0, at most the profile's ceiling.
    [[nodiscard]] double penalty(TimePoint now) const;

    /// What holds an announcement back.
    enum class Cause : std::uint8_t { penalty, hold_down, changes_per_hour };
    struct Wait {
        TimePoint until;  ///< always later than the moment of the question
        Cause cause;
        bool too_often = false;  ///< `changes_per_hour` is reached, whichever cause ends last

        friend bool operator==(const Wait&, const Wait&) = default;
    };
    /// Until when an announcement must wait so that it, and one more emergency withdraw right
    /// behind it, stay below the threshold; nothing: it may go now. Attributes that become worse
    /// between the two never wait, and each such change may exceed the threshold by its cost. Of
    /// several causes the one that ends last.
    [[nodiscard]] std::optional<Wait> wait_to_announce(TimePoint now) const;
    /// The same for better attributes of what is announced already, for which only the penalty
    /// counts.
    [[nodiscard]] std::optional<Wait> wait_to_change(TimePoint now) const;

    [[nodiscard]] const DampingPolicy& policy() const { return policy_; }
    /// Goes on with what it has cost so far.
    void reconfigure(TimePoint now, DampingPolicy policy);

    /// What must survive a restart; `wall` is not needed, for the caller saves both clocks.
    struct Saved {
        double penalty = 0;
        TimePoint at;                             ///< of `penalty`
        std::optional<TimePoint> withdrawn_at{};  ///< while it is withdrawn
        std::deque<TimePoint> withdrawals{};      ///< of the last hour, oldest first

        friend bool operator==(const Saved&, const Saved&) = default;
    };
    [[nodiscard]] Saved save(TimePoint now) const;
    /// Moments of `saved` are of this boot's clock already.
    void restore(const Saved& saved);

private:
    void add(TimePoint now, double cost);
    [[nodiscard]] std::optional<Wait> wait_for(TimePoint now, double cost) const;

    DampingPolicy policy_;
    Saved state_{};
};

}  // namespace swerve::failover
