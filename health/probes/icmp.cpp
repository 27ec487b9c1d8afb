// Asks a host for an echo.

#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/generic/datagram_protocol.hpp>
#include <boost/asio/ip/icmp.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "health/probes/datagram.hpp"
#include "health/probes/echo_message.hpp"
#include "health/probes/registry.hpp"
#include "health/probes/runtime.hpp"

namespace swerve::health {
namespace {

namespace asio = boost::asio;
using asio::ip::icmp;
using boost::system::error_code;
/// Of either kind: with a protocol of its own, Asio lets the family and the number be chosen.
using Datagram = asio::generic::datagram_protocol;

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);

constexpr Field fields[] = {
    {.name = "address",
     .kind = FieldKind::string,
     .required = true,
     .help = "The IPv4 or IPv6 address to ask for an echo."},
};

constexpr std::size_t payload_size = 32;
/// How many packets that are no reply to our request are passed over: a raw socket hears those to
/// everybody's requests.
constexpr int foreign_limit = 4096;

struct PingSocket {
    Datagram::socket socket;
    bool raw;  ///< it hears everybody's replies, under an IP header in IPv4
};

error_code last_error() { return {errno, boost::system::system_category()}; }

/// A raw socket that hears nothing but echo replies.
void hear_replies_only(int socket, Family family) {
    if (family == Family::ipv4) {
        // ICMP_FILTER of <linux/icmp.h>, which does not stand beside the C library's headers: the
        // types whose bits are set are not heard.
        constexpr int filter_option = 1;
        const std::uint32_t unheard = ~(1U << unsigned{ICMP_ECHOREPLY});
        ::setsockopt(socket, SOL_RAW, filter_option, &unheard, sizeof unheard);
    } else {
        ::icmp6_filter filter{};
        ICMP6_FILTER_SETBLOCKALL(&filter);
        ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &filter);
        ::setsockopt(socket, IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof filter);
    }
}

/// Whoever may, takes the socket that needs no right: the kernel lets it hear its own replies only.
Result<PingSocket, Outcome> open_socket(const asio::any_io_executor& executor, Family family,
                                        const Endpoint& target) {
    const int domain = family == Family::ipv4 ? AF_INET : AF_INET6;
    const int protocol = family == Family::ipv4 ? int{IPPROTO_ICMP} : int{IPPROTO_ICMPV6};
    bool raw = false;
    int made = ::socket(domain, SOCK_DGRAM | SOCK_CLOEXEC, protocol);
    if (made < 0 && (errno == EACCES || errno == EPERM || errno == EPROTONOSUPPORT)) {
        raw = true;
        made = ::socket(domain, SOCK_RAW | SOCK_CLOEXEC, protocol);
    }
    if (made < 0 && (errno == EACCES || errno == EPERM)) {
        return fail(unsure("no right to send ICMP: add group " + std::to_string(::getegid()) +
                           " to the sysctl net.ipv4.ping_group_range, or give CAP_NET_RAW "
                           "(AmbientCapabilities= and CapabilityBoundingSet= of its unit)"));
    }
    if (made < 0) return fail(from_error(last_error(), "opening a socket for ICMP", target));
    if (raw) hear_replies_only(made, family);
    PingSocket out{Datagram::socket(executor), raw};
    error_code error;
    out.socket.assign(Datagram(domain, protocol), made, error);
    if (error) {
        ::close(made);
        return fail(from_error(error, "opening a socket for ICMP", target));
    }
    return out;
}

class IcmpProbe final : public Probe {
public:
    explicit IcmpProbe(const Address& address) : target_{address, 0} {
        [[maybe_unused]] const ssize_t got =
            ::getrandom(&identifier_, sizeof identifier_, GRND_NONBLOCK);
    }

    asio::awaitable<Outcome> run(const ProbeContext& context, TimePoint /*deadline*/) override {
        const asio::any_io_executor executor = co_await asio::this_coro::executor;
        const Family family = target_.address.family();
        auto ping = open_socket(executor, family, target_);
        if (!ping) co_return std::move(ping.error());
        if (auto refused = connect_to_target(context, *ping)) co_return std::move(*refused);
        const Echo echo = next_echo();
        const Bytes request = encode_request(family, echo);
        const TimePoint sent = BootClock::now();
        const auto [error, count] =
            co_await ping->socket.async_send(asio::buffer(request), as_result);
        if (error) co_return unreached(error, "sending to " + name());
        step(context, "asked " + name() + " for an echo, on a " +
                          (ping->raw ? "raw socket" : "socket for ping"));
        co_return co_await find_reply(context, *ping, echo, sent);
    }

private:
    [[nodiscard]] std::string name() const { return target_.address.to_string(); }

