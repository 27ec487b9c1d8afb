#include "health/probes/runtime.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <cerrno>
#include <exception>
#include <system_error>
#include <tuple>
#include <utility>
#include <variant>

#include "swerve/base/escape.hpp"

namespace swerve::health {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);

/// Runs the probe and keeps its exceptions here. What it returned is also left in `found`, which
/// the attempt still reads after the deadline has cancelled the probe.
asio::awaitable<void> run_guarded(Probe& probe, const ProbeContext& context, TimePoint deadline,
                                  Outcome& found) {
    try {
        found = co_await probe.run(context, deadline);
    } catch (const boost::system::system_error& error) {
        // Cancelled between two operations: the deadline's report has nothing to add.
        if (error.code() != asio::error::operation_aborted) {
            found = unsure("the attempt broke off: " + escape(error.what()));
        }
    } catch (const std::exception& error) {
        found = unsure("the attempt broke off: " + escape(error.what()));
    }
}

tcp::endpoint to_asio(const Endpoint& endpoint) {
    const auto octets = endpoint.address.octets();
    if (endpoint.address.family() == Family::ipv4) {
        asio::ip::address_v4::bytes_type bytes{};
        std::ranges::copy(octets, bytes.begin());
        return {asio::ip::address_v4(bytes), endpoint.port};
    }
    asio::ip::address_v6::bytes_type bytes{};
    std::ranges::copy(octets, bytes.begin());
    return {asio::ip::address_v6(bytes), endpoint.port};
}

/// A lack on our side says nothing about the service.
bool is_our_own_lack(const error_code& error) {
    static constexpr std::array ours{EMFILE, ENFILE, ENOBUFS,       ENOMEM,
                                     EACCES, EPERM,  EADDRNOTAVAIL, EAFNOSUPPORT};
    return error.category() == boost::system::system_category() &&
           std::ranges::find(ours, error.value()) != ours.end();
}

