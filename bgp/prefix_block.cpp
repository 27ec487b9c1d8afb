#include "swerve/bgp/prefix_block.hpp"

#include <algorithm>
#include <array>
#include <cassert>
#include <functional>
#include <limits>

#include "swerve/bgp/update.hpp"

namespace swerve::bgp {

PrefixBlock::PrefixBlock(std::span<const Prefix> prefixes)
    : family_(prefixes.empty() ? Family::ipv4 : prefixes.front().family()),
      size_(static_cast<std::uint32_t>(prefixes.size())) {
    assert(prefixes.size() <= std::numeric_limits<std::uint32_t>::max());
    // Sorted by family first, so that equal ends mean one family.
    assert(std::ranges::adjacent_find(prefixes, std::greater_equal{}) == prefixes.end());
    assert(prefixes.empty() || prefixes.back().family() == family_);
    checkpoints_.reserve(prefixes.size() / stride + 1);
    for (std::size_t id = 0; id < prefixes.size(); ++id) {
        if (id % stride == 0) checkpoints_.push_back(static_cast<std::uint32_t>(packed_.size()));
        encode_nlri(prefixes[id], packed_);
    }
    assert(packed_.size() <= std::numeric_limits<std::uint32_t>::max());
    // A block lives as long as its service: the growth reserve of a million prefixes is worth
    // giving back.
    packed_.shrink_to_fit();
}

Prefix PrefixBlock::at(std::uint32_t id) const {
    assert(id < size_);
    return decode(offset(id));
}

std::optional<std::uint32_t> PrefixBlock::find(const Prefix& prefix) const {
    if (prefix.family() != family_) return std::nullopt;
    const auto behind = std::ranges::upper_bound(
        checkpoints_, prefix, {}, [this](std::uint32_t checkpoint) { return decode(checkpoint); });
    if (behind == checkpoints_.begin()) return std::nullopt;
    auto id = static_cast<std::uint32_t>(behind - checkpoints_.begin() - 1) * stride;
    std::size_t at = *(behind - 1);
    for (const std::uint32_t end = std::min(size_, id + stride); id < end; ++id) {
        const Prefix candidate = decode(at);
        if (candidate == prefix) return id;
        if (candidate > prefix) break;
        at = next(at);
    }
    return std::nullopt;
}

ByteView PrefixBlock::octets(IdRange range) const {
    assert(range.begin <= range.end && range.end <= size_);
    const std::size_t begin = offset(range.begin);
    return ByteView{packed_}.subspan(begin, offset(range.end) - begin);
}

IdRange PrefixBlock::fitting(IdRange range, std::size_t room) const {
    assert(range.begin <= range.end && range.end <= size_);
    if (range.size() == 0) return range;
    const std::size_t limit = offset(range.begin) + room;
    // From the last checkpoint that still fits, or the beginning of the range if that is later, it
    // is less than one stride to where the room ends.
    const auto first = checkpoints_.begin() + static_cast<std::ptrdiff_t>(range.begin / stride);
    const auto behind = std::upper_bound(first, checkpoints_.end(), limit);
    const auto id_of_checkpoint =
        static_cast<std::uint32_t>(behind - checkpoints_.begin() - 1) * stride;
    std::uint32_t id = std::min(std::max(range.begin, id_of_checkpoint), range.end);
    std::size_t at = offset(id);
    while (id < range.end && next(at) <= limit) {
        at = next(at);
        ++id;
    }
    return {range.begin, id};
}

std::size_t PrefixBlock::offset(std::uint32_t id) const {
    assert(id <= size_);
    if (id == size_) return packed_.size();
    std::size_t at = checkpoints_[id / stride];
    for (std::uint32_t i = id / stride * stride; i < id; ++i) at = next(at);
    return at;
}

Prefix PrefixBlock::decode(std::size_t at) const {
    std::array<std::uint8_t, 16> octets{};
    const std::size_t count = next(at) - at - 1;
    std::copy_n(packed_.begin() + static_cast<std::ptrdiff_t>(at + 1), count, octets.begin());
    const std::size_t address_size = address_bits(family_) / 8;
    const auto address = Address::from_octets({octets.data(), address_size});
    return *Prefix::masked(*address, packed_[at]);
}

}  // namespace swerve::bgp
