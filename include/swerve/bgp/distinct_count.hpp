#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace swerve::bgp {

/// How many different things were put in and not taken out, in memory that does not grow with them:
/// linear counting over a bitmap of 128 KiB, which is made with the first. Putting in twice counts
/// once. The error is about one percent up to five million. Where there are hundreds of thousands,
/// what is taken out may take others along, until they are put in again.
class DistinctCount {
public:
    /// `hash` stands for the thing; its low bits must be well mixed.
    void insert(std::uint64_t hash);
    void erase(std::uint64_t hash);
    void clear();
    [[nodiscard]] std::size_t estimate() const;

private:
    static constexpr std::size_t bits = std::size_t{1} << 20U;

    [[nodiscard]] static std::size_t word(std::uint64_t hash) { return (hash % bits) / 64; }
    [[nodiscard]] static std::uint64_t bit(std::uint64_t hash) {
        return std::uint64_t{1} << (hash % 64);
    }

    std::vector<std::uint64_t> words_;
    std::size_t ones_ = 0;
};

}  // namespace swerve::bgp
