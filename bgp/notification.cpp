#include "swerve/bgp/notification.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "swerve/base/escape.hpp"
#include "swerve/bgp/framer.hpp"

namespace swerve::bgp {

namespace {

constexpr std::size_t most_shutdown_octets = 255;

struct Name {
    std::uint8_t code;
    std::uint8_t sub;  ///< 0 names the code itself
    std::string_view text;
};

/// The names of the IANA registry "BGP Error (Notification) Codes" and its subcode registries.
constexpr std::array names{
    Name{1, 0, "Message Header Error"},
    Name{1, 1, "Connection Not Synchronized"},
    Name{1, 2, "Bad Message Length"},
    Name{1, 3, "Bad Message Type"},
    Name{2, 0, "OPEN Message Error"},
    Name{2, 1, "Unsupported Version Number"},
    Name{2, 2, "Bad Peer AS"},
    Name{2, 3, "Bad BGP Identifier"},
    Name{2, 4, "Unsupported Optional Parameter"},
    Name{2, 6, "Unacceptable Hold Time"},
    Name{2, 7, "Unsupported Capability"},
    Name{2, 11, "Role Mismatch"},
    Name{3, 0, "UPDATE Message Error"},
    Name{3, 1, "Malformed Attribute List"},
    Name{3, 2, "Unrecognized Well-known Attribute"},
    Name{3, 3, "Missing Well-known Attribute"},
    Name{3, 4, "Attribute Flags Error"},
    Name{3, 5, "Attribute Length Error"},
    Name{3, 6, "Invalid ORIGIN Attribute"},
    Name{3, 8, "Invalid NEXT_HOP Attribute"},
    Name{3, 9, "Optional Attribute Error"},
    Name{3, 10, "Invalid Network Field"},
    Name{3, 11, "Malformed AS_PATH"},
    Name{4, 0, "Hold Timer Expired"},
    Name{5, 0, "Finite State Machine Error"},
    Name{5, 1, "Receive Unexpected Message in OpenSent State"},
    Name{5, 2, "Receive Unexpected Message in OpenConfirm State"},
    Name{5, 3, "Receive Unexpected Message in Established State"},
    Name{6, 0, "Cease"},
    Name{6, 1, "Maximum Number of Prefixes Reached"},
    Name{6, 2, "Administrative Shutdown"},
    Name{6, 3, "Peer De-configured"},
    Name{6, 4, "Administrative Reset"},
    Name{6, 5, "Connection Rejected"},
    Name{6, 6, "Other Configuration Change"},
    Name{6, 7, "Connection Collision Resolution"},
    Name{6, 8, "Out of Resources"},
    Name{6, 9, "Hard Reset"},
    Name{6, 10, "BFD Down"},
    Name{7, 0, "ROUTE-REFRESH Message Error"},
    Name{7, 1, "Invalid Message Length"},
    Name{8, 0, "Send Hold Timer Expired"},
};

std::optional<std::string_view> name_of(std::uint8_t code, std::uint8_t sub) {
    const auto* const found = std::ranges::find_if(
        names, [&](const Name& name) { return name.code == code && name.sub == sub; });
    if (found == names.end()) return std::nullopt;
    return found->text;
}

/// RFC 9003 §2: the Shutdown Communication belongs to these two subcodes and to no other.
bool carries_shutdown_communication(std::uint8_t sub) {
    return sub == subcode::administrative_shutdown || sub == subcode::administrative_reset;
}

/// Code, subcode and what they carry for people.
std::string name(const Notification& notification) {
    const auto code = name_of(notification.code, 0);
    if (!code) {
        return fmt::format("code {} subcode {}", notification.code, notification.subcode);
    }
    std::string out{*code};
    if (notification.subcode != subcode::unspecific) {
        const auto sub = name_of(notification.code, notification.subcode);
        out += sub ? fmt::format("/{}", *sub) : fmt::format("/subcode {}", notification.subcode);
    }
    if (const auto text = shutdown_communication(notification))
        out += fmt::format(" \"{}\"", *text);
    return out;
}

/// RFC 8538 §3.1: the data of a Hard Reset is the NOTIFICATION that it stands for, without header.
std::optional<Notification> inside_hard_reset(const Notification& notification) {
    const bool hard_reset = notification.code == static_cast<std::uint8_t>(ErrorCode::cease) &&
                            notification.subcode == subcode::hard_reset;
    if (!hard_reset || notification.data.size() < 2) return std::nullopt;
    return decode_notification(notification.data);
}

}  // namespace

Notification cease(std::uint8_t sub, std::string_view message) {
    Notification out{ErrorCode::cease, sub};
    if (message.empty() || !carries_shutdown_communication(sub)) return out;
    std::size_t size = std::min(message.size(), most_shutdown_octets);
    const auto continues = [&](std::size_t at) {
        return at < message.size() && (static_cast<std::uint8_t>(message[at]) & 0xc0U) == 0x80U;
    };
    // A text that is not UTF-8 has no boundary to find and is cut where the room ends.
    while (size > most_shutdown_octets - 3 && continues(size)) --size;
    if (continues(size)) size = most_shutdown_octets;
    out.data.reserve(size + 1);
    out.data.push_back(static_cast<std::uint8_t>(size));
    for (const char c : message.substr(0, size)) {
        out.data.push_back(static_cast<std::uint8_t>(c));
    }
    return out;
}

std::optional<std::string> shutdown_communication(const Notification& notification) {
    const bool is_cease = notification.code == static_cast<std::uint8_t>(ErrorCode::cease);
    if (!is_cease || !carries_shutdown_communication(notification.subcode)) return std::nullopt;
    if (notification.data.empty() || notification.data[0] == 0) return std::nullopt;
    // The peer's length octet may promise more than came; what came is shown.
    const std::size_t size =
        std::min<std::size_t>(notification.data[0], notification.data.size() - 1);
    if (size == 0) return std::nullopt;
    const std::string text(notification.data.begin() + 1,
                           notification.data.begin() + 1 + static_cast<std::ptrdiff_t>(size));
    return escape(text);
}

std::string describe(const Notification& notification) {
    std::string out = name(notification);
    if (const auto inner = inside_hard_reset(notification))
        out += fmt::format(" ({})", name(*inner));
    return out;
}

Bytes encode(const Notification& notification) {
    Bytes out;
    const std::size_t begin = begin_message(out, MessageType::notification);
    Writer writer{out};
    writer.u8(notification.code);
    writer.u8(notification.subcode);
    const std::size_t room = max_message_size - (out.size() - begin);
    writer.bytes(ByteView{notification.data}.first(std::min(room, notification.data.size())));
    finish_message(out, begin);
    return out;
}

Notification decode_notification(ByteView body) {
    Notification out;
    Reader reader{body};
    out.code = reader.u8().value_or(0);
    out.subcode = reader.u8().value_or(0);
    out.data.assign(reader.rest().begin(), reader.rest().end());
    return out;
}

}  // namespace swerve::bgp
