#pragma once
// Just enough of RFC 4271 for the neutral receiver. Written for it alone and without Swerve's own
// library, so that a mistake in one does not hide in the other.

#include <cstdint>
#include <expected>
#include <span>
#include <string>
#include <vector>

namespace bench {

using Octets = std::vector<std::uint8_t>;
using View = std::span<const std::uint8_t>;

enum class MessageType : std::uint8_t { open = 1, update, notification, keepalive, route_refresh };

inline constexpr std::size_t header_size = 19;
inline constexpr std::size_t largest_message = 4096;

[[nodiscard]] std::uint16_t read_u16(View octets, std::size_t at);

[[nodiscard]] Octets make_open(std::uint32_t local_as, std::uint32_t router_id);
[[nodiscard]] Octets make_keepalive();

/// What UPDATE messages said, added up.
struct Tally {
    std::uint64_t announced = 0;  ///< prefixes, of both families
    std::uint64_t withdrawn = 0;
    std::uint64_t updates = 0;
    std::uint64_t announcing_octets = 0;  ///< of messages that announce anything
    std::uint64_t withdrawing_octets = 0;
    std::uint64_t ends_of_rib = 0;
    /// Sum over the announced prefixes less that over the withdrawn ones, modulo 2^64: equal for
    /// equal sets, whatever the order and the messages.
    std::uint64_t digest = 0;
};

/// Adds the body of an UPDATE; the error is a sentence.
[[nodiscard]] std::expected<void, std::string> add_update(View body, Tally& tally);

/// One IPv4 prefix in host order, without host bits.
struct Ipv4Prefix {
    std::uint32_t address;
    std::uint8_t length;
};

/// Reads "a.b.c.d/n" lines; the error names the line.
[[nodiscard]] std::expected<std::vector<Ipv4Prefix>, std::string> read_prefixes(
    const std::string& file);

/// All prefixes in as few UPDATE messages as they fit in, ready for the socket.
[[nodiscard]] Octets make_announcements(std::span<const Ipv4Prefix> prefixes,
                                        std::uint32_t local_as, std::uint32_t next_hop);
[[nodiscard]] Octets make_withdrawals(std::span<const Ipv4Prefix> prefixes);

}  // namespace bench
