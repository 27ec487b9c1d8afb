#include "tests/sim/wire.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "tests/sim/trace.hpp"

namespace swerve::sim {
namespace {

constexpr std::size_t header = 19;

/// Takes values off a view; running out is a fault of who wrote it.
class Cursor {
public:
    explicit Cursor(ByteView octets) : rest_(octets) {}

    [[nodiscard]] bool done() const { return rest_.empty(); }
    ByteView take(std::size_t count) {
        if (count > rest_.size()) violate("S1", "a length in an UPDATE runs past its end");
        const ByteView out = rest_.first(count);
        rest_ = rest_.subspan(count);
        return out;
    }
    std::uint32_t number(std::size_t octets) {
        std::uint32_t out = 0;
        for (const std::uint8_t octet : take(octets)) out = out << 8U | octet;
        return out;
    }
    Cursor part(std::size_t count) { return Cursor{take(count)}; }
    [[nodiscard]] std::size_t size() const { return rest_.size(); }

private:
    ByteView rest_;
};

std::vector<Prefix> prefixes(Cursor from, Family family) {
    std::vector<Prefix> out;
    while (!from.done()) {
        const unsigned bits = from.number(1);
        if (bits > address_bits(family)) violate("S1", "a prefix of {} bits", bits);
        std::array<std::uint8_t, 16> raw{};
        std::ranges::copy(from.take((bits + 7) / 8), raw.begin());
        const auto address = Address::from_octets(
            std::span{raw}.first(family == Family::ipv4 ? std::size_t{4} : std::size_t{16}));
        const auto prefix = Prefix::masked(*address, bits);
        if (prefix->address() != *address)
            violate("S1", "bits behind the length of {}", prefix->to_string());
        out.push_back(*prefix);
    }
    return out;
}

Family family_of(Cursor& from) {
    const std::uint32_t afi = from.number(2);
    const std::uint32_t safi = from.number(1);
    if (afi < 1 || afi > 2 || safi != 1) violate("S1", "AFI {} SAFI {}", afi, safi);
    return afi == 1 ? Family::ipv4 : Family::ipv6;
}

/// Type codes with the flags they must have, the extended length bit aside (RFC 4271 §4.3, RFC
/// 1997, 4760, 8092).
constexpr std::array<std::pair<std::uint32_t, std::uint32_t>, 9> flags_of{{{1, 0x40},
                                                                           {2, 0x40},
                                                                           {3, 0x40},
                                                                           {4, 0x80},
                                                                           {5, 0x40},
                                                                           {8, 0xc0},
                                                                           {14, 0x80},
                                                                           {15, 0x80},
                                                                           {32, 0xc0}}};

void read_attribute(std::uint32_t type, Cursor value, WireMessage& into) {
    WireRoute& route = into.route;
    switch (type) {
        case 1:
            route.origin = static_cast<std::uint8_t>(value.number(1));
            break;
        case 2:
            while (!value.done()) {
                if (value.number(1) != 2) violate("S1", "an AS_PATH that is no AS_SEQUENCE");
                const std::uint32_t count = value.number(1);
                for (std::uint32_t i = 0; i < count; ++i) route.as_path.push_back(value.number(4));
            }
            break;
        case 3:
            route.next_hop = Address::from_octets(value.take(4));
            break;
        case 4:
            route.med = value.number(4);
            break;
        case 5:
            route.local_pref = value.number(4);
            break;
        case 8:
            while (!value.done()) route.communities.push_back(value.number(4));
            break;
        case 14: {
            const Family family = family_of(value);
            route.next_hop = Address::from_octets(value.take(value.number(1)));
            if (value.number(1) != 0) violate("S1", "the reserved octet of MP_REACH_NLRI is set");
            into.announced = prefixes(value.part(value.size()), family);
            return;
        }
        case 15: {
            const Family family = family_of(value);
            into.withdrawn = prefixes(value.part(value.size()), family);
            return;
        }
        default:  // 32, for others have no flags
            while (!value.done()) {
                auto& made = route.large_communities.emplace_back();
                for (std::uint32_t& word : made) word = value.number(4);
            }
    }
    if (!value.done()) violate("S1", "attribute {} is too long", type);
}

WireMessage read_update(Cursor from) {
    WireMessage out{WireMessage::Type::update};
    auto withdrawn = prefixes(from.part(from.number(2)), Family::ipv4);
    Cursor attributes = from.part(from.number(2));
    auto announced = prefixes(from.part(from.size()), Family::ipv4);
    std::uint32_t last = 0;
    bool carried = false;
    while (!attributes.done()) {
        const std::uint32_t flags = attributes.number(1);
        const std::uint32_t type = attributes.number(1);
        const auto known =
            std::ranges::find(flags_of, type, [](const auto& row) { return row.first; });
        if (known == flags_of.end()) violate("S1", "attribute {}", type);
        if ((flags & ~0x10U) != known->second)
            violate("S1", "attribute {} has flags {:#x}", type, flags);
        // RFC 7606 §5.1: the MP attributes come first; the others in ascending order.
        const bool multiprotocol = type == 14 || type == 15;
        if (multiprotocol ? carried : type <= last)
            violate("S1", "attribute {} out of order", type);
        if (!multiprotocol) last = type;
        carried = true;
        read_attribute(type, attributes.part(attributes.number((flags & 0x10U) != 0 ? 2 : 1)), out);
    }
    if (!withdrawn.empty())
        out.withdrawn.insert(out.withdrawn.end(), withdrawn.begin(), withdrawn.end());
    if (!announced.empty())
        out.announced.insert(out.announced.end(), announced.begin(), announced.end());
    return out;
}

}  // namespace

std::string to_string(const WireRoute& route) {
    std::string large;
    for (const auto& each : route.large_communities) {
        large += fmt::format(" {}:{}:{}", each[0], each[1], each[2]);
    }
    return fmt::format(
        "origin {} path [{}] next hop {} med {} local_pref {} communities [{:x}] large [{}]",
        route.origin, fmt::join(route.as_path, " "),
        route.next_hop ? route.next_hop->to_string() : "none", route.med.value_or(0),
        route.local_pref.value_or(0), fmt::join(route.communities, " "), large);
}

void WireReader::feed(ByteView octets, std::vector<WireMessage>& out) {
    buffer_.insert(buffer_.end(), octets.begin(), octets.end());
    std::size_t at = 0;
    while (buffer_.size() - at >= header) {
        const ByteView message = ByteView{buffer_}.subspan(at);
        if (std::ranges::any_of(message.first(16),
                                [](std::uint8_t octet) { return octet != 0xff; })) {
            violate("S1", "a message without a marker");
        }
        const std::size_t length = message[16] * std::size_t{256} + message[17];
        if (length < header || length > 4096) violate("S1", "a message of {} octets", length);
        if (message[18] < 1 || message[18] > 5) violate("S1", "a message of type {}", message[18]);
        if (message.size() < length) break;
        const auto type = static_cast<WireMessage::Type>(message[18]);
        const ByteView body = message.subspan(header, length - header);
        out.push_back(type == WireMessage::Type::update ? read_update(Cursor{body})
                                                        : WireMessage{type});
        at += length;
    }
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(at));
}

}  // namespace swerve::sim
