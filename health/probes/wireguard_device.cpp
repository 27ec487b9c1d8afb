#include "health/probes/wireguard_device.hpp"

#include <linux/netlink.h>
#include <linux/wireguard.h>
#include <string.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <concepts>
#include <cstring>
#include <type_traits>
#include <utility>

#include "swerve/base/escape.hpp"

namespace swerve::health {

namespace {

static_assert(std::tuple_size_v<WireguardKey> == WG_KEY_LEN);

constexpr std::string_view letters =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// Of an answer in text; most_wireguard_peers with a few networks each fit.
constexpr std::size_t most_text = 16UZ * 1024 * 1024;

constexpr std::string_view malformed = "the kernel's answer about WireGuard cannot be read";
constexpr std::string_view too_many = "the interface has more than 16384 peers";

/// A time that no clock showed is kept as one, so that it can be said.
WallTime wall_time(std::int64_t seconds, std::int64_t nanoseconds) {
    constexpr std::int64_t last = 9'000'000'000;  // in 2255, and still nanoseconds in 64 bits
    const bool possible = seconds >= 0 && seconds <= last && nanoseconds >= 0 &&
                          nanoseconds < std::int64_t{1'000'000'000};
    if (!possible) return WallTime::max();
    return WallTime{std::chrono::seconds{seconds} + std::chrono::nanoseconds{nanoseconds}};
}

using Octets = std::span<const std::byte>;

/// Calls `each` with the type and the value of every attribute until it says false; false, too, if
/// one lies about its length.
template <class Each>
bool for_each_attribute(Octets attributes, Each each) {
    while (!attributes.empty()) {
        ::nlattr header{};
        if (attributes.size() < sizeof header) return false;
        std::memcpy(&header, attributes.data(), sizeof header);
        if (header.nla_len < NLA_HDRLEN || header.nla_len > attributes.size()) return false;
        const Octets value = attributes.first(header.nla_len).subspan(NLA_HDRLEN);
        if (!each(static_cast<int>(header.nla_type & NLA_TYPE_MASK), value)) return false;
        attributes = attributes.subspan(
            std::min(attributes.size(), static_cast<std::size_t>(NLA_ALIGN(header.nla_len))));
    }
    return true;
}

template <class T>
bool copy_into(Octets value, T& out) {
    static_assert(std::is_trivially_copyable_v<T>);
    if (value.size() != sizeof out) return false;
    std::memcpy(&out, value.data(), sizeof out);
    return true;
}

/// What one message says of a peer. One that only goes on with the networks of a peer says neither
/// of the latter two.
struct Said {
    std::optional<WireguardKey> key;
    std::optional<WallTime> last_handshake;
    std::optional<std::uint64_t> received;
};

bool read_peer(Octets attributes, Said& out) {
    return for_each_attribute(attributes, [&out](int type, Octets value) {
        std::array<std::int64_t, 2> time{};  // struct __kernel_timespec
        switch (type) {
            case WGPEER_A_PUBLIC_KEY:
                return copy_into(value, out.key.emplace());
            case WGPEER_A_LAST_HANDSHAKE_TIME:
                if (!copy_into(value, time)) return false;
                out.last_handshake = wall_time(time[0], time[1]);
                return true;
            case WGPEER_A_RX_BYTES:
                return copy_into(value, out.received.emplace());
            default:
                return true;
        }
    });
}

template <std::integral T>
bool number(std::string_view text, T& out) {
    const char* const end = text.data() + text.size();
    const auto [stopped, error] = std::from_chars(text.data(), end, out);
    return error == std::errc{} && stopped == end;
}

std::optional<WireguardKey> key_from_hex(std::string_view text) {
    WireguardKey out{};
    if (text.size() != 2 * out.size()) return std::nullopt;
    for (std::size_t i = 0; i < out.size(); ++i) {
        const char* const at = text.data() + 2 * i;
        const auto [stopped, error] = std::from_chars(at, at + 2, out[i], 16);
        if (error != std::errc{} || stopped != at + 2) return std::nullopt;
    }
    return out;
}

}  // namespace

std::optional<WireguardKey> parse_wireguard_key(std::string_view text) {
    // 256 bits are 42 letters and 4 bits of one more; the two bits behind them are 0.
    constexpr std::size_t count = 43;
    if (text.size() != count + 1 || text[count] != '=') return std::nullopt;
    WireguardKey out{};
    std::uint32_t bits = 0;
    int held = 0;
    std::size_t at = 0;
    for (const char letter : text.substr(0, count)) {
        const auto value = letters.find(letter);
        if (value == std::string_view::npos) return std::nullopt;
        bits = (bits << 6U | static_cast<std::uint32_t>(value)) & 0xffffU;
        held += 6;
        if (held < 8 || at == out.size()) continue;
        held -= 8;
        out[at++] = static_cast<std::uint8_t>(bits >> static_cast<unsigned>(held) & 0xffU);
    }
    if ((bits & 3U) != 0) return std::nullopt;
    return out;
}

std::string to_string(const WireguardKey& key) {
    std::string out;
    std::uint32_t bits = 0;
    int held = 0;
    for (const std::uint8_t octet : key) {
        bits = (bits << 8U | octet) & 0xffffU;
        for (held += 8; held >= 6;) {
            held -= 6;
            out += letters[bits >> static_cast<unsigned>(held) & 0x3fU];
        }
    }
    out += letters[bits << 2U & 0x3fU];
    return out + "=";
}

Result<void, std::string> read_wireguard_message(Octets attributes, WireguardDevice& device) {
    bool full = false;
    const auto take = [&](int /*number*/, Octets value) {
        Said said;
        if (!read_peer(value, said) || !said.key) return false;
        auto& peers = device.peers;
        // A peer with many networks goes on in the next message, with its key in front.
        if (peers.empty() || peers.back().key != *said.key) {
            full = peers.size() == most_wireguard_peers;
            if (full) return false;
            peers.push_back({.key = *said.key});
        }
        peers.back().last_handshake = said.last_handshake.value_or(peers.back().last_handshake);
        peers.back().received = said.received.value_or(peers.back().received);
        return true;
    };
    const bool read = for_each_attribute(attributes, [&](int type, Octets value) {
        return type != WGDEVICE_A_PEERS || for_each_attribute(value, take);
    });
    if (full) return fail(std::string{too_many});
    if (!read) return fail(std::string{malformed});
    return {};
}

WireguardTextReader::~WireguardTextReader() { ::explicit_bzero(line_.data(), line_.size()); }

bool WireguardTextReader::take(std::string_view piece) {
    taken_ += piece.size();
    if (taken_ > most_text) refuse("the answer is longer than 16 MiB");
    while (state_ == State::reading && !piece.empty()) {
        const std::size_t end = piece.find('\n');
        const std::string_view part = piece.substr(0, end);
        if (length_ + part.size() > line_.size()) {
            refuse("the answer has a line of more than 512 octets");
            break;
        }
        std::ranges::copy(part, line_.begin() + static_cast<std::ptrdiff_t>(length_));
        length_ += part.size();
        if (end == std::string_view::npos) break;
        piece.remove_prefix(end + 1);
        take_line({line_.data(), length_});
        length_ = 0;
    }
    return state_ == State::reading;
}

Result<WireguardDevice, std::string> WireguardTextReader::result() const {
    switch (state_) {
        case State::whole:
            return device_;
        case State::broken:
            return fail(error_);
        case State::reading:
            break;
    }
    return fail(std::string{"the answer ends in the midst"});
}

void WireguardTextReader::refuse(std::string why) {
    state_ = State::broken;
    error_ = std::move(why);
}

void WireguardTextReader::take_line(std::string_view line) {
    if (line.empty()) {
        if (!has_errno_) return refuse("the answer ends without saying whether it is one (errno)");
        state_ = State::whole;
        return;
    }
    const std::size_t sign = line.find('=');
    // What stands there is not told: it may be a part of a secret.
    if (sign == std::string_view::npos) return refuse("the answer is not one of WireGuard");
    if (has_errno_) return refuse("the answer goes on behind its end");
    take_value(line.substr(0, sign), line.substr(sign + 1));
}

void WireguardTextReader::take_value(std::string_view key, std::string_view value) {
    if (key == "errno") return take_end(value);
    if (key == "public_key") {
        const auto read = key_from_hex(value);
        if (!read) return refuse("public_key is no key");
        if (device_.peers.size() == most_wireguard_peers) return refuse(std::string{too_many});
        device_.peers.push_back({.key = *read});
        handshake_s_ = 0;
        return;
    }
    // Before the first peer stands what the interface itself is.
    if (device_.peers.empty()) return;
    WireguardPeer& peer = device_.peers.back();
    if (key == "last_handshake_time_sec") {
        if (!number(value, handshake_s_)) return refuse("last_handshake_time_sec is no number");
        peer.last_handshake = wall_time(handshake_s_, 0);
    } else if (key == "last_handshake_time_nsec") {
        std::int64_t nanoseconds = 0;
        if (!number(value, nanoseconds)) return refuse("last_handshake_time_nsec is no number");
        peer.last_handshake = wall_time(handshake_s_, nanoseconds);
    } else if (key == "rx_bytes") {
        if (!number(value, peer.received)) refuse("rx_bytes is no number");
    }
}

void WireguardTextReader::take_end(std::string_view value) {
    int error = 0;
    if (!number(value, error)) return refuse("errno is no number");
    if (error != 0) return refuse("it answers with error " + std::to_string(error));
    has_errno_ = true;
}

}  // namespace swerve::health
