#include "health/probes/wireguard_source.hpp"

#include <linux/wireguard.h>
#include <string.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <memory>
#include <optional>
#include <span>
#include <system_error>
#include <tuple>
#include <utility>

#include "health/probes/netlink.hpp"
#include "swerve/base/escape.hpp"

namespace swerve::health {

namespace asio = boost::asio;
using asio::local::stream_protocol;

namespace {

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);
/// Where wireguard-go and boringtun put their sockets.
constexpr std::string_view socket_directory = "/var/run/wireguard/";
/// Of a device whose peers changed while it was told.
constexpr int most_dumps = 3;
constexpr std::size_t piece_size = 16UZ * 1024;

Outcome not_allowed(const std::string& interface) {
    return unsure("the state of " + escape(interface) +
                  " may not be read: give swerved CAP_NET_ADMIN (AmbientCapabilities= and "
                  "CapabilityBoundingSet= of its unit)");
}

struct KernelAnswer {
    int error = 0;
    std::string unreadable{};  ///< the sentence, if so
    WireguardDevice device{};
};

KernelAnswer ask_kernel(const std::string& interface) {
    const std::string name = interface + '\0';
    const auto wanted = to_attribute(WGDEVICE_A_IFNAME, std::as_bytes(std::span{name}));
    KernelAnswer out{.error = EINTR};
    for (int i = 0; i < most_dumps && out.error == EINTR; ++i) {
        out = {};
        out.error = dump_family(
            WG_GENL_NAME, WG_CMD_GET_DEVICE, wanted, [&out](std::span<const std::byte> attributes) {
                if (!out.unreadable.empty()) return;
                const auto read = read_wireguard_message(attributes, out.device);
                if (!read) out.unreadable = read.error();
            });
    }
    return out;
}

Outcome cannot_connect(const boost::system::error_code& error, const std::string& socket,
                       const std::string& interface, bool denied) {
    if (error == asio::error::operation_aborted) {
        return unsure("connecting to " + escape(socket));
    }
    if (denied) return not_allowed(interface);
    if (error == asio::error::access_denied || error == asio::error::no_permission) {
        return unsure("no right to connect to " + escape(socket) +
                      ": userspace WireGuard lets root in alone, unless its owner is changed");
    }
    if (error == boost::system::errc::no_such_file_or_directory) {
        return unsure(escape(interface) + " is no interface of WireGuard: the kernel has none of " +
                      "this name, and there is no " + escape(socket));
    }
    if (error == asio::error::connection_refused) {
        return failed("the userspace WireGuard of " + escape(interface) +
                      " is gone: nobody listens at " + escape(socket));
    }
    return unsure("connecting to " + escape(socket) + ": " + error.message());
}

/// How its answer broke off.
Outcome broken_off(const boost::system::error_code& error, const std::string& socket) {
    if (error == asio::error::operation_aborted) {
        return unsure("waiting for the answer of " + escape(socket));
    }
    // Asio takes EAGAIN of connect(), whoever listens takes nobody in, for a connection under way.
    if (error == asio::error::not_connected) {
        return failed(escape(socket) + " hangs: it is full of those it did not answer");
    }
    if (error == asio::error::connection_reset || error == asio::error::broken_pipe) {
        return failed(escape(socket) + " closed before its answer was whole");
    }
    return unsure("asking " + escape(socket) + ": " + error.message());
}

/// Wiped at its end, since the private key comes through it.
struct Piece {
    std::array<char, piece_size> octets{};

    Piece() = default;
    ~Piece() { ::explicit_bzero(octets.data(), octets.size()); }
    Piece(const Piece&) = delete;
    Piece& operator=(const Piece&) = delete;
};

}  // namespace

asio::awaitable<Result<WireguardDevice, Outcome>> ask_userspace_wireguard(
    const ProbeContext& context, std::string socket, std::string interface, bool denied) {
    stream_protocol::socket connection(co_await asio::this_coro::executor);
    const stream_protocol::endpoint endpoint(socket);
    auto [refused] = co_await connection.async_connect(endpoint, as_result);
    if (refused) co_return fail(cannot_connect(refused, socket, interface, denied));
    const std::string_view question = "get=1\n\n";
    auto [unsent, sent] = co_await asio::async_write(connection, asio::buffer(question), as_result);
    if (unsent) co_return fail(broken_off(unsent, socket));
    step(context, "connected to " + escape(socket));
    const auto piece = std::make_unique<Piece>();
    WireguardTextReader reader;
    boost::system::error_code error;
    for (bool goes_on = true; goes_on;) {
        std::size_t count = 0;
        std::tie(error, count) =
            co_await connection.async_read_some(asio::buffer(piece->octets), as_result);
        goes_on = reader.take({piece->octets.data(), count}) && !error;
    }
    auto device = reader.result();
    if (device) co_return std::move(*device);
    if (error && error != asio::error::eof) co_return fail(broken_off(error, socket));
    if (error) co_return fail(failed(escape(socket) + " closed before its answer was whole"));
    co_return fail(unsure(escape(socket) + ": " + device.error()));
}

asio::awaitable<Result<WireguardDevice, Outcome>> ask_wireguard(const ProbeContext& context,
                                                                std::string interface) {
    if (auto trouble = trouble_with(interface)) co_return fail(std::move(*trouble));
    KernelAnswer kernel = ask_kernel(interface);
    const bool denied = kernel.error == EPERM || kernel.error == EACCES;
    // ENOENT: no WireGuard in this kernel at all.
    const bool elsewhere =
        kernel.error == ENOENT || kernel.error == ENODEV || kernel.error == EOPNOTSUPP;
    if (denied || elsewhere) {
        step(context, denied ? "the kernel lets us not ask for WireGuard"
                             : "the kernel has no WireGuard interface of this name");
        std::string socket = std::string{socket_directory} + interface + ".sock";
        co_return co_await ask_userspace_wireguard(context, std::move(socket), interface, denied);
    }
    step(context, "asked the kernel for WireGuard's " + escape(interface));
    if (kernel.error != 0) {
        co_return fail(unsure("asking the kernel for WireGuard's " + escape(interface) + ": " +
                              std::generic_category().message(kernel.error)));
    }
    if (!kernel.unreadable.empty()) co_return fail(unsure(std::move(kernel.unreadable)));
    co_return std::move(kernel.device);
}

}  // namespace swerve::health
