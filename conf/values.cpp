#include "conf/values.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <limits>
#include <optional>
#include <vector>

#include "conf/faults.hpp"

namespace swerve::conf {

namespace {

using Parsed = Result<Value, Refusal>;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

Parsed refuse(std::string_view text, const std::string& message, std::string hint = {}) {
    return fail(Refusal{quote(text) + " " + message, std::move(hint)});
}

/// The number that a YAML 1.1 reader would have made of the text, for a hint.
std::optional<std::int64_t> as_meant(std::string_view text) {
    int base = 10;
    if (text.starts_with("0x")) {
        base = 16;
        text.remove_prefix(2);
    }
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (error != std::errc{} || end != text.data() + text.size() || text.empty()) {
        return std::nullopt;
    }
    return value;
}

/// Text that some YAML reader takes for a number though it is not plain decimal.
std::optional<Refusal> not_plain_decimal(std::string_view text) {
    if (text.size() < 2 || text[0] != '0') return std::nullopt;
    Refusal refusal{quote(text) + " is not a plain decimal number", {}};
    if (const auto meant = as_meant(text)) refusal.hint = "write " + std::to_string(*meant);
    return refusal;
}

Parsed parse_integer(const Key& key, std::string_view text) {
    if (auto refusal = not_plain_decimal(text)) return fail(std::move(*refusal));
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool whole = end == text.data() + text.size() && !text.empty();
    const std::string range =
        " (" + std::to_string(key.least) + ".." + std::to_string(key.most) + ")";
    if (error == std::errc::invalid_argument || !whole) {
        return refuse(text, "is not an integer" + range);
    }
    if (error != std::errc{} || value < key.least || value > key.most) {
        return refuse(text, "is out of range" + range);
    }
    return value;
}

/// Digits, perhaps with a sign before them and a fraction behind. Thresholds need no exponent and
/// no infinity, and a reader would have to guess what 1e3 was.
Parsed parse_number(std::string_view text) {
    constexpr std::string_view digits = "0123456789";
    constexpr std::size_t most_whole = 15;
    constexpr std::size_t most_fraction = 15;
    const std::string_view positive = text.substr(text.starts_with('-') ? 1 : 0);
    const std::size_t whole = std::min(positive.find_first_not_of(digits), positive.size());
    std::string_view fraction = positive.substr(whole);
    const bool is_fraction =
        fraction.empty() || (fraction.size() > 1 && fraction.starts_with('.') &&
                             fraction.find_first_not_of(digits, 1) == std::string_view::npos);
    if (whole == 0 || !is_fraction) return refuse(text, "is not a decimal number", "like 0.95");
    if (whole > 1 && positive.starts_with('0')) {
        return refuse(text, "is not a plain decimal number", "leave out the zeros in front");
    }
    if (whole > most_whole || fraction.size() > most_fraction + 1) {
        return refuse(text, "has more than 15 digits before or behind the point");
    }
    double value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

Parsed parse_boolean(std::string_view text) {
    if (text == "true") return true;
    if (text == "false") return false;
    std::string lower{text};
    std::ranges::transform(lower, lower.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    static constexpr std::array<std::string_view, 4> yes{"true", "yes", "on", "1"};
    static constexpr std::array<std::string_view, 4> no{"false", "no", "off", "0"};
    std::string hint;
    if (std::ranges::find(yes, lower) != yes.end()) hint = "write true";
    if (std::ranges::find(no, lower) != no.end()) hint = "write false";
    return refuse(text, "is neither true nor false", hint);
}

struct Unit {
    std::string_view name;
    Duration length;
};
constexpr std::array<Unit, 4> units{{{"h", std::chrono::hours{1}},
                                     {"m", std::chrono::minutes{1}},
                                     {"s", std::chrono::seconds{1}},
                                     {"ms", std::chrono::milliseconds{1}}}};
constexpr std::string_view duration_hint = "a whole number with its unit: 200ms, 9s, 5m, 1h";

Parsed parse_duration(const Key& key, std::string_view text) {
    const auto digits = std::ranges::find_if_not(text, is_digit);
    const std::string_view number = text.substr(0, static_cast<std::size_t>(digits - text.begin()));
    const std::string_view unit_name = text.substr(number.size());
    if (number.empty()) return refuse(text, "is not a duration", std::string{duration_hint});
    if (number.size() > 1 && number[0] == '0') {
        return refuse(text, "is not a plain decimal number with its unit",
                      std::string{duration_hint});
    }
    if (unit_name.empty()) {
        return refuse(text, "has no unit",
                      "write " + std::string{number} + "ms or " + std::string{number} + "s");
    }
    const auto unit = std::ranges::find(units, unit_name, &Unit::name);
    if (unit == units.end()) {
        const bool is_fraction = unit_name.starts_with('.') || unit_name.starts_with(',');
        return refuse(text, is_fraction ? "is not a whole number" : "has no unit that is known",
                      std::string{duration_hint});
    }
    std::int64_t count = 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), count);
    const bool overflows =
        error != std::errc{} || count > std::numeric_limits<std::int64_t>::max() /
                                            std::max<std::int64_t>(1, unit->length.count());
    const auto least = Duration{std::chrono::milliseconds{key.least}};
    const auto most = key.most == 0 ? Duration::max() : std::chrono::milliseconds{key.most};
    if (key.or_zero && error == std::errc{} && count == 0) return Duration{};
    if (overflows || count * unit->length < least || count * unit->length > most) {
        if (key.most == 0) return refuse(text, "is too long");
        return refuse(text, std::string{"is out of range ("} + (key.or_zero ? "0s, " : "") +
                                format_duration(least) + ".." + format_duration(most) + ")");
    }
    const Duration value = count * unit->length;
    if (key.type == Type::whole_seconds && value % std::chrono::seconds{1} != Duration{}) {
        return refuse(text, "is not in whole seconds", "the OPEN message counts seconds");
    }
    return value;
}

Parsed parse_asn(std::string_view text) {
    if (auto refusal = not_plain_decimal(text)) return fail(std::move(*refusal));
    const auto asn = Asn::parse(text);
    if (asn && asn->value() == Asn::trans) {
        return refuse(text, "is AS_TRANS, which is nobody's own number (RFC 6793 §9)", "");
    }
    if (asn) return *asn;
    std::string hint;
    if ((text.starts_with("AS") || text.starts_with("as")) && Asn::parse(text.substr(2))) {
        hint = "write " + std::string{text.substr(2)};
    }
    return refuse(text, "is not an AS number (1..4294967295)", hint);
}

Parsed parse_address(std::string_view text, const std::string& what) {
    const auto address = Address::parse(text);
    if (address) return *address;
    std::string hint;
    if (text.find('%') != std::string_view::npos) {
        hint = "the zone of a neighbor is a key of its own: interface";
    } else if (text.find('/') != std::string_view::npos) {
        hint = "an address has no length";
    } else if (Endpoint::parse(text)) {
        hint = "the port is a key of its own";
    }
    return refuse(text, "is not " + what, hint);
}

Parsed parse_endpoint(std::string_view text) {
    const auto endpoint = Endpoint::parse(text);
    if (!endpoint) {
        return refuse(text, "is not ADDRESS:PORT", "like 127.0.0.1:9179 or \"[::1]:9179\"");
    }
    if (endpoint->port == 0) return refuse(text, "has port 0", "ports are 1..65535");
    return *endpoint;
}

Parsed parse_community(std::string_view text) {
    const auto community = Community::parse(text);
    if (community) return *community;
    std::vector<std::string_view> names;
    names.reserve(swerve::detail::well_known_communities.size());
    for (const auto& known : swerve::detail::well_known_communities) names.push_back(known.name);
    return refuse(text,
                  "is not a community (0..65535:0..65535, or a well-known name such as no_export)",
                  did_you_mean(nearest(text, names)));
}

Parsed parse_choice(const Key& key, std::string_view text) {
    std::vector<std::string_view> words;
    for (std::string_view rest = key.choices; !rest.empty();) {
        const auto bar = rest.find('|');
        words.push_back(rest.substr(0, bar));
        rest = bar == std::string_view::npos ? std::string_view{} : rest.substr(bar + 1);
    }
    if (std::ranges::find(words, text) != words.end()) return std::string{text};
    const std::string_view only = words.size() == 1 ? "the word " : "";
    return refuse(text, "is not " + std::string{only} + describe(key),
                  did_you_mean(nearest(text, words)));
}

Parsed parse_text(const Key& key, std::string_view text) {
    const auto size = static_cast<std::int64_t>(text.size());
    if (text.find('\0') != std::string_view::npos && key.type != Type::text) {
        return refuse(text, "holds a zero octet");
    }
    if (key.type == Type::absolute_path && !text.starts_with('/')) {
        return refuse(text, "is not an absolute path", "start it with '/'");
    }
    if (size < key.least) return refuse(text, "is empty");
    if (key.most > 0 && size > key.most) {
        return refuse(
            text, "has " + std::to_string(size) + " octets, more than " + std::to_string(key.most));
    }
    return std::string{text};
}

Parsed parse_name(std::string_view text) {
    if (is_name(text)) return std::string{text};
    return refuse(text, "is not a name",
                  "letters, digits, '.', '_' and '-', starting with a letter or digit, at most 63");
}

/// What the kernel takes for the name of a network interface.
Parsed parse_interface(std::string_view text) {
    const bool is_sound = !text.empty() && text.size() <= 15 && text != "." && text != ".." &&
                          std::ranges::all_of(text, [](char c) {
                              return c > ' ' && c < '\x7f' && c != '/' && c != ':';
                          });
    if (is_sound) return std::string{text};
    return refuse(text, "is not the name of an interface", "as `ip link` shows it, like eth0");
}

constexpr std::string_view prefix_hint = "like 198.51.100.0/24 or 2001:db8::/32";

/// `digits` was found to be a length of the address's family.
std::string without_host_bits(const Address& address, std::string_view digits) {
    unsigned length = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), length);
    const auto prefix = Prefix::masked(address, length);
    return prefix ? prefix->to_string() : std::string{};
}

