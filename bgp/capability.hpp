#pragma once

#include "swerve/base/bytes.hpp"
#include "swerve/bgp/open.hpp"

namespace swerve::bgp {

/// Adds the capabilities of one optional parameter (RFC 5492 §4) to `out`. The error is 2/0 when
/// lengths do not add up, or 2/2 for a four-octet AS of 0, AS_TRANS or in contradiction to an
/// earlier one.
[[nodiscard]] Result<void, Notification> decode_capabilities(ByteView parameter, Capabilities& out);

/// All capabilities in a row, without the parameter header.
void encode_capabilities(const Capabilities& capabilities, Bytes& out);

/// RFC 4760 §8: one multiprotocol capability for each family.
void encode_multiprotocol(const FamilySet& families, Bytes& out);

/// 2/2 with the offending number, in two octets where it fits, else in four.
[[nodiscard]] Notification bad_peer_as(std::uint32_t number);

}  // namespace swerve::bgp
