#include "swerve/bgp/adj_rib_out.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <map>
#include <set>
#include <unordered_map>
#include <utility>

#include "bgp/pack.hpp"
#include "bgp/route_encoder.hpp"
#include "bgp/route_pool.hpp"
#include "bgp/segments.hpp"

namespace swerve::bgp {
namespace {

/// Prefixes by what is to be done for them.
struct Tally {
    std::size_t to_withdraw = 0;
    std::size_t to_announce = 0;
    std::size_t sent = 0;
    std::size_t to_resend = 0;

    Tally& operator+=(const Tally& other) {
        to_withdraw += other.to_withdraw;
        to_announce += other.to_announce;
        sent += other.sent;
        to_resend += other.to_resend;
        return *this;
    }
    Tally& operator-=(const Tally& other) {
        to_withdraw -= other.to_withdraw;
        to_announce -= other.to_announce;
        sent -= other.sent;
        to_resend -= other.to_resend;
        return *this;
    }
};

struct Entry {
    BlockRef block;
    SegmentList list;
    Tally tally;
};

}  // namespace

struct AdjRibOut::Parts {
    /// Names an entry; ascending in the order in which blocks were first advertised.
    using EntryId = std::uint64_t;
    using Entries = std::map<EntryId, Entry>;

    RoutePool routes;
    Entries entries;
    std::unordered_map<const PrefixBlock*, EntryId> ids;
    EntryId next_id = 0;
    std::set<EntryId> to_withdraw;  ///< entries that have something to withdraw
    std::set<EntryId> to_announce;
    std::array<Tally, 2> tallies;  ///< by family
    std::array<bool, 2> end_of_rib_due{};
    bool end_of_rib_held = false;
    std::optional<RouteEncoder> encoder;  ///< while the session is up
    std::uint64_t updates_sent = 0;
    Packer packer;  ///< the last produce(), until anything changes

    /// The attributes with which a segment is to be with the neighbor; nothing if it is not to be
    /// there.
    [[nodiscard]] EncodedAttributes wanted(const Segment& segment, Family family) const {
        return segment.desired ? encoder->encode(segment.desired, family) : nullptr;
    }
    [[nodiscard]] Tally tally(const Segment& segment, Family family) const;
    /// The entry of a block, made where there is none.
    [[nodiscard]] Entries::iterator entry_of(const BlockRef& block);
    template <class Change>
    void change(Entries::iterator at, IdRange range, const Change& change);
    /// See SegmentList::change_all().
    template <class Piece, class RangeOf, class Change>
    void change_all(Entries::iterator at, std::span<const Piece> pieces, const RangeOf& range_of,
                    const Change& change);
    void note(Entries::iterator at, Tally before, Tally after);
    void recount();
    void erase_if_blank(Entries::iterator at);

