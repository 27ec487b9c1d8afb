#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "bgp/attributes/row.hpp"
#include "swerve/base/result.hpp"
#include "swerve/bgp/notification.hpp"

namespace swerve::bgp {

/// Every attribute this speaker knows, by ascending type code.
[[nodiscard]] std::span<const AttributeRow> attribute_table();

/// One attribute as it stands in the list.
struct Attribute {
    std::uint8_t flags;
    std::uint8_t type;
    ByteView value;
    ByteView whole;
};
/// Nothing when what is left cannot hold the attribute that it begins.
[[nodiscard]] std::optional<Attribute> next_attribute(Reader& reader);
[[nodiscard]] bool is_mp(std::uint8_t type);

/// The strongest consequence so far and what called for it.
struct Damage {
    Consequence consequence = Consequence::none;
    std::string fault;

    void raise(Consequence to, std::string_view name, std::string_view what);
    void raise(const Damage& other);
};

/// The attribute list of one UPDATE.
struct AttributeList {
    DecodedAttributes decoded;
    Damage damage;
    Damage next_hop_damage;  ///< of NEXT_HOP, which counts only for routes that use it
    bool has_origin = false;
    bool has_as_path = false;
    bool has_next_hop = false;
    bool only_mp_unreach = true;  ///< nothing but MP_UNREACH_NLRI stands in the list
};

/// Decodes the Path Attributes field. The error is for what remains a session reset: 3/1 for a
/// repeated MP attribute (RFC 7606 §3 g), 3/2 for an unknown well-known one, 3/9 for an MP
/// attribute that cannot be cut into its parts.
[[nodiscard]] Result<AttributeList, Notification> decode_attribute_list(
    ByteView field, const AttributeContext& context);

}  // namespace swerve::bgp
