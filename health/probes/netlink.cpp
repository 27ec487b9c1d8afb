#include "health/probes/netlink.hpp"

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/execution/context.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <chrono>
#include <map>
#include <set>
#include <system_error>
#include <tuple>
#include <utility>

#include "swerve/base/escape.hpp"

namespace swerve::health {

namespace asio = boost::asio;

namespace {

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);
/// The kernel fills at most this much at once.
constexpr std::size_t chunk_size = 32UZ * 1024;
/// Chunks read before others have their turn.
constexpr int reads_per_turn = 16;
/// Of a dump in the midst of which the table changed.
constexpr int most_dumps = 3;
/// Of a watch that gets no socket.
constexpr Duration look_again = std::chrono::seconds{1};

std::string system_text(int error) { return std::generic_category().message(error); }

const ::sockaddr* to_sockaddr(const ::sockaddr_nl& address) {
    return static_cast<const ::sockaddr*>(static_cast<const void*>(&address));
}

int open_socket(int protocol = NETLINK_ROUTE) {
    return ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
}

void set_option(int socket, int option, int value) {
    ::setsockopt(socket, SOL_NETLINK, option, &value, sizeof value);
}

/// Octets of the next chunk; 0 for one that is not the kernel's, or errno negated.
::ssize_t receive(int socket, std::span<std::byte> chunk) {
    ::sockaddr_nl from{};
    ::iovec into{chunk.data(), chunk.size()};
    ::msghdr message{};
    message.msg_name = &from;
    message.msg_namelen = sizeof from;
    message.msg_iov = &into;
    message.msg_iovlen = 1;
    const ::ssize_t count = ::recvmsg(socket, &message, 0);
    if (count < 0) return -errno;
    // Any process may write to our socket.
    if (from.nl_pid != 0) return 0;
    // What does not fit is lost as if it had been dropped.
    return (message.msg_flags & MSG_TRUNC) != 0 ? -ENOBUFS : count;
}

/// Calls `each` with every header and its payload.
template <class Each>
void for_each_message(std::span<const std::byte> chunk, Each each) {
    while (chunk.size() >= sizeof(::nlmsghdr)) {
        ::nlmsghdr header{};
        std::memcpy(&header, chunk.data(), sizeof header);
        if (header.nlmsg_len < NLMSG_HDRLEN || header.nlmsg_len > chunk.size()) return;
        each(header, chunk.first(header.nlmsg_len).subspan(NLMSG_HDRLEN));
        chunk = chunk.subspan(std::min(chunk.size(), std::size_t{NLMSG_ALIGN(header.nlmsg_len)}));
    }
}

std::vector<std::byte> question(std::uint16_t type, std::span<const std::byte> request) {
    ::nlmsghdr header{};
    header.nlmsg_len = static_cast<std::uint32_t>(NLMSG_HDRLEN + request.size());
    header.nlmsg_type = type;
    header.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | NLM_F_DUMP);
    std::vector<std::byte> out(header.nlmsg_len);
    std::memcpy(out.data(), &header, sizeof header);
    std::ranges::copy(request, out.begin() + NLMSG_HDRLEN);
    return out;
}

/// How far a dump has come.
struct Progress {
    bool done = false;
    bool interrupted = false;
    int error = 0;
};

void take(std::span<const std::byte> chunk, Progress& progress,
          const std::function<void(const NetlinkMessage&)>& each) {
    for_each_message(chunk, [&](const ::nlmsghdr& header, std::span<const std::byte> payload) {
        if ((header.nlmsg_flags & NLM_F_DUMP_INTR) != 0) progress.interrupted = true;
        if (header.nlmsg_type == NLMSG_DONE || header.nlmsg_type == NLMSG_ERROR) {
            progress.done = true;
            const auto number = number_in(payload.first(std::min(payload.size(), 4UZ)));
            progress.error = -static_cast<int>(number.value_or(0));
        } else if (header.nlmsg_type >= RTM_BASE) {
            each({header.nlmsg_type, payload});
        }
    });
}

