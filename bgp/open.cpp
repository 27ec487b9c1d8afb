#include "swerve/bgp/open.hpp"

#include <algorithm>

#include "bgp/capability.hpp"
#include "swerve/bgp/framer.hpp"

namespace swerve::bgp {

namespace {

constexpr std::uint8_t version = 4;
constexpr std::uint8_t capabilities_parameter = 2;
constexpr std::uint8_t extended_length_marker = 255;
constexpr std::uint16_t least_hold_time_s = 3;

Notification open_error(std::uint8_t sub, Bytes data = {}) {
    return {ErrorCode::open_message, sub, std::move(data)};
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
    const std::size_t parameters_size = writer.position();
    writer.u8(0);
    Bytes capabilities;
    encode_capabilities(open.capabilities, capabilities);
    // The known capabilities take 20 octets at most, far from needing RFC 9072.
    if (!capabilities.empty()) {
        writer.u8(capabilities_parameter);
        writer.u8(static_cast<std::uint8_t>(capabilities.size()));
        writer.bytes(capabilities);
        writer.patch_u8(parameters_size, static_cast<std::uint8_t>(capabilities.size() + 2));
    }
    finish_message(out, begin);
    return out;
}

Open make_open(const OpenPolicy& policy) {
    const auto hold = std::chrono::duration_cast<std::chrono::seconds>(policy.hold_time);
    Capabilities capabilities;
    capabilities.multiprotocol = policy.families;
    capabilities.has_multiprotocol = !policy.families.empty();
    capabilities.route_refresh = true;
    capabilities.four_octet_as = policy.local_as;
    return Open{policy.local_as, static_cast<std::uint16_t>(hold.count()), policy.router_id,
                std::move(capabilities)};
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
    if (theirs.hold_time_s == 0) return fail(unacceptable_hold_time(0));
    // RFC 4760 §8: who sends no multiprotocol capability speaks IPv4 unicast only.
    const FamilySet their_families = theirs.capabilities.has_multiprotocol
                                         ? theirs.capabilities.multiprotocol
                                         : FamilySet{Family::ipv4};
    const FamilySet families = ours.families.intersection(their_families);
    if (families.empty()) {
        Notification error = open_error(subcode::unsupported_capability);
        encode_multiprotocol(ours.families, error.data);
        return fail(std::move(error));
    }
    // RFC 4271 §4.2: the smaller of both hold times.
    const Duration hold =
        std::min<Duration>(ours.hold_time, std::chrono::seconds{theirs.hold_time_s});
    return Negotiated{.remote_as = theirs.as,
                      .remote_id = theirs.router_id,
                      .internal = internal,
                      .four_octet_as = theirs.capabilities.four_octet_as.has_value(),
                      .route_refresh = theirs.capabilities.route_refresh,
                      .hold_time = hold,
                      // RFC 4271 §4.4: not more than one KEEPALIVE in a second.
                      .keepalive = std::max<Duration>(hold / 3, std::chrono::seconds{1}),
                      .families = families};
}

}  // namespace swerve::bgp
