// What WireGuard says, from octets made here: kernels of build machines often have no WireGuard, so
// its generic netlink is read in no other test.

#include "health/probes/wireguard_device.hpp"

#include <doctest/doctest.h>
#include <linux/netlink.h>
#include <linux/wireguard.h>

#include <cstring>
#include <string>

#include "health/probes/netlink.hpp"
#include "health/probes/wireguard_judge.hpp"

using namespace swerve;
using namespace swerve::health;
using namespace std::chrono_literals;

namespace {

using Octets = std::vector<std::byte>;

Octets operator+(Octets left, const Octets& right) {
    left.insert(left.end(), right.begin(), right.end());
    return left;
}

template <class T>
Octets attribute_of(int type, const T& value) {
    return to_attribute(static_cast<std::uint16_t>(type), std::as_bytes(std::span{&value, 1}));
}
Octets nested(int type, const Octets& members) {
    return to_attribute(static_cast<std::uint16_t>(type | NLA_F_NESTED), members);
}

WireguardKey key_of(std::uint8_t octet) {
    WireguardKey out;
    out.fill(octet);
    return out;
}

Octets peer_of(std::uint8_t key, std::int64_t seconds, std::uint64_t received) {
    return attribute_of(WGPEER_A_PUBLIC_KEY, key_of(key)) +
           attribute_of(WGPEER_A_PRESHARED_KEY, key_of(0)) +
           attribute_of(WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL, std::uint16_t{25}) +
           attribute_of(WGPEER_A_LAST_HANDSHAKE_TIME, std::array{seconds, std::int64_t{5}}) +
           attribute_of(WGPEER_A_RX_BYTES, received) +
           attribute_of(WGPEER_A_TX_BYTES, std::uint64_t{9});
}

Octets message_of(const Octets& peers) {
    return attribute_of(WGDEVICE_A_IFINDEX, std::uint32_t{7}) +
           attribute_of(WGDEVICE_A_PRIVATE_KEY, key_of(0x77)) + nested(WGDEVICE_A_PEERS, peers);
}

WallTime at(std::int64_t seconds, std::int64_t nanoseconds = 5) {
    return WallTime{std::chrono::seconds{seconds} + std::chrono::nanoseconds{nanoseconds}};
}

std::string read(const Octets& message, WireguardDevice& device) {
    const auto done = read_wireguard_message(message, device);
    return done ? "" : done.error();
}

std::string hex(std::uint8_t octet) {
    static constexpr std::string_view digits = "0123456789abcdef";
    std::string out;
    for (int i = 0; i < 32; ++i) out += {digits[octet >> 4U], digits[octet & 15U]};
    return out;
}

std::string text_of_two() {
    return "private_key=" + hex(0x77) + "\nlisten_port=51820\nfwmark=1\n" +  //
           "public_key=" + hex(0xa1) + "\npreshared_key=" + hex(0) +
           "\nprotocol_version=1\nendpoint=[2001:db8::1]:51820\n"
           "last_handshake_time_sec=1795300565\nlast_handshake_time_nsec=5\n"
           "tx_bytes=272\nrx_bytes=212\npersistent_keepalive_interval=25\n"
           "allowed_ip=10.9.0.2/32\nallowed_ip=::/0\nnew_in_2030=yes\n"
           "public_key=" +
           hex(0xb2) +
           "\nlast_handshake_time_sec=0\nlast_handshake_time_nsec=0\ntx_bytes=0\nrx_bytes=0\n"
           "errno=0\n\n";
}

const WireguardDevice two{.peers = {{key_of(0xa1), at(1795300565), 212}, {key_of(0xb2), {}, 0}}};

std::string fault_of_text(std::string_view text) {
    WireguardTextReader reader;
    reader.take(text);
    const auto read = reader.result();
    return read ? "none" : read.error();
}

}  // namespace

