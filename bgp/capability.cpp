#include "bgp/capability.hpp"

#include <algorithm>
#include <array>

#include "bgp/family.hpp"

namespace swerve::bgp {

namespace {

// IANA "Capability Codes".
constexpr std::uint8_t multiprotocol_code = 1;
constexpr std::uint8_t route_refresh_code = 2;
constexpr std::uint8_t four_octet_as_code = 65;

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

Result<void, Notification> decode_capability(std::uint8_t code, ByteView value, Capabilities& out) {
    switch (code) {
        case multiprotocol_code:
            return decode_multiprotocol(value, out);
        case four_octet_as_code:
            return decode_four_octet_as(value, out);
        case route_refresh_code:
            out.route_refresh = true;
            return {};
        default:
            break;
    }
    // RFC 5492 §3: what is not known is ignored, whatever it holds.
    if (std::ranges::find(out.unknown, code) == out.unknown.end()) out.unknown.push_back(code);
    return {};
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
    Writer writer{out};
    if (capabilities.route_refresh) {
        writer.u8(route_refresh_code);
        writer.u8(0);
    }
    if (capabilities.four_octet_as) {
        writer.u8(four_octet_as_code);
        writer.u8(4);
        writer.u32(capabilities.four_octet_as->value());
    }
}

void encode_multiprotocol(const FamilySet& families, Bytes& out) {
    Writer writer{out};
    for (const Family family : all_families) {
        if (!families.contains(family)) continue;
        writer.u8(multiprotocol_code);
        writer.u8(4);
        writer.u16(afi_of(family));
        writer.u8(0);
        writer.u8(safi_unicast);
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
    static constexpr std::array<std::string_view, 5> names{
        "provider", "route_server", "route_server_client", "customer", "peer"};
    return names[static_cast<std::size_t>(role)];
}

std::optional<Role> parse_role(std::string_view text) {
    for (const Role role : {Role::provider, Role::route_server, Role::route_server_client,
                            Role::customer, Role::peer}) {
        if (text == to_string(role)) return role;
    }
    return std::nullopt;
}

}  // namespace swerve::bgp
