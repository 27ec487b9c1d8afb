#pragma once
// The BFD control packet (RFC 5880 §4) and its authentication.

#include <cstdint>
#include <string>
#include <string_view>

#include "swerve/base/bytes.hpp"
#include "swerve/base/result.hpp"

namespace swerve::bfd {

/// RFC 5880 §4.1, with its numbers on the wire.
enum class State : std::uint8_t { admin_down, down, init, up };
[[nodiscard]] std::string_view to_string(State state);

/// Why the sender's session last left Up (RFC 5880 §4.1). Values 9 to 31 are reserved; they are
/// received, never sent.
enum class Diagnostic : std::uint8_t {
    none,
    detection_time_expired,
    echo_failed,
    neighbor_signaled_down,
    forwarding_plane_reset,
    path_down,
    concatenated_path_down,
    administratively_down,
    reverse_concatenated_path_down
};
/// "Control Detection Time Expired"; "reserved" from 9 on.
[[nodiscard]] std::string_view to_string(Diagnostic diagnostic);

/// Intervals are in microseconds, as on the wire.
struct Packet {
    Diagnostic diagnostic = Diagnostic::none;
    State state = State::down;
    bool poll = false;
    bool final = false;
    bool control_plane_independent = false;
    bool demand = false;
    std::uint8_t detect_multiplier = 3;
    std::uint32_t my_discriminator = 0;
    std::uint32_t your_discriminator = 0;
    std::uint32_t desired_min_tx_us = 0;
    std::uint32_t required_min_rx_us = 0;
    std::uint32_t required_min_echo_rx_us = 0;

    friend bool operator==(const Packet&, const Packet&) = default;
};

/// RFC 5880 §4.2 to §4.4. A section of another type is kept as its number alone.
enum class AuthType : std::uint8_t {
    simple_password = 1,
    keyed_md5 = 2,
    meticulous_keyed_md5 = 3,
    keyed_sha1 = 4,
    meticulous_keyed_sha1 = 5
};

/// What a neighbor is configured with. Keyed MD5, keyed SHA-1 and their like are refused by the
/// configuration: of what RFC 5880 has, only these two are worth having today.
struct Authentication {
    AuthType type = AuthType::meticulous_keyed_sha1;  ///< or simple_password
    std::uint8_t key_id = 0;
    std::string secret;  ///< 1 to 16 octets of a password, 1 to 20 of a key

    friend bool operator==(const Authentication&, const Authentication&) = default;
};

/// Why a received packet is dropped without a word (RFC 5880 §6.8.6, in its order).
enum class Discard : std::uint8_t {
    bad_version,
    too_short,
    longer_than_payload,
    zero_multiplier,
    multipoint,
    zero_my_discriminator,
    zero_your_discriminator,
    authentication_missing,
    authentication_unexpected,
    authentication_failed,
    sequence_out_of_window,
    poll_and_final,
    unknown_discriminator,
    ttl_too_low
};
[[nodiscard]] std::string_view to_string(Discard discard);
inline constexpr std::size_t discard_count = 14;

/// A packet that says nothing wrong by itself, and what it carries to prove its sender.
struct Received {
    Packet packet;
    ByteView octets;          ///< the whole packet, without what follows it in the datagram
    ByteView authentication;  ///< its authentication section with type and length; empty: none
};

/// Checks all that needs no session. `datagram` must outlive what is returned.
[[nodiscard]] Result<Received, Discard> decode(ByteView datagram);

/// `sequence` counts for meticulous authentication alone.
[[nodiscard]] Bytes encode(const Packet& packet, const Authentication* authentication = nullptr,
                           std::uint32_t sequence = 0);

/// The sequence number of a packet whose digest or password is right (0 for a password), or why it
/// is not to be believed. Whether the number is fresh is the session's to say.
[[nodiscard]] Result<std::uint32_t, Discard> verify(const Received& received,
                                                    const Authentication& expected);

}  // namespace swerve::bfd
