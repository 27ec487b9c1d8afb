#pragma once
// Bounded reading and appending of network byte order.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace swerve {

using Bytes = std::vector<std::uint8_t>;
using ByteView = std::span<const std::uint8_t>;

/// Reads big-endian values from a view; every read is checked and returns nothing past the end.
class Reader {
public:
    explicit Reader(ByteView data) : rest_(data) {}

    [[nodiscard]] std::size_t remaining() const { return rest_.size(); }
    [[nodiscard]] bool empty() const { return rest_.empty(); }
    [[nodiscard]] ByteView rest() const { return rest_; }

    [[nodiscard]] std::optional<ByteView> take(std::size_t count) {
        if (count > rest_.size()) return std::nullopt;
        const ByteView head = rest_.first(count);
        rest_ = rest_.subspan(count);
        return head;
    }
    [[nodiscard]] std::optional<std::uint8_t> u8() { return number<std::uint8_t>(); }
    [[nodiscard]] std::optional<std::uint16_t> u16() { return number<std::uint16_t>(); }
    [[nodiscard]] std::optional<std::uint32_t> u32() { return number<std::uint32_t>(); }

private:
    template <class T>
    std::optional<T> number() {
        const auto head = take(sizeof(T));
        if (!head) return std::nullopt;
        std::uint32_t value = 0;
        for (const std::uint8_t octet : *head) value = (value << 8U) | octet;
        return static_cast<T>(value);
    }

    ByteView rest_;
};

/// Appends big-endian values to a buffer owned by the caller.
class Writer {
public:
    explicit Writer(Bytes& out) : out_(out) {}

    void u8(std::uint8_t value) { out_.push_back(value); }
    void u16(std::uint16_t value) {
        u8(static_cast<std::uint8_t>(value >> 8U));
        u8(static_cast<std::uint8_t>(value & 0xffU));
    }
    void u32(std::uint32_t value) {
        u16(static_cast<std::uint16_t>(value >> 16U));
        u16(static_cast<std::uint16_t>(value & 0xffffU));
    }
    void bytes(ByteView data) { out_.insert(out_.end(), data.begin(), data.end()); }

    [[nodiscard]] std::size_t position() const { return out_.size(); }

    /// Overwrites the two octets at `at`, which must have been written before.
    void patch_u16(std::size_t at, std::uint16_t value) {
        out_.at(at) = static_cast<std::uint8_t>(value >> 8U);
        out_.at(at + 1) = static_cast<std::uint8_t>(value & 0xffU);
    }
    void patch_u8(std::size_t at, std::uint8_t value) { out_.at(at) = value; }

private:
    Bytes& out_;
};

}  // namespace swerve
