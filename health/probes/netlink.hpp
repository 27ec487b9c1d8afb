#pragma once
// What the kernel says about interfaces, addresses and routes over rtnetlink: asked for as a dump,
// and told by multicast. All watches of a loop share one socket for the latter.

#include <linux/rtnetlink.h>

#include <algorithm>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "health/probes/events.hpp"
#include "swerve/base/result.hpp"
#include "swerve/net/address.hpp"

namespace swerve::health {

/// One message, valid for as long as the call it is handed to.
struct NetlinkMessage {
    std::uint16_t type;  ///< RTM_NEWLINK, …
    std::span<const std::byte> payload;

    /// The fixed part, as `ifaddrmsg` of an address; nothing if the message is too short for it.
    template <class Header>
    [[nodiscard]] std::optional<Header> header() const {
        static_assert(std::is_trivially_copyable_v<Header>);
        if (payload.size() < sizeof(Header)) return std::nullopt;
        Header out;
        std::memcpy(&out, payload.data(), sizeof out);
        return out;
    }
    /// What stands behind it.
    template <class Header>
    [[nodiscard]] std::span<const std::byte> attributes() const {
        return payload.subspan(std::min(payload.size(), std::size_t{NLMSG_ALIGN(sizeof(Header))}));
    }
};

[[nodiscard]] inline bool is_of_link(const NetlinkMessage& message) {
    return message.type == RTM_NEWLINK || message.type == RTM_DELLINK;
}

/// The value of the first attribute of a type; empty if there is none.
[[nodiscard]] std::span<const std::byte> attribute(std::span<const std::byte> attributes,
                                                   std::uint16_t type);
/// The number in it; nothing if it has another length.
[[nodiscard]] std::optional<std::uint32_t> number_in(std::span<const std::byte> value);
/// The address in it; nothing if it has another length.
[[nodiscard]] std::optional<Address> address_in(std::span<const std::byte> value);

[[nodiscard]] std::uint8_t kernel_family(Family family);

/// Asks for all objects of a kind and hands each to `each`, some at a time, so that a long table
/// does not hold up the loop. `type` is RTM_GETADDR, RTM_GETROUTE, …; `request` is the fixed part
/// with the attributes to select by, which old kernels ignore. A table that does not exist is
/// empty. The error is a sentence.
boost::asio::awaitable<Result<void, std::string>> dump(
    std::uint16_t type, std::vector<std::byte> request,
    std::function<void(const NetlinkMessage&)> each);

/// The same for the sockets that `request`, an inet_diag_req_v2, selects; comes back at once, so
/// what it selects should be few.
[[nodiscard]] Result<void, std::string> dump_sockets(
    std::span<const std::byte> request, const std::function<void(const NetlinkMessage&)>& each);

/// Asks all that a family of generic netlink has to say to `command` and hands on the attributes of
/// each message; comes back at once. An errno, 0 for none: ENOENT if the kernel has no such family,
/// EINTR if what was asked for changed in the midst. No module is loaded for it, and nothing of the
/// answers is left in memory.
[[nodiscard]] int dump_family(std::string_view family, std::uint8_t command,
                              std::span<const std::byte> attributes,
                              const std::function<void(std::span<const std::byte>)>& each);

/// One attribute with its padding.
[[nodiscard]] std::vector<std::byte> to_attribute(std::uint16_t type,
                                                  std::span<const std::byte> value);

/// What is wrong with an interface: that it does not exist, is down, or is not running (no
/// carrier). Nothing if it can be used.
[[nodiscard]] std::optional<Outcome> trouble_with(const std::string& interface);
/// Its name; "interface 7" if there is none with this index any more.
[[nodiscard]] std::string interface_name(unsigned index);
/// Why this cannot be the name of an interface; nothing if it can.
[[nodiscard]] std::optional<std::string> unusable_interface(const std::string& name);

class NetlinkEvents;

/// Sees what the kernel tells some multicast groups. Belongs to one loop.
class NetlinkWatch {
public:
    /// `groups` are RTNLGRP_LINK, …; of what they are told, only what `concerns` us is told on.
    NetlinkWatch(const boost::asio::any_io_executor& executor, std::vector<int> groups,
                 std::function<bool(const NetlinkMessage&)> concerns);
    ~NetlinkWatch();
    NetlinkWatch(const NetlinkWatch&) = delete;
    NetlinkWatch& operator=(const NetlinkWatch&) = delete;

    /// Until something that concerns us happened since the last return, or the kernel had to drop
    /// what it wanted to tell; however much it was, it is told once. Where there is no socket to be
    /// had, once a second. False once the coroutine is cancelled.
    boost::asio::awaitable<bool> changed();

private:
    friend class NetlinkEvents;

    NetlinkEvents& events_;
    boost::asio::any_io_executor executor_;
    std::vector<int> groups_;
    std::function<bool(const NetlinkMessage&)> concerns_;
    Notice notice_;
    bool joined_ = false;
};

}  // namespace swerve::health
