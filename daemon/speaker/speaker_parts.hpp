#pragma once
// What a speaker is made of. speaker.cpp has the way from a decision to the wire, sessions.cpp what
// peers tell and the commands on them, bfd.cpp what BFD tells, reload.cpp neighbors that come and
// go.

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "daemon/speaker/speaker.hpp"

namespace swerve::daemon {

struct Speaker::Parts {
    /// One call from outside.
    struct Turn {
        Moment at;
        SpeakerOutput& out;

        void tell(decltype(Event::what) what) const {
            out.events.push_back({at.now, at.wall, std::move(what)});
        }
    };

    Parts(std::shared_ptr<const conf::Config> with, std::uint64_t any_seed,
          const failover::Restored& from, Moment at)
        : config(std::move(with)),
          seed(any_seed),
          site(conf::site_policy(*config, seed), with_restart_time(from, *config)),
          restored(from),
          table(*config, seed, at.now, from.vanished_at),
          rib_in(config->owned, config->collector.has_value(), config->local_as) {
        for (const auto& [id, neighbor] : table) {
            if (!neighbor->peer.config().hold_end_of_rib) continue;
            held_end_of_ribs.emplace(at.now + *neighbor->config->restart_time, id);
        }
    }

    void decide(const failover::SiteEvent& event, Turn turn);
    void tick(Turn turn);
    void peer_input(const PeerInput& input, Turn turn);
    void peer_tick(const PeerTick& tick, Turn turn);
    void command(const CommandNeighbor& command, Turn turn);
    void bfd_reported(const bfd::Report& report, Turn turn);
    void reload(const conf::Change& change, Turn turn);
    void end_sessions(const EndSessions& end, Turn turn);
    void vanish(Turn turn);
    std::optional<NeighborId> admit(const Address& address, const std::string& interface,
                                    Turn turn);
    [[nodiscard]] std::optional<TimePoint> next_deadline() const;

    void carry_out(const failover::SiteActions& actions, Turn turn);
    void to_the_wire(const failover::SiteActions& actions, Turn turn);
    void replace_routes(const std::vector<bgp::Handover>& hand_overs, Turn turn);
    void tell(const failover::SiteActions& actions, Turn turn);
    void open_record(failover::FailoverRecord record, NeighborTable::Holders&& holders);
    void tell_completed(Turn turn);

    void handle(NeighborId id, const bgp::PeerEvent& event, Turn turn);
    void perform(NeighborId id, bgp::PeerActions& actions, Turn turn);
    void session_up(NeighborId id, Neighbor& neighbor, const bgp::SessionUp& up, Turn turn);
    void session_down(NeighborId id, Neighbor& neighbor, const bgp::SessionDown& down, Turn turn);
    /// Lets a neighbor run, unless something keeps it down.
    void start(NeighborId id, Turn turn);
    void end_for_bfd(NeighborId id, Turn turn);
    /// Brings the list of BFD sessions to what the neighbors want now.
    void settle_bfd(Turn turn);
    void forget_bfd(const bfd::SessionKey& key, Turn turn);
    [[nodiscard]] std::optional<TimePoint> next_bfd_leave() const;
    /// `strict` waits with what would begin by itself, too: a retry after a session that ended.
    void hold_for_bfd(NeighborId id, Turn turn);
    void learn(NeighborId id, Neighbor& neighbor, const bgp::Update& update, Turn turn);
    void tell_best(const std::vector<bgp::BestChanged>& changes, Turn turn);
    [[nodiscard]] std::optional<PrefixLimitEvent> excess(NeighborId id,
                                                         const Neighbor& neighbor) const;
    void enforce_limit(NeighborId id, Turn turn);
    void release_end_of_ribs(Turn turn);

    void begin(Turn turn);
    /// Returns those that came.
    std::vector<NeighborId> replace_neighbors(const conf::Change& change, Turn turn);
    /// After a planned restart: what a neighbor that had no session yet is still to be told of it,
    /// whatever becomes of its entry in the configuration.
    struct UntoldRestart {
        Address address;
        std::string interface;
        std::optional<TimePoint> held_until;  ///< absent: its End-of-RIB is held no more
    };
    [[nodiscard]] std::optional<UntoldRestart> untold_restart(NeighborId id) const;
    /// Of a neighbor that is made anew.
    struct BfdState {
        bfd::SessionKey key;
        bfd::Report report;
    };
    void keep_neighbor(NeighborId id, const conf::Config& next, const conf::Neighbor& becomes,
                       Turn turn);
    std::optional<NeighborId> add_from_range(const conf::Neighbor& range, const Address& address,
                                             const std::string& interface, Turn turn);
    void forget_ended(Turn turn);
    void remove(NeighborId id, std::uint8_t subcode, Turn turn);
    void look_at_pending(Turn turn);

    std::shared_ptr<const conf::Config> config;
    std::uint64_t seed;
    failover::Site site;
    failover::Restored restored;  ///< until Begin
    NeighborTable table;
    bgp::RibIn rib_in;
    failover::Recorder recorder;
    std::vector<bgp::Handover> pending_hand_overs;  ///< of the reload that is under way
    std::optional<TimePoint> look_again;            ///< at what neighbors have not taken
    /// Until when a neighbor's End-of-RIB waits for the verdicts at most, after a planned restart.
    std::set<std::pair<TimePoint, NeighborId>> held_end_of_ribs;
    /// Neighbors of ranges whose connection ended. They go with the next tick, for who tells of the
    /// end still works with them.
    std::vector<NeighborId> ended;
    std::optional<TimePoint> forget_at;
    struct BfdSession {
        bfd::SessionConfig config;
        std::optional<TimePoint> leaves_at;  ///< its neighbor wants it no more
    };
    std::vector<BfdSession> bfd_wanted;
    bool ending = false;  ///< the process; nothing begins any more
    /// What services had cost and showed when this process vanished for a planned restart.
    std::optional<std::vector<failover::SavedDamping>> vanished_with;
    /// Disabled before the restart, and come from a range: they are not there until they call.
    std::vector<std::string> disabled_elsewhere;
};

}  // namespace swerve::daemon
