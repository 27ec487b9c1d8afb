// The hostile UPDATEs as one table, items 22 to 48 of the list that malformed_test explains: each
// has one outcome, however often it comes, and none leaves anything behind. The long run, meant for
// the sanitizers:
//     bgp_test --test-case="malformed_long*" --no-skip

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "swerve/bgp/update.hpp"
#include "tests/support/hex.hpp"
#include "tests/support/memory.hpp"
#include "tests/support/update_checks.hpp"

namespace swerve::bgp {
namespace {

using namespace test;

struct Item {
    unsigned number;
    Bytes body;
    std::string outcome;
    UpdateContext from = external_peer;
};

std::string listed(char sign, const std::vector<Prefix>& all) {
    if (all.size() > 4) return std::string{" "} + sign + std::to_string(all.size());
    std::string out;
    for (const Prefix& prefix : all) out += std::string{" "} + sign + prefix.to_string();
    return out;
}

/// "reset 3/9 DATA", or the consequence, what is withdrawn and what is announced.
std::string outcome(const Result<Update, Notification>& result) {
    if (!result) {
        const Notification& error = result.error();
        const std::string data = error.data.empty() ? "" : " " + to_hex(error.data);
        return "reset " + std::to_string(error.code) + "/" + std::to_string(error.subcode) + data;
    }
    static constexpr std::array<std::string_view, 3> names{"good", "discard", "withdraw"};
    std::string out{names.at(static_cast<std::size_t>(result->consequence))};
    out += listed('-', result->withdrawn);
    for (const Reach& reach : result->reach) {
        out += listed('+', reach.prefixes) + " via " + reach.next_hop.to_string();
    }
    if (result->end_of_rib) out += " end-of-rib " + std::string{to_string(*result->end_of_rib)};
    return out;
}

const std::string nlri = "18 c63364 ";
const std::string mp_reach = "800e 1a 0002 01 10 20010db8 00*11 01 00 20 20010db8 ";
const std::string ipv4_good = "good +198.51.100.0/24 via 192.0.2.1";
const std::string ipv4_gone = "withdraw -198.51.100.0/24";
const std::string ipv4_less = "discard +198.51.100.0/24 via 192.0.2.1";
const std::string malformed_list = "reset 3/1";

/// A route with one attribute more.
Bytes with(const std::string& attribute) {
    return update_body("", base + next_hop + attribute, nlri);
}

std::string reset_with(std::string_view sub, const std::string& attribute) {
    return "reset 3/" + std::string{sub} + " " + to_hex(hex(attribute));
}

void add_lengths_and_flags(std::vector<Item>& out) {
    for (const auto* body : {"", "000000", "0004 0000", "ffff 0000", "0000 ffff 40010100"}) {
        out.push_back({22, hex(body), malformed_list});  // RFC 7606 §3 a
    }
    out.push_back({23, hex("0005 18c63364 0000"), malformed_list});
    out.push_back({24, hex("0000 0005 400101 00"), malformed_list});
    out.push_back({25, update_body("", "40", nlri), ipv4_gone});  // RFC 7606 §4
    out.push_back({25, update_body("", "4001", nlri), ipv4_gone});
    out.push_back({25, update_body("", "4001", ""), malformed_list});  // RFC 7606 §5.2
    out.push_back({26, update_body("", "4001 20 00", ""), malformed_list});
    out.push_back({26, update_body("", "4001 20 00", nlri), ipv4_gone});
    out.push_back({27, with("5004 00"), ipv4_gone});
    out.push_back({28, update_body("", "4f0101 00" + as_path + next_hop, nlri), ipv4_good});
    out.push_back({28, update_body("", "c00101 00" + as_path + next_hop, nlri), ipv4_gone});
    out.push_back({28, update_body("", "600101 00" + as_path + next_hop, nlri), ipv4_gone});
    out.push_back({29, with("40c8 02 abcd"), reset_with("2", "40c8 02 abcd")});
    for (const auto* type : {"ff", "17", "28", "1d", "27", "80"}) {
        for (const auto* value : {"00", "01 ff", "08 deadbeef 00ff00ff"}) {
            out.push_back({30, with("c0" + std::string{type} + value), ipv4_good});
        }
    }
    out.push_back({31, update_body("", "c0ff 02 abcd", nlri), ipv4_gone});  // RFC 7606 §3 d
    out.push_back({32, update_body("", "", nlri), ipv4_gone});
}

void add_attributes(std::vector<Item>& out) {
    for (const auto* value : {"00", "03 c00002", "05 c000020101"}) {  // RFC 7606 §7.3
        out.push_back({33, update_body("", base + "4003" + value, nlri), ipv4_gone});
    }
    std::string long_path = "5002 1fd0";
    for (int i = 0; i < 8; ++i) long_path += " 02 fe " + std::string(254 * 8, 'a');
    for (const auto& [path, expected] : std::vector<std::pair<std::string, std::string>>{
             {"400200", ipv4_gone},  // RFC 7606 §7.2
             {"400202 0200", ipv4_gone},
             {"400206 02ff 0000fbf0", ipv4_gone},
             {"400206 0501 0000fbf0", ipv4_gone},
             {long_path, ipv4_good},
             {"400207 0201 0000fbf0 02", ipv4_gone},
             {"400206 0201 00000000", ipv4_gone},  // RFC 7607 §2
             {"400206 0301 0000fbf0", ipv4_gone},  // RFC 5065 §5
         }) {
        out.push_back({34, update_body("", origin + path + next_hop, nlri), expected});
    }
    UpdateContext two_octets = external_peer;
    two_octets.attributes.four_octet_as = false;
    const std::string short_path = "400204 0201 fbf0 " + origin + next_hop;
    out.push_back({35, update_body("", "c01103 020100" + base + next_hop, nlri), ipv4_less});
    out.push_back({35, update_body("", "c01103 020100" + short_path, nlri), ipv4_less, two_octets});
    for (const auto* path : {"400206 0101 0000fbf0", "40020c 0201 0000fbf0 0101 0000fbf1",
                             "400206 0401 0000fbf0"}) {  // RFC 9774 §3
        out.push_back({36, update_body("", origin + path + next_hop, nlri), ipv4_gone});
    }
    out.push_back(
        {36, update_body("", "c01106 0101 00011170" + short_path, nlri), ipv4_gone, two_octets});
    out.push_back({37, with("400101 02"), ipv4_less});  // RFC 7606 §3 g
    out.push_back({37, update_body("", mp_reach + mp_reach + base, ""), malformed_list});
    for (const auto* attribute : {"c00800", "c00803 fbf000", "c00805 fbf0006400", "c0200d 00*13",
                                  "c01009 00*9", "c01915 00*21"}) {  // RFC 7606 §7.8, §7.14, §7.15
        out.push_back({45, with(attribute), ipv4_gone});
    }
    for (const auto* attribute : {"c02300", "c02303 00fbf0", "c02305 0000fbf000"}) {  // RFC 9234 §5
        out.push_back({46, with(attribute), ipv4_gone});
    }
}

void add_multiprotocol(std::vector<Item>& out) {
    for (const std::size_t size : {0U, 1U, 8U, 15U, 17U, 31U, 33U}) {  // RFC 7606 §7.11
        Bytes value = hex("0002 01");
        value.push_back(static_cast<std::uint8_t>(size));
        value.insert(value.end(), size, 0x20);
        value = joined({value, hex("00 20 20010db8")});
        const std::string attribute =
            "800e" + to_hex(Bytes{static_cast<std::uint8_t>(value.size())}) + to_hex(value);
        out.push_back(
            {38, update_body("", attribute + (" " + base), ""), reset_with("9", attribute)});
    }
    for (const auto* attribute : {"800e 0c 0002 01 ff 20010db8 00*4", "800e 14 0002 01 10 20*16"}) {
        out.push_back(
            {38, update_body("", attribute + (" " + base), ""), reset_with("9", attribute)});
    }
    for (const auto* safi : {"85", "80", "46"}) {  // RFC 4760 §7
        const std::string field = "800e 0e 0001" + std::string{safi} + "04 c0000201 00 ff*5 ";
        out.push_back({39, update_body("", field + base + next_hop, nlri), ipv4_good});
        out.push_back({39, update_body("", field + base, ""), "good"});
    }
    for (const auto* attribute :
         {"800f 14 0002 01 81 20010db8 00*12", "800f 08 0002 01 40 20010db8"}) {  // RFC 7606 §7.12
        out.push_back({40, update_body("", attribute, ""), reset_with("9", attribute)});
    }
    for (const auto* field : {"21 c633640100", "20 c63364"}) {  // RFC 7606 §5.3
        out.push_back({41, update_body("", base + next_hop, field), "reset 3/10"});
        out.push_back({41, update_body(field, "", ""), "reset 3/10"});
    }
    out.push_back({42, update_body("", "800f 05 0002 01 ab cd", ""),
                   reset_with("9", "800f 05 0002 01 ab cd")});
    out.push_back({42, update_body("", "800f 03 0002 01", ""), "good end-of-rib ipv6"});
    out.push_back({43, update_body("", "800f 08 0002 01 20 20010db9", nlri),
                   "withdraw -2001:db9::/32 -198.51.100.0/24"});
    out.push_back({44, update_body("", "800f 03 0002 01 400101 07", ""), malformed_list});
}

void add_sessions(std::vector<Item>& out) {
    UpdateContext add_path = external_peer;  // RFC 7911 §3
    add_path.add_path = {Family::ipv4};
    const std::string with_id = "00000001 18 c63364";
    out.push_back({47, update_body("", base + next_hop, with_id), "reset 3/10"});
    out.push_back({47, update_body("", base + next_hop, with_id), ipv4_good, add_path});
    out.push_back({47, update_body("", base + next_hop, nlri), "reset 3/10", add_path});
    out.push_back({47, update_body("", base + next_hop, "00000001"), "reset 3/10", add_path});
    UpdateContext over_ipv6 = external_peer;  // RFC 8950 §3
    over_ipv6.ipv4_over_ipv6 = true;
    const std::string ipv4_via_ipv6 = "800e 19 0001 01 10 20010db8 00*11 01 00 18 c63364";
    out.push_back({38, update_body("", ipv4_via_ipv6 + base, ""),
                   "good +198.51.100.0/24 via 2001:db8::1", over_ipv6});
    out.push_back({38, update_body("", ipv4_via_ipv6 + base, ""), reset_with("9", ipv4_via_ipv6)});
    // RFC 8654 §4: as large as a message can be; whether it may be is the framer's business.
    constexpr std::size_t largest_body = 65535 - 19;
    Bytes firehose = update_body("", base + next_hop, "");
    const std::size_t count = (largest_body - firehose.size()) / 4;
    for (std::uint32_t i = 0; i < count; ++i) {
        encode_nlri(*Prefix::masked(Address::v4(i << 8U), 24), firehose);
    }
    out.push_back({48, firehose, "good +" + std::to_string(count) + " via 192.0.2.1"});
    firehose.push_back(24);
    out.push_back({48, firehose, "reset 3/10"});
}

std::vector<Item> items() {
    std::vector<Item> out;
    add_lengths_and_flags(out);
    add_attributes(out);
    add_multiprotocol(out);
    add_sessions(out);
    return out;
}

void check_items(int repeats) {
    for (const Item& item : items()) {
        CAPTURE(item.number);
        CAPTURE(to_hex(ByteView{item.body}.first(std::min<std::size_t>(item.body.size(), 100))));
        REQUIRE(outcome(decode_update(item.body, item.from)) == item.outcome);
        const MemoryHeld before;
        bool same = true;
        for (int i = 0; i < repeats; ++i) {
            same = same && outcome(decode_update(item.body, item.from)) == item.outcome;
        }
        CHECK(same);
        // Less than an octet each; the allocator itself may keep a chunk or two.
        CHECK(before.grown() < repeats);
    }
}

TEST_CASE("update: malformed 22 to 48: each has one outcome and leaves nothing, however often") {
    check_items(1000);
}

TEST_CASE("malformed_long: update: malformed 22 to 48, 100,000 times each" * doctest::skip()) {
    check_items(100'000);
}

}  // namespace
}  // namespace swerve::bgp
