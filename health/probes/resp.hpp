#pragma once
// RESP2, the protocol of Redis: commands out, answers in. Pure, and bounded against servers that
// lie: nothing is reserved because a length was announced.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "swerve/base/result.hpp"

namespace swerve::health {

struct RespValue {
    enum class Kind : std::uint8_t { text, error, integer, null, array };

    Kind kind = Kind::null;
    std::string text;  ///< of texts (simple and bulk) and errors
    std::int64_t integer = 0;
    std::vector<RespValue> items;  ///< of arrays
};

/// A command as an array of bulk strings.
[[nodiscard]] std::string resp_command(std::span<const std::string> words);

/// Reads answers from octets in pieces of any size.
class RespReader {
public:
    static constexpr std::size_t octet_limit = 64UZ * 1024;  ///< of all answers together
    static constexpr std::size_t line_limit = 1024;
    static constexpr std::size_t value_limit = 2048;  ///< in one answer
    static constexpr std::size_t depth_limit = 4;

    /// The next answer once it is complete, nothing while it is not, or what is wrong with it;
    /// after that the reader is of no use. More answers may be in what was taken: an empty piece
    /// asks for them.
    [[nodiscard]] Result<std::optional<RespValue>, std::string> take(std::string_view octets);
    /// Whether octets are there that belong to no answer yet.
    [[nodiscard]] bool has_rest() const { return at_ < octets_.size() || !open_.empty(); }

private:
    struct Open {
        RespValue array;
        std::size_t wanted;
    };
    /// A value that has begun and ended, or nothing.
    using Step = Result<std::optional<RespValue>, std::string>;

    [[nodiscard]] Step step();
    [[nodiscard]] Step bulk();
    [[nodiscard]] Step begin_bulk(std::string_view length);
    [[nodiscard]] Step begin_array(std::string_view count);
    /// Puts it into the innermost open array, closes those that are full; the answer if all are.
    [[nodiscard]] std::optional<RespValue> place(RespValue value);

    std::string octets_;
    std::size_t at_ = 0;       ///< where the next value begins
    std::size_t scanned_ = 0;  ///< no end of line begins before
    std::size_t values_ = 0;
    std::optional<std::size_t> bulk_;  ///< its length, while its octets are missing
    bool progressed_ = false;
    std::vector<Open> open_;
};

}  // namespace swerve::health
