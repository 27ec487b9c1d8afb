#include "wire.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>

namespace bench {
namespace {

constexpr std::uint8_t mp_reach_nlri = 14;
constexpr std::uint8_t mp_unreach_nlri = 15;
constexpr std::uint16_t as_trans = 23456;
constexpr std::uint16_t hold_time_s = 90;

void put(Octets& out, std::uint64_t value, unsigned octets) {
    for (unsigned i = octets; i-- > 0;) out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}

void patch_u16(Octets& out, std::size_t at, std::size_t value) {
    out[at] = static_cast<std::uint8_t>(value >> 8U);
    out[at + 1] = static_cast<std::uint8_t>(value);
}

/// Returns where the message begins; finish_message() writes its length.
std::size_t begin_message(Octets& out, MessageType type) {
    const std::size_t begin = out.size();
    out.insert(out.end(), 16, 0xff);
    put(out, 0, 2);
    put(out, static_cast<std::uint8_t>(type), 1);
    return begin;
}

void finish_message(Octets& out, std::size_t begin) {
    patch_u16(out, begin + 16, out.size() - begin);
}

/// Adds up packed prefixes; false if they do not end where they should.
bool add_nlri(View nlri, unsigned longest, std::uint64_t& count, std::uint64_t& digest) {
    std::size_t at = 0;
    while (at < nlri.size()) {
        const std::uint8_t length = nlri[at];
        const std::size_t end = at + 1 + (length + std::size_t{7}) / 8;
        if (length > longest || end > nlri.size()) return false;
        std::uint64_t value = length;
        for (std::size_t i = at + 1; i < end; ++i) value = value * 0x100000001b3U + nlri[i];
        digest += value * 0x9e3779b97f4a7c15U;
        ++count;
        at = end;
    }
    return true;
}

/// MP_REACH_NLRI and MP_UNREACH_NLRI (RFC 4760) of IPv6 unicast; `reach` is which of the two.
bool add_multiprotocol(View value, bool reach, Tally& tally) {
    if (value.size() < 3) return false;
    const bool ipv6_unicast = read_u16(value, 0) == 2 && value[2] == 1;
    std::size_t at = 3;
    if (reach) {
        if (value.size() < 4) return false;
        at += 1 + value[3] + std::size_t{1};  // next hop and a reserved octet
        if (at > value.size()) return false;
    }
    if (!ipv6_unicast) return true;
    std::uint64_t digest = 0;
    if (!add_nlri(value.subspan(at), 128, reach ? tally.announced : tally.withdrawn, digest)) {
        return false;
    }
    if (reach) {
        tally.digest += digest;
    } else {
        tally.digest -= digest;
    }
    if (!reach && at == value.size()) ++tally.ends_of_rib;
    return true;
}

bool add_attributes(View attributes, Tally& tally) {
    std::size_t at = 0;
    while (at < attributes.size()) {
        const bool extended = (attributes[at] & 0x10U) != 0;
        const std::size_t head = extended ? 4 : 3;
        if (at + head > attributes.size()) return false;
        const std::uint8_t type = attributes[at + 1];
        const std::size_t length = extended ? read_u16(attributes, at + 2) : attributes[at + 2];
        if (at + head + length > attributes.size()) return false;
        const View value = attributes.subspan(at + head, length);
        if (type == mp_reach_nlri || type == mp_unreach_nlri) {
            if (!add_multiprotocol(value, type == mp_reach_nlri, tally)) return false;
        }
        at += head + length;
    }
    return true;
}

/// Messages with as many prefixes as fit between `before` and `behind`; in a withdrawal the last
/// two octets of `before` are the length of the prefixes.
Octets pack(std::span<const Ipv4Prefix> prefixes, View before, View behind, bool withdrawal) {
    Octets out;
    std::size_t next = 0;
    while (next < prefixes.size()) {
        const std::size_t begin = begin_message(out, MessageType::update);
        out.insert(out.end(), before.begin(), before.end());
        const std::size_t nlri = out.size();
        for (; next < prefixes.size(); ++next) {
            const unsigned octets = (prefixes[next].length + 7U) / 8;
            const std::size_t size = out.size() - begin + 1 + octets + behind.size();
            if (size > largest_message) break;
            out.push_back(prefixes[next].length);
            put(out, std::uint64_t{prefixes[next].address} >> (32 - 8 * octets), octets);
        }
        if (withdrawal) patch_u16(out, nlri - 2, out.size() - nlri);
        out.insert(out.end(), behind.begin(), behind.end());
        finish_message(out, begin);
    }
    return out;
}

}  // namespace

std::uint16_t read_u16(View octets, std::size_t at) {
    return static_cast<std::uint16_t>((octets[at] << 8U) | octets[at + 1]);
}

Octets make_open(std::uint32_t local_as, std::uint32_t router_id) {
    Octets out;
    const std::size_t begin = begin_message(out, MessageType::open);
    put(out, 4, 1);
    put(out, local_as > 0xffff ? as_trans : local_as, 2);
    put(out, hold_time_s, 2);
    put(out, router_id, 4);
    Octets capabilities;
    put(capabilities, 0x010400010001, 6);  // multiprotocol, IPv4 unicast
    put(capabilities, 0x010400020001, 6);  // multiprotocol, IPv6 unicast
    put(capabilities, 0x4104, 2);          // four-octet AS numbers
    put(capabilities, local_as, 4);
    put(out, capabilities.size() + 2, 1);
    put(out, 2, 1);
    put(out, capabilities.size(), 1);
    out.insert(out.end(), capabilities.begin(), capabilities.end());
    finish_message(out, begin);
    return out;
}

Octets make_keepalive() {
    Octets out;
    finish_message(out, begin_message(out, MessageType::keepalive));
    return out;
}

std::expected<void, std::string> add_update(View body, Tally& tally) {
    if (body.size() < 4) return std::unexpected("an UPDATE of less than 4 octets");
    const std::size_t withdrawn = read_u16(body, 0);
    if (withdrawn + 4 > body.size()) return std::unexpected("withdrawn routes beyond the UPDATE");
    const std::size_t attributes = read_u16(body, 2 + withdrawn);
    if (withdrawn + attributes + 4 > body.size()) {
        return std::unexpected("attributes beyond the UPDATE");
    }
    const Tally before = tally;
    std::uint64_t gone = 0;
    std::uint64_t come = 0;
    if (!add_nlri(body.subspan(2, withdrawn), 32, tally.withdrawn, gone) ||
        !add_attributes(body.subspan(4 + withdrawn, attributes), tally) ||
        !add_nlri(body.subspan(4 + withdrawn + attributes), 32, tally.announced, come)) {
        return std::unexpected("prefixes or attributes that do not fit their UPDATE");
    }
    tally.digest += come - gone;
    ++tally.updates;
    if (body.size() == 4) ++tally.ends_of_rib;
    const std::size_t size = header_size + body.size();
    if (tally.announced != before.announced) tally.announcing_octets += size;
    if (tally.withdrawn != before.withdrawn) tally.withdrawing_octets += size;
    return {};
}

std::expected<std::vector<Ipv4Prefix>, std::string> read_prefixes(const std::string& file) {
    std::ifstream in{file};
    if (!in) return std::unexpected(file + " cannot be read");
    std::vector<Ipv4Prefix> out;
    std::string line;
    while (std::getline(in, line)) {
        const std::size_t slash = line.find('/');
        const std::string address = line.substr(0, slash);
        in_addr parsed{};
        unsigned length = 33;
        if (slash != std::string::npos) {
            std::from_chars(line.data() + slash + 1, line.data() + line.size(), length);
        }
        if (length > 32 || inet_pton(AF_INET, address.c_str(), &parsed) != 1) {
            return std::unexpected(file + ":" + std::to_string(out.size() + 1) + ": no prefix");
        }
        out.push_back({ntohl(parsed.s_addr), static_cast<std::uint8_t>(length)});
    }
    return out;
}

Octets make_announcements(std::span<const Ipv4Prefix> prefixes, std::uint32_t local_as,
                          std::uint32_t next_hop) {
    Octets before;
    put(before, 0, 2);             // no withdrawn routes
    put(before, 4 + 9 + 7, 2);     // octets of attributes
    put(before, 0x40010100, 4);    // ORIGIN IGP
    put(before, 0x4002060201, 5);  // AS_PATH, a sequence of one
    put(before, local_as, 4);
    put(before, 0x400304, 3);  // NEXT_HOP
    put(before, next_hop, 4);
    return pack(prefixes, before, {}, false);
}

Octets make_withdrawals(std::span<const Ipv4Prefix> prefixes) {
    constexpr std::array<std::uint8_t, 2> zero{};  // before: the length; behind: no attributes
    return pack(prefixes, zero, zero, true);
}

}  // namespace bench