    [[nodiscard]] bool produce_withdrawals(std::size_t budget);
    [[nodiscard]] bool produce_announcements(Family family, std::size_t budget);
    void mark_sent(std::size_t message);
};

AdjRibOut::AdjRibOut() : parts_(std::make_unique<Parts>()) {}
AdjRibOut::~AdjRibOut() = default;
AdjRibOut::AdjRibOut(AdjRibOut&&) noexcept = default;
AdjRibOut& AdjRibOut::operator=(AdjRibOut&&) noexcept = default;

void AdjRibOut::advertise(const BlockRef& block, IdRange range, const RouteRef& route) {
    assert(route && range.begin <= range.end && range.end <= block->size());
    if (range.size() == 0) return;
    Parts& parts = *parts_;
    parts.packer.clear();
    const RouteRef pooled = parts.routes.pooled(route);
    parts.change(parts.entry_of(block), range, [&](Segment& segment) { segment.desired = pooled; });
}

void AdjRibOut::withdraw(const BlockRef& block, IdRange range) {
    Parts& parts = *parts_;
    const auto id = parts.ids.find(block.get());
    if (id == parts.ids.end()) return;
    parts.packer.clear();
    parts.change(parts.entries.find(id->second), range,
                 [](Segment& segment) { segment.desired.reset(); });
}

void AdjRibOut::hand_over(std::span<const Handover> all) {
    struct Share {
        IdRange range;
        std::size_t taker;  ///< of `all`, the first with the same block
        std::uint32_t begin;
    };
    Parts& parts = *parts_;
    parts.packer.clear();
    // By block, so that each is gone through once, with however many it has something in common.
    std::map<Parts::EntryId, std::vector<Share>> giving;
    std::unordered_map<const PrefixBlock*, std::size_t> takers;
    for (std::size_t i = 0; i < all.size(); ++i) {
        assert(all[i].from != all[i].to);
        const auto giver = parts.ids.find(all[i].from.get());
        if (giver == parts.ids.end()) continue;
        const std::size_t taker = takers.try_emplace(all[i].to.get(), i).first->second;
        std::vector<Share>& pieces = giving[giver->second];
        for (const auto& [from, to] : all[i].ranges) pieces.push_back({from, taker, to.begin});
    }
    std::vector<std::vector<Segment>> moved(all.size());  // by taker
    for (auto& [giver, pieces] : giving) {
        std::ranges::sort(pieces, {}, [](const Share& piece) { return piece.range.begin; });
        parts.change_all(parts.entries.find(giver), std::span<const Share>{pieces}, &Share::range,
                         [&](Segment& segment, const Share* piece) {
                             if (piece == nullptr || segment.blank()) return;
                             Segment there = std::exchange(segment, Segment{segment.range, {}, {}});
                             there.range.begin += piece->begin - piece->range.begin;
                             there.range.end += piece->begin - piece->range.begin;
                             moved[piece->taker].push_back(std::move(there));
                         });
    }
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (moved[i].empty()) continue;
        std::ranges::sort(moved[i], {}, [](const Segment& segment) { return segment.range.begin; });
        parts.change_all(parts.entry_of(all[i].to), std::span<const Segment>{moved[i]},
                         &Segment::range, [](Segment& segment, const Segment* here) {
                             if (here == nullptr) return;
                             assert(segment.blank());
                             segment =
                                 Segment{segment.range, here->desired, here->sent, here->resend};
                         });
    }
}

void AdjRibOut::assign(std::span<const Desired> all) {
    struct Wanted {
        Parts::EntryId entry;
        IdRange range;
        RouteRef route;
    };
    Parts& parts = *parts_;
    parts.packer.clear();
    std::vector<Wanted> pieces;
    pieces.reserve(all.size());
    for (const Desired& each : all) {
        assert(each.route && each.range.end <= each.block->size());
        if (each.range.size() == 0) continue;
        pieces.push_back(
            {parts.entry_of(each.block)->first, each.range, parts.routes.pooled(each.route)});
    }
    std::ranges::sort(
        pieces, {}, [](const Wanted& piece) { return std::pair{piece.entry, piece.range.begin}; });
    auto piece = pieces.cbegin();
    for (auto at = parts.entries.begin(); at != parts.entries.end();) {
        const auto entry = at++;
        const auto first = piece;
        while (piece != pieces.cend() && piece->entry == entry->first) ++piece;
        parts.change_all(entry, std::span{first, piece}, &Wanted::range,
                         [](Segment& segment, const Wanted* here) {
                             segment.desired = here ? here->route : nullptr;
                         });
    }
}

void AdjRibOut::set_next_hops(const std::optional<Address>& ipv4,
                              const std::optional<Address>& ipv6) {
    if (!session_is_up()) return;
    Parts& parts = *parts_;
    parts.packer.clear();
    for (const Family family : all_families) {
        const auto before = parts.encoder->next_hop(family);
        parts.encoder->set_next_hop(family, family == Family::ipv4 ? ipv4 : ipv6);
        if (parts.encoder->next_hop(family) == before) continue;
        for (auto& [id, entry] : parts.entries) {
            if (entry.block->family() != family) continue;
            entry.list.change(entry.block->all(),
                              [](Segment& segment) { segment.resend = segment.sent != nullptr; });
        }
    }
    parts.recount();
}

void AdjRibOut::session_up(const SessionEncoding& encoding) {
    assert(!session_is_up());
    Parts& parts = *parts_;
    parts.packer.clear();
    parts.encoder.emplace(encoding);
    parts.packer.set_largest_message(encoding.largest_message);
    for (const Family family : all_families) {
        parts.end_of_rib_due[static_cast<std::size_t>(family)] = parts.encoder->negotiated(family);
    }
    parts.recount();
}

void AdjRibOut::session_down() {
    Parts& parts = *parts_;
    parts.packer.clear();
    parts.encoder.reset();
    parts.end_of_rib_due = {};
    for (auto at = parts.entries.begin(); at != parts.entries.end();) {
        const auto entry = at++;
        entry->second.list.change(entry->second.block->all(), [](Segment& segment) {
            segment.sent.reset();
            segment.resend = false;
        });
        parts.erase_if_blank(entry);
    }
    parts.recount();
}

