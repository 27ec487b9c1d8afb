#include "bgp/attributes/table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bitset>

namespace swerve::bgp {

namespace {

using namespace attribute_flag;
using enum Consequence;

constexpr Encode no_encode = nullptr;

constexpr std::array table{
    AttributeRow{attribute_type::origin, "ORIGIN", well_known, Sender::any, treat_as_withdraw,
                 decode_origin, encode_origin, "RFC 4271 §5.1.1, RFC 7606 §7.1"},
    AttributeRow{attribute_type::as_path, "AS_PATH", well_known, Sender::any, treat_as_withdraw,
                 decode_as_path, encode_as_path, "RFC 4271 §5.1.2, RFC 7606 §7.2"},
    AttributeRow{attribute_type::next_hop, "NEXT_HOP", well_known, Sender::any, treat_as_withdraw,
                 decode_next_hop, encode_next_hop, "RFC 4271 §5.1.3, RFC 7606 §7.3"},
    AttributeRow{attribute_type::med, "MULTI_EXIT_DISC", optional, Sender::any, treat_as_withdraw,
                 decode_med, encode_med, "RFC 4271 §5.1.4, RFC 7606 §7.4"},
    AttributeRow{attribute_type::local_pref, "LOCAL_PREF", well_known, Sender::internal,
                 treat_as_withdraw, decode_local_pref, encode_local_pref,
                 "RFC 4271 §5.1.5, RFC 7606 §7.5"},
    AttributeRow{attribute_type::atomic_aggregate, "ATOMIC_AGGREGATE", well_known, Sender::any,
                 discard_attribute, decode_atomic_aggregate, encode_atomic_aggregate,
                 "RFC 4271 §5.1.6, RFC 7606 §7.6"},
    AttributeRow{attribute_type::aggregator, "AGGREGATOR", optional_transitive, Sender::any,
                 discard_attribute, decode_aggregator, encode_aggregator,
                 "RFC 4271 §5.1.7, RFC 7606 §7.7"},
    AttributeRow{attribute_type::communities, "COMMUNITIES", optional_transitive, Sender::any,
                 treat_as_withdraw, decode_communities, encode_communities,
                 "RFC 1997, RFC 7606 §7.8"},
    AttributeRow{attribute_type::originator_id, "ORIGINATOR_ID", optional, Sender::internal,
                 treat_as_withdraw, check_originator_id, no_encode, "RFC 4456 §8, RFC 7606 §7.9"},
    AttributeRow{attribute_type::cluster_list, "CLUSTER_LIST", optional, Sender::internal,
                 treat_as_withdraw, check_cluster_list, no_encode, "RFC 4456 §8, RFC 7606 §7.10"},
    AttributeRow{attribute_type::mp_reach_nlri, "MP_REACH_NLRI", optional, Sender::any,
                 reset_session, decode_mp_reach, no_encode, "RFC 4760 §3, RFC 7606 §7.11"},
    AttributeRow{attribute_type::mp_unreach_nlri, "MP_UNREACH_NLRI", optional, Sender::any,
                 reset_session, decode_mp_unreach, no_encode, "RFC 4760 §4, RFC 7606 §7.12"},
    AttributeRow{attribute_type::extended_communities, "EXTENDED COMMUNITIES", optional_transitive,
                 Sender::any, treat_as_withdraw, decode_extended_communities,
                 encode_extended_communities, "RFC 4360 §2, RFC 7606 §7.14"},
    AttributeRow{attribute_type::as4_path, "AS4_PATH", optional_transitive, Sender::two_octet,
                 discard_attribute, decode_as4_path, encode_as4_path, "RFC 6793 §3, §6"},
    AttributeRow{attribute_type::as4_aggregator, "AS4_AGGREGATOR", optional_transitive,
                 Sender::two_octet, discard_attribute, decode_as4_aggregator, encode_as4_aggregator,
                 "RFC 6793 §3, §6"},
    AttributeRow{attribute_type::ipv6_extended_communities, "IPV6 EXTENDED COMMUNITIES",
                 optional_transitive, Sender::any, treat_as_withdraw,
                 check_ipv6_extended_communities, no_encode, "RFC 5701 §2, RFC 7606 §7.15"},
    AttributeRow{attribute_type::large_communities, "LARGE_COMMUNITY", optional_transitive,
                 Sender::any, treat_as_withdraw, decode_large_communities, encode_large_communities,
                 "RFC 8092 §3, §6"},
    AttributeRow{attribute_type::only_to_customer, "ONLY_TO_CUSTOMER", optional_transitive,
                 Sender::any, treat_as_withdraw, decode_only_to_customer, encode_only_to_customer,
                 "RFC 9234 §5"},
};

static_assert(std::ranges::is_sorted(table, {}, &AttributeRow::type),
              "attributes are written in the order of the table (RFC 4271 §5)");

const AttributeRow* find_row(std::uint8_t type) {
    const auto* const row = std::ranges::lower_bound(table, type, {}, &AttributeRow::type);
    return row != table.end() && row->type == type ? row : nullptr;
}

/// The attribute goes back as it came, never more octets than were received.
Notification attribute_error(std::uint8_t sub, ByteView attribute) {
    return {ErrorCode::update_message, sub, Bytes(attribute.begin(), attribute.end())};
}

/// RFC 7606 §3 c, and RFC 4271 §4.3 for the partial bit, which only an optional transitive
/// attribute may carry.
bool flags_conflict(const AttributeRow& row, std::uint8_t flags) {
    if ((flags & optional_transitive) != row.flags) return true;
    return (flags & partial) != 0 && row.flags != optional_transitive;
}

bool accepts(Sender sender, const AttributeContext& context) {
    switch (sender) {
        case Sender::any:
            return true;
        case Sender::internal:
            return context.internal;
        case Sender::two_octet:
            return !context.four_octet_as;
    }
    return false;
}

/// One attribute of a known type, seen for the first time.
Result<void, Notification> decode_known(const AttributeRow& row, const Attribute& attribute,
                                        const AttributeContext& context, AttributeList& out) {
    Damage& damage = row.type == attribute_type::next_hop ? out.next_hop_damage : out.damage;
    if (!accepts(row.sender, context)) {
        // RFC 7606 §7.5, §7.9, §7.10; RFC 6793 §6.
        damage.raise(discard_attribute, row.name, "not expected from this peer");
        return {};
    }
    if (flags_conflict(row, attribute.flags)) {
        // The routes of an MP attribute are still read, for they are the ones to withdraw.
        damage.raise(treat_as_withdraw, row.name, "wrong flags");
        if (!is_mp(row.type)) return {};
    }
    const std::string_view fault = row.decode(attribute.value, context, out.decoded);
    if (!fault.empty()) {
        if (row.malformed == reset_session) {
            return fail(attribute_error(subcode::optional_attribute_error, attribute.whole));
        }
        damage.raise(row.malformed, row.name, fault);
    }
    auto& mp =
        row.type == attribute_type::mp_reach_nlri ? out.decoded.mp_reach : out.decoded.mp_unreach;
    if (is_mp(row.type) && mp) mp->attribute = attribute.whole;
    return {};
}

}  // namespace

std::optional<Attribute> next_attribute(Reader& reader) {
    const ByteView from = reader.rest();
    const auto flags = reader.u8();
    const auto type = reader.u8();
    if (!flags || !type) return std::nullopt;
    std::optional<std::size_t> size;
    if ((*flags & extended_length) != 0) {
        size = reader.u16();
    } else {
        size = reader.u8();
    }
    const auto value = size ? reader.take(*size) : std::nullopt;
    if (!value) return std::nullopt;
    return Attribute{*flags, *type, *value, from.first(from.size() - reader.remaining())};
}

bool is_mp(std::uint8_t type) {
    return type == attribute_type::mp_reach_nlri || type == attribute_type::mp_unreach_nlri;
}

std::span<const AttributeRow> attribute_table() { return table; }

void Damage::raise(Consequence to, std::string_view name, std::string_view what) {
    if (to <= consequence) return;
    consequence = to;
    fault = fmt::format("{}: {}", name, what);
}

void Damage::raise(const Damage& other) {
    if (other.consequence > consequence) *this = other;
}

Result<AttributeList, Notification> decode_attribute_list(ByteView field,
                                                          const AttributeContext& context) {
    AttributeList out;
    std::bitset<256> seen;
    Reader reader{field};
    while (!reader.empty()) {
        const ByteView from = reader.rest();
        const auto attribute = next_attribute(reader);
        if (!attribute) {
            // RFC 7606 §3 j: routes that cannot be located cannot be withdrawn either.
            if (from.size() > 1 && is_mp(from[1])) {
                return fail(attribute_error(subcode::optional_attribute_error, from));
            }
            // RFC 7606 §4: the rest is not looked at; the NLRI field is found by the total length.
            out.only_mp_unreach = false;
            out.damage.raise(treat_as_withdraw, "attribute list", "an attribute overruns it");
            break;
        }
        if (attribute->type != attribute_type::mp_unreach_nlri) out.only_mp_unreach = false;
        if (seen.test(attribute->type)) {
            // RFC 7606 §3 g.
            if (is_mp(attribute->type)) {
                return fail(
                    Notification{ErrorCode::update_message, subcode::malformed_attribute_list});
            }
            out.damage.raise(discard_attribute, fmt::format("attribute {}", attribute->type),
                             "repeated");
            continue;
        }
        seen.set(attribute->type);
        if (const AttributeRow* const row = find_row(attribute->type)) {
            if (auto done = decode_known(*row, *attribute, context, out); !done) {
                return fail(std::move(done.error()));
            }
        } else if ((attribute->flags & optional) == 0) {
            return fail(attribute_error(subcode::unrecognized_well_known, attribute->whole));
        }
        // An unknown optional attribute is dropped: nothing learned here is passed on.
    }
    out.has_origin = seen.test(attribute_type::origin);
    out.has_as_path = seen.test(attribute_type::as_path);
    out.has_next_hop = seen.test(attribute_type::next_hop);
    if (out.decoded.set_in_as4_path) {
        out.damage.raise(treat_as_withdraw, "AS4_PATH", "holds a set");
    }
    if (!context.four_octet_as) merge_as4(out.decoded);
    return out;
}

void encode_attributes(const PathAttributes& attributes, std::optional<Address> next_hop,
                       const AttributeContext& context, Bytes& out) {
    const EncodeInput input{attributes, next_hop, context};
    for (const AttributeRow& row : table) {
        if (row.encode == nullptr) continue;
        const std::size_t begin = out.size();
        out.insert(out.end(), {row.flags, row.type, 0});
        const std::size_t value = out.size();
        if (!row.encode(input, out)) {
            out.resize(begin);
            continue;
        }
        const std::size_t size = out.size() - value;
        if (size <= 255) {
            out[value - 1] = static_cast<std::uint8_t>(size);
        } else {
            out[begin] |= extended_length;
            out.insert(out.begin() + static_cast<std::ptrdiff_t>(value), 0);
            Writer{out}.patch_u16(value - 1, static_cast<std::uint16_t>(size));
        }
    }
}

}  // namespace swerve::bgp
