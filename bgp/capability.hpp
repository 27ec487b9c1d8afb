#pragma once

#include "swerve/base/bytes.hpp"
#include "swerve/bgp/open.hpp"

namespace swerve::bgp {

/// RFC 5492 §4: the type of the optional parameter that carries capabilities.
inline constexpr std::uint8_t capabilities_parameter = 2;
/// RFC 9072 §2: in place of the first parameter's type, it announces two-octet lengths.
inline constexpr std::uint8_t extended_length_marker = 255;

/// Adds the capabilities of one optional parameter (RFC 5492 §4) to `out`. The error is 2/0 when
/// lengths do not add up, 2/2 for a four-octet AS of 0, AS_TRANS or in contradiction to an earlier
/// one, 2/11 for a role in contradiction to an earlier one.
[[nodiscard]] Result<void, Notification> decode_capabilities(ByteView parameter, Capabilities& out);

/// All capabilities in a row, ascending by code, without the parameter header.
void encode_capabilities(const Capabilities& capabilities, Bytes& out);

/// RFC 4760 §8: one multiprotocol capability for each family.
void encode_multiprotocol(const FamilySet& families, Bytes& out);

/// The length of the optional parameters and the one parameter that holds `capabilities`, which are
/// at most 4,000 octets; in the form of RFC 9072 where one octet cannot say the length.
void encode_parameters(ByteView capabilities, Bytes& out);

/// 2/2 with the offending number, in two octets where it fits, else in four.
[[nodiscard]] Notification bad_peer_as(std::uint32_t number);

}  // namespace swerve::bgp
