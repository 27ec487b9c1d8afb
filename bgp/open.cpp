#include "swerve/bgp/open.hpp"

#include <algorithm>

#include "bgp/capability.hpp"
#include "swerve/bgp/framer.hpp"

namespace swerve::bgp {

namespace {

constexpr std::uint8_t version = 4;
constexpr std::uint16_t least_hold_time_s = 3;

Notification open_error(std::uint8_t sub, Bytes data = {}) {
    return {ErrorCode::open_message, sub, std::move(data)};
}

/// RFC 4724 §3: twelve bits.
std::uint16_t restart_time_s(Duration time) {
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(time).count();
    return static_cast<std::uint16_t>(std::clamp<decltype(seconds)>(seconds, 0, 0xfff));
}

Notification unacceptable_hold_time(std::uint16_t seconds) {
    Notification out = open_error(subcode::unacceptable_hold_time);
    Writer{out.data}.u16(seconds);
    return out;
}

/// The optional parameters, and how wide their length fields are.
struct ParameterField {
    ByteView parameters;
    bool extended;
};

/// RFC 9072 §2: a first parameter type of 255 says that a two-octet length follows and that every
/// parameter has one too; the octet before it then means nothing, except that it is not 0. All
/// lengths must meet the end of the message exactly.
std::optional<ParameterField> locate_parameters(Reader reader) {
    const auto size = reader.u8();
    if (!size) return std::nullopt;
    const bool extended =
        *size != 0 && !reader.empty() && reader.rest()[0] == extended_length_marker;
    if (!extended) {
        if (reader.remaining() != *size) return std::nullopt;
        return ParameterField{reader.rest(), false};
    }
    if (!reader.take(1)) return std::nullopt;
    const auto extended_size = reader.u16();
    if (!extended_size || reader.remaining() != *extended_size) return std::nullopt;
    return ParameterField{reader.rest(), true};
}

Result<Capabilities, Notification> decode_parameters(const ParameterField& field) {
    Capabilities out;
    Reader reader{field.parameters};
    while (!reader.empty()) {
        const auto type = reader.u8();
        std::optional<std::size_t> size;
        if (field.extended) {
            size = reader.u16();
        } else {
            size = reader.u8();
        }
        const auto value = size ? reader.take(*size) : std::nullopt;
        if (!type || !value) return fail(open_error(subcode::unspecific));
        if (*type != capabilities_parameter) {
            return fail(open_error(subcode::unsupported_optional_parameter));
        }
        if (auto done = decode_capabilities(*value, out); !done) return fail(done.error());
    }
    return out;
}

/// RFC 6793 §4.1: the capability names the AS; the two-octet field repeats it where it fits and is
/// AS_TRANS where it does not.
Result<Asn, Notification> settle_as(std::uint16_t field, const Capabilities& capabilities) {
    const auto as = Asn::from(field);
    if (!as) return fail(bad_peer_as(field));  // RFC 7607 §2
    if (!capabilities.four_octet_as) {
        // AS_TRANS alone names nobody.
        if (field == Asn::trans) return fail(bad_peer_as(field));
        return *as;
    }
    if (field != Asn::trans && *as != *capabilities.four_octet_as) return fail(bad_peer_as(field));
    return *capabilities.four_octet_as;
}

/// What our OPEN says of us.
Capabilities offered(const OpenPolicy& policy) {
    Capabilities out;
    if (policy.plain) return out;
    out.multiprotocol = policy.families;
    out.has_multiprotocol = !policy.families.empty();
    out.route_refresh = true;
    out.four_octet_as = policy.local_as;
    out.enhanced_route_refresh = true;
    out.extended_message = policy.extended_message;
    out.ipv4_over_ipv6 = policy.ipv4_over_ipv6;
    out.role = policy.role;
    if (policy.add_path_receive) out.add_path_receive = policy.families;
    if (policy.restart_time) {
        // RFC 4724 §3: R and F only after a restart. RFC 8538 §2: without N a NOTIFICATION and an
        // expired hold time end our routes at once, as they should.
        out.graceful_restart =
            GracefulRestart{.restarting = policy.restarting,
                            .restart_time_s = restart_time_s(*policy.restart_time),
                            .families = policy.families,
                            .forwarding = policy.restarting ? policy.families : FamilySet{}};
    }
    return out;
}

/// RFC 4760 §8: who sends no multiprotocol capability speaks IPv4 unicast only.
FamilySet families_of(const Capabilities& capabilities) {
    return capabilities.has_multiprotocol ? capabilities.multiprotocol : FamilySet{Family::ipv4};
}

/// RFC 9234 §4.2: the pairs that fit each other.
bool roles_fit(Role ours, Role theirs) {
    switch (ours) {
        case Role::provider:
            return theirs == Role::customer;
        case Role::customer:
            return theirs == Role::provider;
        case Role::route_server:
            return theirs == Role::route_server_client;
        case Role::route_server_client:
            return theirs == Role::route_server;
        case Role::peer:
            return theirs == Role::peer;
    }
    return false;
}

bool roles_agree(const OpenPolicy& policy, std::optional<Role> ours, std::optional<Role> theirs) {
    if (!theirs) return !policy.role_strict;
    return !ours || roles_fit(*ours, *theirs);
}

/// RFC 4271 §4.4: a third of the hold time, and not more than one KEEPALIVE in a second.
Duration keepalive_interval(Duration hold) {
    if (hold == Duration{0}) return hold;
    return std::max<Duration>(hold / 3, std::chrono::seconds{1});
}

}  // namespace

Result<Open, Notification> decode_open(ByteView body) {
    Reader reader{body};
    const auto peer_version = reader.u8();
    if (!peer_version) return fail(open_error(subcode::unspecific));
    // RFC 4271 §6.2: the version comes first, for it decides what the rest means; the data is the
    // largest one supported.
    if (*peer_version != version) return fail(open_error(subcode::unsupported_version, {0, 4}));
    const auto as_field = reader.u16();
    const auto hold_time_s = reader.u16();
    const auto identifier = reader.u32();
    if (!as_field || !hold_time_s || !identifier) return fail(open_error(subcode::unspecific));
    if (*as_field == 0) return fail(bad_peer_as(0));
    // RFC 4271 §6.2: a hold time of 1 or 2 s is refused.
    if (*hold_time_s != 0 && *hold_time_s < least_hold_time_s) {
        return fail(unacceptable_hold_time(*hold_time_s));
    }
    const auto router_id = RouterId::from(*identifier);
    if (!router_id) return fail(open_error(subcode::bad_bgp_identifier));
    const auto field = locate_parameters(reader);
    if (!field) return fail(open_error(subcode::unspecific));
    auto capabilities = decode_parameters(*field);
    if (!capabilities) return fail(std::move(capabilities.error()));
    const auto as = settle_as(*as_field, *capabilities);
    if (!as) return fail(as.error());
    return Open{*as, *hold_time_s, *router_id, std::move(*capabilities)};
}

Bytes encode(const Open& open) {
    Bytes out;
    const std::size_t begin = begin_message(out, MessageType::open);
    Writer writer{out};
    writer.u8(version);
    writer.u16(open.as.fits_two_octets() ? static_cast<std::uint16_t>(open.as.value())
                                         : Asn::trans);
    writer.u16(open.hold_time_s);
    writer.u32(open.router_id.value());
    Bytes capabilities;
    encode_capabilities(open.capabilities, capabilities);
    encode_parameters(capabilities, out);
    finish_message(out, begin);
    return out;
}

Open make_open(const OpenPolicy& policy) {
    const auto hold = std::chrono::duration_cast<std::chrono::seconds>(policy.hold_time);
    return Open{policy.local_as, static_cast<std::uint16_t>(hold.count()), policy.router_id,
                offered(policy)};
}

Result<Negotiated, Notification> negotiate(const OpenPolicy& ours, const Open& theirs) {
    if (ours.remote_as && *ours.remote_as != theirs.as) {
        return fail(bad_peer_as(theirs.as.value()));
    }
    const bool internal = theirs.as == ours.local_as;
    // RFC 6286 §2.2: an identifier is unique within its AS; across the border it may repeat.
    if (internal && theirs.router_id == ours.router_id) {
        return fail(open_error(subcode::bad_bgp_identifier));
    }
    if (theirs.hold_time_s == 0 && ours.hold_time != Duration{0}) {
        return fail(unacceptable_hold_time(0));
    }
    const Capabilities mine = offered(ours);
    const Capabilities& its = theirs.capabilities;
    const FamilySet families =
        ours.families.intersection(families_of(mine)).intersection(families_of(its));
    if (families.empty()) {
        Notification error = open_error(subcode::unsupported_capability);
        encode_multiprotocol(ours.families, error.data);
        return fail(std::move(error));
    }
    // RFC 9234 §4: a role is a word between two AS, and means nothing inside one.
    if (!internal && !roles_agree(ours, mine.role, its.role)) {
        return fail(open_error(subcode::role_mismatch));
    }
    // RFC 4271 §4.2: the smaller of both hold times.
    const Duration hold =
        std::min<Duration>(ours.hold_time, std::chrono::seconds{theirs.hold_time_s});
    return Negotiated{
        .remote_as = theirs.as,
        .remote_id = theirs.router_id,
        .internal = internal,
        .four_octet_as = mine.four_octet_as && its.four_octet_as,
        .route_refresh = its.route_refresh,
        .hold_time = hold,
        .keepalive = keepalive_interval(hold),
        .families = families,
        .enhanced_route_refresh = mine.enhanced_route_refresh && its.enhanced_route_refresh,
        // RFC 8654 §4: each side's word binds the other's sending alone.
        .send_extended = its.extended_message,
        .receive_extended = mine.extended_message,
        .ipv4_over_ipv6 = mine.ipv4_over_ipv6 && its.ipv4_over_ipv6,
        .add_path = families.intersection(mine.add_path_receive).intersection(its.add_path_send),
        .role = internal ? std::nullopt : mine.role,
        .remote_role = its.role,
        .remote_restart = its.graceful_restart};
}

}  // namespace swerve::bgp
