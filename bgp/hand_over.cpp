#include <algorithm>
#include <map>
#include <unordered_set>
#include <utility>

#include "swerve/bgp/prefix_block.hpp"

namespace swerve::bgp {
namespace {

/// All prefixes of some blocks in order.
class Merge {
public:
    explicit Merge(const std::vector<BlockRef>& blocks) {
        for (std::size_t i = 0; i < blocks.size(); ++i) {
            Source source{PrefixBlock::Cursor{*blocks[i]}, i};
            if (!source.cursor.at_end()) waiting_.push_back(source);
        }
        std::ranges::make_heap(waiting_, behind);
        take_first();
    }

    [[nodiscard]] bool at_end() const { return !current_; }
    [[nodiscard]] const Prefix& prefix() const { return current_->cursor.prefix(); }
    [[nodiscard]] std::size_t block() const { return current_->block; }
    [[nodiscard]] std::uint32_t id() const { return current_->cursor.id(); }

    void advance() {
        current_->cursor.advance();
        if (current_->cursor.at_end()) return take_first();
        // Blocks are mostly ranges of their own: as a rule, the next prefix is of the same one.
        if (waiting_.empty() || !behind(*current_, waiting_.front())) return;
        waiting_.push_back(*current_);
        std::ranges::push_heap(waiting_, behind);
        take_first();
    }

private:
    struct Source {
        PrefixBlock::Cursor cursor;
        std::size_t block;
    };

    /// Whether `a` comes after `b`: a heap has its greatest in front.
    static bool behind(const Source& a, const Source& b) {
        return a.cursor.prefix() > b.cursor.prefix();
    }

    void take_first() {
        current_.reset();
        if (waiting_.empty()) return;
        std::ranges::pop_heap(waiting_, behind);
        current_ = waiting_.back();
        waiting_.pop_back();
    }

    std::optional<Source> current_;
    std::vector<Source> waiting_;  ///< a heap
};

std::vector<BlockRef> without(std::span<const BlockRef> blocks, std::span<const BlockRef> others) {
    const std::unordered_set<BlockRef> shared(others.begin(), others.end());
    std::vector<BlockRef> out;
    std::ranges::copy_if(blocks, std::back_inserter(out),
                         [&](const BlockRef& block) { return !shared.contains(block); });
    return out;
}

/// The hand-overs that were found, by which block gives and which takes.
class Found {
public:
    void add(const BlockRef& from, std::uint32_t from_id, const BlockRef& to, std::uint32_t to_id) {
        const auto [at, is_new] = index_.try_emplace({from.get(), to.get()}, handovers_.size());
        if (is_new) handovers_.push_back({from, to, {}});
        auto& ranges = handovers_[at->second].ranges;
        if (!ranges.empty() && ranges.back().from.end == from_id && ranges.back().to.end == to_id) {
            ++ranges.back().from.end;
            ++ranges.back().to.end;
        } else {
            ranges.push_back({{from_id, from_id + 1}, {to_id, to_id + 1}});
        }
    }
    [[nodiscard]] std::vector<Handover> take() { return std::move(handovers_); }

private:
    std::vector<Handover> handovers_;
    std::map<std::pair<const PrefixBlock*, const PrefixBlock*>, std::size_t> index_;
};

}  // namespace

std::vector<Handover> hand_overs(std::span<const BlockRef> from, std::span<const BlockRef> to) {
    const std::vector<BlockRef> giving = without(from, to);
    const std::vector<BlockRef> taking = without(to, from);
    Merge left{giving};
    Merge right{taking};
    Found found;
    while (!left.at_end() && !right.at_end()) {
        const auto order = left.prefix() <=> right.prefix();
        if (order == 0)
            found.add(giving[left.block()], left.id(), taking[right.block()], right.id());
        if (order <= 0) left.advance();
        if (order >= 0) right.advance();
    }
    return found.take();
}

}  // namespace swerve::bgp
