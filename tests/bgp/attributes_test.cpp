#include "swerve/bgp/attributes.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "bgp/attributes/table.hpp"
#include "swerve/base/random.hpp"
#include "tests/support/hex.hpp"

namespace swerve::bgp {
namespace {

using test::hex;
using test::to_hex;

constexpr AttributeContext external{.four_octet_as = true, .internal = false};
constexpr AttributeContext internal{.four_octet_as = true, .internal = true};
constexpr AttributeContext old_external{.four_octet_as = false, .internal = false};

Asn as(std::uint32_t number) { return *Asn::from(number); }

AsPath sequence(std::vector<std::uint32_t> numbers) {
    AsPathSegment segment{AsPathSegment::Type::as_sequence, {}};
    for (const std::uint32_t number : numbers) segment.asns.push_back(as(number));
    return AsPath{{segment}};
}

AttributeList decode(std::string_view field, const AttributeContext& context) {
    auto list = decode_attribute_list(hex(field), context);
    REQUIRE(list);
    return std::move(*list);
}

/// A value that each row must take and values that it must not, from the peer that may send it.
struct Vector {
    std::uint8_t type;
    AttributeContext context;
    std::string_view good;
    std::vector<std::string_view> bad;
};

const std::vector<Vector>& vectors() {
    static const std::vector<Vector> all{
        {attribute_type::origin, external, "02", {"", "0000", "03", "ff"}},
        {attribute_type::as_path,
         external,
         "02 02 0000fbf0 00011170",
         {"", "02 00", "02", "02 01 0000fb", "02 02 0000fbf0", "02 ff 0000fbf0",
          "02 01 0000fbf0 02", "02 01 00000000", "01 01 0000fbf0", "03 01 0000fbf0",
          "04 01 0000fbf0", "05 01 0000fbf0", "00 01 0000fbf0"}},
        {attribute_type::next_hop,
         external,
         "c0000201",
         {"", "c00002", "c000020101", "00000000", "00000001", "7f000001", "e0000001", "f0000001",
          "ffffffff"}},
        {attribute_type::med, external, "00000064", {"", "000000", "0000000000"}},
        {attribute_type::local_pref, internal, "00000064", {"", "000000", "0000000000"}},
        {attribute_type::atomic_aggregate, external, "", {"00"}},
        {attribute_type::aggregator,
         external,
         "0000fbf0 c0000201",
         {"", "fbf0 c0000201", "0000fbf0 c0000201 00", "00000000 c0000201"}},
        {attribute_type::communities, external, "fbf00064 ffff0000", {"", "fbf000", "fbf0006400"}},
        {attribute_type::originator_id, internal, "c0000201", {"", "c00002", "c000020101"}},
        {attribute_type::cluster_list, internal, "c0000201", {"", "c00002", "c000020101"}},
        {attribute_type::mp_reach_nlri,
         external,
         "0002 01 10 20010db8 00*11 01 00",
         {"", "0002 01", "0002 01 10", "0002 01 10 20010db8 00*10 01", "0002 01 00",
          "0002 01 ff 20010db8 00*11 01 00"}},
        {attribute_type::mp_unreach_nlri, external, "0002 01", {"", "0002"}},
        {attribute_type::extended_communities,
         external,
         "0002 fbf0 00000064",
         {"", "0002 fbf0 000000", "0002 fbf0 00000064 00"}},
        {attribute_type::as4_path,
         old_external,
         "02 01 00011170",
         {"", "02 00", "02 02 00011170", "02 01 00000000", "05 01 00011170", "02 01 0001"}},
        {attribute_type::as4_aggregator,
         old_external,
         "00011170 c0000201",
         {"", "1170 c0000201", "00000000 c0000201"}},
        {attribute_type::ipv6_extended_communities, external, "00*20", {"", "00*19", "00*21"}},
        {attribute_type::large_communities,
         external,
         "0000fbf4 00000001 00000002",
         {"", "00*11", "00*13"}},
        {attribute_type::only_to_customer,
         external,
         "0000fbf4",
         {"", "00fbf4", "0000fbf400", "00000000"}},
    };
    return all;
}

Bytes attribute(std::uint8_t flags, std::uint8_t type, std::string_view value) {
    const Bytes octets = hex(value);
    Bytes out{flags, type, static_cast<std::uint8_t>(octets.size())};
    out.insert(out.end(), octets.begin(), octets.end());
    return out;
}

Damage damage_of(const Bytes& field, const AttributeContext& context) {
    const auto list = decode_attribute_list(field, context);
    REQUIRE(list);
    Damage out = list->damage;
    out.raise(list->next_hop_damage);
    return out;
}

TEST_CASE("attribute table: every row has a vector, ascending codes, a name and a source") {
    std::uint8_t before = 0;
    for (const AttributeRow& row : attribute_table()) {
        CAPTURE(row.name);
        CHECK(row.type > before);
        before = row.type;
        CHECK_FALSE(row.name.empty());
        CHECK(row.rfc.starts_with("RFC "));
        CHECK(std::ranges::count(vectors(), row.type, &Vector::type) == 1);
    }
    CHECK(vectors().size() == attribute_table().size());
}

TEST_CASE("attribute table: each row takes its good value and answers each bad one as it says") {
    for (const Vector& vector : vectors()) {
        const auto table = attribute_table();
        const auto row = std::ranges::find(table, vector.type, &AttributeRow::type);
        CAPTURE(row->name);
        CHECK(damage_of(attribute(row->flags, row->type, vector.good), vector.context).fault == "");
        for (const std::string_view value : vector.bad) {
            CAPTURE(value);
            const Bytes field = attribute(row->flags, row->type, value);
            const auto list = decode_attribute_list(field, vector.context);
            if (row->malformed == Consequence::reset_session) {
                REQUIRE_FALSE(list);
                CHECK(list.error() == Notification{ErrorCode::update_message, 9, field});
            } else {
                const Damage damage = damage_of(field, vector.context);
                CHECK(damage.consequence == row->malformed);
                CHECK(damage.fault.starts_with(row->name));
            }
        }
    }
}

TEST_CASE(
    "attribute table: wrong optional or transitive bits condemn the route, low bits nothing") {
    // RFC 7606 §3 c; malformed 28: the unused low bits are ignored.
    for (const Vector& vector : vectors()) {
        const auto table = attribute_table();
        const auto row = std::ranges::find(table, vector.type, &AttributeRow::type);
        CAPTURE(row->name);
        const auto consequence = [&](unsigned flags) {
            return damage_of(attribute(static_cast<std::uint8_t>(flags), row->type, vector.good),
                             vector.context)
                .consequence;
        };
        CHECK(consequence(row->flags ^ 0x80U) == Consequence::treat_as_withdraw);
        CHECK(consequence(row->flags ^ 0x40U) == Consequence::treat_as_withdraw);
        CHECK(consequence(row->flags | 0x0fU) == Consequence::none);
        const bool may_be_partial = row->flags == attribute_flag::optional_transitive;
        CHECK(consequence(row->flags | 0x20U) ==
              (may_be_partial ? Consequence::none : Consequence::treat_as_withdraw));
    }
}

TEST_CASE("attribute table: an extended length is taken whether it was needed or not") {
    CHECK(decode("50 01 0001 02", external).decoded.path.origin == Origin::incomplete);
    const auto list = decode("d0 08 0100 fbf00064 00*252", external);
    CHECK(list.decoded.path.communities.size() == 64);
}

TEST_CASE("attributes: who may send what") {
    // RFC 7606 §7.5, §7.9, §7.10: from an external peer discarded, however it looks.
    for (const std::string_view field :
         {"40 05 04 00000064", "40 05 01 00", "80 09 04 c0000201", "80 0a 03 c00002"}) {
        const auto list = decode(field, external);
        CHECK(list.damage.consequence == Consequence::discard_attribute);
        CHECK_FALSE(list.decoded.path.local_pref);
    }
    CHECK(decode("40 05 04 00000064", internal).decoded.path.local_pref == 100);
    // RFC 6793 §6: a four-octet peer has no reason to send AS4_PATH and AS4_AGGREGATOR.
    for (const std::string_view field : {"c0 11 06 02 01 00011170", "c0 12 08 00011170 c0000201"}) {
        CHECK(decode(field, external).damage.consequence == Consequence::discard_attribute);
        CHECK(decode(field, old_external).damage.consequence == Consequence::none);
    }
    // An external peer's path holds at least itself; an internal one may originate.
    CHECK(decode("40 02 00", external).damage.consequence == Consequence::treat_as_withdraw);
    CHECK(decode("40 02 00", internal).damage.consequence == Consequence::none);
}

TEST_CASE("attributes: the first of a repeated one counts") {
    const auto list = decode("80 04 04 00000001 80 04 04 00000002", external);
    CHECK(list.decoded.path.med == 1);
    CHECK(list.damage.consequence == Consequence::discard_attribute);
    CHECK(list.damage.fault == "attribute 4: repeated");
    CHECK(decode("c0 63 01 00 c0 63 01 01", external).damage.consequence ==
          Consequence::discard_attribute);
}

TEST_CASE("attributes: the strongest consequence wins, whatever its place") {
    const std::string weak = "40 06 01 00 ";
    const std::string strong = "80 04 01 00 ";
    CHECK(decode(weak + strong, external).damage.fault == "MULTI_EXIT_DISC: length is not 4");
    CHECK(decode(strong + weak, external).damage.fault == "MULTI_EXIT_DISC: length is not 4");
    CHECK(decode(weak, external).damage.fault == "ATOMIC_AGGREGATE: length is not 0");
}

TEST_CASE("attributes: malformed 34: odd AS_PATHs") {
    // Two thousand numbers fit a two-octet path of an UPDATE's size: eight segments.
    std::string many;
    for (int i = 0; i < 8; ++i) many += "02 fa fbf0*1 " + std::string(249 * 4, 'a');
    Bytes field{0x50, 0x02};
    const Bytes value = hex(many);
    Writer{field}.u16(static_cast<std::uint16_t>(value.size()));
    field.insert(field.end(), value.begin(), value.end());
    const auto list = decode_attribute_list(field, old_external);
    REQUIRE(list);
    CHECK(list->damage.consequence == Consequence::none);
    CHECK(list->decoded.path.as_path.length() == 2000);
}

TEST_CASE("attributes: large communities lose repeated values") {
    const auto list = decode(
        "c0 20 24 0000fbf4 00000001 00000002 0000fbf4 00000001 00000002"
        "0000fbf4 00000001 00000003",
        external);
    CHECK(list.decoded.path.large_communities ==
          std::vector<LargeCommunity>{{64500, 1, 2}, {64500, 1, 3}});
}

TEST_CASE("attributes: RFC 9774 §3: a set in AS4_PATH condemns the route") {
    const std::string path = "40 02 06 02 02 fbf4 5ba0";
    for (const std::string as4 : {"c0 11 06 01 01 00011170", "c0 11 06 04 01 00011170",
                                  "c0 11 0c 02 01 00011170 01 01 00011171"}) {
        CHECK(decode(path + as4, old_external).damage.fault == "AS4_PATH: holds a set");
        CHECK(decode(path + as4, old_external).damage.consequence ==
              Consequence::treat_as_withdraw);
        // RFC 6793 §6: from a four-octet peer it is discarded unread.
        CHECK(decode(as4, external).damage.consequence == Consequence::discard_attribute);
    }
}

TEST_CASE("attributes: RFC 4360 §2, RFC 9234 §5: extended communities and OTC keep their values") {
    const auto list =
        decode("c0 10 10 0002fbf4 00000064 43ffffff ffffffff c0 23 04 0000fbf4", external);
    CHECK(list.decoded.path.extended_communities ==
          std::vector<ExtendedCommunity>{{0x0002fbf400000064}, {0x43ffffffffffffff}});
    CHECK(list.decoded.path.only_to_customer == as(64500));
}

TEST_CASE("as path: hops, membership, neighbor and text") {
    AsPath path = sequence({64500, 64500, 64501});
    path.segments.push_back({AsPathSegment::Type::as_set, {as(64502), as(64503)}});
    CHECK(path.length() == 4);
    CHECK(path.contains(as(64503)));
    CHECK_FALSE(path.contains(as(64504)));
    CHECK(path.first() == as(64500));
    CHECK(path.to_string() == "64500 64500 64501 {64502 64503}");
    CHECK(AsPath{}.length() == 0);
    CHECK_FALSE(AsPath{}.first());
    CHECK(AsPath{}.to_string() == "");
    std::ranges::reverse(path.segments);
    CHECK_FALSE(path.first());
    CHECK(path.to_string() == "{64502 64503} 64500 64500 64501");
}

TEST_CASE("as4: the path behind a two-octet peer is rebuilt") {
    // RFC 6793 §4.2.3: AS_PATH 64500 23456 23456, AS4_PATH 70000 70001.
    const std::string path = "40 02 08 02 03 fbf4 5ba0 5ba0";
    const std::string as4 = "c0 11 0a 02 02 00011170 00011171";
    CHECK(decode(path + as4, old_external).decoded.path.as_path == sequence({64500, 70000, 70001}));
    // Malformed 35: the order of the two makes no difference, and a malformed one is left out.
    CHECK(decode(as4 + path, old_external).decoded.path.as_path == sequence({64500, 70000, 70001}));
    const auto left = decode("c0 11 0a 02 03 00011170 00011171" + path, old_external);
    CHECK(left.decoded.path.as_path == sequence({64500, 23456, 23456}));
    CHECK(left.damage.consequence == Consequence::discard_attribute);
    // One longer than the path itself is stale.
    CHECK(decode("40 02 04 02 01 5ba0" + as4, old_external).decoded.path.as_path ==
          sequence({23456}));
    // RFC 6793 §6: confederation segments in it are passed over.
    CHECK(decode(path + "c0 11 10 03 01 00011172 02 02 00011170 00011171", old_external)
              .decoded.path.as_path == sequence({64500, 70000, 70001}));
    // Without AS_PATH there is nothing to rebuild.
    CHECK(decode(as4, old_external).decoded.path.as_path.segments.empty());
}

TEST_CASE("as4: an aggregator with a number of its own says that the AS4 attributes are stale") {
    const std::string rest =
        "40 02 04 02 01 5ba0 c0 11 06 02 01 00011170"
        "c0 12 08 00011170 c0000201";
    const auto fresh = decode("c0 07 06 5ba0 c0000202" + rest, old_external).decoded.path;
    CHECK(fresh.as_path == sequence({70000}));
    CHECK(fresh.aggregator == Aggregator{as(70000), *Address::parse("192.0.2.1")});
    const auto stale = decode("c0 07 06 fbf4 c0000202" + rest, old_external).decoded.path;
    CHECK(stale.as_path == sequence({23456}));
    CHECK(stale.aggregator == Aggregator{as(64500), *Address::parse("192.0.2.2")});
    // Without AS4_AGGREGATOR the small number is simply true.
    const auto small =
        decode("40 02 04 02 01 5ba0 c0 11 06 02 01 00011170 c0 07 06 fbf4 c0000202", old_external);
    CHECK(small.decoded.path.as_path == sequence({70000}));
}

std::string encoded(const PathAttributes& path, std::optional<Address> next_hop,
                    const AttributeContext& context) {
    Bytes out;
    encode_attributes(path, next_hop, context, out);
    return to_hex(out);
}

TEST_CASE("encode attributes: canonical octets, ascending, nothing that is absent") {
    PathAttributes path;
    path.as_path = sequence({64500});
    CHECK(encoded(path, Address::parse("192.0.2.1"), external) ==
          to_hex(hex("400101 00 400206 02 01 0000fbf4 400304 c0000201")));
    // MP_REACH_NLRI carries the next hop: no NEXT_HOP.
    CHECK(encoded(path, std::nullopt, external) == to_hex(hex("400101 00 400206 02 01 0000fbf4")));
    path.med = 5;
    path.local_pref = 200;
    path.communities = {{0xffff0000}, {0xfbf40064}};
    path.large_communities = {{64500, 1, 2}};
    path.origin = Origin::incomplete;
    CHECK(encoded(path, std::nullopt, external) ==
          to_hex(hex("400101 02 400206 02 01 0000fbf4 800404 00000005"
                     "c00808 ffff0000 fbf40064 c0200c 0000fbf4 00000001 00000002")));
    path.extended_communities = {{0x0002fbf400000064}};
    path.only_to_customer = as(64501);
    CHECK(encoded(path, std::nullopt, external)
              .ends_with(to_hex(hex("fbf40064 c01008 0002fbf4 00000064"
                                    "c0200c 0000fbf4 00000001 00000002 c02304 0000fbf5"))));
    path.as_path = {};
    path.communities.clear();
    path.extended_communities.clear();
    path.only_to_customer.reset();
    path.large_communities.clear();
    path.atomic_aggregate = true;
    path.aggregator = Aggregator{as(70000), *Address::parse("192.0.2.1")};
    CHECK(encoded(path, std::nullopt, internal) ==
          to_hex(hex("400101 02 400200 800404 00000005 400504 000000c8 400600"
                     "c00708 00011170 c0000201")));
}

TEST_CASE("encode attributes: to a two-octet peer AS_TRANS, and AS4_PATH only when needed") {
    PathAttributes path;
    path.as_path = sequence({64500, 64500});
    CHECK(encoded(path, std::nullopt, old_external) ==
          to_hex(hex("400101 00 400206 02 02 fbf4 fbf4")));
    path.as_path = sequence({70000, 64500});
    path.aggregator = Aggregator{as(70000), *Address::parse("192.0.2.1")};
    CHECK(encoded(path, std::nullopt, old_external) ==
          to_hex(hex("400101 00 400206 02 02 5ba0 fbf4 c00706 5ba0 c0000201"
                     "c0110a 02 02 00011170 0000fbf4 c01208 00011170 c0000201")));
}

TEST_CASE("encode attributes: 255 octets have a short length, 256 an extended one") {
    PathAttributes path;
    path.as_path = sequence(std::vector<std::uint32_t>(62, 64500));  // 250 octets
    Bytes out;
    encode_attributes(path, std::nullopt, external, out);
    CHECK(to_hex(ByteView{out}.subspan(4, 4)) == "4002fa02");
    path.as_path = sequence(std::vector<std::uint32_t>(64, 64500));  // 258 octets
    out.clear();
    encode_attributes(path, std::nullopt, external, out);
    CHECK(to_hex(ByteView{out}.subspan(4, 6)) == "500201020240");
    CHECK(out.size() == 4 + 4 + 258);
    const auto list = decode_attribute_list(out, external);
    REQUIRE(list);
    CHECK(list->decoded.path == path);
}

TEST_CASE("encode attributes: a segment holds 255 numbers, the next opens another") {
    PathAttributes path;
    path.as_path = sequence(std::vector<std::uint32_t>(255, 64500));
    Bytes out;
    encode_attributes(path, std::nullopt, external, out);
    CHECK(out.size() == 4 + 4 + 2 + 255 * 4);
    path.as_path = sequence(std::vector<std::uint32_t>(256, 64500));
    out.clear();
    encode_attributes(path, std::nullopt, external, out);
    CHECK(out.size() == 4 + 4 + 2 + 255 * 4 + 2 + 4);
    const auto list = decode_attribute_list(out, external);
    REQUIRE(list);
    CHECK(list->decoded.path.as_path.length() == 256);
    CHECK(list->decoded.path.as_path.segments.size() == 2);
}

PathAttributes random_path(Random& random, bool internal_peer) {
    PathAttributes out;
    out.origin = static_cast<Origin>(random.below(3));
    const auto number = [&] {
        return static_cast<std::uint32_t>(random.below(2) == 0 ? 1 + random.below(20000)
                                                               : 65536 + random.below(1U << 20U));
    };
    std::vector<std::uint32_t> numbers(1 + random.below(300));
    for (std::uint32_t& each : numbers) each = number();
    out.as_path = sequence(numbers);
    if (random.below(2) == 0) out.med = static_cast<std::uint32_t>(random.next());
    if (internal_peer) out.local_pref = static_cast<std::uint32_t>(random.next());
    out.atomic_aggregate = random.below(2) == 0;
    if (random.below(2) == 0) out.aggregator = Aggregator{as(number()), Address::v4(0xc0000201)};
    for (std::uint64_t i = random.below(100); i > 0; --i) {
        out.communities.push_back({static_cast<std::uint32_t>(random.next())});
    }
    for (std::uint64_t i = random.below(20); i > 0; --i) {
        out.extended_communities.push_back({random.next()});
    }
    if (random.below(2) == 0) out.only_to_customer = as(number());
    for (std::uint32_t i = 0; i < random.below(20); ++i) {
        out.large_communities.push_back({i, static_cast<std::uint32_t>(random.next()), 7});
    }
    return out;
}

TEST_CASE("attributes: what is encoded is decoded again, towards every kind of peer") {
    for (std::uint64_t seed = 0; seed < 400; ++seed) {
        CAPTURE(seed);
        Random random{seed};
        const AttributeContext context{.four_octet_as = random.below(2) == 0,
                                       .internal = random.below(2) == 0};
        const PathAttributes path = random_path(random, context.internal);
        Bytes out;
        encode_attributes(path, Address::v4(0xc0000201), context, out);
        auto list = decode_attribute_list(out, context);
        REQUIRE(list);
        list->damage.raise(list->next_hop_damage);
        REQUIRE(list->damage.fault == "");
        CHECK(list->decoded.next_hop == Address::v4(0xc0000201));
        // A long path is cut into segments anywhere; its hops stay.
        CHECK((list->decoded.path.as_path.to_string() == path.as_path.to_string()));
        list->decoded.path.as_path = path.as_path;
        CHECK(list->decoded.path == path);
    }
}

}  // namespace
}  // namespace swerve::bgp
