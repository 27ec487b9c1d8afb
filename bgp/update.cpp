#include "swerve/bgp/update.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "bgp/attributes/next_hop.hpp"
#include "bgp/attributes/table.hpp"
#include "bgp/family.hpp"
#include "swerve/bgp/framer.hpp"

namespace swerve::bgp {

namespace {

/// The three parts of an UPDATE (RFC 4271 §4.3).
struct Sections {
    ByteView withdrawn;
    ByteView attributes;
    ByteView nlri;
};

std::optional<Sections> split(ByteView body) {
    Reader reader{body};
    const auto withdrawn_size = reader.u16();
    const auto withdrawn = withdrawn_size ? reader.take(*withdrawn_size) : std::nullopt;
    if (!withdrawn) return std::nullopt;
    const auto attributes_size = reader.u16();
    const auto attributes = attributes_size ? reader.take(*attributes_size) : std::nullopt;
    if (!attributes) return std::nullopt;
    return Sections{*withdrawn, *attributes, reader.rest()};
}

constexpr std::size_t octets_for(std::size_t bits) { return (bits + 7) / 8; }

/// What a field of NLRI is made of.
struct NlriForm {
    Family family;
    bool add_path = false;  ///< four octets of path identifier stand before each prefix

    [[nodiscard]] std::size_t prefix_at() const { return add_path ? 4 : 0; }
};

/// How many prefixes a field holds; nothing when a length is too large for the family or the field
/// ends inside a prefix. Counted before anything is stored, so that the list is allocated once.
std::optional<std::size_t> count_prefixes(const NlriForm& form, ByteView field) {
    std::size_t count = 0;
    for (std::size_t at = 0; at < field.size(); ++count) {
        at += form.prefix_at();
        if (at >= field.size()) return std::nullopt;
        const std::size_t bits = field[at];
        if (bits > address_bits(form.family)) return std::nullopt;
        at += 1 + octets_for(bits);
        if (at > field.size()) return std::nullopt;
    }
    return count;
}

/// Appends the prefixes of a field; false, and nothing appended, when it is malformed.
bool decode_prefixes(const NlriForm& form, ByteView field, std::vector<Prefix>& out,
                     PathIds& path_ids) {
    const auto count = count_prefixes(form, field);
    if (!count) return false;
    // Of the other field there may be some without identifiers, or none with one so far.
    if (form.add_path || !path_ids.empty()) path_ids.resize(out.size());
    out.reserve(out.size() + *count);
    const std::size_t size = octets_for(address_bits(form.family));
    for (std::size_t at = 0; at < field.size();) {
        if (form.add_path) {
            path_ids.push_back(Reader{field.subspan(at)}.u32().value_or(0));
            at += 4;
        }
        const unsigned bits = field[at];
        const ByteView octets = field.subspan(at + 1, octets_for(bits));
        std::array<std::uint8_t, 16> address{};
        std::ranges::copy(octets, address.begin());
        const auto whole = Address::from_octets({address.data(), size});
        const auto prefix = whole ? Prefix::masked(*whole, bits) : std::nullopt;
        if (prefix) out.push_back(*prefix);
        at += 1 + octets.size();
    }
    if (!path_ids.empty()) path_ids.resize(out.size());
    return true;
}

Notification invalid_network_field() {
    return {ErrorCode::update_message, subcode::invalid_network_field};
}

Notification mp_error(const MpNlri& mp) {
    return {ErrorCode::update_message, subcode::optional_attribute_error,
            Bytes(mp.attribute.begin(), mp.attribute.end())};
}

/// The family of an MP attribute, if it was negotiated. RFC 4760 §7: others are ignored.
std::optional<Family> negotiated_family(const MpNlri& mp, const UpdateContext& context) {
    const auto family = unicast_family(mp.afi, mp.safi);
    return family && context.families.contains(*family) ? family : std::nullopt;
}

/// RFC 2545 §3: an IPv6 next hop is a global address, or a global and a link-local one. Some
/// speakers without a global address send `::` in its place, so that the link-local one counts.
/// IPv4 routes have an IPv4 next hop, or such a one where both ends said so (RFC 8950 §3).
std::optional<Address> decode_mp_next_hop(Family family, ByteView octets,
                                          const UpdateContext& context) {
    if (family == Family::ipv4 && octets.size() == 4) return Address::from_octets(octets);
    if (family == Family::ipv4 && !context.ipv4_over_ipv6) return std::nullopt;
    if (octets.size() != 16 && octets.size() != 32) return std::nullopt;
    const auto global = Address::from_octets(octets.first(16));
    if (octets.size() == 32 && global && global->is_unspecified()) {
        return Address::from_octets(octets.subspan(16));
    }
    return global;
}

NlriForm form_of(Family family, const UpdateContext& context) {
    return {family, context.add_path.contains(family)};
}

Result<void, Notification> decode_legacy(const Sections& sections, const UpdateContext& context,
                                         const AttributeList& list, Update& out) {
    if (!context.families.contains(Family::ipv4)) return {};
    const NlriForm form = form_of(Family::ipv4, context);
    // RFC 7606 §5.3: both fields are checked alike.
    if (!decode_prefixes(form, sections.withdrawn, out.withdrawn, out.withdrawn_path_ids)) {
        return fail(invalid_network_field());
    }
    if (sections.nlri.empty()) return {};
    // Where the next hop is missing the routes are withdrawn anyway, and this one is never seen.
    Reach reach{list.decoded.next_hop.value_or(Address::v4(0)), {}};
    if (!decode_prefixes(form, sections.nlri, reach.prefixes, reach.path_ids)) {
        return fail(invalid_network_field());
    }
    out.reach.push_back(std::move(reach));
    return {};
}

Result<void, Notification> decode_mp(AttributeList& list, const UpdateContext& context,
                                     Update& out) {
    if (const auto& mp = list.decoded.mp_unreach) {
        const auto family = negotiated_family(*mp, context);
        if (family && !decode_prefixes(form_of(*family, context), mp->nlri, out.withdrawn,
                                       out.withdrawn_path_ids)) {
            return fail(mp_error(*mp));
        }
    }
    if (const auto& mp = list.decoded.mp_reach) {
        const auto family = negotiated_family(*mp, context);
        if (!family) return {};
        const auto next_hop = decode_mp_next_hop(*family, mp->next_hop, context);
        if (!next_hop) return fail(mp_error(*mp));
        Reach reach{*next_hop, {}};
        if (!decode_prefixes(form_of(*family, context), mp->nlri, reach.prefixes, reach.path_ids)) {
            return fail(mp_error(*mp));
        }
        if (!usable_next_hop(*next_hop)) {
            list.damage.raise(Consequence::treat_as_withdraw, "MP_REACH_NLRI",
                              "next hop is not a host address");
        }
        if (!reach.prefixes.empty()) out.reach.push_back(std::move(reach));
    }
    return {};
}

/// RFC 7606 §3 d: what a route cannot do without. NEXT_HOP belongs to the NLRI field only.
void check_mandatory(AttributeList& list, bool has_nlri_field) {
    const auto missing = [&](std::string_view name) {
        list.damage.raise(Consequence::treat_as_withdraw, name, "missing");
    };
    if (!list.has_origin) missing("ORIGIN");
    if (!list.has_as_path) missing("AS_PATH");
    if (has_nlri_field && !list.has_next_hop) missing("NEXT_HOP");
}

/// RFC 4724 §2: an UPDATE with nothing in it, or with nothing but an empty MP_UNREACH_NLRI.
std::optional<Family> end_of_rib(const Sections& sections, const AttributeList& list,
                                 const UpdateContext& context) {
    if (!sections.withdrawn.empty() || !sections.nlri.empty() || !list.only_mp_unreach) {
        return std::nullopt;
    }
    const auto& mp = list.decoded.mp_unreach;
    if (!mp) {
        return context.families.contains(Family::ipv4) ? std::optional{Family::ipv4} : std::nullopt;
    }
    return mp->nlri.empty() ? negotiated_family(*mp, context) : std::nullopt;
}

/// Moves every announced prefix, and its path identifier, to the withdrawn ones.
void withdraw_all(Update& update) {
    auto& withdrawn = update.withdrawn;
    auto& path_ids = update.withdrawn_path_ids;
    std::size_t count = withdrawn.size();
    for (const Reach& reach : update.reach) count += reach.prefixes.size();
    withdrawn.reserve(count);
    for (const Reach& reach : update.reach) {
        if (!reach.path_ids.empty()) {
            path_ids.resize(withdrawn.size());
            path_ids.insert(path_ids.end(), reach.path_ids.begin(), reach.path_ids.end());
        }
        withdrawn.insert(withdrawn.end(), reach.prefixes.begin(), reach.prefixes.end());
    }
    if (!path_ids.empty()) path_ids.resize(withdrawn.size());
    update.reach.clear();
}

}  // namespace

Result<Update, Notification> decode_update(ByteView body, const UpdateContext& context) {
    const Notification malformed{ErrorCode::update_message, subcode::malformed_attribute_list};
    const auto sections = split(body);
    if (!sections) return fail(malformed);
    auto decoded = decode_attribute_list(sections->attributes, context.attributes);
    if (!decoded) return fail(std::move(decoded.error()));
    AttributeList& list = *decoded;
    Update out;
    if (auto done = decode_legacy(*sections, context, list, out); !done) {
        return fail(std::move(done.error()));
    }
    if (auto done = decode_mp(list, context, out); !done) return fail(std::move(done.error()));

    const bool has_nlri_field = !sections->nlri.empty() && context.families.contains(Family::ipv4);
    const auto& mp_reach = list.decoded.mp_reach;
    // RFC 4760 §3: NEXT_HOP is ignored where MP_REACH_NLRI is the only NLRI.
    if (has_nlri_field || !mp_reach) list.damage.raise(list.next_hop_damage);
    if (!out.reach.empty()) check_mandatory(list, has_nlri_field);
    const bool reachable = !sections->nlri.empty() || (mp_reach && !mp_reach->nlri.empty());
    const bool damaged = list.damage.consequence >= Consequence::treat_as_withdraw;
    // RFC 7606 §5.2: attributes without a route to withdraw were perhaps meant for one that was not
    // recognised as such.
    if (damaged && !reachable && !list.only_mp_unreach) return fail(malformed);
    if (damaged) withdraw_all(out);
    out.end_of_rib = end_of_rib(*sections, list, context);
    out.consequence = list.damage.consequence;
    out.fault = std::move(list.damage.fault);
    if (!out.reach.empty()) {
        out.attributes = std::make_shared<const PathAttributes>(std::move(list.decoded.path));
    }
    return out;
}

std::optional<Family> family_of_routes(ByteView body) {
    const auto sections = split(body);
    if (!sections) return std::nullopt;
    for (Reader list{sections->attributes}; !list.empty();) {
        const auto attribute = next_attribute(list);
        if (!attribute) return std::nullopt;
        if (!is_mp(attribute->type)) continue;
        Reader value{attribute->value};
        const auto afi = value.u16();
        const auto safi = value.u8();
        return afi && safi ? unicast_family(*afi, *safi) : std::nullopt;
    }
    return Family::ipv4;
}

Bytes encode_end_of_rib(Family family) {
    Bytes out;
    const std::size_t begin = begin_message(out, MessageType::update);
    Writer writer{out};
    writer.u16(0);
    if (family == Family::ipv4) {
        writer.u16(0);
    } else {
        writer.u16(6);
        writer.u8(attribute_flag::optional);
        writer.u8(attribute_type::mp_unreach_nlri);
        writer.u8(3);
        writer.u16(afi_of(family));
        writer.u8(safi_unicast);
    }
    finish_message(out, begin);
    return out;
}

void encode_nlri(const Prefix& prefix, Bytes& out) {
    const auto octets = prefix.address().octets().first(octets_for(prefix.length()));
    out.push_back(static_cast<std::uint8_t>(prefix.length()));
    out.insert(out.end(), octets.begin(), octets.end());
}

}  // namespace swerve::bgp
