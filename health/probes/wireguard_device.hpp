#pragma once
// What WireGuard says about an interface, by generic netlink or, of userspace WireGuard, as text.
// Both say it together with the private key and the preshared keys: neither is ever kept.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "swerve/base/result.hpp"
#include "swerve/base/time.hpp"

namespace swerve::health {

/// A public key of Curve25519.
using WireguardKey = std::array<std::uint8_t, 32>;

/// As people write it: 44 letters of base64 (RFC 4648 §4). Nothing for anything else.
[[nodiscard]] std::optional<WireguardKey> parse_wireguard_key(std::string_view text);
[[nodiscard]] std::string to_string(const WireguardKey& key);

struct WireguardPeer {
    WireguardKey key{};
    WallTime last_handshake{};   ///< the epoch: there was none; WallTime::max(): no time at all
    std::uint64_t received = 0;  ///< octets

    friend bool operator==(const WireguardPeer&, const WireguardPeer&) = default;
};

struct WireguardDevice {
    std::vector<WireguardPeer> peers;

    friend bool operator==(const WireguardDevice&, const WireguardDevice&) = default;
};

/// More peers of one interface are not looked at.
inline constexpr std::size_t most_wireguard_peers = 16384;

/// Adds what one message of WG_CMD_GET_DEVICE says; the next may go on with its last peer.
/// `attributes` stand behind the generic header. The error is a sentence.
[[nodiscard]] Result<void, std::string> read_wireguard_message(
    std::span<const std::byte> attributes, WireguardDevice& device);

/// Reads the answer to "get=1" as it comes, in pieces of any size.
class WireguardTextReader {
public:
    WireguardTextReader() = default;
    ~WireguardTextReader();
    WireguardTextReader(const WireguardTextReader&) = delete;
    WireguardTextReader& operator=(const WireguardTextReader&) = delete;

    /// False once no more is wanted: the answer is whole, or nothing can be made of it.
    bool take(std::string_view piece);
    /// The error is a sentence; an answer that has not ended is one.
    [[nodiscard]] Result<WireguardDevice, std::string> result() const;

private:
    enum class State : std::uint8_t { reading, whole, broken };

    void take_line(std::string_view line);
    void take_value(std::string_view key, std::string_view value);
    void take_end(std::string_view number);
    void refuse(std::string why);

    State state_ = State::reading;
    std::string error_;
    WireguardDevice device_;
    std::int64_t handshake_s_ = 0;  ///< of the last peer; its nanoseconds follow
    bool has_errno_ = false;
    std::size_t taken_ = 0;
    std::array<char, 512> line_{};  ///< as far as it has come; it may be a secret
    std::size_t length_ = 0;
};

}  // namespace swerve::health