TEST_CASE("wireguard device: keys in base64 and back") {
    for (int octet = 0; octet < 256; ++octet) {
        WireguardKey key = key_of(static_cast<std::uint8_t>(octet));
        key[31] = static_cast<std::uint8_t>(octet * 7);
        key[0] = static_cast<std::uint8_t>(octet * 13);
        CHECK(parse_wireguard_key(to_string(key)) == key);
    }
    // Of `wg pubkey`, and the same as the text interface said it.
    const auto known = parse_wireguard_key("xyf1yLPVk3Qj131FcWc/dLjL1pd83K+K4lIEOrxYQWs=");
    REQUIRE(known);
    CHECK((*known)[0] == 0xc7);
    CHECK((*known)[1] == 0x27);
    CHECK((*known)[30] == 0x41);
    CHECK((*known)[31] == 0x6b);
    for (const std::string_view odd :
         {"", "=", "xyf1yLPVk3Qj131FcWc/dLjL1pd83K+K4lIEOrxYQWs",
          "xyf1yLPVk3Qj131FcWc/dLjL1pd83K+K4lIEOrxYQWt=",  // bits behind the last octet
          "xyf1yLPVk3Qj131FcWc/dLjL1pd83K-K4lIEOrxYQWs=",  // the letters of URLs
          "xyf1yLPVk3Qj131FcWc/dLjL1pd83K+K4lIEOrxYQ===",  // shorter
          "xyf1yLPVk3Qj131FcWc/dLjL1pd83K+K4lIEOrxYQWs=="}) {
        CHECK_FALSE(parse_wireguard_key(odd));
    }
}

TEST_CASE("wireguard device: a message with peers, and one that has none") {
    WireguardDevice device;
    CHECK(read({}, device).empty());
    CHECK(read(message_of({}), device).empty());
    CHECK(device.peers.empty());
    CHECK(read(message_of(nested(0, peer_of(0xa1, 1795300565, 212)) +
                          nested(0, attribute_of(WGPEER_A_PUBLIC_KEY, key_of(0xb2)))),
               device)
              .empty());
    CHECK(device == two);
}

TEST_CASE("wireguard device: a peer that goes on in the next message stays one") {
    WireguardDevice device;
    const auto networks = nested(WGPEER_A_ALLOWEDIPS,
                                 nested(0, attribute_of(WGALLOWEDIP_A_FAMILY, std::uint16_t{2})));
    const auto more = attribute_of(WGPEER_A_PUBLIC_KEY, key_of(0xa1)) + networks;
    CHECK(read(message_of(nested(0, peer_of(0xa1, 1795300565, 212) + networks)), device).empty());
    CHECK(read(nested(WGDEVICE_A_PEERS, nested(0, more)), device).empty());
    CHECK(read(nested(WGDEVICE_A_PEERS, nested(0, more) + nested(0, peer_of(0xb2, 0, 0))), device)
              .empty());
    REQUIRE(device.peers.size() == 2);
    CHECK(device.peers[0] == two.peers[0]);
    CHECK(device.peers[1].key == key_of(0xb2));
}

TEST_CASE("wireguard device: messages that lie are refused") {
    const auto says = [](const Octets& message) {
        WireguardDevice device;
        return read(message, device);
    };
    const std::string unreadable = "the kernel's answer about WireGuard cannot be read";
    const Octets whole = message_of(nested(0, peer_of(0xa1, 1, 2)));
    CHECK(says(whole).empty());
    CHECK(says(whole + Octets{std::byte{1}}) == unreadable);
    CHECK(says({whole.begin(), whole.end() - 1}) == unreadable);
    const auto with = [&](const Octets& member) { return says(message_of(nested(0, member))); };
    CHECK(with({}) == unreadable);  // of whom
    CHECK(with(attribute_of(WGPEER_A_PUBLIC_KEY, std::uint64_t{1})) == unreadable);
    CHECK(with(attribute_of(WGPEER_A_RX_BYTES, std::uint32_t{1})) == unreadable);
    CHECK(with(attribute_of(WGPEER_A_LAST_HANDSHAKE_TIME, std::uint64_t{1})) == unreadable);
    for (const unsigned wrong : {0U, 3U, 200U, 65535U}) {
        const auto length = static_cast<std::uint16_t>(wrong);
        Octets lying = whole;
        std::memcpy(lying.data(), &length, sizeof length);
        CHECK(says(lying) == unreadable);
    }
}

