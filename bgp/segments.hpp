#pragma once
// What a neighbor is to hold and what it was sent, run by run: the memory of a neighbor grows with
// the number of different states in a block, not with the number of its prefixes.

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "swerve/bgp/adj_rib_out.hpp"

namespace swerve::bgp {

/// A run of prefixes in one state.
struct Segment {
    IdRange range;
    RouteRef desired;
    RouteRef sent;
    bool resend = false;  ///< sent, and asked for once more (RFC 2918)

    [[nodiscard]] bool blank() const { return !desired && !sent; }
    [[nodiscard]] bool same_state(const Segment& other) const {
        return desired == other.desired && sent == other.sent && resend == other.resend;
    }
};

/// The segments of one block: sorted, without gaps, and two that touch differ.
class SegmentList {
public:
    explicit SegmentList(std::uint32_t size) : segments_{Segment{{0, size}, {}, {}}} {}

    [[nodiscard]] const std::vector<Segment>& segments() const { return segments_; }
    /// Whether no prefix is wanted or sent.
    [[nodiscard]] bool blank() const { return segments_.size() == 1 && segments_.front().blank(); }

    /// Calls `change(segment)` for the segments that make up `range`, which may alter their state.
    template <class Change>
    void change(IdRange range, const Change& change) {
        assert(range.begin <= range.end && range.end <= segments_.back().range.end);
        if (range.size() == 0) return;
        const std::size_t first = split(range.begin);
        const std::size_t behind = split(range.end);
        for (std::size_t i = first; i < behind; ++i) change(segments_[i]);
        merge(first, behind);
    }

    /// Calls `change(segment, piece)` for all segments, cut where pieces begin and end, with the
    /// piece that covers the segment or null. The pieces are ascending and do not overlap;
    /// `range_of` is the member that holds a piece's range. One pass, however many pieces.
    template <class Piece, class RangeOf, class Change>
    void change_all(std::span<const Piece> pieces, const RangeOf& range_of, const Change& change);

private:
    void append(Segment segment);
    /// Makes a segment begin at `id`; returns which one. At the very end there is none to begin.
    std::size_t split(std::uint32_t id);
    /// Joins equal neighbors among the segments [first, behind) and those that touch them.
    void merge(std::size_t first, std::size_t behind);

    std::vector<Segment> segments_;
};

template <class Piece, class RangeOf, class Change>
void SegmentList::change_all(std::span<const Piece> pieces, const RangeOf& range_of,
                             const Change& change) {
    const std::vector<Segment> before = std::exchange(segments_, {});
    auto piece = pieces.begin();
    for (const Segment& segment : before) {
        for (IdRange left = segment.range; left.size() > 0;) {
            while (piece != pieces.end() && std::invoke(range_of, *piece).end <= left.begin)
                ++piece;
            const Piece* covering = nullptr;
            IdRange part = left;
            if (piece != pieces.end()) {
                const IdRange range = std::invoke(range_of, *piece);
                if (range.begin <= left.begin) covering = &*piece;
                part.end = std::min(part.end, covering != nullptr ? range.end : range.begin);
            }
            left.begin = part.end;
            Segment changed = segment;
            changed.range = part;
            change(changed, covering);
            append(std::move(changed));
        }
    }
}

inline void SegmentList::append(Segment segment) {
    if (!segments_.empty() && segments_.back().same_state(segment)) {
        segments_.back().range.end = segment.range.end;
    } else {
        segments_.push_back(std::move(segment));
    }
}

inline std::size_t SegmentList::split(std::uint32_t id) {
    const auto at = std::ranges::lower_bound(
        segments_, id, {}, [](const Segment& segment) { return segment.range.begin; });
    const auto position = static_cast<std::size_t>(at - segments_.begin());
    if (at != segments_.end() && at->range.begin == id) return position;
    Segment& left = segments_[position - 1];
    if (left.range.end == id) return position;
    Segment right = left;
    right.range.begin = id;
    left.range.end = id;
    segments_.insert(at, std::move(right));
    return position;
}

inline void SegmentList::merge(std::size_t first, std::size_t behind) {
    std::size_t kept = first == 0 ? 0 : first - 1;
    const std::size_t end = std::min(behind + 1, segments_.size());
    for (std::size_t i = kept + 1; i < end; ++i) {
        if (segments_[i].same_state(segments_[kept])) {
            segments_[kept].range.end = segments_[i].range.end;
        } else if (++kept != i) {
            segments_[kept] = std::move(segments_[i]);
        }
    }
    const auto begin = segments_.begin();
    segments_.erase(begin + static_cast<std::ptrdiff_t>(kept + 1),
                    begin + static_cast<std::ptrdiff_t>(end));
}

}  // namespace swerve::bgp