/// A socket on which each question is answered whole before the next: the kernel makes each chunk
/// while we read, so that none is waited for.
class Conversation {
public:
    explicit Conversation(int protocol) : socket_(open_socket(protocol)), chunk_(chunk_size) {
        if (socket_ < 0) broken_ = errno;
    }
    ~Conversation() {
        if (socket_ >= 0) ::close(socket_);
        // WireGuard tells its private keys, too.
        ::explicit_bzero(chunk_.data(), chunk_.size());
    }
    Conversation(const Conversation&) = delete;
    Conversation& operator=(const Conversation&) = delete;

    /// An errno, EINTR if the table changed in the midst.
    [[nodiscard]] int ask(const std::vector<std::byte>& asked,
                          const std::function<void(const NetlinkMessage&)>& each) {
        if (broken_ != 0) return broken_;
        if (::send(socket_, asked.data(), asked.size(), 0) < 0) return errno;
        Progress progress;
        while (!progress.done) {
            const ::ssize_t count = receive(socket_, chunk_);
            if (count < 0) return static_cast<int>(-count);
            take(std::span{chunk_}.first(static_cast<std::size_t>(count)), progress, each);
        }
        return progress.error == 0 && progress.interrupted ? EINTR : progress.error;
    }

private:
    int socket_;
    int broken_ = 0;
    std::vector<std::byte> chunk_;
};

/// Whether an attribute says this text, which the kernel ends with a zero.
bool is_text(std::span<const std::byte> value, std::string_view text) {
    return value.size() == text.size() + 1 && value.back() == std::byte{0} &&
           std::memcmp(value.data(), text.data(), text.size()) == 0;
}

/// One dump; the error is an errno, EINTR if the table changed in its midst.
asio::awaitable<int> dump_once(const std::vector<std::byte>& asked,
                               const std::function<void(const NetlinkMessage&)>& each) {
    const int descriptor = open_socket();
    if (descriptor < 0) co_return errno;
    asio::posix::stream_descriptor socket(co_await asio::this_coro::executor, descriptor);
    set_option(descriptor, NETLINK_GET_STRICT_CHK, 1);  // without it no selection is made
    if (::send(descriptor, asked.data(), asked.size(), 0) < 0) co_return errno;
    Progress progress;
    std::vector<std::byte> chunk(chunk_size);
    while (!progress.done) {
        const auto [error] =
            co_await socket.async_wait(asio::posix::descriptor_base::wait_read, as_result);
        if (error) co_return ECANCELED;
        const ::ssize_t count = receive(descriptor, chunk);
        if (count == -EAGAIN) continue;
        if (count < 0) co_return static_cast<int>(-count);
        take(std::span{chunk}.first(static_cast<std::size_t>(count)), progress, each);
    }
    co_return progress.error == 0 && progress.interrupted ? EINTR : progress.error;
}

}  // namespace

std::span<const std::byte> attribute(std::span<const std::byte> attributes, std::uint16_t type) {
    while (attributes.size() >= sizeof(::rtattr)) {
        ::rtattr header{};
        std::memcpy(&header, attributes.data(), sizeof header);
        if (header.rta_len < sizeof header || header.rta_len > attributes.size()) break;
        if ((header.rta_type & NLA_TYPE_MASK) == type) {
            return attributes.first(header.rta_len).subspan(sizeof header);
        }
        attributes =
            attributes.subspan(std::min(attributes.size(), std::size_t{RTA_ALIGN(header.rta_len)}));
    }
    return {};
}

std::optional<std::uint32_t> number_in(std::span<const std::byte> value) {
    std::uint32_t out = 0;
    if (value.size() != sizeof out) return std::nullopt;
    std::memcpy(&out, value.data(), sizeof out);
    return out;
}

std::optional<Address> address_in(std::span<const std::byte> value) {
    std::array<std::uint8_t, 16> octets{};
    if (value.empty() || value.size() > octets.size()) return std::nullopt;
    std::memcpy(octets.data(), value.data(), value.size());
    return Address::from_octets(std::span{octets}.first(value.size()));
}