Parsed parse_host(std::string_view text) {
    const auto address = Address::parse(text.substr(0, text.find('/')));
    const auto prefix = Prefix::parse(text);
    if (prefix && prefix->length() == address_bits(prefix->family())) return *prefix;
    const std::string meant = address ? "write " + address->to_string() + "/" +
                                            std::to_string(address_bits(address->family()))
                                      : std::string{"like 198.51.100.1/32 or 2001:db8::1/128"};
    return refuse(text, "is not an address with its full length", meant);
}

}  // namespace

Result<Value, Refusal> parse_value(const Key& key, std::string_view text, bool is_quoted) {
    const bool is_number = key.type == Type::integer || key.type == Type::number ||
                           key.type == Type::asn || key.type == Type::boolean;
    if (is_number && is_quoted) {
        return refuse(
            text,
            key.type == Type::boolean ? "is text, not true or false" : "is text, not a number",
            "remove the quotes");
    }
    switch (key.type) {
        case Type::boolean:
            return parse_boolean(text);
        case Type::integer:
            return parse_integer(key, text);
        case Type::number:
            return parse_number(text);
        case Type::asn:
            return parse_asn(text);
        case Type::duration:
        case Type::whole_seconds:
            return parse_duration(key, text);
        case Type::router_id:
            if (const auto id = RouterId::parse(text)) return *id;
            return refuse(text, "is not a " + describe(key));
        case Type::next_hop:
            if (text == "self") return Self{};
            return parse_address(text, "an address, nor the word self");
        case Type::address:
            return parse_address(text, "an IPv4 or IPv6 address");
        case Type::prefix: {
            const auto prefix = parse_prefix(text);
            if (!prefix) return fail(prefix.error());
            return *prefix;
        }
        case Type::host:
            return parse_host(text);
        case Type::endpoint:
            return parse_endpoint(text);
        case Type::community:
            return parse_community(text);
        case Type::large_community:
            if (const auto community = LargeCommunity::parse(text)) return *community;
            return refuse(text, "is not a large community",
                          "three numbers 0..4294967295, like 64500:1:2");
        case Type::extended_community:
            if (const auto community = ExtendedCommunity::parse(text)) return *community;
            return refuse(text, "is not an extended community",
                          "like rt:64500:100 or ro:192.0.2.1:7, or 0x and 16 hexadecimal digits");
        case Type::interface:
            return parse_interface(text);
        case Type::choice:
            return parse_choice(key, text);
        case Type::name:
            return parse_name(text);
        case Type::text:
        case Type::path:
        case Type::absolute_path:
        case Type::expression:
        case Type::map:
        case Type::named_maps:
        case Type::not_yet:
            break;
    }
    return parse_text(key, text);
}

