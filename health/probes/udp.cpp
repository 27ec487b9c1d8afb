// Sends one datagram and looks at what comes back.

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "health/probes/datagram.hpp"
#include "health/probes/registry.hpp"
#include "health/probes/runtime.hpp"

namespace swerve::health {
namespace {

namespace asio = boost::asio;
using asio::ip::udp;

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);

constexpr Field fields[] = {
    {.name = "endpoint",
     .kind = FieldKind::endpoint,
     .required = true,
     .help = "Address and port to send to, as 198.51.100.1:3478 or [2001:db8::1]:3478."},
    {.name = "send",
     .kind = FieldKind::string,
     .required = true,
     .help = "Bytes to send, in one datagram; YAML's escapes in double quotes are the way to write "
             "what is no text."},
    {.name = "expect",
     .kind = FieldKind::string,
     .help = "Text that must occur in a datagram of the answer; absent: any answer passes."},
};

/// What fits into a datagram over IPv4.
constexpr std::size_t datagram_limit = 65507;
/// How many answers without the expected text are read.
constexpr int answers_limit = 64;

class UdpProbe final : public Probe {
public:
    UdpProbe(Endpoint target, std::string send, std::string expect)
        : target_(target), send_(std::move(send)), expect_(std::move(expect)) {}

    asio::awaitable<Outcome> run(const ProbeContext& context, TimePoint /*deadline*/) override {
        const asio::any_io_executor executor = co_await asio::this_coro::executor;
        auto socket = connect_datagram(executor, context, target_);
        if (!socket) co_return std::move(socket.error());
        const auto [error, count] = co_await socket->async_send(asio::buffer(send_), as_result);
        if (error) co_return from_error(error, "sending to " + target_.to_string(), target_);
        step(context, "sent " + std::to_string(count) + " octets to " + target_.to_string());
        co_return co_await find_expected(context, *socket);
    }

private:
    asio::awaitable<Outcome> find_expected(const ProbeContext& context, udp::socket& socket) {
        std::string buffer(answer_limit, '\0');
        std::string doing = "waiting for an answer from " + target_.to_string();
        if (!expect_.empty()) {
            doing = "waiting for " + quoted(expect_) + " from " + target_.to_string();
        }
        std::string got;
        for (int i = 0; i < answers_limit; ++i) {
            const auto [error, count] =
                co_await socket.async_receive(asio::buffer(buffer), as_result);
            if (error) co_return from_error(error, doing + got, target_);
            const std::string_view answer{buffer.data(), count};
            step(context, "an answer of " + std::to_string(count) + " octets");
            if (expect_.empty()) co_return passed("answered, " + std::to_string(count) + " octets");
            if (answer.contains(expect_)) co_return passed("answered with " + quoted(expect_));
            got = ", only " + quoted(answer);
        }
        co_return failed(std::to_string(answers_limit) + " answers of " + target_.to_string() +
                         " do not contain " + quoted(expect_) + got);
    }

    Endpoint target_;
    std::string send_;
    std::string expect_;
};

Result<std::unique_ptr<Probe>, FieldFault> make(const FieldMap& values) {
    const Endpoint& target = *get<Endpoint>(values, "endpoint");
    if (const auto unusable = unusable_target(target.address)) {
        return fail(FieldFault{"endpoint", *unusable, "name the address that clients reach"});
    }
    if (target.port == 0) {
        return fail(FieldFault{"endpoint", "port 0 cannot be sent to", "1 to 65535"});
    }
    const std::string& send = *get<std::string>(values, "send");
    const auto* expect = get<std::string>(values, "expect");
    if (send.empty()) {
        return fail(FieldFault{"send", "is empty", "name what the server answers to"});
    }
    if (send.size() > datagram_limit) {
        return fail(FieldFault{"send", "does not fit into a datagram", "at most 65507 octets"});
    }
    if (expect != nullptr && expect->empty()) {
        return fail(FieldFault{"expect", "is empty", "leave the key out"});
    }
    if (expect != nullptr && expect->size() > datagram_limit) {
        return fail(FieldFault{"expect", "does not fit into a datagram", "at most 65507 octets"});
    }
    return std::make_unique<UdpProbe>(target, send, expect == nullptr ? "" : *expect);
}

std::string caveat(const FieldMap& values) {
    if (get<std::string>(values, "expect") != nullptr) return "";
    return "any answer passes, one that reports an error too";
}

std::string target(const FieldMap& values) {
    return "udp://" + get<Endpoint>(values, "endpoint")->to_string();
}

}  // namespace

ProbeType udp_probe() {
    return {.name = "udp",
            .help = "Sends a datagram to a UDP port and looks at the answer.",
            .fields = fields,
            .has_events = sees_no_events,
            .sees_hangs = always_sees_hangs,
            .make = make,
            .caveat = caveat,
            .target = target};
}

}  // namespace swerve::health
