#include "bgp/pack.hpp"

#include <algorithm>
#include <cassert>

#include "bgp/attributes/row.hpp"
#include "bgp/family.hpp"
#include "swerve/bgp/update.hpp"

namespace swerve::bgp {
namespace {

// RFC 4271 §4.3: header, Withdrawn Routes Length, Total Path Attribute Length.
constexpr std::size_t update_overhead = header_size + 2 + 2;
// RFC 4760 §3, §4: attribute header with extended length, AFI, SAFI; then, in MP_REACH_NLRI only,
// the length of the next hop, the next hop and a reserved octet.
constexpr std::size_t mp_unreach_overhead = 4 + 3;
constexpr std::size_t mp_reach_overhead(std::size_t next_hop_size) {
    return mp_unreach_overhead + 1 + next_hop_size + 1;
}

/// Below this, a further gather element costs more than copying the octets.
constexpr std::size_t copied_below = 128;
/// What an idle neighbor keeps for its next messages.
constexpr std::size_t scratch_kept = 4096;

std::size_t announcement_overhead(std::size_t mp_next_hop_size) {
    return update_overhead +
           (mp_next_hop_size > 0 ? mp_reach_overhead(mp_next_hop_size) : std::size_t{0});
}

/// The head of MP_REACH_NLRI or MP_UNREACH_NLRI: all of it but the prefixes.
void write_mp_head(const PackedMessage& message, Writer& writer) {
    const bool reach = message.kind.type == MessageKind::Type::announcement;
    const ByteView next_hop = message.kind.mp_next_hop;
    const std::size_t size = 3 + (reach ? 1 + next_hop.size() + 1 : 0) + message.nlri_size;
    const bool extended = size > 255;
    constexpr std::uint8_t extended_flags =
        attribute_flag::optional | attribute_flag::extended_length;
    writer.u8(extended ? extended_flags : attribute_flag::optional);
    writer.u8(reach ? attribute_type::mp_reach_nlri : attribute_type::mp_unreach_nlri);
    if (extended) {
        writer.u16(static_cast<std::uint16_t>(size));
    } else {
        writer.u8(static_cast<std::uint8_t>(size));
    }
    writer.u16(afi_of(message.kind.family));
    writer.u8(safi_unicast);
    if (!reach) return;
    writer.u8(static_cast<std::uint8_t>(next_hop.size()));
    writer.bytes(next_hop);
    writer.u8(0);
}

}  // namespace

bool announcement_has_room(Family family, std::size_t mp_next_hop_size, std::size_t attributes_size,
                           std::size_t largest) {
    const std::size_t longest_nlri = 1 + address_bits(family) / 8;
    return announcement_overhead(mp_next_hop_size) + attributes_size + longest_nlri <= largest;
}

void Packer::clear() {
    messages_.clear();
    pieces_.clear();
    open_nlri_.clear();
    open_ = false;
    scratch_.clear();
    if (scratch_.capacity() > scratch_kept) scratch_.shrink_to_fit();
    runs_.clear();
    size_ = 0;
}

bool Packer::add(const MessageKind& kind, const PrefixBlock& block, Piece piece,
                 std::size_t budget) {
    while (piece.range.size() > 0) {
        if (open_ && !messages_.back().kind.carries_same(kind)) finish();
        if (!open_) {
            if (size_ >= budget) return false;
            messages_.push_back({kind, pieces_.size()});
            open_ = true;
        }
        const IdRange fitting = block.fitting(piece.range, room());
        if (fitting.size() == 0) {
            assert(messages_.back().nlri_size > 0);
            finish();
            continue;
        }
        pieces_.push_back({piece.owner, fitting});
        open_nlri_.push_back(block.octets(fitting));
        messages_.back().nlri_size += open_nlri_.back().size();
        piece.range.begin = fitting.end;
    }
    return true;
}

bool Packer::add_end_of_rib(Family family, std::size_t budget) {
    finish();
    if (size_ >= budget) return false;
    messages_.push_back({{MessageKind::Type::end_of_rib, family}, pieces_.size()});
    const Bytes marker = encode_end_of_rib(family);
    const std::size_t begin = scratch_.size();
    scratch_.insert(scratch_.end(), marker.begin(), marker.end());
    append_scratch_run(begin);
    messages_.back().end = size_;
    return true;
}

void Packer::finish() {
    if (!open_) return;
    open_ = false;
    PackedMessage& message = messages_.back();
    append_head(message);
    for (const ByteView octets : open_nlri_) append_nlri(octets);
    open_nlri_.clear();
    append_tail(message);
    message.end = size_;
}

std::span<const Piece> Packer::pieces(std::size_t message) const {
    const std::size_t begin = messages_[message].first_piece;
    const std::size_t end =
        message + 1 < messages_.size() ? messages_[message + 1].first_piece : pieces_.size();
    return std::span{pieces_}.subspan(begin, end - begin);
}

void Packer::append_views(std::vector<ByteView>& out) const {
    out.reserve(out.size() + runs_.size());
    for (const Run& run : runs_) out.push_back(view(run));
}

Bytes Packer::copy(std::size_t begin, std::size_t end) const {
    Bytes out;
    out.reserve(end - begin);
    std::size_t run_begin = 0;
    for (const Run& run : runs_) {
        const std::size_t run_end = run_begin + run.size;
        const std::size_t from = std::max(begin, run_begin);
        const std::size_t to = std::min(end, run_end);
        if (from < to) {
            const ByteView part = view(run).subspan(from - run_begin, to - from);
            out.insert(out.end(), part.begin(), part.end());
        }
        run_begin = run_end;
    }
    return out;
}

std::size_t Packer::room() const {
    const PackedMessage& message = messages_.back();
    const MessageKind& kind = message.kind;
    std::size_t used = message.nlri_size;
    if (kind.type == MessageKind::Type::announcement) {
        used += announcement_overhead(kind.mp_next_hop.size()) + kind.attributes->size();
    } else {
        used += update_overhead + (kind.mp ? mp_unreach_overhead : 0);
    }
    return largest_message_ - used;
}

ByteView Packer::view(const Run& run) const {
    if (!run.block_octets.empty()) return run.block_octets;
    return ByteView{scratch_}.subspan(run.scratch_begin, run.size);
}

void Packer::append_head(const PackedMessage& message) {
    const MessageKind& kind = message.kind;
    const bool announcement = kind.type == MessageKind::Type::announcement;
    const std::size_t nlri = message.nlri_size;
    const std::size_t attributes = announcement ? kind.attributes->size() : 0;

    const std::size_t begin = begin_message(scratch_, MessageType::update);
    Writer writer{scratch_};
    writer.u16(static_cast<std::uint16_t>(kind.mp || announcement ? 0 : nlri));
    if (kind.mp) {
        const std::size_t length_at = writer.position();
        writer.u16(0);
        write_mp_head(message, writer);
        const std::size_t mp_head = writer.position() - length_at - 2;
        writer.patch_u16(length_at, static_cast<std::uint16_t>(mp_head + nlri + attributes));
    } else if (announcement) {
        writer.u16(static_cast<std::uint16_t>(attributes));
        writer.bytes(*kind.attributes);
    }
    // Of what follows, only the prefixes and, behind them, the tail are not in scratch_ yet.
    const std::size_t tail = kind.mp ? attributes : (announcement ? 0 : 2);
    const std::size_t total = writer.position() - begin + nlri + tail;
    assert(total <= largest_message_);
    writer.patch_u16(begin + 16, static_cast<std::uint16_t>(total));
    append_scratch_run(begin);
}

void Packer::append_nlri(ByteView octets) {
    if (octets.size() < copied_below) {
        const std::size_t begin = scratch_.size();
        scratch_.insert(scratch_.end(), octets.begin(), octets.end());
        append_scratch_run(begin);
    } else {
        runs_.push_back({octets, 0, octets.size()});
        size_ += octets.size();
    }
}

void Packer::append_tail(const PackedMessage& message) {
    const MessageKind& kind = message.kind;
    const bool announcement = kind.type == MessageKind::Type::announcement;
    if (kind.mp != announcement) return;
    const std::size_t begin = scratch_.size();
    if (kind.mp) {
        Writer{scratch_}.bytes(*kind.attributes);
    } else {
        Writer{scratch_}.u16(0);
    }
    append_scratch_run(begin);
}

void Packer::append_scratch_run(std::size_t begin) {
    const std::size_t size = scratch_.size() - begin;
    size_ += size;
    const bool continues = !runs_.empty() && runs_.back().block_octets.empty() &&
                           runs_.back().scratch_begin + runs_.back().size == begin;
    if (continues) {
        runs_.back().size += size;
    } else {
        runs_.push_back({{}, begin, size});
    }
}

}  // namespace swerve::bgp