TEST_CASE("wireguard device: times that no clock shows are none, and too many peers are refused") {
    for (const std::int64_t seconds : {std::int64_t{-1}, INT64_MAX, INT64_MIN}) {
        WireguardDevice device;
        CHECK(read(message_of(nested(0, peer_of(1, seconds, 0))), device).empty());
        CHECK(device.peers[0].last_handshake == WallTime::max());
    }
    WireguardDevice device;
    for (std::size_t i = 0; i < most_wireguard_peers; ++i) {
        WireguardPeer peer;
        std::memcpy(peer.key.data(), &i, sizeof i);
        device.peers.push_back(peer);
    }
    CHECK(read(message_of(nested(0, peer_of(0xff, 1, 2))), device) ==
          "the interface has more than 16384 peers");
    CHECK(device.peers.size() == most_wireguard_peers);
}

TEST_CASE("wireguard device: text, whole and octet by octet") {
    const std::string text = text_of_two();
    for (const std::size_t step : {text.size(), 1UZ, 7UZ}) {
        WireguardTextReader reader;
        for (std::size_t i = 0; i < text.size(); i += step) {
            const std::string_view piece = std::string_view{text}.substr(i, step);
            CHECK(reader.take(piece) == (i + piece.size() < text.size()));
        }
        REQUIRE(reader.result());
        CHECK(*reader.result() == two);
    }
    // What follows is nobody's answer.
    WireguardTextReader reader;
    CHECK_FALSE(reader.take(text + "public_key=x\n"));
    CHECK(reader.result() == two);
}

TEST_CASE("wireguard device: text that is no answer is refused, and shows no secret") {
    const std::string text = text_of_two();
    for (std::size_t size = 0; size < text.size(); ++size) {
        CHECK(fault_of_text(text.substr(0, size)) == "the answer ends in the midst");
    }
    CHECK(fault_of_text("\n") == "the answer ends without saying whether it is one (errno)");
    CHECK(fault_of_text("errno=1\n\n") == "it answers with error 1");
    CHECK(fault_of_text("errno=x\n\n") == "errno is no number");
    CHECK(fault_of_text("errno=0\nerrno=0\n\n") == "the answer goes on behind its end");
    CHECK(fault_of_text("hello\n") == "the answer is not one of WireGuard");
    CHECK(fault_of_text("public_key=" + hex(1).substr(1) + "\n") == "public_key is no key");
    CHECK(fault_of_text("public_key=" + hex(1).substr(1) + "g\n") == "public_key is no key");
    const std::string peer = "public_key=" + hex(1) + "\n";
    for (const std::string name :
         {"rx_bytes", "last_handshake_time_sec", "last_handshake_time_nsec"}) {
        for (const std::string odd : {"", "x", "1x", " 1", "99999999999999999999999"}) {
            CHECK(fault_of_text(peer + name + "=" + odd + "\n") == name + " is no number");
        }
    }
    CHECK(fault_of_text(peer + "rx_bytes=-1\n") == "rx_bytes is no number");
    CHECK(fault_of_text(std::string(512, 'x')) == "the answer ends in the midst");
    CHECK(fault_of_text(std::string(513, 'x')) == "the answer has a line of more than 512 octets");
    CHECK_FALSE(fault_of_text(hex(0x77) + "\n").contains("77"));
}

TEST_CASE("wireguard device: endless text ends") {
    WireguardTextReader reader;
    const std::string line = "allowed_ip=10.0.0.0/8\n";
    std::size_t taken = 0;
    while (reader.take(line)) taken += line.size();
    CHECK(taken < 17UZ * 1024 * 1024);
    CHECK(reader.result().error() == "the answer is longer than 16 MiB");
    WireguardTextReader peers;
    const std::string peer = "public_key=" + hex(1) + "\n";
    std::size_t count = 0;
    while (peers.take(peer)) ++count;
    CHECK(count == most_wireguard_peers);
    CHECK(peers.result().error() == "the interface has more than 16384 peers");
}

namespace {

constexpr TimePoint start{1000s};
const WallTime wall = at(1795300600, 0);

/// A judge and the one peer it sees.
struct Scene {
    WireguardJudge judge;
    WireguardDevice device{.peers = {{key_of(0xa1), wall, 100}}};
    Duration passed{};

    std::string look(Duration further = 0s) {
        passed += further;
        const Outcome found = judge.judge(device, wall + passed, start + passed);
        return std::string{to_string(found.result)} + ": " + found.reason;
    }
};

const std::string a = to_string(key_of(0xa1));

}  // namespace

