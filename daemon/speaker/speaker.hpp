#pragma once
// A whole site as one pure machine: the decision, the peers that tell it to the neighbors, the
// records of what that took. The daemon gives it sockets, clocks and probes; tests/sim gives it a
// world of its own. It holds no policy but the wiring: what the decision says goes to every
// neighbor's Adj-RIB-Out in the same call.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "daemon/speaker/event.hpp"
#include "daemon/speaker/neighbor_table.hpp"
#include "swerve/base/time.hpp"
#include "swerve/bfd/table.hpp"
#include "swerve/bgp/peer.hpp"
#include "swerve/bgp/rib_in.hpp"
#include "swerve/conf/change.hpp"
#include "swerve/conf/config.hpp"
#include "swerve/failover/record.hpp"
#include "swerve/failover/saved_state.hpp"
#include "swerve/failover/site.hpp"

namespace swerve::daemon {

/// A moment on both clocks; the wall's is for records and expiry only.
struct Moment {
    TimePoint now;
    WallTime wall;
};

// Events, beside those of the decision.
struct PeerInput {
    NeighborId neighbor;
    bgp::PeerEvent event;
};
/// The deadline of this neighbor's peer has come; its readable octets were handed in before.
struct PeerTick {
    NeighborId neighbor;
};
/// Every withdrawal that was pending for this neighbor has been handed to the kernel.
struct WithdrawalsWritten {
    NeighborId neighbor;
    TimePoint written_at;
};
/// What WithdrawalsWritten reported up to `written_at` was acknowledged by the neighbor's TCP.
struct WithdrawalsAcknowledged {
    NeighborId neighbor;
    TimePoint written_at;
};
/// What the bfd loop tells of a neighbor's session, whose owner it is.
struct BfdReported {
    bfd::Report report;
};
enum class NeighborCommand : std::uint8_t { enable, disable, reset, refresh };
[[nodiscard]] std::string_view to_string(NeighborCommand command);
struct CommandNeighbor {
    std::string name;
    NeighborCommand command;
    std::string who;
    std::string reason;
};
struct Reload {
    std::shared_ptr<const conf::Change> change;  ///< its `before` is the configuration in force
};
/// Ends the sessions of neighbors that keep the routes for a planned restart, without a word (RFC
/// 4724); comes before StopAnnouncing, which concerns the others.
struct VanishForRestart {};
/// Ends all sessions with Cease/Administrative Shutdown; follows StopAnnouncing.
struct EndSessions {
    std::string reason;
};
using SpeakerEvent = std::variant<failover::SiteEvent, PeerInput, PeerTick, WithdrawalsWritten,
                                  WithdrawalsAcknowledged, BfdReported, CommandNeighbor, Reload,
                                  VanishForRestart, EndSessions>;

/// What a turn asks of the adapters, by who is to do it. In this order: neighbors that came,
/// connections, the wire (every neighbor whose peer wants to write), neighbors that went, BFD,
/// probes, and then everybody who is only told.
struct SpeakerOutput {
    struct Connection {
        NeighborId neighbor;
        bgp::PeerAction action;
    };
    std::vector<NeighborId> added;
    std::vector<Connection> connections;
    bool routes_changed = false;      ///< every neighbor may have something to write
    std::vector<NeighborId> removed;  ///< their last words stand in `connections`
    bool bfd_changed = false;         ///< bfd_sessions() has
    std::vector<failover::StartProbe> probes;
    std::vector<Event> events;
    bool save = false;  ///< saved() has changed
};

class Speaker {
public:
    Speaker(std::shared_ptr<const conf::Config> config, std::uint64_t seed,
            const failover::Restored& restored, Moment at);
    ~Speaker();
    Speaker(const Speaker&) = delete;
    Speaker& operator=(const Speaker&) = delete;

    void handle(Moment at, const SpeakerEvent& event, SpeakerOutput& out);
    /// For next_deadline(); peers have their own (PeerTick).
    void tick(Moment at, SpeakerOutput& out);
    [[nodiscard]] std::optional<TimePoint> next_deadline() const;

    /// The neighbors that exist; ids are never used again.
    [[nodiscard]] const NeighborTable& neighbors() const;
    /// Of a neighbor that exists; for produce() and consumed(), which no event carries.
    [[nodiscard]] bgp::Peer& peer(NeighborId neighbor);
    /// Whose connection comes from there: a configured neighbor's, or one that is made on its first
    /// connection (of the longest range that has the address, or of a collector); nothing when
    /// nobody wants it. `interface` is that of a link-local address.
    [[nodiscard]] std::optional<NeighborId> admit(Moment at, const Address& address,
                                                  const std::string& interface, SpeakerOutput& out);

    /// The BFD sessions that are wanted; the owner is the neighbor's id. That of a neighbor that is
    /// kept down, or has gone, stays for another second and reports to nobody, so that AdminDown
    /// follows what ended the BGP session.
    [[nodiscard]] std::vector<bfd::SessionConfig> bfd_sessions() const;

    /// Why VanishForRestart would be no more than the end, in one sentence.
    [[nodiscard]] std::optional<std::string> refuses_planned_restart() const;

    [[nodiscard]] const failover::Site& site() const;
    [[nodiscard]] const std::shared_ptr<const conf::Config>& config() const;
    [[nodiscard]] const failover::Recorder& recorder() const;
    [[nodiscard]] const bgp::RibIn& rib_in() const;
    /// What is to outlive the process; `boot_id`, `started`, `crashes`, `ended_clean` and
    /// `planned_restart` are the caller's.
    [[nodiscard]] failover::SavedState saved(Moment at) const;

private:
    struct Parts;
    std::unique_ptr<Parts> parts_;
};

/// How long what a neighbor was sent may differ from what it is to hold before that is an alarm.
inline constexpr Duration out_of_sync_after = std::chrono::seconds{5};

}  // namespace swerve::daemon
