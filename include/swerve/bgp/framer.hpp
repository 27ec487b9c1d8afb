#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "swerve/base/bytes.hpp"
#include "swerve/base/result.hpp"
#include "swerve/bgp/notification.hpp"

namespace swerve::bgp {

enum class MessageType : std::uint8_t {
    open = 1,
    update = 2,
    notification = 3,
    keepalive = 4,
    route_refresh = 5,
};

inline constexpr std::size_t header_size = 19;
/// RFC 4271 §4.1.
inline constexpr std::size_t max_message_size = 4096;
/// RFC 8654 §3, of every type but OPEN and KEEPALIVE.
inline constexpr std::size_t max_extended_size = 65535;

/// One complete message. The views stay valid until the next call of feed().
struct Frame {
    MessageType type;
    ByteView body;
};

/// Cuts a TCP byte stream into messages, however it was segmented, and checks the header
/// (RFC 4271 §6.1): length before anything is buffered beyond it.
class Framer {
public:
    /// `largest` is what we offered to receive, whatever the neighbor offers (RFC 8654 §4):
    /// max_message_size or max_extended_size.
    explicit Framer(std::size_t largest = max_message_size) : largest_(largest) {}

    /// Copies the octets. The caller feeds at most 64 KiB at once and drains with next() before it
    /// feeds again, so that never more than this and one incomplete message is held. After an error
    /// the octets are dropped.
    void feed(ByteView bytes);

    /// The next complete message; nothing when more bytes are needed. An error is the NOTIFICATION
    /// to send: 1/1 for a marker, 1/2 with the two length octets, 1/3 with the type octet. After an
    /// error every further call returns the same error.
    [[nodiscard]] Result<std::optional<Frame>, Notification> next();

    /// Octets held that do not yet make a message.
    [[nodiscard]] std::size_t buffered() const { return buffer_.size() - begin_; }

private:
    std::size_t largest_;
    Bytes buffer_;
    std::size_t begin_ = 0;
    std::optional<Notification> broken_;
};

/// Appends marker, length (patched by finish_message) and type; returns where the message begins.
std::size_t begin_message(Bytes& out, MessageType type);
void finish_message(Bytes& out, std::size_t begin);

[[nodiscard]] Bytes encode_keepalive();

}  // namespace swerve::bgp