TEST_CASE("wireguard judge: the age of the handshake, from both sides") {
    Scene scene{WireguardJudge{{.receiving_within = 0s}}};
    CHECK(scene.look() == "pass: 1 peer, last handshake 0s ago, receiving not asked for");
    CHECK(scene.look(180s) == "pass: 1 peer, last handshake 180s ago, receiving not asked for");
    CHECK(scene.look(1ns) ==
          "fail: the last handshake with peer " + a + " was 180s ago, more than 180s");
    scene.device.peers[0].last_handshake = {};
    CHECK(scene.look() == "fail: there was no handshake with peer " + a + " yet");
}

TEST_CASE("wireguard judge: handshakes of a clock that was set tell nothing") {
    Scene scene{WireguardJudge{{.receiving_within = 0s}}};
    const auto lies = [&](Duration ago) {
        scene.device.peers[0].last_handshake = wall - ago;
        return scene.look();
    };
    CHECK(lies(-2s).starts_with("pass"));
    CHECK(lies(-2s - 1ns) == "unknown: the last handshake with peer " + a +
                                 " lies in the future: the wall clock was set");
    CHECK(lies(1002s).starts_with("fail"));
    CHECK(lies(1002s + 1ns) == "unknown: the last handshake with peer " + a +
                                   " lies before the boot: the wall clock was set");
    scene.device.peers[0].last_handshake = WallTime::max();
    CHECK(scene.look().starts_with("unknown"));
}

TEST_CASE("wireguard judge: the counter must move, from both sides") {
    Scene scene{WireguardJudge{{}}};
    CHECK(scene.look() == "pass: 1 peer, last handshake 0s ago, receiving not known yet");
    CHECK(scene.look(30s).ends_with("receiving not known yet"));
    CHECK(scene.look(1ns) ==
          "fail: nothing was received from peer " + a + " for 30s (does it send keepalives?)");
    ++scene.device.peers[0].received;
    CHECK(scene.look(1s) == "pass: 1 peer, last handshake 31s ago, receiving");
    CHECK(scene.look(30s).ends_with(", receiving"));
    CHECK(scene.look(1ns).starts_with("fail"));
    // An interface made anew has no past.
    scene.device.peers[0].received = 1;
    CHECK(scene.look().ends_with("receiving not known yet"));
    // Nor has a peer that was gone.
    scene.device.peers.clear();
    CHECK(scene.look() == "fail: has no peers");
    scene.device.peers = {{key_of(0xa1), wall, 1}};
    CHECK(scene.look(40s).ends_with("receiving not known yet"));
    // A clock that was set does not hide that nothing comes.
    scene.device.peers[0].last_handshake = WallTime::max();
    CHECK(scene.look(20s).starts_with("unknown"));
    CHECK(scene.look(20s).starts_with("fail: nothing was received"));
}

TEST_CASE("wireguard judge: of several peers the worst is told") {
    Scene scene{WireguardJudge{{.receiving_within = 0s}}};
    scene.device.peers = {{key_of(0xa1), wall, 1}, {key_of(0xb2), wall - 5s, 1}};
    CHECK(scene.look() == "pass: 2 peers, last handshake 5s ago or less, receiving not asked for");
    scene.device.peers[0].last_handshake = WallTime::max();
    CHECK(scene.look().starts_with("unknown"));
    scene.device.peers[1].last_handshake = wall - 200s;
    CHECK(
        scene.look().starts_with("fail: the last handshake with peer " + to_string(key_of(0xb2))));
    scene.device.peers[0].last_handshake = wall - 300s;
    CHECK(scene.look() == "fail: the last handshake with peer " + a +
                              " was 300s ago, more than 180s, and so 1 other peer");
}

TEST_CASE("wireguard judge: only the named peers count, and they must be there") {
    Scene scene{WireguardJudge{{.peers = {key_of(0xb2)}, .receiving_within = 0s}}};
    CHECK(scene.look() == "fail: has no peer " + to_string(key_of(0xb2)));
    scene.device.peers = {{key_of(0xa1), {}, 1}, {key_of(0xb2), wall, 1}};
    CHECK(scene.look().starts_with("pass: 1 peer"));
}