/// Binds the socket to the target's own address; fails when that is not on this host.
std::optional<Outcome> bind_to_target(tcp::socket& socket, const Endpoint& target,
                                      const std::string& doing) {
    // Without this option the kernel picks the source port at bind(), where it must be unique for
    // the address, not for the pair of endpoints: many checks of one address would run out of
    // ports.
    const int on = 1;
    ::setsockopt(socket.native_handle(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    error_code error;
    socket.bind(to_asio(Endpoint{target.address, 0}), error);
    if (!error) return std::nullopt;
    if (error == error_code(EADDRNOTAVAIL, boost::system::system_category())) {
        return failed(target.address.to_string() + ": address not on this host");
    }
    return from_error(error, doing, target);
}

}  // namespace

asio::awaitable<void> Probe::watch(const ProbeContext& /*context*/,
                                   std::function<void(Outcome)> /*report*/) {
    co_return;
}

asio::awaitable<Outcome> attempt(Probe& probe, const ProbeContext& context, Duration timeout) {
    using namespace asio::experimental::awaitable_operators;
    const TimePoint started = BootClock::now();
    const TimePoint deadline = started + timeout;
    Outcome found;
    const auto first =
        co_await (run_guarded(probe, context, deadline, found) || wait_until(deadline));
    if (first.index() == 1) {
        std::string reason = "no answer within " + duration_text(timeout);
        if (!found.reason.empty()) reason += ", " + found.reason;
        found = failed(std::move(reason));
    }
    found.started = started;
    found.finished = BootClock::now();
    co_return found;
}

asio::awaitable<void> wait_until(TimePoint deadline) {
    Timer timer(co_await asio::this_coro::executor, deadline);
    co_await timer.async_wait(asio::use_awaitable);
}

asio::awaitable<Result<tcp::socket, Outcome>> connect(const ProbeContext& context,
                                                      Endpoint target) {
    std::string doing = "connecting to " + target.to_string();
    const tcp::endpoint remote = to_asio(target);
    tcp::socket socket(co_await asio::this_coro::executor);
    error_code error;
    socket.open(remote.protocol(), error);
    if (error) co_return fail(from_error(error, std::move(doing), target));
    const bool ours = std::ranges::any_of(
        context.owned, [&](const Prefix& prefix) { return prefix.contains(target.address); });
    if (ours) {
        if (auto refused = bind_to_target(socket, target, doing)) co_return fail(*refused);
    }
    std::tie(error) = co_await socket.async_connect(remote, as_result);
    if (error) co_return fail(from_error(error, std::move(doing), target));
    // When nobody listens on a port of the ephemeral range, the kernel can pick that very port as
    // the source: the socket is then connected to itself, and echoes whatever it is sent.
    if (socket.local_endpoint(error) == remote) {
        co_return fail(failed("connection refused by " + target.to_string()));
    }
    step(context, "connected to " + target.to_string());
    socket.set_option(tcp::no_delay(true), error);
    co_return socket;
}

void close_quietly(tcp::socket& socket) {
    error_code ignored;
    socket.shutdown(tcp::socket::shutdown_send, ignored);
    socket.non_blocking(true, ignored);
    std::array<char, 4096> sink{};
    for (std::size_t taken = 0; taken < answer_limit;) {
        const std::size_t count = socket.read_some(asio::buffer(sink), ignored);
        if (ignored) break;
        taken += count;
    }
    socket.close(ignored);
}

Outcome passed(std::string reason) { return {ProbeResult::pass, std::move(reason), {}, {}}; }
Outcome failed(std::string reason) { return {ProbeResult::fail, std::move(reason), {}, {}}; }
Outcome unsure(std::string reason) { return {ProbeResult::unknown, std::move(reason), {}, {}}; }

Outcome from_error(const error_code& error, std::string doing, const Endpoint& target) {
    if (error == asio::error::operation_aborted) return unsure(std::move(doing));
    if (error == asio::error::connection_refused) {
        return failed("connection refused by " + target.to_string());
    }
    if (error == asio::error::connection_reset || error == asio::error::broken_pipe) {
        return failed("connection reset by " + target.to_string());
    }
    std::string reason = doing + ": " + escape(error.message());
    return is_our_own_lack(error) ? unsure(std::move(reason)) : failed(std::move(reason));
}

Result<FileText, std::string> read_file(const std::string& path, std::size_t limit) {
    const auto cannot = [&path](std::string_view what) {
        return fail(escape(path) + ": " + std::string{what});
    };
    const auto system = [&cannot](int error) {
        return cannot(std::generic_category().message(error));
    };
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (file < 0) return system(errno);
    const struct Closer {
        int file;
        ~Closer() { ::close(file); }
    } closer{file};
    struct stat status{};
    if (::fstat(file, &status) != 0) return system(errno);
    if (!S_ISREG(status.st_mode)) return cannot("not a regular file");
    FileText out;
    out.stamp = {status.st_dev, status.st_ino,
                 status.st_mtim.tv_sec * 1'000'000'000 + status.st_mtim.tv_nsec};
    out.text.resize(limit + 1);
    std::size_t filled = 0;
    while (filled < out.text.size()) {
        const ssize_t count = ::read(file, out.text.data() + filled, out.text.size() - filled);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return system(errno);
        if (count == 0) break;
        filled += static_cast<std::size_t>(count);
    }
    out.cut = filled > limit;
    out.text.resize(std::min(filled, limit));
    return out;
}

std::optional<std::string> unusable_target(const Address& address) {
    const std::string text = "'" + address.to_string() + "' ";
    if (address.is_unspecified()) return text + "is no address of a server";
    if (address.is_multicast()) return text + "is a multicast address";
    if (address.is_ipv6_link_local()) return text + "is link-local and would need an interface";
    // An IPv4-mapped target would slip past the IPv4 prefixes in `owned`.
    static const Prefix mapped = *Prefix::parse("::ffff:0.0.0.0/96");
    if (mapped.contains(address)) return text + "is an IPv4 address written as IPv6";
    // A cloud's metadata service answers at every site and proves nothing.
    if (address == Address::v4(0xa9fea9feU)) return text + "is a cloud's metadata service";
    return std::nullopt;
}

std::string duration_text(Duration duration) {
    using namespace std::chrono_literals;
    const auto in = [duration](Duration unit, std::string_view name) {
        return std::to_string(duration / unit) + std::string{name};
    };
    if (duration % 1s == 0s) return in(1s, "s");
    if (duration % 1ms == 0s) return in(1ms, "ms");
    return in(1us, "us");
}

std::string quoted(std::string_view text) { return "'" + escape(text, 80) + "'"; }

}  // namespace swerve::health