Result<Prefix, Refusal> parse_prefix(std::string_view text) {
    const auto prefix = Prefix::parse(text);
    if (prefix) return *prefix;
    const auto slash = text.find('/');
    const auto address = Address::parse(text.substr(0, slash));
    if (!address) {
        return fail(Refusal{quote(text) + " is not a prefix", std::string{prefix_hint}});
    }
    const unsigned bits = address_bits(address->family());
    switch (prefix.error()) {
        case Prefix::ParseError::host_bits:
            return fail(Refusal{quote(text) + " has host bits set",
                                "write " + without_host_bits(*address, text.substr(slash + 1))});
        case Prefix::ParseError::length:
            return fail(Refusal{quote(text) + " is longer than its family allows",
                                "lengths are 0.." + std::to_string(bits)});
        case Prefix::ParseError::syntax:
            break;
    }
    std::string hint{prefix_hint};
    if (slash == std::string_view::npos) {
        hint = "write " + std::string{text} + "/" + std::to_string(bits);
    }
    return fail(Refusal{quote(text) + " is not a prefix", std::move(hint)});
}

bool is_name(std::string_view text) {
    const auto letter_or_digit = [](char c) {
        return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    };
    return !text.empty() && text.size() <= 63 && letter_or_digit(text.front()) &&
           std::ranges::all_of(text, [&](char c) {
               return letter_or_digit(c) || c == '.' || c == '_' || c == '-';
           });
}

std::string format_duration(Duration value) {
    if (value == Duration{}) return "0s";
    for (const Unit& unit : units) {
        if (value % unit.length == Duration{}) {
            return std::to_string(value / unit.length) + std::string{unit.name};
        }
    }
    return std::to_string(value / std::chrono::milliseconds{1}) + "ms";
}

}  // namespace swerve::conf
