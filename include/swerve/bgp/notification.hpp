#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "swerve/base/bytes.hpp"

namespace swerve::bgp {

/// NOTIFICATION error codes (RFC 4271 §4.5, RFC 7313 §5, RFC 9687 §4).
enum class ErrorCode : std::uint8_t {
    message_header = 1,
    open_message = 2,
    update_message = 3,
    hold_timer_expired = 4,
    fsm = 5,
    cease = 6,
    route_refresh = 7,
    send_hold_timer_expired = 8,
};

/// Subcodes, grouped by their error code (RFC 4271 §4.5, RFC 4486, RFC 5492, RFC 6608, RFC 7313,
/// RFC 9384).
namespace subcode {
inline constexpr std::uint8_t unspecific = 0;
inline constexpr std::uint8_t connection_not_synchronized = 1;
inline constexpr std::uint8_t bad_message_length = 2;
inline constexpr std::uint8_t bad_message_type = 3;

inline constexpr std::uint8_t unsupported_version = 1;
inline constexpr std::uint8_t bad_peer_as = 2;
inline constexpr std::uint8_t bad_bgp_identifier = 3;
inline constexpr std::uint8_t unsupported_optional_parameter = 4;
inline constexpr std::uint8_t unacceptable_hold_time = 6;
inline constexpr std::uint8_t unsupported_capability = 7;
inline constexpr std::uint8_t role_mismatch = 11;  ///< RFC 9234

inline constexpr std::uint8_t malformed_attribute_list = 1;
inline constexpr std::uint8_t unrecognized_well_known = 2;
inline constexpr std::uint8_t optional_attribute_error = 9;
inline constexpr std::uint8_t invalid_network_field = 10;

inline constexpr std::uint8_t unexpected_in_open_sent = 1;
inline constexpr std::uint8_t unexpected_in_open_confirm = 2;
inline constexpr std::uint8_t unexpected_in_established = 3;

inline constexpr std::uint8_t invalid_message_length = 1;  ///< RFC 7313

inline constexpr std::uint8_t max_prefixes = 1;
inline constexpr std::uint8_t administrative_shutdown = 2;
inline constexpr std::uint8_t peer_deconfigured = 3;
inline constexpr std::uint8_t administrative_reset = 4;
inline constexpr std::uint8_t connection_rejected = 5;
inline constexpr std::uint8_t other_configuration_change = 6;
inline constexpr std::uint8_t connection_collision = 7;
inline constexpr std::uint8_t out_of_resources = 8;
inline constexpr std::uint8_t hard_reset = 9;  ///< RFC 8538
inline constexpr std::uint8_t bfd_down = 10;   ///< RFC 9384
}  // namespace subcode

/// A NOTIFICATION, to be sent or received. Codes stay raw: a peer may send any.
struct Notification {
    std::uint8_t code = 0;
    std::uint8_t subcode = 0;
    Bytes data;

    Notification() = default;
    Notification(ErrorCode error, std::uint8_t sub, Bytes diagnostic = {})
        : code(static_cast<std::uint8_t>(error)), subcode(sub), data(std::move(diagnostic)) {}

    friend bool operator==(const Notification&, const Notification&) = default;
};

/// Cease with the Shutdown Communication of RFC 9003 (used with administrative_shutdown and
/// administrative_reset only); text beyond 255 octets is cut at a UTF-8 boundary.
[[nodiscard]] Notification cease(std::uint8_t sub, std::string_view message = {});

/// The Shutdown Communication of a received Cease 6/2 or 6/4, made safe by escape(). Tolerates an
/// over-long or non-UTF-8 text; nothing if there is none.
[[nodiscard]] std::optional<std::string> shutdown_communication(const Notification& notification);

/// "Cease/Administrative Shutdown", with the Shutdown Communication in quotes behind it; what a
/// Hard Reset stands for in parentheses; unknown codes as numbers ("code 9 subcode 1"). Safe for
/// logs.
[[nodiscard]] std::string describe(const Notification& notification);

/// The whole message, header included, at most 4,096 octets.
[[nodiscard]] Bytes encode(const Notification& notification);
/// `body` is what follows the header; the framer guarantees the 2 octets of code and subcode.
[[nodiscard]] Notification decode_notification(ByteView body);

}  // namespace swerve::bgp
