#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <vector>

#include "swerve/base/bytes.hpp"
#include "swerve/bgp/framer.hpp"
#include "swerve/bgp/peer.hpp"

namespace swerve::bgp {

/// Control messages on their way to the socket, and the rest of a message that was taken only in
/// part. Bounded: of what was not begun, one OPEN, one KEEPALIVE and one ROUTE-REFRESH of each
/// subtype a family; one message that was.
class Outbox {
public:
    /// Adds nothing where the same message waits already.
    void push(MessageType type, Bytes message);
    /// A message of which the socket has taken a part already.
    void push_rest(Bytes rest);
    void clear() { messages_.clear(); }

    [[nodiscard]] bool empty() const { return messages_.empty(); }
    /// A message stands half on the wire, so nothing but its rest may follow.
    [[nodiscard]] bool begun() const { return !messages_.empty() && messages_.front().begun; }

    std::size_t produce(std::vector<ByteView>& out) const;
    /// Returns how many of the octets were not its own.
    [[nodiscard]] std::size_t consumed(std::size_t count, PeerCounters& counters);
    /// The rest of the message that was begun.
    [[nodiscard]] Bytes rest() const;

private:
    struct Message {
        std::optional<MessageType> type;  ///< absent: counted elsewhere
        Bytes octets;                     ///< what is left to send
        bool begun;
    };
    std::deque<Message> messages_;
};

}  // namespace swerve::bgp
