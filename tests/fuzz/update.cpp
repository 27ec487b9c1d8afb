// Whatever an UPDATE holds, its consequences are legal, and the routes taken from it are read as
// the same routes once more when they are written.

#include "swerve/bgp/update.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "tests/fuzz/targets.hpp"

namespace swerve::fuzz {

namespace {

using namespace bgp;

UpdateContext context_of(const Chosen& chosen) {
    UpdateContext out{.attributes = {.four_octet_as = chosen.bit(0), .internal = chosen.bit(1)},
                      .families = {Family::ipv4, Family::ipv6}};
    if (chosen.bit(2)) out.families.remove(Family::ipv4);
    if (chosen.bit(3)) out.families.remove(Family::ipv6);
    if (chosen.bit(4)) out.add_path.insert(Family::ipv4);
    if (chosen.bit(5)) out.add_path.insert(Family::ipv6);
    out.ipv4_over_ipv6 = chosen.bit(6);
    return out;
}

using Path = std::pair<Prefix, PathId>;

std::vector<Path> paths_of(const std::vector<Prefix>& prefixes, const PathIds& ids) {
    demand(ids.empty() || ids.size() == prefixes.size(), "one identifier for each prefix, or none");
    std::vector<Path> out;
    for (std::size_t i = 0; i < prefixes.size(); ++i) {
        out.emplace_back(prefixes[i], ids.empty() ? 0 : ids[i]);
    }
    return out;
}

Bytes nlri_of(const std::vector<Path>& paths, const UpdateContext& context) {
    Bytes out;
    for (const auto& [prefix, id] : paths) {
        if (context.add_path.contains(prefix.family())) Writer{out}.u32(id);
        encode_nlri(prefix, out);
    }
    return out;
}

/// An MP attribute of unicast prefixes; without a next hop it is MP_UNREACH_NLRI.
Bytes mp_attribute(Family family, ByteView next_hop, const Bytes& nlri) {
    Bytes value;
    Writer writer{value};
    writer.u16(family == Family::ipv4 ? 1 : 2);
    writer.u8(1);
    if (!next_hop.empty()) {
        writer.u8(static_cast<std::uint8_t>(next_hop.size()));
        writer.bytes(next_hop);
        writer.u8(0);
    }
    writer.bytes(nlri);
    Bytes out;
    Writer head{out};
    head.u16(next_hop.empty() ? 0x900f : 0x900e);
    head.u16(static_cast<std::uint16_t>(value.size()));
    head.bytes(value);
    return out;
}

Bytes body_of(const Bytes& withdrawn, const Bytes& attributes, const Bytes& nlri) {
    Bytes out;
    Writer writer{out};
    for (const Bytes* sized : {&withdrawn, &attributes}) {
        writer.u16(static_cast<std::uint16_t>(sized->size()));
        writer.bytes(*sized);
    }
    writer.bytes(nlri);
    return out;
}

void check_withdrawn_again(const std::vector<Path>& paths, const UpdateContext& context) {
    std::vector<Path> ipv4;
    std::vector<Path> ipv6;
    for (const Path& path : paths) {
        (path.first.family() == Family::ipv4 ? ipv4 : ipv6).push_back(path);
    }
    const Bytes field = nlri_of(ipv4, context);
    const Bytes mp = nlri_of(ipv6, context);
    const auto again = decode_update(
        body_of(field, mp.empty() ? Bytes{} : mp_attribute(Family::ipv6, {}, mp), {}), context);
    demand(again.has_value(), "withdrawals can be written");
    demand(again->consequence == Consequence::none && again->reach.empty(), "and are sound");
    ipv4.insert(ipv4.end(), ipv6.begin(), ipv6.end());
    demand(paths_of(again->withdrawn, again->withdrawn_path_ids) == ipv4, "and are the same");
}

/// A two-octet path is put together from two attributes, whose segments may be joined otherwise.
PathAttributes comparable(PathAttributes attributes) {
    std::vector<AsPathSegment> one;
    for (AsPathSegment& segment : attributes.as_path.segments) {
        demand(segment.type == AsPathSegment::Type::as_sequence, "no set is taken");
        if (one.empty()) one.push_back({segment.type, {}});
        one[0].asns.insert(one[0].asns.end(), segment.asns.begin(), segment.asns.end());
    }
    attributes.as_path.segments = std::move(one);
    return attributes;
}

void check_reach_again(const Update& update, const Reach& reach, const UpdateContext& context) {
    const std::vector<Path> paths = paths_of(reach.prefixes, reach.path_ids);
    const Family family = reach.prefixes.front().family();
    const bool mp = reach.next_hop.family() == Family::ipv6;
    demand(mp || family == Family::ipv4, "IPv6 has an IPv6 next hop");
    demand(!mp || family == Family::ipv6 || context.ipv4_over_ipv6, "IPv4 over IPv6 is agreed");
    const Bytes nlri = nlri_of(paths, context);
    Bytes attributes;
    if (mp) attributes = mp_attribute(family, reach.next_hop.octets(), nlri);
    encode_attributes(*update.attributes, mp ? std::nullopt : std::optional{reach.next_hop},
                      context.attributes, attributes);
    if (attributes.size() > 0xffff) return;
    const auto again = decode_update(body_of({}, attributes, mp ? Bytes{} : nlri), context);
    demand(again.has_value(), "routes can be written");
    demand(again->consequence == Consequence::none, "and are sound");
    demand(again->reach.size() == 1 && again->withdrawn.empty(), "and nothing else is");
    const Reach& read = again->reach[0];
    demand(read.next_hop == reach.next_hop, "with the same next hop");
    demand(paths_of(read.prefixes, read.path_ids) == paths, "and the same prefixes");
    demand(comparable(*again->attributes) == comparable(*update.attributes),
           "and the same attributes");
}

}  // namespace

void update(ByteView input) {
    const Chosen chosen{input};
    const ByteView body = chosen.rest.first(std::min<std::size_t>(chosen.rest.size(), 65516));
    const UpdateContext context = context_of(chosen);
    const auto update = decode_update(body, context);
    if (!update) {
        demand(update.error().code == 3, "an error of an UPDATE is code 3");
        demand(update.error().data.size() <= body.size(), "no more goes back than came");
        return;
    }
    demand(update->consequence < Consequence::reset_session, "a reset is an error");
    demand((update->consequence == Consequence::none) == update->fault.empty(),
           "each has a reason");
    demand((update->attributes != nullptr) == !update->reach.empty(), "routes have attributes");
    demand(update->reach.size() <= 2, "two fields hold routes");
    if (update->consequence == Consequence::treat_as_withdraw) {
        demand(update->reach.empty(), "nothing is announced beside a fault");
    }

    const auto withdrawn = paths_of(update->withdrawn, update->withdrawn_path_ids);
    std::size_t count = withdrawn.size();
    for (const Reach& reach : update->reach) count += reach.prefixes.size();
    demand(count <= body.size(), "each prefix takes an octet");
    if (update->end_of_rib) demand(count == 0, "End-of-RIB says nothing else");
    for (const auto& [prefix, id] : withdrawn) {
        demand(context.families.contains(prefix.family()), "only agreed families are read");
    }
    if (!withdrawn.empty()) {
        check_withdrawn_again(withdrawn, context);
    }
    for (const Reach& reach : update->reach) {
        demand(!reach.prefixes.empty(), "a next hop has routes");
        demand(context.families.contains(reach.prefixes[0].family()), "of an agreed family");
        check_reach_again(*update, reach, context);
    }
}

}  // namespace swerve::fuzz
