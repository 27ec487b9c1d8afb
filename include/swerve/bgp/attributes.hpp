#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "swerve/base/bytes.hpp"
#include "swerve/net/address.hpp"
#include "swerve/net/asn.hpp"
#include "swerve/net/community.hpp"
#include "swerve/net/router_id.hpp"

namespace swerve::bgp {

enum class Origin : std::uint8_t { igp = 0, egp = 1, incomplete = 2 };

struct AsPathSegment {
    enum class Type : std::uint8_t { as_set = 1, as_sequence = 2 };
    Type type;
    std::vector<Asn> asns;

    friend bool operator==(const AsPathSegment&, const AsPathSegment&) = default;
};

struct AsPath {
    std::vector<AsPathSegment> segments;

    /// Number of hops as route selection counts them: an AS_SET is one (RFC 4271 §9.1.2.2 a).
    [[nodiscard]] std::size_t length() const;
    [[nodiscard]] bool contains(Asn asn) const;
    /// The neighbor AS: first of the first sequence.
    [[nodiscard]] std::optional<Asn> first() const;
    /// "64500 64501 {64502 64503}".
    [[nodiscard]] std::string to_string() const;

    friend bool operator==(const AsPath&, const AsPath&) = default;
};

struct Aggregator {
    Asn as;
    Address address;

    friend bool operator==(const Aggregator&, const Aggregator&) = default;
};

/// The path attributes of one route, decoded. Next hops stand with the NLRI they belong to
/// (update.hpp). One row per member in bgp/attributes/table.
struct PathAttributes {
    Origin origin = Origin::igp;
    AsPath as_path;
    std::optional<std::uint32_t> med;
    std::optional<std::uint32_t> local_pref;
    bool atomic_aggregate = false;
    std::optional<Aggregator> aggregator;
    std::vector<Community> communities;
    std::vector<ExtendedCommunity> extended_communities;
    std::vector<LargeCommunity> large_communities;
    std::optional<Asn> only_to_customer;  ///< RFC 9234 §5

    friend bool operator==(const PathAttributes&, const PathAttributes&) = default;
};

/// What a malformed part means for its UPDATE, weakest first; the strongest of a message wins (RFC
/// 7606 §3 h).
enum class Consequence : std::uint8_t { none, discard_attribute, treat_as_withdraw, reset_session };

/// What encoding or decoding attributes must know of the session.
struct AttributeContext {
    bool four_octet_as = true;
    bool internal = false;  ///< iBGP

    friend bool operator==(const AttributeContext&, const AttributeContext&) = default;
};

/// Path attributes in canonical form: ascending type codes (MP_REACH_NLRI is the caller's business
/// and stands before them, RFC 7606 §5.1), unused flag bits zero, extended length only above 255
/// octets. `next_hop` is the IPv4 NEXT_HOP attribute, absent where MP_REACH_NLRI carries the next
/// hop. LOCAL_PREF is written to internal peers only. Towards two-octet peers AS_TRANS and AS4_PATH
/// are used (RFC 6793 §4.2.2).
void encode_attributes(const PathAttributes& attributes, std::optional<Address> next_hop,
                       const AttributeContext& context, Bytes& out);

}  // namespace swerve::bgp
