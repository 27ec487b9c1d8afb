#include "daemon/listeners.hpp"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/ip/v6_only.hpp>
#include <cerrno>
#include <cstring>
#include <span>
#include <utility>

#include "daemon/interfaces.hpp"
#include "daemon/session_socket.hpp"

namespace swerve::daemon {
namespace {

using boost::asio::ip::tcp;
using boost::system::error_code;

/// Between two attempts to accept while that fails.
constexpr auto accept_pause = std::chrono::seconds{1};

/// How many connections are looked at before the loop goes on: a flood waits in the kernel, whose
/// queue is bounded, and the sessions do not.
constexpr int accepts_per_turn = 16;

/// Brings the keys of one socket from `from` to `to`, as far as they are of its family.
Result<void, std::string> change_keys(int fd, Family family, const std::vector<Md5Key>& from,
                                      const std::vector<Md5Key>& to) {
    for (const Md5Key& key : from) {
        const bool stays = std::ranges::find(to, key.from, &Md5Key::from) != to.end();
        if (key.from.family() != family || stays) continue;
        if (auto done = install_md5_key(fd, {key.from, {}}); !done) return done;
    }
    for (const Md5Key& key : to) {
        const bool same = std::ranges::find(from, key) != from.end();
        if (key.from.family() != family || same) continue;
        if (auto done = install_md5_key(fd, key); !done) return done;
    }
    return {};
}

/// Closed by RST, an unwanted connection leaves nothing behind, here or in the kernel.
void turn_away(int fd) {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    (void)::setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    (void)::close(fd);
}

/// The caller's address, and the interface number of a link-local one.
std::optional<std::pair<Endpoint, unsigned>> from_sockaddr(const sockaddr_storage& from) {
    if (from.ss_family == AF_INET) {
        sockaddr_in in{};
        std::memcpy(&in, &from, sizeof in);
        return std::pair{Endpoint{Address::v4(ntohl(in.sin_addr.s_addr)), ntohs(in.sin_port)}, 0U};
    }
    if (from.ss_family != AF_INET6) return std::nullopt;
    sockaddr_in6 in{};
    std::memcpy(&in, &from, sizeof in);
    const auto address =
        Address::from_octets(std::span<const std::uint8_t>{in.sin6_addr.s6_addr, 16});
    const unsigned scope = address->is_ipv6_link_local() ? in.sin6_scope_id : 0;
    return std::pair{Endpoint{*address, ntohs(in.sin6_port)}, scope};
}

/// What is wrong with one connection says nothing about the next (accept(2) on Linux).
bool of_the_connection(int error) {
    switch (error) {
        case EINTR:
        case ECONNABORTED:
        case EPROTO:
        case ENETDOWN:
        case ENOPROTOOPT:
        case EHOSTDOWN:
        case ENONET:
        case EHOSTUNREACH:
        case EOPNOTSUPP:
        case ENETUNREACH:
            return true;
        default:
            return false;
    }
}

}  // namespace

Result<void, std::string> Listeners::bind(const std::vector<Endpoint>& endpoints,
                                          std::vector<Md5Key> keys) {
    std::vector<ListenerPtr> next;
    std::vector<ListenerPtr> kept;
    for (const Endpoint& endpoint : endpoints) {
        const auto known = std::ranges::find(
            all_, endpoint, [](const ListenerPtr& listener) { return listener->endpoint; });
        if (known != all_.end()) {
            kept.push_back(*known);
            next.push_back(*known);
            continue;
        }
        auto opened = open(endpoint, keys);
        if (!opened) return fail(opened.error());
        next.push_back(std::move(*opened));
    }
    const auto change = [](const ListenerPtr& at, const auto& from, const auto& to) {
        return change_keys(at->acceptor.native_handle(), at->endpoint.address.family(), from, to);
    };
    for (const ListenerPtr& listener : kept) {
        const auto changed = change(listener, keys_, keys);
        if (changed) continue;
        for (const ListenerPtr& each : kept) (void)change(each, keys, keys_);
        return changed;
    }
    keys_ = std::move(keys);
    const std::vector<ListenerPtr> before = std::exchange(all_, std::move(next));
    for (const ListenerPtr& listener : before) {
        if (std::ranges::find(all_, listener) != all_.end()) continue;
        error_code ignored;
        listener->acceptor.close(ignored);
        listener->pause.cancel();
    }
    if (!started_) return {};
    for (const ListenerPtr& listener : all_) {
        if (std::ranges::find(before, listener) == before.end()) await(listener);
    }
    return {};
}

Result<Listeners::ListenerPtr, std::string> Listeners::open(const Endpoint& endpoint,
                                                            const std::vector<Md5Key>& keys) {
    const tcp::endpoint local = to_asio(endpoint);
    const Family family = endpoint.address.family();
    tcp::acceptor acceptor{io_};
    error_code error;
    const auto step = [&](auto&& what) {
        if (!error) what();
    };
    step([&] { acceptor.open(local.protocol(), error); });
    step([&] { acceptor.set_option(tcp::acceptor::reuse_address(true), error); });
    step([&] {
        if (local.address().is_v6()) acceptor.set_option(boost::asio::ip::v6_only(true), error);
    });
    step([&] { acceptor.non_blocking(true, error); });
    step([&] { acceptor.bind(local, error); });
    const auto sentence = [&](const std::string& why) {
        return fail("cannot listen for BGP on " + endpoint.to_string() + ": " + why);
    };
    if (error) return sentence(error.message());
    const int fd = acceptor.native_handle();
    if (const auto set = set_listener_options(fd, family); !set) return sentence(set.error());
    // Before the first SYN can come: the kernel looks for the key while it shakes hands.
    if (const auto set = change_keys(fd, family, {}, keys); !set) return sentence(set.error());
    acceptor.listen(tcp::acceptor::max_listen_connections, error);
    if (error) return sentence(error.message());
    return std::make_shared<Listener>(
        Listener{endpoint, std::move(acceptor), boost::asio::steady_timer{io_}});
}

void Listeners::start() {
    started_ = true;
    for (const ListenerPtr& listener : all_) await(listener);
}

void Listeners::close() {
    started_ = false;
    (void)bind({}, {});
}

void Listeners::await(const ListenerPtr& listener) {
    listener->acceptor.async_wait(tcp::acceptor::wait_read,
                                  [this, listener](const error_code& error) {
                                      if (!error) accept(listener);
                                  });
}

void Listeners::accept(const ListenerPtr& listener) {
    for (int i = 0; i < accepts_per_turn; ++i) {
        // Whoever was let in may have ended this listener.
        if (!listener->acceptor.is_open()) return;
        sockaddr_storage from{};
        socklen_t size = sizeof from;
        const int fd =
            ::accept4(listener->acceptor.native_handle(), reinterpret_cast<sockaddr*>(&from), &size,
                      SOCK_NONBLOCK | SOCK_CLOEXEC);
        const int error = errno;
        if (fd >= 0) {
            const auto caller = from_sockaddr(from);
            if (!caller) {
                turn_away(fd);
            } else {
                take(fd, caller->first, caller->second);
            }
            continue;
        }
        if (error == EAGAIN) break;
        if (of_the_connection(error)) continue;
        // Most likely no descriptors are left: asking again at once would only spin.
        hooks_.alarm("cannot accept a BGP connection: " +
                     std::string{std::strerror(error)});  // NOLINT(concurrency-mt-unsafe)
        listener->pause.expires_after(accept_pause);
        listener->pause.async_wait([this, listener](const error_code& cancelled) {
            if (!cancelled) await(listener);
        });
        return;
    }
    await(listener);
}

void Listeners::take(int fd, const Endpoint& from, unsigned scope) {
    const auto neighbor = hooks_.admit(from.address, interface_of(scope));
    if (!neighbor) return turn_away(fd);
    error_code error;
    Socket socket{io_};
    socket.assign(from.address.family() == Family::ipv4 ? tcp::v4() : tcp::v6(), fd, error);
    if (error) return turn_away(fd);
    hooks_.accepted(*neighbor, std::move(socket));
}

}  // namespace swerve::daemon
