#include "health/probes/dns_message.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace swerve::health::dns {
namespace {

constexpr std::size_t longest_label = 63;
constexpr std::size_t longest_name = 255;
constexpr std::size_t header_size = 12;
/// A name has at most 127 labels, so no honest one takes more pointers.
constexpr int most_pointers = 127;

constexpr std::uint16_t class_in = 1;
constexpr std::uint16_t type_any = 255;

constexpr std::uint16_t flag_response = 0x8000;
constexpr std::uint16_t mask_opcode = 0x7800;
constexpr std::uint16_t flag_authoritative = 0x0400;
constexpr std::uint16_t flag_truncated = 0x0200;
constexpr std::uint16_t flag_recursion_desired = 0x0100;
constexpr std::uint16_t mask_rcode = 0x000f;

constexpr std::pair<std::string_view, std::uint16_t> types[] = {
    {"A", type_a}, {"NS", 2},     {"CNAME", type_cname}, {"SOA", type_soa}, {"PTR", 12},
    {"MX", 15},    {"TXT", 16},   {"AAAA", type_aaaa},   {"SRV", 33},       {"NAPTR", 35},
    {"DNAME", 39}, {"DS", 43},    {"SSHFP", 44},         {"DNSKEY", 48},    {"TLSA", 52},
    {"SVCB", 64},  {"HTTPS", 65}, {"ANY", type_any},     {"CAA", 257},
};

constexpr std::string_view rcodes[] = {"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN",
                                       "NOTIMP",  "REFUSED", "YXDOMAIN", "YXRRSET",
                                       "NXRRSET", "NOTAUTH", "NOTZONE"};

constexpr bool is_letter(std::uint8_t octet) {
    return (octet >= 'a' && octet <= 'z') || (octet >= 'A' && octet <= 'Z');
}

constexpr std::uint8_t lower(std::uint8_t octet) {
    return octet >= 'A' && octet <= 'Z' ? static_cast<std::uint8_t>(octet | 0x20U) : octet;
}

std::string upper(std::string_view text) {
    std::string out{text};
    for (char& c : out) {
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    }
    return out;
}

bool fits_in_label(char c) {
    return is_letter(static_cast<std::uint8_t>(c)) || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '*';
}

/// A name as it stands in a message.
struct Found {
    Bytes name;       ///< in wire form, in the case it came in
    std::size_t end;  ///< where the message goes on behind it
};

/// Reads the name at `at`. Every pointer must lead to before where the piece that it ends began: so
/// no chain of them is a circle.
std::optional<Found> read_name(ByteView message, std::size_t at) {
    Found out{.name = {}, .end = 0};
    std::size_t began = at;
    int pointers = 0;
    for (;;) {
        if (at >= message.size()) return std::nullopt;
        const std::size_t length = message[at];
        if (length <= longest_label) {
            // One octet must be left for the root that ends the name.
            const std::size_t whole = out.name.size() + 1 + length;
            if (at + 1 + length > message.size()) return std::nullopt;
            if (whole + (length == 0 ? 0 : 1) > longest_name) return std::nullopt;
            const ByteView label = message.subspan(at, 1 + length);
            out.name.insert(out.name.end(), label.begin(), label.end());
            at += 1 + length;
            if (length != 0) continue;
            if (pointers == 0) out.end = at;
            return out;
        }
        // RFC 1035 §4.1.4: both high bits make a pointer; one alone means nothing.
        if (length < 0xc0 || at + 2 > message.size()) return std::nullopt;
        const std::size_t to = (length & 0x3fU) << 8U | message[at + 1];
        if (pointers == 0) out.end = at + 2;
        if (to >= began || ++pointers > most_pointers) return std::nullopt;
        began = at = to;
    }
}

/// RFC 4343: names that differ in the case of letters are the same. No length octet is a letter.
bool same_name(ByteView one, ByteView other) {
    return std::ranges::equal(one, other, {}, lower, lower);
}

/// Walks through the records behind the question.
class AnswerReader {
public:
    AnswerReader(const Query& query, ByteView message, std::size_t at, Answer& out)
        : query_(query), message_(message), at_(at), wanted_(query.name), out_(out) {}

    /// What cannot be read of the next one; empty: nothing.
    std::string_view read_one() {
        const auto owner = read_name(message_, at_);
        if (!owner) return "the name of a record";
        Reader rest{message_.subspan(owner->end)};
        const auto type = rest.u16();
        const auto kind = rest.u16();
        const auto ttl = rest.u32();
        const auto length = rest.u16();
        if (!ttl || !length) return "a record that ends too early";
        const std::size_t begin = owner->end + 10;
        const auto data = rest.take(*length);
        if (!data) return "a record longer than the message";
        at_ = begin + *length;
        if (*kind != class_in || !same_name(owner->name, wanted_)) return {};
        const bool asked = *type == query_.type || query_.type == type_any;
        if (asked) {
            ++out_.records;
            return read_data(*type, *data, begin);
        }
        return *type == type_cname ? follow(begin) : std::string_view{};
    }

private:
    std::string_view read_data(std::uint16_t type, ByteView data, std::size_t begin) {
        if (type == type_a || type == type_aaaa) {
            const auto address = Address::from_octets(data);
            const Family family = type == type_a ? Family::ipv4 : Family::ipv6;
            if (!address || address->family() != family) return "an address of a wrong length";
            out_.addresses.push_back(*address);
        } else if (type == type_soa) {
            const auto primary = read_name(message_, begin);
            if (!primary) return "the first name of an SOA";
            const auto mailbox = read_name(message_, primary->end);
            if (!mailbox) return "the second name of an SOA";
            // Serial, refresh, retry, expire and minimum.
            if (mailbox->end + 20 != begin + data.size()) return "an SOA of a wrong length";
            out_.soa_serial = Reader{message_.subspan(mailbox->end)}.u32();
        }
        return {};
    }

