#include "swerve/bgp/framer.hpp"

#include <algorithm>

namespace swerve::bgp {

namespace {

constexpr std::uint8_t marker_octet = 0xff;
constexpr std::size_t marker_size = 16;

/// Which lengths a type may have, header included; nothing for an unknown type.
struct Lengths {
    std::size_t least;
    std::size_t most;
};

/// RFC 8654 §4: OPEN and KEEPALIVE stay within the ordinary size, for they come before or without
/// an agreement.
std::optional<Lengths> lengths_of(std::uint8_t type, std::size_t largest) {
    switch (static_cast<MessageType>(type)) {
        case MessageType::open:
            return Lengths{29, max_message_size};
        case MessageType::update:
            return Lengths{23, largest};
        case MessageType::notification:
            return Lengths{21, largest};
        case MessageType::keepalive:
            return Lengths{header_size, header_size};
        // RFC 2918 §3 knows one length only, but a longer message is the decoder's to judge.
        case MessageType::route_refresh:
            return Lengths{23, largest};
    }
    return std::nullopt;
}

/// RFC 4271 §6.1, in its order: marker, length, type, then the length that the type allows.
std::optional<Notification> header_fault(ByteView header, std::size_t largest) {
    if (std::ranges::any_of(header.first(marker_size),
                            [](std::uint8_t octet) { return octet != marker_octet; })) {
        return Notification{ErrorCode::message_header, subcode::connection_not_synchronized};
    }
    const ByteView length_octets = header.subspan(marker_size, 2);
    const std::size_t length = static_cast<std::size_t>(length_octets[0]) << 8U | length_octets[1];
    Notification bad_length{ErrorCode::message_header, subcode::bad_message_length,
                            Bytes(length_octets.begin(), length_octets.end())};
    if (length < header_size || length > largest) return bad_length;
    const auto allowed = lengths_of(header[18], largest);
    if (!allowed) {
        return Notification{ErrorCode::message_header, subcode::bad_message_type, {header[18]}};
    }
    if (length < allowed->least || length > allowed->most) return bad_length;
    return std::nullopt;
}

}  // namespace

void Framer::feed(ByteView bytes) {
    if (broken_) return;
    const std::size_t held = buffered();
    // What was handed out goes once it outweighs what is left, so that each octet is moved at most
    // once on average; and the room that one burst needed does not stay with an idle session.
    if (begin_ >= held) {
        const bool oversized = buffer_.capacity() > 4 * max_message_size &&
                               held + bytes.size() < buffer_.capacity() / 4;
        if (oversized) {
            Bytes small;
            small.reserve(held + bytes.size());
            small.assign(buffer_.end() - static_cast<std::ptrdiff_t>(held), buffer_.end());
            buffer_.swap(small);
        } else {
            buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(begin_));
        }
        begin_ = 0;
    }
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
}

Result<std::optional<Frame>, Notification> Framer::next() {
    if (broken_) return fail(*broken_);
    const ByteView rest = ByteView{buffer_}.subspan(begin_);
    if (rest.size() < header_size) return std::nullopt;
    broken_ = header_fault(rest.first(header_size), largest_);
    if (broken_) return fail(*broken_);
    const std::size_t length = static_cast<std::size_t>(rest[16]) << 8U | rest[17];
    if (rest.size() < length) return std::nullopt;
    begin_ += length;
    return Frame{static_cast<MessageType>(rest[18]),
                 rest.subspan(header_size, length - header_size)};
}

std::size_t begin_message(Bytes& out, MessageType type) {
    const std::size_t begin = out.size();
    out.insert(out.end(), marker_size, marker_octet);
    Writer writer{out};
    writer.u16(0);
    writer.u8(static_cast<std::uint8_t>(type));
    return begin;
}

void finish_message(Bytes& out, std::size_t begin) {
    Writer{out}.patch_u16(begin + marker_size, static_cast<std::uint16_t>(out.size() - begin));
}

Bytes encode_keepalive() {
    Bytes out;
    finish_message(out, begin_message(out, MessageType::keepalive));
    return out;
}

}  // namespace swerve::bgp
