#include <algorithm>
#include <compare>
#include <iterator>
#include <unordered_set>
#include <utility>

#include "swerve/bgp/prefix_block.hpp"

namespace swerve::bgp {
namespace {

/// Where a prefix stands among some blocks.
struct Place {
    Prefix prefix;
    std::uint32_t block;
    std::uint32_t id;

    friend auto operator<=>(const Place&, const Place&) = default;
};

/// A run of prefixes that stand side by side on both sides.
struct Run {
    std::uint32_t from_block;
    std::uint32_t to_block;
    CommonRange range;

    [[nodiscard]] std::pair<std::uint32_t, std::uint32_t> blocks() const {
        return {from_block, to_block};
    }
};

void append(std::vector<Run>& runs, const Run& next) {
    if (!runs.empty() && runs.back().blocks() == next.blocks()) {
        CommonRange& last = runs.back().range;
        if (last.from.end == next.range.from.begin && last.to.end == next.range.to.begin) {
            last.from.end = next.range.from.end;
            last.to.end = next.range.to.end;
            return;
        }
    }
    runs.push_back(next);
}

std::vector<BlockRef> without(std::span<const BlockRef> blocks, std::span<const BlockRef> others) {
    const std::unordered_set<BlockRef> shared(others.begin(), others.end());
    std::vector<BlockRef> out;
    std::ranges::copy_if(blocks, std::back_inserter(out),
                         [&](const BlockRef& block) { return !shared.contains(block); });
    return out;
}

/// All prefixes in order.
std::vector<Place> places_in(const std::vector<BlockRef>& blocks) {
    std::vector<Place> out;
    std::size_t count = 0;
    for (const BlockRef& block : blocks) count += block->size();
    out.reserve(count);
    for (std::uint32_t i = 0; i < blocks.size(); ++i) {
        std::uint32_t id = 0;
        blocks[i]->for_each(blocks[i]->all(),
                            [&](const Prefix& prefix) { out.push_back({prefix, i, id++}); });
    }
    // Blocks that are ranges of their own, in order, are the rule and need no sorting.
    if (!std::ranges::is_sorted(out)) std::ranges::sort(out);
    return out;
}

/// In the order of their prefixes.
std::vector<Run> common_runs(const std::vector<Place>& from, const std::vector<Place>& to) {
    std::vector<Run> out;
    auto left = from.begin();
    auto right = to.begin();
    while (left != from.end() && right != to.end()) {
        const auto order = left->prefix <=> right->prefix;
        if (order == 0) {
            append(out, {left->block,
                         right->block,
                         {{left->id, left->id + 1}, {right->id, right->id + 1}}});
        }
        if (order <= 0) ++left;
        if (order >= 0) ++right;
    }
    return out;
}

}  // namespace

std::vector<Handover> hand_overs(std::span<const BlockRef> from, std::span<const BlockRef> to) {
    const std::vector<BlockRef> giving = without(from, to);
    const std::vector<BlockRef> taking = without(to, from);
    std::vector<Run> runs = common_runs(places_in(giving), places_in(taking));
    // What other blocks stood between is gone then, so that some runs of two blocks meet.
    std::ranges::sort(runs, {},
                      [](const Run& run) { return std::pair{run.blocks(), run.range.from.begin}; });
    std::vector<Run> joined;
    for (const Run& run : runs) append(joined, run);
    std::vector<Handover> out;
    for (std::size_t i = 0; i < joined.size(); ++i) {
        const Run& run = joined[i];
        if (i == 0 || run.blocks() != joined[i - 1].blocks()) {
            out.push_back({giving[run.from_block], taking[run.to_block], {}});
        }
        out.back().ranges.push_back(run.range);
    }
    return out;
}

}  // namespace swerve::bgp
