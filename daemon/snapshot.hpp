#pragma once
// What main shows of itself: a copy made on request in one turn of its loop, read by operations at
// leisure.

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/lateness.hpp"
#include "daemon/speaker/neighbor_table.hpp"
#include "swerve/base/time.hpp"
#include "swerve/bfd/table.hpp"
#include "swerve/bgp/observation.hpp"
#include "swerve/bgp/peer.hpp"
#include "swerve/bgp/rib_in.hpp"
#include "swerve/conf/config.hpp"
#include "swerve/failover/record.hpp"
#include "swerve/failover/site.hpp"

namespace swerve::daemon {

/// Prefixes a neighbor holds; ranges of a neighbor do not overlap.
struct SentRange {
    bgp::BlockRef block;
    bgp::IdRange range;
};

struct NeighborView {
    std::string name;
    std::string description;
    Address address;
    std::uint16_t port;
    std::optional<Asn> remote_as;  ///< configured, or what a collector's neighbor said
    bool passive;
    bool disabled;     ///< by an operator
    bool out_of_sync;  ///< what it was sent has differed for long from what it is to hold
    bgp::State state;
    TimePoint since;  ///< of `state`
    std::optional<bgp::Negotiated> negotiated;
    std::optional<Address> local_address;
    std::optional<TimePoint> next_retry;
    std::string last_error;  ///< of the last session or attempt; empty: none
    bgp::PeerCounters counters;
    std::array<std::size_t, 2> advertised;  ///< by Family
    std::size_t pending_withdrawals;
    std::size_t pending_announcements;
    std::size_t unsent_octets;  ///< in the kernel, not yet on the wire
    std::size_t kept;           ///< routes of it that are kept
    std::size_t kept_octets;
    std::size_t received;  ///< routes that it has announced and not withdrawn, kept or not
    std::uint64_t updates_sent;
    std::vector<SentRange> sent;  ///< what the neighbor holds
    NeighborId id = 0;
    const conf::Neighbor* config = nullptr;  ///< part of Snapshot::config; null: a collector's
    std::string interface = {};              ///< of a link-local address
    std::optional<bgp::OpenPolicy> offered = {};
    bgp::FamilySet end_of_rib = {};  ///< received on this session
    bool over_limit = false;         ///< its last session ended for too many prefixes
    std::optional<LastNotification> last_notification = {};
    /// What ended its last session; absent: no NOTIFICATION did, or it has one.
    std::optional<LastNotification> ended_by = {};
    std::optional<bfd::Report> bfd = {};  ///< as main knows it; absent: not configured, or new
    bool waits_for_bfd = false;           ///< `bfd.strict` keeps its BGP session down
};

/// A BFD session, of the bfd loop.
struct BfdView {
    bfd::SessionView session;
    std::uint64_t packets_sent = 0;  ///< those that the kernel took
    std::uint16_t source_port = 0;   ///< 49152 and above; 0: no socket
    /// Why it has no sockets, or cannot send: "cannot bind ..."; empty: none.
    std::string trouble = {};
};

struct BfdSnapshot {
    std::vector<BfdView> sessions;  ///< in the order of their keys
    /// By bfd::Discard, of datagrams that were of no session.
    std::array<std::uint64_t, bfd::discard_count> discarded{};
    LatenessCounts::Copy lateness = {};  ///< of the loop's timer
    bool realtime = false;               ///< runs with real-time priority and locked memory
};

struct RouteView {
    Prefix prefix;
    std::string neighbor;
    bgp::ReceivedRoute route;
    bool best;
};

/// One prefix of one neighbor's Adj-RIB-Out; `desired` differs from `sent` while it is pending.
struct AdjOutView {
    Prefix prefix;
    std::string neighbor;
    bgp::RouteRef desired;  ///< null: not to be there
    bgp::RouteRef sent;     ///< null: not there
    bool withheld = false;  ///< the session cannot carry what is desired
};

struct LoopView {
    std::string name;         ///< main, probes, bfd
    Duration worst_lateness;  ///< of the heartbeat, since start
};

struct Snapshot {
    TimePoint now;
    WallTime wall;
    TimePoint started;
    WallTime started_wall;
    std::shared_ptr<const conf::Config> config;
    failover::SiteView site;
    std::vector<NeighborView>
        neighbors;  ///< in the order of the configuration; a collector's in order of arrival
    std::vector<RouteView> received;  ///< as asked for
    bool received_cut = false;        ///< the limit left some out
    std::vector<AdjOutView> adj_out;  ///< as asked for
    bool adj_out_cut = false;
    std::vector<bgp::Observation> observed = {};  ///< as asked for
    bool observed_cut = false;
    std::deque<failover::FailoverRecord> failovers;
    std::vector<LoopView> loops;
    LatenessCounts::Copy attempt_lateness = {};
    BfdSnapshot bfd = {};
    std::string history_of = {};  ///< the check whose last results are in `history`; empty: none
    std::deque<health::PastResult> history = {};  ///< oldest first
};

struct SnapshotRequest {
    std::optional<Prefix> prefix;  ///< restricts all lists to what overlaps it
    bool received = false;
    std::size_t received_limit = 1000;
    bool adj_out = false;
    std::optional<std::string> adj_out_neighbor;  ///< absent: all
    std::size_t adj_out_limit = 1000;
    bool observed = false;  ///< of the site's prefixes that overlap `prefix`
    std::size_t observed_limit = 1000;
    bool observed_whole = false;  ///< where there are more, none at all
    std::string history_of = {};  ///< name of a check; empty: of none
};

}  // namespace swerve::daemon
