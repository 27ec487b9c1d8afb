#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "swerve/base/bytes.hpp"
#include "swerve/base/result.hpp"
#include "swerve/bgp/attributes.hpp"
#include "swerve/bgp/open.hpp"
#include "swerve/net/prefix.hpp"

namespace swerve::bgp {

/// Tells the paths of one prefix apart (RFC 7911 §3).
using PathId = std::uint32_t;

/// One for each prefix of the list it stands beside; empty where all are 0, as on every session
/// without add-path, which then pays nothing for them.
using PathIds = std::vector<PathId>;

/// Reachable prefixes of one family with their next hop (a 32-octet IPv6 next hop keeps its global
/// half, or the link-local one where the global one is `::`). IPv4 prefixes may have an IPv6 next
/// hop (RFC 8950).
struct Reach {
    Address next_hop;
    std::vector<Prefix> prefixes;
    PathIds path_ids{};

    friend bool operator==(const Reach&, const Reach&) = default;
};

/// An UPDATE as it is to be acted on: the consequences of RFC 7606 are already applied, so that
/// prefixes under treat-as-withdraw stand in `withdrawn`. A prefix in `withdrawn` and in `reach` is
/// announced (RFC 4271 §4.3): apply `withdrawn` first.
struct Update {
    std::vector<Prefix> withdrawn;
    PathIds withdrawn_path_ids{};
    std::vector<Reach> reach;  ///< at most two: of the NLRI field and of MP_REACH_NLRI
    std::shared_ptr<const PathAttributes> attributes;  ///< set when `reach` is not empty
    std::optional<Family> end_of_rib;                  ///< RFC 4724 §2
    Consequence consequence = Consequence::none;  ///< the strongest applied, never reset_session
    std::string fault;  ///< why, when consequence is not none; for the log
};

/// What decoding an UPDATE must know of the session.
struct UpdateContext {
    AttributeContext attributes;
    FamilySet families;  ///< negotiated; NLRI of other families is skipped
    FamilySet
        add_path{};  ///< of those, where path identifiers stand before the prefixes (RFC 7911)
    bool ipv4_over_ipv6 = false;  ///< negotiated, RFC 8950
};

/// Decodes the body of an UPDATE. The error is the NOTIFICATION for what RFC 7606 leaves as a
/// session reset (BGP.md §2.8): 3/1 inconsistent lengths or a repeated MP attribute, 3/2 with the
/// attribute, 3/9 with the attribute, 3/10.
[[nodiscard]] Result<Update, Notification> decode_update(ByteView body,
                                                         const UpdateContext& context);

/// Of which family the routes in the body of an UPDATE are: that of its MP_REACH_NLRI or
/// MP_UNREACH_NLRI, else IPv4 (RFC 4760 §3, §4). For who only passes the message on; nothing where
/// it cannot be cut into its parts or the family is not known here.
[[nodiscard]] std::optional<Family> family_of_routes(ByteView body);

/// The End-of-RIB marker of a family, whole message.
[[nodiscard]] Bytes encode_end_of_rib(Family family);

/// ROUTE-REFRESH (RFC 2918 §3).
[[nodiscard]] Bytes encode_route_refresh(Family family);

/// NLRI encoding (RFC 4271 §4.3): length octet and the octets that carry it.
void encode_nlri(const Prefix& prefix, Bytes& out);

}  // namespace swerve::bgp