std::uint8_t kernel_family(Family family) { return family == Family::ipv4 ? AF_INET : AF_INET6; }

asio::awaitable<Result<void, std::string>> dump(std::uint16_t type, std::vector<std::byte> request,
                                                std::function<void(const NetlinkMessage&)> each) {
    const std::vector<std::byte> asked = question(type, request);
    int error = EINTR;
    for (int i = 0; i < most_dumps && error == EINTR; ++i) error = co_await dump_once(asked, each);
    // A table that never settles: what was seen of it is the best there is.
    if (error == 0 || error == EINTR || error == ENOENT) co_return Result<void, std::string>{};
    co_return fail("asking the kernel: " + system_text(error));
}

Result<void, std::string> dump_sockets(std::span<const std::byte> request,
                                       const std::function<void(const NetlinkMessage&)>& each) {
    const int error =
        Conversation(NETLINK_SOCK_DIAG).ask(question(SOCK_DIAG_BY_FAMILY, request), each);
    if (error == 0 || error == EINTR) return {};
    return fail("asking the kernel (inet_diag): " + system_text(error));
}

int dump_family(std::string_view family, std::uint8_t command,
                std::span<const std::byte> attributes,
                const std::function<void(std::span<const std::byte>)>& each) {
    const auto headed = [](std::uint8_t what, std::span<const std::byte> behind) {
        const ::genlmsghdr header{.cmd = what, .version = 1, .reserved = 0};
        std::vector<std::byte> out(GENL_HDRLEN);
        std::memcpy(out.data(), &header, sizeof header);
        out.insert(out.end(), behind.begin(), behind.end());
        return out;
    };
    Conversation kernel(NETLINK_GENERIC);
    std::uint16_t id = 0;
    // All are asked for: of one that is asked for by name and not there, the kernel runs modprobe,
    // and waits for it.
    const int error = kernel.ask(question(GENL_ID_CTRL, headed(CTRL_CMD_GETFAMILY, {})),
                                 [&](const NetlinkMessage& message) {
                                     const auto said = message.attributes<::genlmsghdr>();
                                     const auto value = attribute(said, CTRL_ATTR_FAMILY_ID);
                                     if (value.size() == sizeof id &&
                                         is_text(attribute(said, CTRL_ATTR_FAMILY_NAME), family))
                                         std::memcpy(&id, value.data(), sizeof id);
                                 });
    if (error != 0) return error;
    if (id == 0) return ENOENT;
    return kernel.ask(question(id, headed(command, attributes)),
                      [&](const NetlinkMessage& message) {
                          if (message.type == id) each(message.attributes<::genlmsghdr>());
                      });
}

std::vector<std::byte> to_attribute(std::uint16_t type, std::span<const std::byte> value) {
    const ::nlattr header{.nla_len = static_cast<std::uint16_t>(NLA_HDRLEN + value.size()),
                          .nla_type = type};
    std::vector<std::byte> out(NLA_HDRLEN + NLA_ALIGN(value.size()));
    std::memcpy(out.data(), &header, sizeof header);
    std::ranges::copy(value, out.begin() + NLA_HDRLEN);
    return out;
}

std::optional<Outcome> trouble_with(const std::string& interface) {
    ::ifreq request{};
    interface.copy(request.ifr_name, IFNAMSIZ - 1);
    const int socket = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const int error = socket < 0 || ::ioctl(socket, SIOCGIFFLAGS, &request) < 0 ? errno : 0;
    if (socket >= 0) ::close(socket);
    if (error == ENODEV) return failed("no interface " + escape(interface));
    if (error != 0) return unsure("asking for " + escape(interface) + ": " + system_text(error));
    const auto flags = static_cast<unsigned>(request.ifr_flags);
    if ((flags & IFF_UP) == 0) return failed("interface " + escape(interface) + " is down");
    if ((flags & IFF_RUNNING) == 0) {
        return failed("interface " + escape(interface) + " is up but has no carrier");
    }
    return std::nullopt;
}

std::string interface_name(unsigned index) {
    std::array<char, IF_NAMESIZE> name{};
    if (::if_indextoname(index, name.data()) == nullptr) {
        return "interface " + std::to_string(index);
    }
    return name.data();
}

