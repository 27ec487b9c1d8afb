#include "swerve/bfd/packet.hpp"

#include <algorithm>
#include <array>

#include "bfd/digest.hpp"

namespace swerve::bfd {
namespace {

constexpr std::uint8_t version = 1;
constexpr std::size_t mandatory_octets = 24;
constexpr std::size_t sha1_section = 8 + sha1_octets;
constexpr std::size_t most_password = 16;

// Octet 1 of the packet, below the state.
constexpr std::uint8_t poll_bit = 0x20;
constexpr std::uint8_t final_bit = 0x10;
constexpr std::uint8_t independent_bit = 0x08;
constexpr std::uint8_t authentication_bit = 0x04;
constexpr std::uint8_t demand_bit = 0x02;
constexpr std::uint8_t multipoint_bit = 0x01;

/// RFC 5880 §6.7.4: over the whole packet, with the key, filled up with zeros, where the digest
/// will stand.
Sha1 digest(ByteView octets, std::size_t digest_at, std::string_view secret) {
    Bytes text(octets.begin(), octets.end());
    Sha1 key{};
    std::copy_n(secret.begin(), std::min(secret.size(), key.size()), key.begin());
    std::ranges::copy(key, text.begin() + static_cast<std::ptrdiff_t>(digest_at));
    return sha1(text);
}

Packet fields(ByteView octets) {
    Reader in(octets);
    const std::uint8_t first = *in.u8();
    const std::uint8_t second = *in.u8();
    Packet out;
    out.diagnostic = static_cast<Diagnostic>(first & 0x1fU);
    out.state = static_cast<State>(second >> 6U);
    out.poll = (second & poll_bit) != 0;
    out.final = (second & final_bit) != 0;
    out.control_plane_independent = (second & independent_bit) != 0;
    out.demand = (second & demand_bit) != 0;
    out.detect_multiplier = *in.u8();
    (void)in.u8();  // the length
    out.my_discriminator = *in.u32();
    out.your_discriminator = *in.u32();
    out.desired_min_tx_us = *in.u32();
    out.required_min_rx_us = *in.u32();
    out.required_min_echo_rx_us = *in.u32();
    return out;
}

/// Type and length of a section that is as long as it says.
bool is_section(ByteView section) { return section.size() >= 2 && section[1] == section.size(); }

std::size_t section_octets(const Authentication& authentication) {
    return authentication.type == AuthType::simple_password ? 3 + authentication.secret.size()
                                                            : sha1_section;
}

}  // namespace

Result<Received, Discard> decode(ByteView datagram) {
    // RFC 5880 §6.8.6, step by step and in its order.
    if (datagram.size() < mandatory_octets) return fail(Discard::too_short);
    if (datagram[0] >> 5U != version) return fail(Discard::bad_version);
    const bool is_authenticated = (datagram[1] & authentication_bit) != 0;
    const std::size_t length = datagram[3];
    if (length < mandatory_octets + (is_authenticated ? 2U : 0U)) return fail(Discard::too_short);
    if (length > datagram.size()) return fail(Discard::longer_than_payload);
    const Packet packet = fields(datagram);
    if (packet.detect_multiplier == 0) return fail(Discard::zero_multiplier);
    if ((datagram[1] & multipoint_bit) != 0) return fail(Discard::multipoint);
    if (packet.my_discriminator == 0) return fail(Discard::zero_my_discriminator);
    const bool may_not_know_us = packet.state == State::down || packet.state == State::admin_down;
    if (packet.your_discriminator == 0 && !may_not_know_us) {
        return fail(Discard::zero_your_discriminator);
    }
    // RFC 5880 §6.5: a packet that does both at once answers itself for ever.
    if (packet.poll && packet.final) return fail(Discard::poll_and_final);
    Received out{packet, datagram.first(length), {}};
    if (is_authenticated) out.authentication = out.octets.subspan(mandatory_octets);
    return out;
}

Bytes encode(const Packet& packet, const Authentication* authentication, std::uint32_t sequence) {
    const std::size_t section = authentication == nullptr ? 0 : section_octets(*authentication);
    const auto bit = [](bool set, std::uint8_t which) { return set ? which : std::uint8_t{0}; };
    Bytes octets;
    octets.reserve(mandatory_octets + section);
    Writer out(octets);
    out.u8(static_cast<std::uint8_t>(version << 5U |
                                     (static_cast<unsigned>(packet.diagnostic) & 0x1fU)));
    out.u8(static_cast<std::uint8_t>(
        static_cast<unsigned>(packet.state) << 6U | bit(packet.poll, poll_bit) |
        bit(packet.final, final_bit) | bit(packet.control_plane_independent, independent_bit) |
        bit(authentication != nullptr, authentication_bit) | bit(packet.demand, demand_bit)));
    out.u8(packet.detect_multiplier);
    out.u8(static_cast<std::uint8_t>(mandatory_octets + section));
    out.u32(packet.my_discriminator);
    out.u32(packet.your_discriminator);
    out.u32(packet.desired_min_tx_us);
    out.u32(packet.required_min_rx_us);
    out.u32(packet.required_min_echo_rx_us);
    if (authentication == nullptr) return octets;
    out.u8(static_cast<std::uint8_t>(authentication->type));
    out.u8(static_cast<std::uint8_t>(section));
    out.u8(authentication->key_id);
    if (authentication->type == AuthType::simple_password) {
        for (const char c : authentication->secret) out.u8(static_cast<std::uint8_t>(c));
        return octets;
    }
    out.u8(0);
    out.u32(sequence);
    const std::size_t digest_at = octets.size();
    octets.resize(digest_at + sha1_octets);
    std::ranges::copy(digest(octets, digest_at, authentication->secret),
                      octets.begin() + static_cast<std::ptrdiff_t>(digest_at));
    return octets;
}

Result<std::uint32_t, Discard> verify(const Received& received, const Authentication& expected) {
    const ByteView section = received.authentication;
    if (section.empty()) return fail(Discard::authentication_missing);
    const auto refused = [] { return fail(Discard::authentication_failed); };
    if (!is_section(section) || section.size() < 3) return refused();
    if (section[0] != static_cast<std::uint8_t>(expected.type)) return refused();
    if (section[2] != expected.key_id) return refused();
    if (expected.type == AuthType::simple_password) {
        const Bytes password(expected.secret.begin(), expected.secret.end());
        if (section.size() > 3 + most_password || !is_same_secret(section.subspan(3), password)) {
            return refused();
        }
        return 0U;
    }
    if (section.size() != sha1_section) return refused();
    Reader in(section.subspan(4));
    const std::uint32_t sequence = *in.u32();
    const std::size_t digest_at = received.octets.size() - sha1_octets;
    if (!is_same_secret(section.subspan(8), digest(received.octets, digest_at, expected.secret))) {
        return refused();
    }
    return sequence;
}

std::string_view to_string(State state) {
    static constexpr std::array<std::string_view, 4> names{"AdminDown", "Down", "Init", "Up"};
    return names.at(static_cast<std::size_t>(state));
}

std::string_view to_string(Diagnostic diagnostic) {
    // RFC 5880 §4.1.
    static constexpr std::array<std::string_view, 9> names{"No Diagnostic",
                                                           "Control Detection Time Expired",
                                                           "Echo Function Failed",
                                                           "Neighbor Signaled Session Down",
                                                           "Forwarding Plane Reset",
                                                           "Path Down",
                                                           "Concatenated Path Down",
                                                           "Administratively Down",
                                                           "Reverse Concatenated Path Down"};
    const auto number = static_cast<std::size_t>(diagnostic);
    return number < names.size() ? names[number] : "reserved";
}

std::string_view to_string(Discard discard) {
    static constexpr std::array<std::string_view, discard_count> names{"bad_version",
                                                                       "too_short",
                                                                       "longer_than_payload",
                                                                       "zero_multiplier",
                                                                       "multipoint",
                                                                       "zero_my_discriminator",
                                                                       "zero_your_discriminator",
                                                                       "authentication_missing",
                                                                       "authentication_unexpected",
                                                                       "authentication_failed",
                                                                       "sequence_out_of_window",
                                                                       "poll_and_final",
                                                                       "unknown_discriminator",
                                                                       "ttl_too_low"};
    return names.at(static_cast<std::size_t>(discard));
}

}  // namespace swerve::bfd
