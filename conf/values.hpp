#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "conf/schema.hpp"
#include "swerve/base/result.hpp"
#include "swerve/base/time.hpp"
#include "swerve/net/address.hpp"
#include "swerve/net/asn.hpp"
#include "swerve/net/community.hpp"
#include "swerve/net/prefix.hpp"
#include "swerve/net/router_id.hpp"

namespace swerve::conf {

/// The word `self` as a next hop.
struct Self {};

using Value =
    std::variant<std::string, bool, std::int64_t, double, Duration, Asn, RouterId, Address, Self,
                 Prefix, Endpoint, Community, ExtendedCommunity, LargeCommunity>;

/// Why a text is not a value of its key.
struct Refusal {
    std::string message;
    std::string hint;
};

/// Reads one scalar as `key` demands. Nothing is guessed: no octal, no hexadecimal, no yes or no,
/// no number without its unit.
[[nodiscard]] Result<Value, Refusal> parse_value(const Key& key, std::string_view text,
                                                 bool is_quoted);

[[nodiscard]] Result<Prefix, Refusal> parse_prefix(std::string_view text);

/// Whether an operator may give this name to something.
[[nodiscard]] bool is_name(std::string_view text);

/// "1500ms", "9s", "5m", "1h": the largest unit that divides it.
[[nodiscard]] std::string format_duration(Duration value);

}  // namespace swerve::conf
