#pragma once
// Questions and answers of DNS (RFC 1035 §4): what a probe asks and what it reads of an answer. No
// socket here.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "swerve/base/bytes.hpp"
#include "swerve/base/random.hpp"
#include "swerve/base/result.hpp"
#include "swerve/net/address.hpp"

namespace swerve::health::dns {

inline constexpr std::uint16_t type_a = 1;
inline constexpr std::uint16_t type_cname = 5;
inline constexpr std::uint16_t type_soa = 6;
inline constexpr std::uint16_t type_aaaa = 28;

inline constexpr std::uint8_t no_error = 0;
inline constexpr std::uint8_t server_failure = 2;

/// The name in wire form, lower-case; nothing if it is none. Labels of letters, digits, '-', '_'
/// and '*'; the dot at the end may be left out; "." is the root.
[[nodiscard]] std::optional<Bytes> name_from_text(std::string_view text);
/// "A", "AAAA", "TYPE65" (RFC 3597 §5), in either case.
[[nodiscard]] std::optional<std::uint16_t> type_from_text(std::string_view text);
/// "NOERROR", "NXDOMAIN", … in either case.
[[nodiscard]] std::optional<std::uint8_t> rcode_from_text(std::string_view text);
/// The name of one, or "RCODE11".
[[nodiscard]] std::string rcode_text(std::uint8_t rcode);

/// What is asked. Id and case are random, so that who does not see the query cannot answer it.
struct Query {
    std::uint16_t id = 0;
    Bytes name;  ///< in wire form, the case of its letters as sent
    std::uint16_t type = 0;
    bool recursion_desired = false;
};

/// `name` in wire form.
[[nodiscard]] Query make_query(ByteView name, std::uint16_t type, bool recursion_desired,
                               Random& random);

[[nodiscard]] Bytes encode(const Query& query);

struct Answer {
    std::uint8_t rcode = 0;
    bool authoritative = false;
    /// The answer did not fit, and what is there of it was not read.
    bool truncated = false;
    /// Records of the asked type for the asked name, or for the name that its CNAMEs lead to.
    std::size_t records = 0;
    std::vector<Address> addresses;  ///< those in them
    std::optional<std::uint32_t> soa_serial;

    friend bool operator==(const Answer&, const Answer&) = default;
};

struct DecodeFault {
    /// It is no answer to this query, so another may still come; otherwise it is one that cannot
    /// be read.
    bool foreign = false;
    std::string_view what;  ///< "its id is another"

    friend bool operator==(const DecodeFault&, const DecodeFault&) = default;
};

[[nodiscard]] Result<Answer, DecodeFault> decode_answer(const Query& query, ByteView message);

/// RFC 1982 §3.2: whether `serial` is `floor` or comes after it.
[[nodiscard]] constexpr bool serial_at_least(std::uint32_t serial, std::uint32_t floor) {
    return serial - floor < 0x8000'0000U;
}

}  // namespace swerve::health::dns
