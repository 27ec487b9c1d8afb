#include "daemon/operations/client_input.hpp"

#include <fmt/format.h>
#include <pwd.h>

#include <array>
#include <charconv>

#include "swerve/base/escape.hpp"

namespace swerve::daemon {

namespace {

constexpr std::string_view prefix_hint = "write 198.51.100.0/24 or 2001:db8::/32";

/// The prefix that was probably meant: the same with its host bits cleared.
[[nodiscard]] std::string host_bits_hint(std::string_view text) {
    const auto slash = text.find('/');
    const auto address = Address::parse(text.substr(0, slash));
    unsigned length = 0;
    std::from_chars(text.data() + slash + 1, text.data() + text.size(), length);
    const auto meant = address ? Prefix::masked(*address, length) : std::nullopt;
    return meant ? "the prefix is " + meant->to_string() : std::string{prefix_hint};
}

}  // namespace

Result<Prefix, InputFault> parse_prefix(std::string_view text) {
    const auto prefix = Prefix::parse(text);
    if (prefix) return *prefix;
    const std::string shown = escape(text, 64);
    switch (prefix.error()) {
        case Prefix::ParseError::host_bits:
            return fail(InputFault{fmt::format("'{}' has bits set behind its length", shown),
                                   host_bits_hint(text)});
        case Prefix::ParseError::length:
            return fail(InputFault{fmt::format("'{}' is longer than its family allows", shown),
                                   "at most /32 for IPv4 and /128 for IPv6"});
        case Prefix::ParseError::syntax:
            break;
    }
    return fail(InputFault{fmt::format("'{}' is not a prefix", shown), std::string{prefix_hint}});
}

std::optional<std::uint64_t> parse_number(std::string_view text) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return number;
}

std::string user_name(uid_t uid) {
    passwd entry{};
    passwd* found = nullptr;
    std::array<char, 4096> strings{};
    if (::getpwuid_r(uid, &entry, strings.data(), strings.size(), &found) != 0 ||
        found == nullptr) {
        return fmt::format("uid {}", uid);
    }
    return escape(entry.pw_name);
}

}  // namespace swerve::daemon