    std::string_view follow(std::size_t begin) {
        auto target = read_name(message_, begin);
        if (!target || target->end != at_) return "where a CNAME leads";
        wanted_ = std::move(target->name);
        return {};
    }

    const Query& query_;
    ByteView message_;
    std::size_t at_;
    Bytes wanted_;
    Answer& out_;
};

DecodeFault foreign(std::string_view what) { return {.foreign = true, .what = what}; }
DecodeFault malformed(std::string_view what) { return {.foreign = false, .what = what}; }

}  // namespace

std::optional<Bytes> name_from_text(std::string_view text) {
    if (text == ".") return Bytes{0};
    if (text.ends_with('.')) text.remove_suffix(1);
    Bytes out;
    for (;;) {
        const std::size_t dot = text.find('.');
        const std::string_view label = text.substr(0, dot);
        if (label.empty() || label.size() > longest_label) return std::nullopt;
        if (!std::ranges::all_of(label, fits_in_label)) return std::nullopt;
        out.push_back(static_cast<std::uint8_t>(label.size()));
        for (const char c : label) out.push_back(lower(static_cast<std::uint8_t>(c)));
        if (dot == std::string_view::npos) break;
        text.remove_prefix(dot + 1);
    }
    out.push_back(0);
    if (out.size() > longest_name) return std::nullopt;
    return out;
}

std::optional<std::uint16_t> type_from_text(std::string_view text) {
    const std::string wanted = upper(text);
    for (const auto& [name, type] : types) {
        if (name == wanted) return type;
    }
    if (!wanted.starts_with("TYPE")) return std::nullopt;
    const char* const end = wanted.data() + wanted.size();
    std::uint16_t type = 0;
    const auto [stop, error] = std::from_chars(wanted.data() + 4, end, type);
    if (error != std::errc{} || stop != end || type == 0) return std::nullopt;
    return type;
}

std::optional<std::uint8_t> rcode_from_text(std::string_view text) {
    const auto found = std::ranges::find(rcodes, upper(text));
    if (found == std::end(rcodes)) return std::nullopt;
    return static_cast<std::uint8_t>(found - std::begin(rcodes));
}

std::string rcode_text(std::uint8_t rcode) {
    if (rcode < std::size(rcodes)) return std::string{rcodes[rcode]};
    return "RCODE" + std::to_string(rcode);
}

Query make_query(ByteView name, std::uint16_t type, bool recursion_desired, Random& random) {
    Query out{.id = static_cast<std::uint16_t>(random.next()),
              .name = Bytes(name.begin(), name.end()),
              .type = type,
              .recursion_desired = recursion_desired};
    std::uint64_t bits = 0;
    unsigned left = 0;
    for (std::uint8_t& octet : out.name) {
        if (!is_letter(octet)) continue;
        if (left == 0) {
            bits = random.next();
            left = 64;
        }
        if ((bits & 1U) != 0) octet = static_cast<std::uint8_t>(octet ^ 0x20U);
        bits >>= 1U;
        --left;
    }
    return out;
}

Bytes encode(const Query& query) {
    Bytes out;
    Writer to{out};
    to.u16(query.id);
    to.u16(query.recursion_desired ? flag_recursion_desired : std::uint16_t{0});
    to.u16(1);  // one question, and nothing in the other sections
    to.u16(0);
    to.u16(0);
    to.u16(0);
    to.bytes(query.name);
    to.u16(query.type);
    to.u16(class_in);
    return out;
}

Result<Answer, DecodeFault> decode_answer(const Query& query, ByteView message) {
    if (message.size() < header_size) return fail(foreign("it is too short"));
    Reader header{message};
    const std::uint16_t id = *header.u16();
    const std::uint16_t flags = *header.u16();
    const std::uint16_t questions = *header.u16();
    const std::uint16_t answers = *header.u16();
    if (id != query.id) return fail(foreign("its id is another"));
    if ((flags & flag_response) == 0) return fail(foreign("it is a question itself"));
    if ((flags & mask_opcode) != 0) return fail(foreign("it is no answer to a query"));
    if (questions != 1) return fail(foreign("it does not repeat the question"));
    const auto name = read_name(message, header_size);
    if (!name) return fail(foreign("its question cannot be read"));
    Reader question{message.subspan(name->end)};
    const auto type = question.u16();
    const auto kind = question.u16();
    if (!kind) return fail(foreign("its question cannot be read"));
    if (!same_name(name->name, query.name) || type != query.type || kind != class_in) {
        return fail(foreign("its question is another"));
    }
    if (name->name != query.name) {
        return fail(foreign("it does not keep the case of the letters in the question"));
    }
    Answer out{.rcode = static_cast<std::uint8_t>(flags & mask_rcode),
               .authoritative = (flags & flag_authoritative) != 0,
               .truncated = (flags & flag_truncated) != 0,
               .records = 0,
               .addresses = {},
               .soa_serial = {}};
    if (out.truncated) return out;
    AnswerReader reader{query, message, name->end + 4, out};
    for (unsigned i = 0; i < answers; ++i) {
        if (const auto what = reader.read_one(); !what.empty()) return fail(malformed(what));
    }
    return out;
}

}  // namespace swerve::health::dns
