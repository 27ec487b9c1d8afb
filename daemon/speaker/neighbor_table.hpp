#pragma once
// The neighbors of a site: their peers, what each is to be sent of every service, and what a
// change of the configuration does to them.

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "swerve/base/time.hpp"
#include "swerve/bfd/table.hpp"
#include "swerve/bgp/peer.hpp"
#include "swerve/conf/change.hpp"
#include "swerve/conf/config.hpp"
#include "swerve/failover/record.hpp"
#include "swerve/failover/saved_state.hpp"
#include "swerve/failover/site.hpp"

namespace swerve::daemon {

using failover::NeighborId;

/// With which attributes a service's routes go to one neighbor.
struct Export {
    bgp::RouteRef full;
    bgp::RouteRef degraded;  ///< made less attractive (`degrade` of the service)
    bgp::RouteRef draining;  ///< while a drain asks traffic to leave (RFC 8326)
};

struct LastNotification {
    bool sent;
    bgp::Notification notification;
    TimePoint at;
};

struct Neighbor {
    Neighbor(std::string called, Address at, const bgp::PeerConfig& peer_config, TimePoint now)
        : name(std::move(called)), address(at), peer(peer_config), state_since(now) {}

    /// It came by itself from a range that is configured.
    [[nodiscard]] bool of_range() const { return config != nullptr && config->range.has_value(); }
    /// No session is to be had with it: an operator or the configuration says so.
    [[nodiscard]] bool kept_down() const {
        return disabled || (config != nullptr && config->admin_down);
    }

    [[nodiscard]] bool wants_bfd() const { return config != nullptr && config->bfd.has_value(); }
    /// Whether `bfd.strict` is what keeps its BGP session from being begun. A neighbor whose own
    /// BFD is switched off is not waited for (RFC 5882 §3.2).
    [[nodiscard]] bool waits_for_bfd() const;

    std::string name;  ///< of a range's neighbor "RANGE-ADDRESS"
    Address address;
    std::string interface{};                 ///< of a link-local address; empty: none
    const conf::Neighbor* config = nullptr;  ///< null: a collector's; of a range: the range
    bgp::Peer peer;
    std::vector<Export> exports{};  ///< by ServiceId
    Export manual_export{};         ///< of routes without a service
    bool disabled = false;          ///< by an operator

    std::optional<Asn> remote_as{};
    std::optional<Address> local_address{};
    TimePoint state_since;
    std::string last_error{};
    std::optional<LastNotification> last_notification{};
    /// What ended its last session; absent: no NOTIFICATION did, or it has one.
    std::optional<LastNotification> ended_by{};
    bgp::FamilySet end_of_rib{};       ///< received on this session
    bool over_limit = false;           ///< its last session ended for too many prefixes
    std::optional<bfd::Report> bfd{};  ///< the last; absent before the first

    std::optional<TimePoint> pending_since{};  ///< as looked at now and then
    bool out_of_sync = false;

    [[nodiscard]] bgp::AdjRibOut& rib_out() { return peer.rib_out(); }
};

/// Of a neighbor with BFD.
[[nodiscard]] bfd::SessionKey bfd_key(const Neighbor& neighbor);

/// Whether the neighbor keeps the routes of its session for a planned restart (RFC 4724 §4.2).
[[nodiscard]] bool survives_restart(const Neighbor& neighbor);

/// What the site is to begin with: how long neighbors keep routes is of the configuration.
[[nodiscard]] failover::Restored with_restart_time(failover::Restored restored,
                                                   const conf::Config& config);

class NeighborTable {
public:
    using Holders = std::vector<failover::FailoverRecord::Neighbor>;

    /// `vanished_at`: when the process before this one ended its sessions for a planned restart.
    NeighborTable(const conf::Config& config, std::uint64_t seed, TimePoint now,
                  std::optional<TimePoint> vanished_at);

    [[nodiscard]] auto begin() { return all_.begin(); }
    [[nodiscard]] auto end() { return all_.end(); }
    [[nodiscard]] auto begin() const { return all_.begin(); }
    [[nodiscard]] auto end() const { return all_.end(); }
    [[nodiscard]] std::size_t size() const { return all_.size(); }
    [[nodiscard]] Neighbor* find(NeighborId id);
    [[nodiscard]] const Neighbor* find(NeighborId id) const;
    [[nodiscard]] std::optional<NeighborId> find(std::string_view name) const;
    /// The interface tells link-local addresses apart; of others it says nothing.
    [[nodiscard]] std::optional<NeighborId> at(const Address& address,
                                               const std::string& interface = {}) const;
    /// Those that came from this range.
    [[nodiscard]] std::vector<NeighborId> of_range(const conf::Neighbor& range) const;

    /// A neighbor of this configuration, or one that came by itself (range, collector).
    NeighborId add(const conf::Config& config, const conf::Neighbor& neighbor, TimePoint now);
    NeighborId add_from_range(const conf::Config& config, const conf::Neighbor& range,
                              const Address& address, const std::string& interface, TimePoint now);
    NeighborId add_collected(const conf::Config& config, const Address& address, TimePoint now);
    void remove(NeighborId id) { all_.erase(id); }
    /// RFC 4724 §4.1, of a neighbor without a session so far: its first OPEN says that we are back
    /// from a planned restart, and with `hold_end_of_rib` nothing says that this is all before it
    /// is.
    void tell_restart(NeighborId id, bool hold_end_of_rib);

    /// Goes on under another configuration, of which `neighbor` is a part.
    void reconfigure(NeighborId id, const conf::Config& config, const conf::Neighbor& neighbor);

    /// Returns the neighbors from which nothing is to be withdrawn any more because of it.
    std::vector<NeighborId> advertise(const failover::Advertise& action);
    /// Adds the neighbors that hold a route of this range to `holders`.
    void withdraw(const failover::Withdraw& action, Holders& holders);
    void hand_over(std::span<const bgp::Handover> hand_overs);
    /// Brings every neighbor to what the site announces. Returns the most prefixes that any of them
    /// is to lose.
    std::size_t assign(const failover::Site& site, Holders& holders);
    /// The same for one neighbor that holds nothing yet.
    void assign(NeighborId id, const failover::Site& site);

private:
    NeighborId insert(std::unique_ptr<Neighbor> neighbor);
    NeighborId insert(const conf::Config& config, const conf::Neighbor& from,
                      std::unique_ptr<Neighbor> neighbor);

    std::map<NeighborId, std::unique_ptr<Neighbor>> all_;
    std::uint64_t seed_;
    NeighborId next_id_ = 0;
};

}  // namespace swerve::daemon
