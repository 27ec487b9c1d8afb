#include "bgp/capability.hpp"

#include <algorithm>
#include <array>

#include "bgp/family.hpp"

namespace swerve::bgp {

namespace {

/// IANA "Capability Codes", those that this speaker knows.
enum class Code : std::uint8_t {
    multiprotocol = 1,
    route_refresh = 2,
    extended_next_hop = 5,
    extended_message = 6,
    role = 9,
    graceful_restart = 64,
    four_octet_as = 65,
    add_path = 69,
    enhanced_route_refresh = 70,
};

// RFC 4724 §3, RFC 8538 §2: flags over the restart time, and of each family.
constexpr unsigned restarting_flag = 0x8000;
constexpr unsigned notification_flag = 0x4000;
constexpr unsigned restart_time_mask = 0x0fff;
constexpr std::uint8_t forwarding_flag = 0x80;

// RFC 7911 §4; 3 is both.
constexpr unsigned takes_paths = 1;
constexpr unsigned sends_paths = 2;

Notification malformed() { return {ErrorCode::open_message, subcode::unspecific}; }

Result<void, Notification> decode_multiprotocol(ByteView value, Capabilities& out) {
    if (value.size() != 4) return fail(malformed());
    Reader reader{value};
    const std::uint16_t afi = reader.u16().value_or(0);
    const std::uint8_t safi = value[3];
    out.has_multiprotocol = true;
    // The capability may stand more than once, once for each family; they add up.
    if (const auto family = unicast_family(afi, safi)) out.multiprotocol.insert(*family);
    return {};
}

/// RFC 8950 §4: AFI, SAFI and the AFI of the next hop, two octets each.
Result<void, Notification> decode_extended_next_hop(ByteView value, Capabilities& out) {
    if (value.size() % 6 != 0) return fail(malformed());
    for (Reader reader{value}; !reader.empty();) {
        const std::uint16_t afi = reader.u16().value_or(0);
        const std::uint16_t safi = reader.u16().value_or(0);
        const std::uint16_t next_hop_afi = reader.u16().value_or(0);
        if (afi == afi_of(Family::ipv4) && safi == safi_unicast &&
            next_hop_afi == afi_of(Family::ipv6)) {
            out.ipv4_over_ipv6 = true;
        }
    }
    return {};
}

/// RFC 9234 §4.2: the same role twice is one role; two roles are a mismatch. A value that is not
/// assigned is kept, for it fits no role of ours.
Result<void, Notification> decode_role(ByteView value, Capabilities& out) {
    if (value.size() != 1) return fail(malformed());
    const auto role = static_cast<Role>(value[0]);
    if (out.role && *out.role != role) {
        return fail(Notification{ErrorCode::open_message, subcode::role_mismatch});
    }
    out.role = role;
    return {};
}

/// RFC 4724 §3: of several the last counts.
Result<void, Notification> decode_graceful_restart(ByteView value, Capabilities& out) {
    if (value.size() % 4 != 2) return fail(malformed());
    Reader reader{value};
    const unsigned head = reader.u16().value_or(0);
    GracefulRestart restart{.restarting = (head & restarting_flag) != 0,
                            .notification = (head & notification_flag) != 0,
                            .restart_time_s = static_cast<std::uint16_t>(head & restart_time_mask)};
    while (!reader.empty()) {
        const std::uint16_t afi = reader.u16().value_or(0);
        const auto family = unicast_family(afi, reader.u8().value_or(0));
        const unsigned flags = reader.u8().value_or(0);
        if (!family) continue;
        restart.families.insert(*family);
        if ((flags & forwarding_flag) != 0) restart.forwarding.insert(*family);
    }
    out.graceful_restart = restart;
    return {};
}

Result<void, Notification> decode_four_octet_as(ByteView value, Capabilities& out) {
    if (value.size() != 4) return fail(malformed());
    const std::uint32_t number = Reader{value}.u32().value_or(0);
    const auto as = Asn::from(number);
    // RFC 7607 §2: AS 0 is refused. RFC 6793 §9: nobody's own number is AS_TRANS.
    if (!as || number == Asn::trans) return fail(bad_peer_as(number));
    if (out.four_octet_as && *out.four_octet_as != *as) return fail(bad_peer_as(number));
    out.four_octet_as = as;
    return {};
}

/// RFC 7911 §4: with a mode that is not assigned the whole capability counts for nothing.
Result<void, Notification> decode_add_path(ByteView value, Capabilities& out) {
    if (value.size() % 4 != 0) return fail(malformed());
    FamilySet send = out.add_path_send;
    FamilySet receive = out.add_path_receive;
    for (Reader reader{value}; !reader.empty();) {
        const std::uint16_t afi = reader.u16().value_or(0);
        const auto family = unicast_family(afi, reader.u8().value_or(0));
        const unsigned mode = reader.u8().value_or(0);
        if (mode == 0 || mode > (takes_paths | sends_paths)) return {};
        if (family && (mode & sends_paths) != 0) send.insert(*family);
        if (family && (mode & takes_paths) != 0) receive.insert(*family);
    }
    out.add_path_send = send;
    out.add_path_receive = receive;
    return {};
}

Result<void, Notification> decode_capability(std::uint8_t code, ByteView value, Capabilities& out) {
    switch (static_cast<Code>(code)) {
        case Code::multiprotocol:
            return decode_multiprotocol(value, out);
        case Code::extended_next_hop:
            return decode_extended_next_hop(value, out);
        case Code::role:
            return decode_role(value, out);
        case Code::graceful_restart:
            return decode_graceful_restart(value, out);
        case Code::four_octet_as:
            return decode_four_octet_as(value, out);
        case Code::add_path:
            return decode_add_path(value, out);
        // These say all they have to say by being there; a value is none of their business.
        case Code::route_refresh:
            out.route_refresh = true;
            return {};
        case Code::extended_message:
            out.extended_message = true;
            return {};
        case Code::enhanced_route_refresh:
            out.enhanced_route_refresh = true;
            return {};
    }
    // RFC 5492 §3: what is not known is ignored, whatever it holds.
    if (std::ranges::find(out.unknown, code) == out.unknown.end()) out.unknown.push_back(code);
    return {};
}

/// Appends one capability whose value `write(writer)` writes.
template <class Write>
void encode_capability(Code code, Bytes& out, const Write& write) {
    Writer writer{out};
    writer.u8(static_cast<std::uint8_t>(code));
    const std::size_t size = writer.position();
    writer.u8(0);
    write(writer);
    writer.patch_u8(size, static_cast<std::uint8_t>(writer.position() - size - 1));
}

void encode_flag(Code code, bool wanted, Bytes& out) {
    if (wanted) encode_capability(code, out, [](Writer&) {});
}

void encode_graceful_restart(const GracefulRestart& restart, Writer& writer) {
    unsigned head = restart.restart_time_s & restart_time_mask;
    if (restart.restarting) head |= restarting_flag;
    if (restart.notification) head |= notification_flag;
    writer.u16(static_cast<std::uint16_t>(head));
    for (const Family family : all_families) {
        if (!restart.families.contains(family)) continue;
        writer.u16(afi_of(family));
        writer.u8(safi_unicast);
        writer.u8(restart.forwarding.contains(family) ? forwarding_flag : std::uint8_t{0});
    }
}

void encode_add_path(const Capabilities& capabilities, Writer& writer) {
    for (const Family family : all_families) {
        unsigned mode = 0;
        if (capabilities.add_path_receive.contains(family)) mode |= takes_paths;
        if (capabilities.add_path_send.contains(family)) mode |= sends_paths;
        if (mode == 0) continue;
        writer.u16(afi_of(family));
        writer.u8(safi_unicast);
        writer.u8(static_cast<std::uint8_t>(mode));
    }
}

}  // namespace

Result<void, Notification> decode_capabilities(ByteView parameter, Capabilities& out) {
    Reader reader{parameter};
    while (!reader.empty()) {
        const auto code = reader.u8();
        const auto size = reader.u8();
        const auto value = size ? reader.take(*size) : std::nullopt;
        if (!code || !value) return fail(malformed());
        if (auto done = decode_capability(*code, *value, out); !done) return done;
    }
    return {};
}

void encode_capabilities(const Capabilities& capabilities, Bytes& out) {
    encode_multiprotocol(capabilities.multiprotocol, out);
    encode_flag(Code::route_refresh, capabilities.route_refresh, out);
    if (capabilities.ipv4_over_ipv6) {
        encode_capability(Code::extended_next_hop, out, [](Writer& writer) {
            writer.u16(afi_of(Family::ipv4));
            writer.u16(safi_unicast);
            writer.u16(afi_of(Family::ipv6));
        });
    }
    encode_flag(Code::extended_message, capabilities.extended_message, out);
    if (const auto role = capabilities.role) {
        encode_capability(Code::role, out,
                          [&](Writer& writer) { writer.u8(static_cast<std::uint8_t>(*role)); });
    }
    if (const auto& restart = capabilities.graceful_restart) {
        encode_capability(Code::graceful_restart, out,
                          [&](Writer& writer) { encode_graceful_restart(*restart, writer); });
    }
    if (const auto as = capabilities.four_octet_as) {
        encode_capability(Code::four_octet_as, out,
                          [&](Writer& writer) { writer.u32(as->value()); });
    }
    if (!capabilities.add_path_receive.empty() || !capabilities.add_path_send.empty()) {
        encode_capability(Code::add_path, out,
                          [&](Writer& writer) { encode_add_path(capabilities, writer); });
    }
    encode_flag(Code::enhanced_route_refresh, capabilities.enhanced_route_refresh, out);
}

void encode_parameters(ByteView capabilities, Bytes& out) {
    Writer writer{out};
    if (capabilities.empty()) return writer.u8(0);
    const std::size_t field_size = capabilities.size() + 2;
    if (field_size <= 0xff) {
        writer.u8(static_cast<std::uint8_t>(field_size));
        writer.u8(capabilities_parameter);
        writer.u8(static_cast<std::uint8_t>(capabilities.size()));
    } else {
        // RFC 9072 §2: 255 as length and as first type, then all lengths in two octets.
        writer.u8(extended_length_marker);
        writer.u8(extended_length_marker);
        writer.u16(static_cast<std::uint16_t>(capabilities.size() + 3));
        writer.u8(capabilities_parameter);
        writer.u16(static_cast<std::uint16_t>(capabilities.size()));
    }
    writer.bytes(capabilities);
}

void encode_multiprotocol(const FamilySet& families, Bytes& out) {
    for (const Family family : all_families) {
        if (!families.contains(family)) continue;
        encode_capability(Code::multiprotocol, out, [&](Writer& writer) {
            writer.u16(afi_of(family));
            writer.u8(0);
            writer.u8(safi_unicast);
        });
    }
}

Notification bad_peer_as(std::uint32_t number) {
    Notification out{ErrorCode::open_message, subcode::bad_peer_as};
    Writer writer{out.data};
    if (number <= 0xffff) {
        writer.u16(static_cast<std::uint16_t>(number));
    } else {
        writer.u32(number);
    }
    return out;
}

std::string_view to_string(Role role) {
    switch (role) {
        case Role::provider:
            return "provider";
        case Role::route_server:
            return "route_server";
        case Role::route_server_client:
            return "route_server_client";
        case Role::customer:
            return "customer";
        case Role::peer:
            return "peer";
    }
    return "unknown";
}

std::optional<Role> parse_role(std::string_view text) {
    for (const Role role : {Role::provider, Role::route_server, Role::route_server_client,
                            Role::customer, Role::peer}) {
        if (text == to_string(role)) return role;
    }
    return std::nullopt;
}

}  // namespace swerve::bgp