bool AdjRibOut::session_is_up() const { return parts_->encoder.has_value(); }

void AdjRibOut::refresh(Family family) {
    Parts& parts = *parts_;
    parts.packer.clear();
    for (auto at = parts.entries.begin(); at != parts.entries.end(); ++at) {
        if (at->second.block->family() != family) continue;
        parts.change(at, at->second.block->all(),
                     [](Segment& segment) { segment.resend = segment.sent != nullptr; });
    }
}

bool AdjRibOut::refreshing(Family family) const {
    return parts_->tallies[static_cast<std::size_t>(family)].to_resend > 0;
}

void AdjRibOut::hold_end_of_rib(bool held) {
    parts_->packer.clear();
    parts_->end_of_rib_held = held;
}

bool AdjRibOut::end_of_rib_due(Family family) const {
    return parts_->end_of_rib_due[static_cast<std::size_t>(family)];
}

bool AdjRibOut::pending() const {
    return !parts_->to_withdraw.empty() || !parts_->to_announce.empty() ||
           (!parts_->end_of_rib_held && std::ranges::any_of(all_families, [&](Family family) {
               return end_of_rib_due(family);
           }));
}

std::size_t AdjRibOut::pending_withdrawals() const {
    return parts_->tallies[0].to_withdraw + parts_->tallies[1].to_withdraw;
}

std::size_t AdjRibOut::pending_announcements() const {
    return parts_->tallies[0].to_announce + parts_->tallies[1].to_announce;
}

std::size_t AdjRibOut::advertised(Family family) const {
    return parts_->tallies[static_cast<std::size_t>(family)].sent;
}

std::uint64_t AdjRibOut::updates_sent() const { return parts_->updates_sent; }

std::size_t AdjRibOut::produce(std::size_t budget, std::vector<ByteView>& out) {
    Parts& parts = *parts_;
    parts.packer.clear();
    if (!pending()) return 0;
    bool within_budget = parts.produce_withdrawals(budget);
    for (const Family family : all_families) {
        within_budget = within_budget && parts.produce_announcements(family, budget);
    }
    parts.packer.finish();
    parts.packer.append_views(out);
    return parts.packer.size();
}

Bytes AdjRibOut::consumed(std::size_t count) {
    Parts& parts = *parts_;
    // A change since produce() has emptied the packer: what was taken would then be recorded with
    // the wrong prefixes, which no later message could put right.
    assert(count <= parts.packer.size());
    const auto& messages = parts.packer.messages();
    std::size_t begun = 0;
    std::size_t end = 0;
    while (begun < messages.size() && end < count) end = messages[begun++].end;
    // The rest is copied first: the last withdrawal of a block lets go of its octets.
    Bytes rest = parts.packer.copy(count, end);
    for (std::size_t i = 0; i < begun; ++i) parts.mark_sent(i);
    parts.updates_sent += begun;
    parts.packer.clear();
    return rest;
}

void AdjRibOut::for_each(
    const std::function<void(const Prefix&, const RouteRef&, const RouteRef&)>& visit) const {
    for (const auto& [id, entry] : parts_->entries) {
        for (const Segment& segment : entry.list.segments()) {
            if (!segment.desired && !segment.sent) continue;
            entry.block->for_each(segment.range, [&](const Prefix& prefix) {
                visit(prefix, segment.desired, segment.sent);
            });
        }
    }
}

bool AdjRibOut::withholds(const RouteRef& route, Family family) const {
    return parts_->encoder && !parts_->encoder->encode(route, family);
}

void AdjRibOut::for_each_sent(const std::function<void(const BlockRef&, IdRange)>& visit) const {
    for (const auto& [id, entry] : parts_->entries) {
        for (const Segment& segment : entry.list.segments()) {
            if (segment.sent) visit(entry.block, segment.range);
        }
    }
}

Tally AdjRibOut::Parts::tally(const Segment& segment, Family family) const {
    Tally out;
    if (!encoder) return out;
    const std::size_t count = segment.range.size();
    if (wanted(segment, family)) {
        if (segment.desired != segment.sent || segment.resend) out.to_announce = count;
    } else if (segment.sent) {
        out.to_withdraw = count;
    }
    if (segment.sent) out.sent = count;
    if (segment.resend) out.to_resend = count;
    return out;
}

