#pragma once
// What a row of the attribute table is made of, and the codecs that the rows name. A codec decodes
// or encodes a value only: flags, order, repetition and length fields are the generic loop's.

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "swerve/bgp/attributes.hpp"

namespace swerve::bgp {

/// MP_REACH_NLRI and MP_UNREACH_NLRI as cut out of their attribute (RFC 4760 §3, §4); what family
/// they are of and whether it is wanted is decided with the message.
struct MpNlri {
    std::uint16_t afi;
    std::uint8_t safi;
    ByteView next_hop;  ///< empty in MP_UNREACH_NLRI
    ByteView nlri;
    ByteView attribute;  ///< from its flags on, for a NOTIFICATION
};

/// What the codecs fill. Views point into the message.
struct DecodedAttributes {
    PathAttributes path;
    std::optional<Address> next_hop;
    std::optional<std::vector<AsPathSegment>> as4_path;
    bool set_in_as4_path = false;  ///< RFC 9774 §3: it condemns the route, not the attribute
    std::optional<Aggregator> as4_aggregator;
    std::optional<MpNlri> mp_reach;
    std::optional<MpNlri> mp_unreach;
};

/// What the codecs write from.
struct EncodeInput {
    const PathAttributes& path;
    std::optional<Address> next_hop;
    AttributeContext context;
};

/// Says what is wrong with the value; empty when nothing is, and only then may `out` have changed.
using Decode = std::string_view (*)(ByteView value, const AttributeContext& context,
                                    DecodedAttributes& out);
/// Appends the value and returns true, or returns false when the attribute is absent.
using Encode = bool (*)(const EncodeInput& input, Bytes& out);

/// From whom an attribute is taken; from others it is discarded unread.
enum class Sender : std::uint8_t { any, internal, two_octet };

/// Attribute Type codes (IANA "BGP Path Attributes").
namespace attribute_type {
inline constexpr std::uint8_t origin = 1;
inline constexpr std::uint8_t as_path = 2;
inline constexpr std::uint8_t next_hop = 3;
inline constexpr std::uint8_t med = 4;
inline constexpr std::uint8_t local_pref = 5;
inline constexpr std::uint8_t atomic_aggregate = 6;
inline constexpr std::uint8_t aggregator = 7;
inline constexpr std::uint8_t communities = 8;
inline constexpr std::uint8_t originator_id = 9;
inline constexpr std::uint8_t cluster_list = 10;
inline constexpr std::uint8_t mp_reach_nlri = 14;
inline constexpr std::uint8_t mp_unreach_nlri = 15;
inline constexpr std::uint8_t extended_communities = 16;
inline constexpr std::uint8_t as4_path = 17;
inline constexpr std::uint8_t as4_aggregator = 18;
inline constexpr std::uint8_t ipv6_extended_communities = 25;
inline constexpr std::uint8_t large_communities = 32;
inline constexpr std::uint8_t only_to_customer = 35;
}  // namespace attribute_type

/// Attribute Flags (RFC 4271 §4.3). The low four bits are unused and ignored.
namespace attribute_flag {
inline constexpr std::uint8_t optional = 0x80;
inline constexpr std::uint8_t transitive = 0x40;
inline constexpr std::uint8_t partial = 0x20;
inline constexpr std::uint8_t extended_length = 0x10;

inline constexpr std::uint8_t well_known = transitive;
inline constexpr std::uint8_t optional_transitive = optional | transitive;
}  // namespace attribute_flag

struct AttributeRow {
    std::uint8_t type;
    std::string_view name;
    std::uint8_t flags;  ///< optional and transitive as they must be
    Sender sender;
    Consequence malformed;
    Decode decode;
    Encode encode;  ///< null where this speaker never sends the attribute in an attribute blob
    std::string_view rfc;
};

std::string_view decode_origin(ByteView, const AttributeContext&, DecodedAttributes&);
std::string_view decode_as_path(ByteView, const AttributeContext&, DecodedAttributes&);
std::string_view decode_next_hop(ByteView, const AttributeContext&, DecodedAttributes&);
std::string_view decode_med(ByteView, const AttributeContext&, DecodedAttributes&);
std::string_view decode_local_pref(ByteView, const AttributeContext&, DecodedAttributes&);
std::string_view decode_atomic_aggregate(ByteView, const AttributeContext&, DecodedAttributes&);
std::string_view decode_aggregator(ByteView, const AttributeContext&, DecodedAttributes&);
std::string_view decode_communities(ByteView, const AttributeContext&, DecodedAttributes&);
std::string_view decode_mp_reach(ByteView, const AttributeContext&, DecodedAttributes&);
std::string_view decode_mp_unreach(ByteView, const AttributeContext&, DecodedAttributes&);
std::string_view decode_as4_path(ByteView, const AttributeContext&, DecodedAttributes&);
std::string_view decode_as4_aggregator(ByteView, const AttributeContext&, DecodedAttributes&);
std::string_view decode_extended_communities(ByteView, const AttributeContext&, DecodedAttributes&);
std::string_view decode_large_communities(ByteView, const AttributeContext&, DecodedAttributes&);
std::string_view decode_only_to_customer(ByteView, const AttributeContext&, DecodedAttributes&);

// Checked, because a malformed one condemns the route, but not kept: nothing here acts on them.
std::string_view check_originator_id(ByteView, const AttributeContext&, DecodedAttributes&);
std::string_view check_cluster_list(ByteView, const AttributeContext&, DecodedAttributes&);
std::string_view check_ipv6_extended_communities(ByteView, const AttributeContext&,
                                                 DecodedAttributes&);

bool encode_origin(const EncodeInput& input, Bytes& out);
bool encode_as_path(const EncodeInput& input, Bytes& out);
bool encode_next_hop(const EncodeInput& input, Bytes& out);
bool encode_med(const EncodeInput& input, Bytes& out);
bool encode_local_pref(const EncodeInput& input, Bytes& out);
bool encode_atomic_aggregate(const EncodeInput& input, Bytes& out);
bool encode_aggregator(const EncodeInput& input, Bytes& out);
bool encode_communities(const EncodeInput& input, Bytes& out);
bool encode_as4_path(const EncodeInput& input, Bytes& out);
bool encode_as4_aggregator(const EncodeInput& input, Bytes& out);
bool encode_extended_communities(const EncodeInput& input, Bytes& out);
bool encode_large_communities(const EncodeInput& input, Bytes& out);
bool encode_only_to_customer(const EncodeInput& input, Bytes& out);

/// RFC 6793 §4.2.3: rebuilds the four-octet path and aggregator of a two-octet peer.
void merge_as4(DecodedAttributes& attributes);

}  // namespace swerve::bgp
