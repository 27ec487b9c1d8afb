#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "swerve/base/bytes.hpp"
#include "swerve/base/result.hpp"
#include "swerve/base/time.hpp"
#include "swerve/bgp/notification.hpp"
#include "swerve/net/address.hpp"
#include "swerve/net/asn.hpp"
#include "swerve/net/router_id.hpp"

namespace swerve::bgp {

/// A set of unicast address families (AFI 1 and 2, SAFI 1).
class FamilySet {
public:
    constexpr FamilySet() = default;
    constexpr FamilySet(std::initializer_list<Family> families) {
        for (const Family family : families) insert(family);
    }
    constexpr void insert(Family family) { has_[static_cast<std::size_t>(family)] = true; }
    constexpr void remove(Family family) { has_[static_cast<std::size_t>(family)] = false; }
    [[nodiscard]] constexpr bool contains(Family family) const {
        return has_[static_cast<std::size_t>(family)];
    }
    [[nodiscard]] constexpr bool empty() const { return !has_[0] && !has_[1]; }
    [[nodiscard]] constexpr FamilySet intersection(const FamilySet& other) const {
        FamilySet both;
        for (std::size_t i = 0; i < has_.size(); ++i) both.has_[i] = has_[i] && other.has_[i];
        return both;
    }
    friend constexpr bool operator==(const FamilySet&, const FamilySet&) = default;

private:
    std::array<bool, 2> has_{};
};

inline constexpr std::array<Family, 2> all_families{Family::ipv4, Family::ipv6};

/// What a speaker is to its neighbor (RFC 9234 §4.1, the values of the capability).
enum class Role : std::uint8_t {
    provider = 0,
    route_server = 1,
    route_server_client = 2,
    customer = 3,
    peer = 4,
};
/// "provider", "route_server", "route_server_client", "customer", "peer"; "unknown" for a value
/// that RFC 9234 does not assign, which a neighbor may send.
[[nodiscard]] std::string_view to_string(Role role);
[[nodiscard]] std::optional<Role> parse_role(std::string_view text);

/// The Graceful Restart Capability (RFC 4724 §3, RFC 8538 §2).
struct GracefulRestart {
    bool restarting = false;           ///< R
    bool notification = false;         ///< N
    std::uint16_t restart_time_s = 0;  ///< 0..4095
    FamilySet families;                ///< listed
    FamilySet forwarding;              ///< of those, with F set

    friend bool operator==(const GracefulRestart&, const GracefulRestart&) = default;
};

/// What an OPEN says in its capabilities (RFC 5492). Unknown ones are kept by code, for display
/// only.
struct Capabilities {
    FamilySet multiprotocol;  ///< RFC 4760, unicast only
    bool has_multiprotocol =
        false;                   ///< the capability was present, possibly for other families only
    bool route_refresh = false;  ///< RFC 2918
    std::optional<Asn> four_octet_as;     ///< RFC 6793
    bool enhanced_route_refresh = false;  ///< RFC 7313
    bool extended_message = false;        ///< RFC 8654
    bool ipv4_over_ipv6 = false;          ///< RFC 8950: IPv4 unicast with an IPv6 next hop
    std::optional<Role> role{};           ///< RFC 9234
    std::optional<GracefulRestart> graceful_restart{};
    FamilySet add_path_send{};     ///< RFC 7911: can send several paths of a prefix
    FamilySet add_path_receive{};  ///< RFC 7911: takes several paths of a prefix
    std::vector<std::uint8_t> unknown;

    friend bool operator==(const Capabilities&, const Capabilities&) = default;
};

/// An OPEN message whose fields were each found valid (RFC 4271 §4.2, §6.2).
struct Open {
    Asn as;                     ///< the four-octet number where the capability gave one
    std::uint16_t hold_time_s;  ///< 0 or at least 3
    RouterId router_id;
    Capabilities capabilities;

    friend bool operator==(const Open&, const Open&) = default;
};

/// Decodes the body of an OPEN and checks all that needs no knowledge of the configuration. The
/// error is the NOTIFICATION of BGP.md §2.3: 2/1 version (data 0x0004), 2/2 AS 0, 2/3 identifier 0,
/// 2/4 parameter type, 2/0 lengths that do not add up, 2/6 hold time 1 or 2 (data: the two octets),
/// 2/11 two roles that differ.
[[nodiscard]] Result<Open, Notification> decode_open(ByteView body);

/// The whole message. One optional parameter carries all capabilities (RFC 5492 §4), in the
/// extended form of RFC 9072 only where the ordinary one has no room.
[[nodiscard]] Bytes encode(const Open& open);

/// What this side requires of the other.
struct OpenPolicy {
    Asn local_as;
    RouterId router_id;
    std::optional<Asn> remote_as;  ///< absent: any (collector)
    /// Offered; whole seconds, at least 3 s, or 0 for none: only then a neighbor's 0 is taken.
    Duration hold_time;
    FamilySet families;                      ///< offered
    bool extended_message = false;           ///< offered: we take messages of 65,535 octets
    bool ipv4_over_ipv6 = false;             ///< offered
    bool add_path_receive = false;           ///< offered in every family
    std::optional<Role> role{};              ///< ours; absent: the capability is not sent
    bool role_strict = false;                ///< a neighbor without a role is refused (2/11)
    std::optional<Duration> restart_time{};  ///< of a planned restart; absent: no RFC 4724
    bool restarting = false;  ///< this is the first OPEN after a planned restart (R and F bits)
    /// No capability at all is sent, for a neighbor that refuses them (RFC 5492 §3); IPv4 unicast
    /// with two-octet AS numbers is what is left.
    bool plain = false;

    friend bool operator==(const OpenPolicy&, const OpenPolicy&) = default;
};

/// What two OPENs agree on.
struct Negotiated {
    Asn remote_as;
    RouterId remote_id;
    bool internal;       ///< iBGP
    bool four_octet_as;  ///< AS_PATH carries four-octet numbers (RFC 6793)
    bool route_refresh;  ///< the peer takes ROUTE-REFRESH
    Duration hold_time;  ///< 0: neither hold, keepalive nor send-hold timer run
    Duration keepalive;  ///< a third of the hold time, at least 1 s; 0 with hold time 0
    FamilySet families;
    bool enhanced_route_refresh = false;  ///< both have RFC 7313
    bool send_extended = false;     ///< the neighbor takes 65,535 octets (its word alone counts)
    bool receive_extended = false;  ///< we offered to
    bool ipv4_over_ipv6 = false;    ///< both have RFC 8950
    FamilySet add_path{};           ///< several paths of a prefix may be received
    std::optional<Role> role{};     ///< ours, where it was offered
    std::optional<Role> remote_role{};
    std::optional<GracefulRestart> remote_restart{};  ///< as the neighbor's OPEN says

    friend bool operator==(const Negotiated&, const Negotiated&) = default;
};

/// Our own OPEN.
[[nodiscard]] Open make_open(const OpenPolicy& policy);

/// Combines our policy with the peer's OPEN. Errors: 2/2 wrong AS (data: the offending AS, two
/// octets where it fits, else four), 2/3 identifier equal to ours inside one AS (RFC 6286 §2.2),
/// 2/6 hold time 0 where ours is not (a dead upstream would never be noticed), 2/7 no common family
/// (data: our multiprotocol capabilities), 2/11 roles that do not fit each other, or none where
/// ours is strict (RFC 9234 §4.2).
[[nodiscard]] Result<Negotiated, Notification> negotiate(const OpenPolicy& ours,
                                                         const Open& theirs);

}  // namespace swerve::bgp