std::optional<std::string> unusable_interface(const std::string& name) {
    const bool odd =
        name.empty() || name == "." || name == ".." ||
        std::ranges::any_of(name, [](char c) { return c <= ' ' || c == '/' || c == ':'; });
    if (odd) return quoted(name) + " is no name of an interface";
    if (name.size() >= IFNAMSIZ) return quoted(name) + " is longer than 15 characters";
    return std::nullopt;
}

/// The one multicast socket of a loop, open while there is a watch.
class NetlinkEvents final : public asio::execution_context::service {
public:
    using key_type = NetlinkEvents;
    inline static asio::execution_context::id id;

    explicit NetlinkEvents(asio::execution_context& context)
        : asio::execution_context::service(context) {}

    static NetlinkEvents& of(const asio::any_io_executor& executor) {
        return asio::use_service<NetlinkEvents>(asio::query(executor, asio::execution::context));
    }

    /// False if the system has no socket for it.
    bool join(NetlinkWatch& watch) {
        if (!listener_.is_open()) {
            const int socket = open_socket();
            if (socket < 0) return false;
            // Unbound, it has the kernel's own number, and what that tells is not sent back to it.
            const ::sockaddr_nl anybody{.nl_family = AF_NETLINK};
            ::bind(socket, to_sockaddr(anybody), sizeof anybody);
            // A storm is then rarely lost; if one is, the kernel says so.
            const int room = 1 << 20;
            ::setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
            listener_.open(watch.executor_, socket, [this] { drain(); });
        }
        watches_.insert(&watch);
        for (const int group : watch.groups_) {
            if (members_[group]++ == 0) set(NETLINK_ADD_MEMBERSHIP, group);
        }
        return true;
    }

    void leave(NetlinkWatch& watch) {
        watches_.erase(&watch);
        for (const int group : watch.groups_) {
            if (--members_[group] == 0) set(NETLINK_DROP_MEMBERSHIP, group);
        }
        if (watches_.empty()) listener_.close();
    }

private:
    void shutdown() override { listener_.close(); }

    void set(int option, int group) const {
        if (listener_.is_open()) set_option(listener_.native_handle(), option, group);
    }

    void drain() {
        std::vector<std::byte> chunk(chunk_size);
        for (int reads = 0; reads < reads_per_turn; ++reads) {
            const ::ssize_t count = receive(listener_.native_handle(), chunk);
            if (count == -EAGAIN) return;
            if (count < 0) {
                // ENOBUFS: something was dropped, and it may have been what matters.
                for (NetlinkWatch* watch : watches_) watch->notice_.raise();
                continue;
            }
            for_each_message(std::span{chunk}.first(static_cast<std::size_t>(count)),
                             [this](const ::nlmsghdr& header, std::span<const std::byte> payload) {
                                 tell({header.nlmsg_type, payload});
                             });
        }
    }

    void tell(const NetlinkMessage& message) {
        for (NetlinkWatch* watch : watches_) {
            if (watch->concerns_(message)) watch->notice_.raise();
        }
    }

    Listener listener_;
    std::set<NetlinkWatch*> watches_;
    std::map<int, unsigned> members_;  ///< watches per group
};

NetlinkWatch::NetlinkWatch(const asio::any_io_executor& executor, std::vector<int> groups,
                           std::function<bool(const NetlinkMessage&)> concerns)
    : events_(NetlinkEvents::of(executor)),
      executor_(executor),
      groups_(std::move(groups)),
      concerns_(std::move(concerns)),
      notice_(executor),
      joined_(events_.join(*this)) {}

NetlinkWatch::~NetlinkWatch() {
    if (joined_) events_.leave(*this);
}

asio::awaitable<bool> NetlinkWatch::changed() {
    const bool goes_on = co_await notice_.wait(joined_ ? Duration::max() : look_again);
    if (goes_on && !joined_) joined_ = events_.join(*this);
    co_return goes_on;
}

}  // namespace swerve::health
