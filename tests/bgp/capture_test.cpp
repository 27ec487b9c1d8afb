// Writes our own messages as others read them, a capture and an MRT file, with what was meant by
// each: decode_by_others_test.py has tshark and bgpdump decode them and compares. Without
// SWERVE_CAPTURE_DIR nothing is written.

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/bgp/rib_out_listener.hpp"

namespace swerve::bgp {
namespace {

using namespace test;

/// One session that announces a route and withdraws it again.
struct Scene {
    std::string name;
    SessionEncoding session;
    RouteAttributes route;
    std::vector<Prefix> prefixes;
};

SessionEncoding session_of(std::uint32_t local_as, AttributeContext context = {}) {
    SessionEncoding out = session();
    out.local_as = asn(local_as);
    out.attributes = context;
    return out;
}

RouteAttributes everything() {
    RouteAttributes out;
    out.origin = Origin::incomplete;
    out.prepend = 2;
    out.med = 4'000'000'000;
    out.local_pref = 77;
    out.communities = {*Community::parse("graceful_shutdown"), *Community::parse("64500:100"),
                       *Community::parse("no_export")};
    out.extended_communities = {*ExtendedCommunity::parse("rt:64500:100"),
                                *ExtendedCommunity::parse("ro:70000:7"),
                                *ExtendedCommunity::parse("rt:192.0.2.1:9")};
    out.large_communities = {{64500, 1, 7}, {4'294'967'295, 0, 4'294'967'294}};
    return out;
}

std::vector<Scene> scenes() {
    const std::vector<Prefix> four{prefix("0.0.0.0/0"), prefix("198.51.100.0/24"),
                                   prefix("203.0.113.7/32")};
    const std::vector<Prefix> six{prefix("2001:db8::/32"), prefix("2001:db8:1::1/128")};
    constexpr AttributeContext internal{.four_octet_as = true, .internal = true};
    constexpr AttributeContext two_octets{.four_octet_as = false, .internal = false};

    SessionEncoding over_ipv6 = session_of(64500);
    over_ipv6.ipv4_over_ipv6 = true;
    over_ipv6.next_hop_ipv4 = address("2001:db8::4");
    SessionEncoding on_link = session_of(64500);
    on_link.next_hop_link_local = address("fe80::1");
    SessionEncoding upstream = session_of(64500);
    upstream.role = Role::peer;
    SessionEncoding extended = session_of(64500);
    extended.largest_message = 65535;
    RouteAttributes long_path;
    long_path.prepend = 299;
    return {{"plain", session_of(64500), {}, four},
            {"everything", session_of(70000), everything(), four},
            {"internal", session_of(64500, internal), everything(), four},
            {"two-octet peer", session_of(70000, two_octets), everything(), four},
            {"IPv6", session_of(64500), everything(), six},
            {"IPv6 on a link", on_link, {}, six},
            {"IPv4 over IPv6", over_ipv6, everything(), four},
            {"role", upstream, {}, four},
            {"long path", session_of(64500), long_path, four},
            {"extended message", extended, {}, consecutive(0x0a000000, 24, 6'000)}};
}

/// The octets of a scene: announcement, withdraw.
std::vector<Bytes> messages_of(const Scene& scene) {
    AdjRibOut rib;
    rib.session_up(scene.session);
    drain(rib);
    const BlockRef one = block(scene.prefixes);
    rib.advertise(one, one->all(), std::make_shared<const RouteAttributes>(scene.route));
    std::vector<Bytes> out{drain(rib)};
    rib.withdraw(one, one->all());
    out.push_back(drain(rib));
    for (const Bytes& message : out) {
        // One message each, so that what is meant by it is plain.
        REQUIRE(message.size() == message[16] * 256U + message[17]);
    }
    return out;
}

template <class List>
std::string texts(const List& list) {
    std::string out;
    for (const auto& each : list) {
        out += (out.empty() ? "\"" : ", \"") + each.to_string() + "\"";
    }
    return "[" + out + "]";
}
std::string number(const std::optional<std::uint32_t>& value) {
    return value ? fmt::to_string(*value) : "null";
}

/// What was meant, from the configuration alone.
std::string meaning(const Scene& scene) {
    const SessionEncoding& session = scene.session;
    const RouteAttributes& route = scene.route;
    const bool internal = session.attributes.internal;
    const bool four = scene.prefixes[0].family() == Family::ipv4;
    const auto& next_hop = four ? session.next_hop_ipv4 : session.next_hop_ipv6;
    const bool marked = session.role == Role::peer;
    // Community numbers as others write them, not by name.
    std::string communities;
    for (const Community each : route.communities) {
        communities += fmt::format("{}\"{}:{}\"", communities.empty() ? "" : ", ",
                                   each.value >> 16U, each.value & 0xffffU);
    }
    return fmt::format(
        R"({{"name": "{}", "prefixes": {}, "next_hop": "{}", "link_local": {}, )"
        R"("as_path": [{}], "two_octets": {}, "origin": {}, "med": {}, "local_pref": {}, )"
        R"("communities": [{}], "extended_communities": {}, "large_communities": {}, "otc": {}}})",
        scene.name, texts(scene.prefixes), next_hop->to_string(),
        session.next_hop_link_local ? "\"" + session.next_hop_link_local->to_string() + "\""
                                    : "null",
        fmt::join(std::vector<std::uint32_t>(route.prepend + (internal ? 0U : 1U),
                                             session.local_as.value()),
                  ", "),
        !session.attributes.four_octet_as, static_cast<int>(route.origin), number(route.med),
        internal ? number(route.local_pref.value_or(100)) : "null", communities,
        texts(route.extended_communities), texts(route.large_communities),
        marked ? number(session.local_as.value()) : "null");
}

constexpr std::uint32_t local_address = 0xc0000201;
constexpr std::uint32_t peer_address = 0xc00002fe;

/// The octets in TCP segments of raw IPv4, each scene a connection of its own.
class Capture {
public:
    Capture() {
        // Magic for big endian and microseconds, version 2.4, no snapping, LINKTYPE_RAW.
        Writer writer{file_};
        for (const std::uint32_t word : {0xa1b2c3d4U, 0x00020004U, 0U, 0U, 0x00040000U, 101U}) {
            writer.u32(word);
        }
    }

    void add(std::size_t scene, ByteView octets, std::uint32_t& sequence) {
        constexpr std::size_t segment = 1400;
        for (std::size_t at = 0; at < octets.size(); at += segment) {
            const ByteView part = octets.subspan(at, std::min(segment, octets.size() - at));
            const std::size_t size = 20 + 20 + part.size();
            Writer writer{file_};
            writer.u32(packets_++);  // a second each
            writer.u32(0);
            writer.u32(static_cast<std::uint32_t>(size));
            writer.u32(static_cast<std::uint32_t>(size));
            writer.u16(0x45c0);
            writer.u16(static_cast<std::uint16_t>(size));
            writer.u32(0);
            writer.u32(0x01060000);  // TTL 1, TCP, no checksum
            writer.u32(local_address);
            writer.u32(peer_address);
            writer.u16(static_cast<std::uint16_t>(50'000 + scene));
            writer.u16(179);
            writer.u32(sequence);
            writer.u32(1);
            writer.u16(0x5018);  // 20 octets of header, PSH and ACK
            writer.u16(0xffff);
            writer.u32(0);
            writer.bytes(part);
            sequence += static_cast<std::uint32_t>(part.size());
        }
    }
    [[nodiscard]] const Bytes& file() const { return file_; }

private:
    Bytes file_;
    std::uint32_t packets_ = 0;
};

/// RFC 6396 §4.4.3: BGP4MP_MESSAGE_AS4, or §4.4.2 for a two-octet session.
void add_mrt(const Scene& scene, ByteView message, Bytes& file) {
    const bool four_octets = scene.session.attributes.four_octet_as;
    Bytes body;
    Writer writer{body};
    for (const std::uint32_t as : {scene.session.local_as.value(), 64496U}) {
        if (four_octets) {
            writer.u32(as);
        } else {
            writer.u16(as > 0xffff ? Asn::trans : static_cast<std::uint16_t>(as));
        }
    }
    writer.u16(0);
    writer.u16(1);
    writer.u32(local_address);
    writer.u32(peer_address);
    writer.bytes(message);
    Writer record{file};
    record.u32(1'700'000'000);
    record.u16(16);
    record.u16(four_octets ? 4 : 1);
    record.u32(static_cast<std::uint32_t>(body.size()));
    record.bytes(body);
}

void write(const std::filesystem::path& path, ByteView octets) {
    std::ofstream file{path, std::ios::binary};
    for (const std::uint8_t octet : octets) file.put(static_cast<char>(octet));
    REQUIRE(file.flush());
}

TEST_CASE("capture: our messages, for others to read") {
    const char* const directory = std::getenv("SWERVE_CAPTURE_DIR");
    Capture capture;
    Bytes mrt;
    std::string meanings;
    const auto all = scenes();
    for (std::size_t i = 0; i < all.size(); ++i) {
        std::uint32_t sequence = 1;
        for (const Bytes& message : messages_of(all[i])) {
            capture.add(i, message, sequence);
            add_mrt(all[i], message, mrt);
        }
        meanings += (i == 0 ? "[" : ",\n ") + meaning(all[i]);
    }
    meanings += "]\n";
    if (directory == nullptr) return;
    const std::filesystem::path to{directory};
    write(to / "messages.pcap", capture.file());
    write(to / "messages.mrt", mrt);
    write(to / "meanings.json", Bytes(meanings.begin(), meanings.end()));
}

}  // namespace
}  // namespace swerve::bgp
