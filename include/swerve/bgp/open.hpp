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

/// What an OPEN says in its capabilities (RFC 5492). Unknown ones are kept by code, for display
/// only.
struct Capabilities {
    FamilySet multiprotocol;  ///< RFC 4760, unicast only
    bool has_multiprotocol =
        false;                   ///< the capability was present, possibly for other families only
    bool route_refresh = false;  ///< RFC 2918
    std::optional<Asn> four_octet_as;  ///< RFC 6793
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
/// 2/4 parameter type, 2/0 lengths that do not add up, 2/6 hold time 1 or 2 (data: the two octets).
[[nodiscard]] Result<Open, Notification> decode_open(ByteView body);

/// The whole message. One optional parameter carries all capabilities (RFC 5492 §4).
[[nodiscard]] Bytes encode(const Open& open);

/// What this side requires of the other.
struct OpenPolicy {
    Asn local_as;
    RouterId router_id;
    std::optional<Asn> remote_as;  ///< absent: any (collector)
    Duration hold_time;            ///< offered; whole seconds, at least 3 s
    FamilySet families;            ///< offered

    friend bool operator==(const OpenPolicy&, const OpenPolicy&) = default;
};

/// What two OPENs agree on.
struct Negotiated {
    Asn remote_as;
    RouterId remote_id;
    bool internal;       ///< iBGP
    bool four_octet_as;  ///< AS_PATH carries four-octet numbers (RFC 6793)
    bool route_refresh;  ///< the peer takes ROUTE-REFRESH
    Duration hold_time;
    Duration keepalive;  ///< a third of the hold time, at least 1 s
    FamilySet families;

    friend bool operator==(const Negotiated&, const Negotiated&) = default;
};

/// Our own OPEN.
[[nodiscard]] Open make_open(const OpenPolicy& policy);

/// Combines our policy with the peer's OPEN. Errors: 2/2 wrong AS (data: the offending AS, two
/// octets where it fits, else four), 2/3 identifier equal to ours inside one AS (RFC 6286 §2.2),
/// 2/6 hold time 0 (a dead upstream would never be noticed), 2/7 no common family (data: our
/// multiprotocol capabilities).
[[nodiscard]] Result<Negotiated, Notification> negotiate(const OpenPolicy& ours,
                                                         const Open& theirs);

}  // namespace swerve::bgp
