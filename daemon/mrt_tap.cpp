#include "daemon/mrt_tap.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "swerve/base/clock.hpp"

namespace swerve::daemon {
namespace {

constexpr std::size_t marker_octets = 16;
constexpr std::size_t header_octets = 19;
constexpr std::uint8_t open_type = 1;
constexpr std::uint8_t update_type = 2;
constexpr std::uint8_t extended_length = 0x10;  // attribute flag, RFC 4271 §4.3
constexpr std::uint8_t mp_reach_nlri = 14;
constexpr std::uint8_t mp_unreach_nlri = 15;
constexpr std::uint8_t last_type = 5;  // ROUTE-REFRESH

/// What a record takes beside its message, roughly: its header, and itself while it waits.
constexpr std::size_t record_octets = 256;

std::size_t length_of(ByteView message) {
    return static_cast<std::size_t>(message[marker_octets] << 8U) | message[marker_octets + 1];
}

/// Of the routes in an UPDATE: that of its MP_REACH_NLRI or MP_UNREACH_NLRI, else IPv4 (RFC 4760
/// §3, §4). Nothing for other messages and for a family that is not known here.
std::optional<Family> family_of(ByteView message) {
    if (message[header_octets - 1] != update_type) return std::nullopt;
    Reader reader{message.subspan(header_octets)};
    const auto withdrawn = reader.u16();
    if (!withdrawn || !reader.take(*withdrawn)) return std::nullopt;
    const auto attributes = reader.u16();
    const auto list = attributes ? reader.take(*attributes) : std::nullopt;
    if (!list) return std::nullopt;
    for (Reader rest{*list}; !rest.empty();) {
        const auto flags = rest.u8();
        const auto type = rest.u8();
        std::optional<std::size_t> size;
        if (flags && (*flags & extended_length) != 0) {
            size = rest.u16();
        } else {
            size = rest.u8();
        }
        const auto value = size ? rest.take(*size) : std::nullopt;
        if (!type || !value) return std::nullopt;
        if (*type != mp_reach_nlri && *type != mp_unreach_nlri) continue;
        const auto afi = Reader{*value}.u16();
        if (!afi || (*afi != 1 && *afi != 2)) return std::nullopt;
        return *afi == 1 ? Family::ipv4 : Family::ipv6;
    }
    return Family::ipv4;
}

}  // namespace

void MessageCutter::feed(ByteView octets, const std::function<void(ByteView)>& message) {
    pending_.insert(pending_.end(), octets.begin(), octets.end());
    std::size_t at = 0;
    while (pending_.size() - at >= header_octets) {
        if (!in_step_ && !find_step(at)) break;
        const ByteView rest = ByteView{pending_}.subspan(at);
        const std::size_t length = length_of(rest);
        if (length < header_octets) {
            in_step_ = false;
            ++at;
            continue;
        }
        if (rest.size() < length) break;
        message(rest.first(length));
        at += length;
    }
    pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(at));
}

bool MessageCutter::find_step(std::size_t& at) {
    for (; pending_.size() - at >= header_octets; ++at) {
        const ByteView here = ByteView{pending_}.subspan(at);
        const auto marker = here.first(marker_octets);
        const std::uint8_t type = here[header_octets - 1];
        in_step_ = std::ranges::all_of(marker, [](std::uint8_t octet) { return octet == 0xff; }) &&
                   length_of(here) >= header_octets && type >= open_type && type <= last_type;
        if (in_step_) return true;
    }
    return false;
}

MrtTap::MrtTap(MrtTarget target, const Address& local, const Address& remote, bool from_start,
               Sink sink)
    : target_(std::move(target)),
      local_(local),
      remote_(remote),
      sink_(std::move(sink)),
      cutters_{MessageCutter{from_start}, MessageCutter{from_start}} {}

void MrtTap::sent(std::span<const ByteView> views, std::size_t count) {
    for (const ByteView& view : views) {
        const std::size_t taken = std::min(view.size(), count);
        take(view.first(taken), true);
        count -= taken;
    }
}

void MrtTap::take(ByteView octets, bool sent) {
    if (octets.empty()) return;
    const WallTime now = wall_now();
    cutters_[sent ? 1 : 0].feed(octets, [&](ByteView message) {
        if (message[header_octets - 1] == open_type) note_open(message, sent);
        MrtRecord record{.target = target_,
                         .local = local_,
                         .remote = remote_,
                         .at = now,
                         .sent = sent,
                         .message = Bytes(message.begin(), message.end())};
        record.four_octet_as = four_octet_as_;
        const auto family = sent ? std::nullopt : family_of(message);
        record.add_path = family && add_path_.contains(*family);
        sink_(std::move(record));
    });
}

void MrtTap::note_open(ByteView message, bool sent) {
    const auto open = bgp::decode_open(message.subspan(header_octets));
    if (open) opens_[sent ? 1 : 0] = open->capabilities;
    const auto& [theirs, ours] = opens_;
    if (!theirs || !ours) return;
    agreed(theirs->four_octet_as && ours->four_octet_as,
           theirs->add_path_send.intersection(ours->add_path_receive));
}

MrtQueue::MrtQueue(boost::asio::io_context& main, boost::asio::io_context& operations, Write write,
                   std::function<void(std::string)> alarm)
    : main_(main),
      operations_(operations),
      write_(std::make_shared<const Write>(std::move(write))),
      alarm_(std::move(alarm)) {}

void MrtQueue::push(MrtRecord record) {
    const std::size_t octets = record.message.size() + record_octets;
    if (under_way_ + octets > max_octets) {
        ++dropped_[record.target.file];
        return;
    }
    if (const auto dropped = dropped_.find(record.target.file); dropped != dropped_.end()) {
        record.dropped = dropped->second;
        dropped_.erase(dropped);
    }
    under_way_ += octets;
    boost::asio::post(operations_, [this, octets, write = write_, record = std::move(record)] {
        boost::asio::post(main_, [this, octets, trouble = (*write)(record)] {
            under_way_ -= octets;
            if (trouble) alarm_(*trouble);
        });
    });
}

}  // namespace swerve::daemon
