#include "daemon/mrt_tap.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "swerve/base/clock.hpp"
#include "swerve/bgp/update.hpp"

namespace swerve::daemon {
namespace {

constexpr std::size_t marker_octets = 16;
constexpr std::size_t header_octets = 19;
constexpr std::uint8_t open_type = 1;
constexpr std::uint8_t update_type = 2;
constexpr std::uint8_t last_type = 5;  // ROUTE-REFRESH

/// What a record takes beside its message, roughly: its header, and itself while it waits.
constexpr std::size_t record_octets = 256;

std::size_t length_of(ByteView message) {
    return static_cast<std::size_t>(message[marker_octets] << 8U) | message[marker_octets + 1];
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
        sink_({.target = target_,
               .local = local_,
               .remote = remote_,
               .at = now,
               .sent = sent,
               .four_octet_as = four_octet_as_,
               .add_path = !sent && has_path_ids(message),
               .message = Bytes(message.begin(), message.end())});
    });
}

bool MrtTap::has_path_ids(ByteView message) const {
    if (message[header_octets - 1] != update_type) return false;
    const auto family = bgp::family_of_routes(message.subspan(header_octets));
    return family && add_path_.contains(*family);
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
