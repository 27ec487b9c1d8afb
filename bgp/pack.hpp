#pragma once
// Gathers prefixes into UPDATE messages (RFC 4271 §4.3) without copying them.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "bgp/route_encoder.hpp"
#include "swerve/base/bytes.hpp"
#include "swerve/bgp/framer.hpp"
#include "swerve/bgp/prefix_block.hpp"

namespace swerve::bgp {

/// Whether attributes of this size leave room for any prefix of the family in a message of at most
/// `largest` octets. `mp_next_hop_size` is 0 where the routes go without MP_REACH_NLRI.
[[nodiscard]] bool announcement_has_room(Family family, std::size_t mp_next_hop_size,
                                         std::size_t attributes_size, std::size_t largest);

/// Prefixes of one block in a message. What the owner calls the block is its own affair.
struct Piece {
    std::uint64_t owner;
    IdRange range;
};

/// What all prefixes of one message have in common.
struct MessageKind {
    enum class Type : std::uint8_t { withdrawal, announcement, end_of_rib };
    Type type;
    Family family;
    /// MP_REACH_NLRI and MP_UNREACH_NLRI, as IPv6 needs them and IPv4 over IPv6 (RFC 8950).
    bool mp = false;
    RouteRef route = {};  ///< of an announcement, as the others below
    EncodedAttributes attributes = {};
    ByteView mp_next_hop = {};

    [[nodiscard]] bool carries_same(const MessageKind& other) const {
        return type == other.type && family == other.family && route == other.route;
    }
};

/// A message, as it stands in the stream of octets.
struct PackedMessage {
    MessageKind kind;
    std::size_t first_piece;  ///< its pieces end where those of the next message begin
    std::size_t end = 0;      ///< in octets
    std::size_t nlri_size = 0;
};

class Packer {
public:
    /// Forgets all messages; every view becomes invalid.
    void clear();
    /// Of the messages to come, in octets: 4096, or 65535 towards RFC 8654 peers.
    void set_largest_message(std::size_t octets) { largest_message_ = octets; }

    /// Adds the prefixes of `piece`, opening no further message once `budget` octets are reached;
    /// returns whether all were taken. `block` must outlive the views.
    [[nodiscard]] bool add(const MessageKind& kind, const PrefixBlock& block, Piece piece,
                           std::size_t budget);
    /// Returns whether the budget let it be added.
    [[nodiscard]] bool add_end_of_rib(Family family, std::size_t budget);
    /// Completes the last message; to be called before anything below.
    void finish();

    [[nodiscard]] std::size_t size() const { return size_; }
    [[nodiscard]] const std::vector<PackedMessage>& messages() const { return messages_; }
    [[nodiscard]] std::span<const Piece> pieces(std::size_t message) const;
    void append_views(std::vector<ByteView>& out) const;
    /// A copy of the octets [begin, end).
    [[nodiscard]] Bytes copy(std::size_t begin, std::size_t end) const;

private:
    /// Octets that follow each other, in a block or, if `block_octets` is empty, in scratch_.
    struct Run {
        ByteView block_octets;
        std::size_t scratch_begin;
        std::size_t size;
    };

    [[nodiscard]] std::size_t room() const;
    [[nodiscard]] ByteView view(const Run& run) const;
    void append_head(const PackedMessage& message);
    void append_nlri(ByteView octets);
    void append_tail(const PackedMessage& message);
    void append_scratch_run(std::size_t begin);

    std::size_t largest_message_ = max_message_size;
    std::vector<PackedMessage> messages_;
    std::vector<Piece> pieces_;
    std::vector<ByteView> open_nlri_;  ///< the octets of the open message's pieces
    bool open_ = false;                ///< the last message is not complete
    // Views into scratch_ are made when it grows no more.
    Bytes scratch_;
    std::vector<Run> runs_;
    std::size_t size_ = 0;  ///< of the complete messages
};

}  // namespace swerve::bgp
