#pragma once
// Adj-RIB-Out of one neighbor (RFC 4271 §3.2) as state, not as a log: what the neighbor has not
// been told is the set of prefixes whose desired route differs from the one sent. Nothing is
// queued, so a withdraw never waits behind stale announcements, and a slow neighbor costs no
// memory.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "swerve/base/bytes.hpp"
#include "swerve/bgp/attributes.hpp"
#include "swerve/bgp/open.hpp"
#include "swerve/bgp/prefix_block.hpp"

namespace swerve::bgp {

/// A route's attributes as configured, before a session adds its AS, next hop and encoding.
struct RouteAttributes {
    Origin origin = Origin::igp;
    unsigned prepend =
        0;  ///< how often the local AS stands in the path beyond the one time eBGP requires
    std::optional<std::uint32_t> med;
    std::optional<std::uint32_t> local_pref;  ///< iBGP only; 100 if absent
    std::vector<Community> communities;
    std::vector<ExtendedCommunity> extended_communities{};
    std::vector<LargeCommunity> large_communities;

    friend auto operator<=>(const RouteAttributes&, const RouteAttributes&) = default;
};

/// Shared and immutable. Where two are equal in all they say, an Adj-RIB-Out keeps one of them and
/// takes the other for the same: a reload makes new objects of what did not change.
using RouteRef = std::shared_ptr<const RouteAttributes>;

/// What a session adds to every route.
struct SessionEncoding {
    Asn local_as;
    AttributeContext attributes;
    FamilySet families;
    /// An IPv6 address where IPv4 routes go over IPv6 (RFC 8950); then `ipv4_over_ipv6` must hold.
    std::optional<Address> next_hop_ipv4;
    std::optional<Address> next_hop_ipv6;
    /// Second half of a 32-octet next hop (RFC 2545 §3); only for a neighbor on the same link.
    std::optional<Address> next_hop_link_local{};
    bool ipv4_over_ipv6 = false;         ///< negotiated, RFC 8950
    std::size_t largest_message = 4096;  ///< in octets; 65535 towards RFC 8654 peers
    std::optional<Role> role{};          ///< ours (RFC 9234); says when OTC is attached
};

/// Routes that are to be with a neighbor.
struct Desired {
    BlockRef block;
    IdRange range;
    RouteRef route;
};

/// A prefix may be desired in one block at a time; a block that takes it over from another is
/// advertised after the other's withdraw() (withdrawals are sent first, so the order holds on the
/// wire).
class AdjRibOut {
public:
    AdjRibOut();
    ~AdjRibOut();
    AdjRibOut(AdjRibOut&&) noexcept;
    AdjRibOut& operator=(AdjRibOut&&) noexcept;

    /// Desired state. A range that is already so changes nothing and sends nothing. A route that
    /// the session cannot carry (family not negotiated, no next hop of the family, attributes that
    /// leave no room for a prefix) is kept as desired and not sent; if another route was sent
    /// before, it is withdrawn.
    void advertise(const BlockRef& block, IdRange range, const RouteRef& route);
    void withdraw(const BlockRef& block, IdRange range);

    /// The prefixes keep what is desired and what was sent of them, under their new blocks; all at
    /// once, so that each block is gone through once. Nothing of it goes on the wire. Nothing may
    /// be desired or sent in the ranges of `to` before.
    void hand_over(std::span<const Handover> all);
    /// Exactly these are desired from now on; everything else is withdrawn. No prefix may stand in
    /// two of them. What is so already sends nothing.
    void assign(std::span<const Desired> all);
    /// Other next hops for the session that is up; what is advertised in a family whose next hop
    /// changes is sent once more, or withdrawn where there is none any more.
    void set_next_hops(const std::optional<Address>& ipv4, const std::optional<Address>& ipv6);

    /// A session came up: nothing has been sent on it yet; End-of-RIB follows the first
    /// announcements of each family.
    void session_up(const SessionEncoding& encoding);
    void session_down();
    [[nodiscard]] bool session_is_up() const;
    /// RFC 2918: sends what is advertised in this family once more.
    void refresh(Family family);
    /// Whether some of it still waits to be sent once more.
    [[nodiscard]] bool refreshing(Family family) const;
    /// While held, End-of-RIB is owed and not sent (RFC 4724 §4.1); announcements are not held.
    void hold_end_of_rib(bool held);
    /// Whether the End-of-RIB of this session is still owed.
    [[nodiscard]] bool end_of_rib_due(Family family) const;

    /// Whether produce() would return anything.
    [[nodiscard]] bool pending() const;
    /// Prefixes that the neighbor still holds and is to lose.
    [[nodiscard]] std::size_t pending_withdrawals() const;
    [[nodiscard]] std::size_t pending_announcements() const;
    /// Prefixes that the neighbor holds from us.
    [[nodiscard]] std::size_t advertised(Family family) const;
    /// UPDATE messages since construction, End-of-RIB included.
    [[nodiscard]] std::uint64_t updates_sent() const;

    /// Appends whole messages to `out`, withdrawals first, until `budget` octets are reached (the
    /// last message may exceed it) and returns their size. The views stay valid until the next
    /// non-const call. Nothing counts as sent until consumed().
    std::size_t produce(std::size_t budget, std::vector<ByteView>& out);
    /// `count` octets of the last produce() were taken by the socket. A message of which only a
    /// part was taken counts as sent; its rest is returned for the caller to finish first. What was
    /// not begun is forgotten. Nothing may change between produce() and consumed(): the driver
    /// calls them back to back.
    [[nodiscard]] Bytes consumed(std::size_t count);

    /// Calls `visit(prefix, desired, sent)` for every prefix that is wanted or was sent; either may
    /// be null. Blocks come in the order in which they were first advertised.
    void for_each(
        const std::function<void(const Prefix&, const RouteRef&, const RouteRef&)>& visit) const;

    /// Whether the session that is up cannot carry the route: see advertise().
    [[nodiscard]] bool withholds(const RouteRef& route, Family family) const;

    /// Calls `visit(block, range)` for what the neighbor holds from us; ranges do not overlap.
    void for_each_sent(const std::function<void(const BlockRef&, IdRange)>& visit) const;

private:
    struct Parts;
    std::unique_ptr<Parts> parts_;
};

}  // namespace swerve::bgp