AdjRibOut::Parts::Entries::iterator AdjRibOut::Parts::entry_of(const BlockRef& block) {
    const auto [id, is_new] = ids.try_emplace(block.get(), next_id);
    if (!is_new) return entries.find(id->second);
    return entries.emplace_hint(entries.end(), next_id++,
                                Entry{block, SegmentList{block->size()}, {}});
}

template <class Piece, class RangeOf, class Change>
void AdjRibOut::Parts::change_all(Entries::iterator at, std::span<const Piece> pieces,
                                  const RangeOf& range_of, const Change& change) {
    Entry& entry = at->second;
    Tally after;
    entry.list.change_all(pieces, range_of, [&](Segment& segment, const Piece* piece) {
        change(segment, piece);
        after += tally(segment, entry.block->family());
    });
    note(at, entry.tally, after);
    erase_if_blank(at);
}

template <class Change>
void AdjRibOut::Parts::change(Entries::iterator at, IdRange range, const Change& change) {
    Entry& entry = at->second;
    Tally before;
    Tally after;
    entry.list.change(range, [&](Segment& segment) {
        before += tally(segment, entry.block->family());
        change(segment);
        after += tally(segment, entry.block->family());
    });
    note(at, before, after);
    erase_if_blank(at);
}

void AdjRibOut::Parts::note(Entries::iterator at, Tally before, Tally after) {
    Entry& entry = at->second;
    for (Tally* tally : {&entry.tally, &tallies[static_cast<std::size_t>(entry.block->family())]}) {
        *tally += after;
        *tally -= before;
    }
    const auto keep = [&](std::set<EntryId>& set, bool wanted) {
        if (wanted) {
            set.insert(at->first);
        } else {
            set.erase(at->first);
        }
    };
    keep(to_withdraw, entry.tally.to_withdraw > 0);
    keep(to_announce, entry.tally.to_announce > 0);
}

void AdjRibOut::Parts::recount() {
    for (auto at = entries.begin(); at != entries.end(); ++at) {
        Tally now;
        for (const Segment& segment : at->second.list.segments()) {
            now += tally(segment, at->second.block->family());
        }
        note(at, at->second.tally, now);
    }
}

void AdjRibOut::Parts::erase_if_blank(Entries::iterator at) {
    if (!at->second.list.blank()) return;
    note(at, at->second.tally, {});
    ids.erase(at->second.block.get());
    entries.erase(at);
}

bool AdjRibOut::Parts::produce_withdrawals(std::size_t budget) {
    for (const Family family : all_families) {
        const MessageKind kind{MessageKind::Type::withdrawal, family, encoder->uses_mp(family)};
        for (const EntryId id : to_withdraw) {
            const Entry& entry = entries.at(id);
            if (entry.block->family() != family) continue;
            for (const Segment& segment : entry.list.segments()) {
                if (!segment.sent || wanted(segment, family)) continue;
                if (!packer.add(kind, *entry.block, {id, segment.range}, budget)) return false;
            }
        }
    }
    return true;
}

bool AdjRibOut::Parts::produce_announcements(Family family, std::size_t budget) {
    MessageKind kind{MessageKind::Type::announcement, family, encoder->uses_mp(family)};
    kind.mp_next_hop = encoder->mp_next_hop(family);
    for (const EntryId id : to_announce) {
        const Entry& entry = entries.at(id);
        if (entry.block->family() != family) continue;
        for (const Segment& segment : entry.list.segments()) {
            if (segment.desired == segment.sent && !segment.resend) continue;
            kind.attributes = wanted(segment, family);
            if (!kind.attributes) continue;
            kind.route = segment.desired;
            if (!packer.add(kind, *entry.block, {id, segment.range}, budget)) return false;
        }
    }
    // RFC 4724 §2: the marker follows the first announcements, also when there are none.
    return end_of_rib_held || !end_of_rib_due[static_cast<std::size_t>(family)] ||
           packer.add_end_of_rib(family, budget);
}

void AdjRibOut::Parts::mark_sent(std::size_t message) {
    const MessageKind& kind = packer.messages()[message].kind;
    if (kind.type == MessageKind::Type::end_of_rib) {
        end_of_rib_due[static_cast<std::size_t>(kind.family)] = false;
    }
    for (const Piece& piece : packer.pieces(message)) {
        change(entries.find(piece.owner), piece.range, [&](Segment& segment) {
            segment.sent = kind.route;
            segment.resend = false;
        });
    }
}

}  // namespace swerve::bgp
