#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "swerve/base/bytes.hpp"
#include "swerve/net/prefix.hpp"

namespace swerve::bgp {

/// Half-open range of positions in a PrefixBlock.
struct IdRange {
    std::uint32_t begin;
    std::uint32_t end;

    [[nodiscard]] std::uint32_t size() const { return end - begin; }
    friend bool operator==(const IdRange&, const IdRange&) = default;
};

/// An immutable, ordered set of prefixes of one family, held only as packed NLRI (RFC 4271 §4.3).
/// All neighbors share it: announcements and withdrawals are gathered straight from its octets, so
/// the cost of a message does not depend on how many prefixes it carries.
class PrefixBlock {
public:
    /// `prefixes` must be of one family, sorted and without duplicates; an empty block is IPv4.
    explicit PrefixBlock(std::span<const Prefix> prefixes);

    [[nodiscard]] Family family() const { return family_; }
    [[nodiscard]] std::uint32_t size() const { return size_; }
    [[nodiscard]] IdRange all() const { return {0, size_}; }
    [[nodiscard]] Prefix at(std::uint32_t id) const;
    [[nodiscard]] std::optional<std::uint32_t> find(const Prefix& prefix) const;

    /// The packed octets of a range.
    [[nodiscard]] ByteView octets(IdRange range) const;
    /// The longest prefix of `range` whose octets fit into `room`.
    [[nodiscard]] IdRange fitting(IdRange range, std::size_t room) const;

    /// Whether both hold the same prefixes.
    friend bool operator==(const PrefixBlock& a, const PrefixBlock& b) {
        return a.family_ == b.family_ && a.packed_ == b.packed_;
    }

    /// Calls `visit(prefix)` for each of `range`, in order.
    template <class Visit>
    void for_each(IdRange range, const Visit& visit) const {
        std::size_t at = range.size() == 0 ? 0 : offset(range.begin);
        for (std::uint32_t id = range.begin; id < range.end; ++id) {
            visit(decode(at));
            at = next(at);
        }
    }

private:
    [[nodiscard]] std::size_t offset(std::uint32_t id) const;
    /// The prefix whose length octet stands at `at`, and where its successor stands.
    [[nodiscard]] Prefix decode(std::size_t at) const;
    [[nodiscard]] std::size_t next(std::size_t at) const {
        return at + 1 + (packed_[at] + std::size_t{7}) / 8;
    }

    static constexpr std::uint32_t stride = 64;

    Family family_;
    std::uint32_t size_;
    Bytes packed_;
    std::vector<std::uint32_t> checkpoints_;  ///< offset of every stride-th prefix
};

using BlockRef = std::shared_ptr<const PrefixBlock>;

/// The same prefixes in two blocks: ranges of equal size.
struct CommonRange {
    IdRange from;
    IdRange to;

    friend bool operator==(const CommonRange&, const CommonRange&) = default;
};

/// What two blocks have in common; `ranges` is not empty and ascending in `from`.
struct Handover {
    BlockRef from;
    BlockRef to;
    std::vector<CommonRange> ranges;
};

/// What the prefixes of `from` become in `to`, for a change of the configuration that makes new
/// blocks of mostly the same prefixes. Within each side no prefix stands in two blocks. A block
/// that is on both sides is not handed over. One pass over all prefixes: meant for operations, not
/// for main.
[[nodiscard]] std::vector<Handover> hand_overs(std::span<const BlockRef> from,
                                               std::span<const BlockRef> to);

}  // namespace swerve::bgp