    /// from_error() would name a port.
    [[nodiscard]] Outcome unreached(const error_code& error, std::string doing) const {
        if (error == asio::error::connection_refused) {
            return failed(name() + " does not take ICMP echo requests");
        }
        return from_error(error, std::move(doing), target_);
    }

    [[nodiscard]] std::optional<Outcome> connect_to_target(const ProbeContext& context,
                                                           PingSocket& ping) const {
        // Of an endpoint only the octets matter, which are the same for every protocol.
        const icmp::endpoint remote(to_asio(target_.address), 0);
        error_code error;
        if (must_be_ours(context, target_.address)) {
            ping.socket.bind(remote, error);
            if (error) return bind_failed(error, "opening a socket towards " + name(), target_);
        }
        report_icmp_errors(ping.socket.native_handle(), target_.address.family());
        ping.socket.connect(remote, error);
        if (error) return unreached(error, "opening a socket towards " + name());
        return std::nullopt;
    }

    Echo next_echo() {
        Echo out{.identifier = identifier_, .sequence = ++sequence_, .payload = {}};
        out.payload.resize(payload_size);
        [[maybe_unused]] const ssize_t got =
            ::getrandom(out.payload.data(), out.payload.size(), GRND_NONBLOCK);
        return out;
    }

    asio::awaitable<Outcome> find_reply(const ProbeContext& context, PingSocket& ping, Echo echo,
                                        TimePoint sent) {
        const Family family = target_.address.family();
        std::array<std::uint8_t, 512> buffer{};
        for (int i = 0; i < foreign_limit; ++i) {
            Datagram::endpoint from;
            const auto [error, count] =
                co_await ping.socket.async_receive_from(asio::buffer(buffer), from, as_result);
            if (error) co_return unreached(error, "waiting for the echo of " + name());
            auto message = std::optional{ByteView{buffer}.first(count)};
            if (ping.raw && family == Family::ipv4) message = behind_ipv4_header(*message);
            auto reply = std::optional<Echo>{};
            if (message) reply = decode_reply(family, *message);
            if (!reply || !is_from_target(from)) continue;
            // On a socket for ping the identifier is the kernel's, which has compared it.
            if (!ping.raw) reply->identifier = echo.identifier;
            if (*reply != echo) {
                step(context, "passed over an echo of something else");
                continue;
            }
            const Duration took = BootClock::now() - sent;
            step(context,
                 "the echo came after " +
                     duration_text(std::chrono::duration_cast<std::chrono::microseconds>(took)));
            co_return passed("echo from " + name());
        }
        co_return failed(std::to_string(foreign_limit) + " packets from " + name() +
                         " are no echo of ours");
    }

    /// A socket for ping hears replies from everywhere, connected or not.
    [[nodiscard]] bool is_from_target(const Datagram::endpoint& from) const {
        const icmp::endpoint target(to_asio(target_.address), 0);
        const auto* const found = reinterpret_cast<const char*>(from.data());
        const auto* const wanted = reinterpret_cast<const char*>(target.data());
        const bool ipv4 = target_.address.family() == Family::ipv4;
        const std::size_t at =
            ipv4 ? offsetof(::sockaddr_in, sin_addr) : offsetof(::sockaddr_in6, sin6_addr);
        const std::size_t size = target_.address.octets().size();
        return from.size() >= at + size && std::memcmp(found + at, wanted + at, size) == 0;
    }

    Endpoint target_;  ///< port 0
    std::uint16_t identifier_ = 0;
    std::uint16_t sequence_ = 0;
};

Result<std::unique_ptr<Probe>, FieldFault> make(const FieldMap& values) {
    const std::string& text = *get<std::string>(values, "address");
    const auto address = Address::parse(text);
    if (!address) {
        return fail(FieldFault{"address", quoted(text) + " is no address", "as 198.51.100.1"});
    }
    if (const auto unusable = unusable_target(*address)) {
        return fail(FieldFault{"address", *unusable, "name the address of the host"});
    }
    return std::make_unique<IcmpProbe>(*address);
}

std::string caveat(const FieldMap& /*values*/) {
    return "an echo comes from the kernel of a host, whether or not anything is served there";
}

std::string target(const FieldMap& values) {
    return "icmp://" + *get<std::string>(values, "address");
}

}  // namespace

ProbeType icmp_probe() {
    return {.name = "icmp",
            .help = "Asks a host for an ICMP echo.",
            .fields = fields,
            .has_events = sees_no_events,
            .make = make,
            .caveat = caveat,
            .target = target};
}

}  // namespace swerve::health
