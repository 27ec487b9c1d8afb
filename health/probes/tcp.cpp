#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/socket_base.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "health/probes/events.hpp"
#include "health/probes/registry.hpp"
#include "health/probes/runtime.hpp"

namespace swerve::health {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

constexpr auto as_result = asio::as_tuple(asio::use_awaitable);

constexpr Field fields[] = {
    {.name = "endpoint",
     .kind = FieldKind::endpoint,
     .required = true,
     .help = "Address and port to connect to, as 198.51.100.1:53 or [2001:db8::1]:53."},
    {.name = "send",
     .kind = FieldKind::string,
     .help = "Bytes to send once connected; YAML's escapes in double quotes are the way to write "
             "line ends."},
    {.name = "expect",
     .kind = FieldKind::string,
     .help = "Text that must occur in the first 64 KiB of the answer, or of the greeting when "
             "nothing is sent."},
    {.name = "hold",
     .kind = FieldKind::boolean,
     .fallback = "false",
     .help =
         "Keep one connection open between attempts, so that its end by FIN or RST is an event, "
         "and that the next one is refused. An attempt still makes a connection of its own. Of a "
         "server that closes idle connections, leave on_event at `confirm`: then each such end is "
         "one more attempt, at most one a second, and nothing worse."},
};

/// How soon after one held connection the next is opened: a server that closes them at once costs
/// one connection a second.
constexpr Duration hold_again = std::chrono::seconds{1};
/// What a server may say on a held connection, which is thrown away: so much, so often.
constexpr std::size_t sink_size = 4096;
constexpr Duration sink_pause = std::chrono::milliseconds{10};

/// Has the kernel ask an end that says nothing whether it is still there: after 5 s, three times.
void keep_alive(tcp::socket& socket) {
    const int seconds = 5;
    const int times = 3;
    boost::system::error_code ignored;
    socket.set_option(asio::socket_base::keep_alive(true), ignored);
    ::setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_KEEPIDLE, &seconds, sizeof seconds);
    ::setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_KEEPINTVL, &seconds, sizeof seconds);
    ::setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_KEEPCNT, &times, sizeof times);
}

std::string text_of(const FieldMap& values, std::string_view name) {
    const auto* text = get<std::string>(values, name);
    return text == nullptr ? std::string{} : *text;
}

class TcpProbe final : public Probe {
public:
    TcpProbe(Endpoint target, std::string send, std::string expect, bool hold)
        : target_(target), send_(std::move(send)), expect_(std::move(expect)), hold_(hold) {}

    asio::awaitable<Outcome> run(const ProbeContext& context, TimePoint /*deadline*/) override {
        Outcome outcome = co_await exchange(context);
        if (outcome.result == ProbeResult::pass && answered_ && !is_held_) answered_->raise();
        // The other end may be gone without a word: of what is held then, no end would ever be
        // told. An attempt that hangs is unknown here until its deadline's report.
        if (outcome.result != ProbeResult::pass && failed_ && is_held_) failed_->raise();
        if (outcome.result != ProbeResult::pass && !is_held_) follows_end_ = false;
        co_return outcome;
    }

    asio::awaitable<void> watch(const ProbeContext& context,
                                std::function<void(Outcome)> report) override {
        using namespace asio::experimental::awaitable_operators;
        if (!hold_) co_return;
        const asio::any_io_executor executor = co_await asio::this_coro::executor;
        answered_.emplace(executor);
        Notice pause(executor);
        // An answer opens it, so that attempts set the pace.
        while (co_await answered_->wait()) {
            const TimePoint next = BootClock::now() + hold_again;
            failed_.emplace(executor);  // of an earlier connection
            is_held_ = true;
            std::optional<Outcome> end;
            co_await (hold(context, end) || failed_->wait());
            is_held_ = false;
            const auto state = co_await asio::this_coro::cancellation_state;
            if (state.cancelled() != asio::cancellation_type::none) co_return;
            if (end) report(std::move(*end));
            if (!co_await pause.wait(next - BootClock::now())) co_return;
        }
    }

private:
    asio::awaitable<Outcome> exchange(const ProbeContext& context) {
        auto socket = co_await connect(context, target_);
        if (!socket) co_return std::move(socket.error());
        if (!send_.empty()) {
            auto [error, count] =
                co_await asio::async_write(*socket, asio::buffer(send_), as_result);
            if (error) co_return from_error(error, "sending to " + target_.to_string(), target_);
            step(context, "sent " + std::to_string(count) + " octets");
        }
        // No conditional expression here: g++ 12 frees the result of a co_await inside one too
        // early.
        Outcome outcome = passed("connected to " + target_.to_string());
        if (!expect_.empty()) outcome = co_await find_expected(context, *socket);
        close_quietly(*socket);
        co_return outcome;
    }

    /// Opens a connection and waits for its end, which it leaves in `told`. That it could not be
    /// opened the attempts will tell, unless it follows one that ended: a server that dies may
    /// close its connections before it stops listening, and the attempt that its end asked for
    /// come in between.
    asio::awaitable<void> hold(const ProbeContext& context, std::optional<Outcome>& told) {
        const bool is_asked = std::exchange(follows_end_, false);
        auto socket = co_await connect(context, target_);
        if (!socket) {
            const auto state = co_await asio::this_coro::cancellation_state;
            const bool is_cut_short = state.cancelled() != asio::cancellation_type::none;
            if (is_asked && !is_cut_short) tell(std::move(socket.error()), told);
            co_return;
        }
        keep_alive(*socket);
        boost::system::error_code error;
        socket->set_option(asio::socket_base::receive_buffer_size(sink_size), error);
        std::array<char, sink_size> sink{};
        Notice pause(co_await asio::this_coro::executor);
        for (std::size_t count = 0;;) {
            std::tie(error, count) =
                co_await socket->async_read_some(asio::buffer(sink), as_result);
            if (error == asio::error::operation_aborted) co_return;
            if (error) break;
            // A server that talks without end takes no more of the loop than this.
            if (count == sink.size() && !co_await pause.wait(sink_pause)) co_return;
        }
        Outcome end = failed(target_.to_string() + " closed the held connection");
        if (error == asio::error::connection_reset) {
            end.reason = target_.to_string() + " reset the held connection";
        } else if (error != asio::error::eof) {
            end = from_error(error, "the held connection to " + target_.to_string(), target_);
        }
        follows_end_ = true;
        tell(std::move(end), told);
    }

    static void tell(Outcome what, std::optional<Outcome>& told) {
        what.started = what.finished = BootClock::now();
        told = std::move(what);
    }

    asio::awaitable<Outcome> find_expected(const ProbeContext& context, tcp::socket& socket) {
        std::string answer;
        for (;;) {
            const std::size_t seen = answer.size();
            answer.resize(std::min(answer_limit, seen + 4096));
            auto [error, count] = co_await socket.async_read_some(
                asio::buffer(answer.data() + seen, answer.size() - seen), as_result);
            answer.resize(seen + count);
            if (seen == 0 && count > 0) {
                step(context, "first " + std::to_string(count) + " octets of the answer");
            }
            // The text may have begun in the last bytes of the read before.
            const std::size_t from = seen - std::min(seen, expect_.size() - 1);
            if (answer.find(expect_, from) != std::string::npos) {
                co_return passed("answered with " + quoted(expect_));
            }
            if (error) co_return ended(error, answer);
            if (answer.size() == answer_limit) {
                co_return failed("the first 64 KiB of the answer do not contain " +
                                 quoted(expect_));
            }
        }
    }

    [[nodiscard]] Outcome ended(const boost::system::error_code& error,
                                const std::string& answer) const {
        const std::string got = answer.empty() ? "" : ", only " + quoted(answer);
        if (error == asio::error::eof) {
            return failed(target_.to_string() + " closed before sending " + quoted(expect_) + got);
        }
        return from_error(error,
                          "waiting for " + quoted(expect_) + " from " + target_.to_string() + got,
                          target_);
    }

    Endpoint target_;
    std::string send_;
    std::string expect_;
    bool hold_;
    bool is_held_ = false;
    bool follows_end_ = false;        ///< the one before ended, and no attempt has failed since
    std::optional<Notice> answered_;  ///< tells the watcher of an attempt that passed
    std::optional<Notice> failed_;    ///< and of one that did not, while one is held
};

bool holds(const FieldMap& values) {
    const auto* hold = get<bool>(values, "hold");
    return hold != nullptr && *hold;
}

Result<std::unique_ptr<Probe>, FieldFault> make(const FieldMap& values) {
    const Endpoint& target = *get<Endpoint>(values, "endpoint");
    if (const auto unusable = unusable_target(target.address)) {
        return fail(FieldFault{"endpoint", *unusable, "name the address that clients reach"});
    }
    if (target.port == 0) {
        return fail(FieldFault{"endpoint", "port 0 cannot be connected to", "1 to 65535"});
    }
    for (const std::string_view name : {"send", "expect"}) {
        const auto* text = get<std::string>(values, name);
        if (text == nullptr) continue;
        if (text->empty()) {
            return fail(FieldFault{std::string{name}, "is empty", "leave the key out"});
        }
        if (text->size() > answer_limit) {
            return fail(FieldFault{std::string{name}, "is longer than 64 KiB", ""});
        }
    }
    return std::make_unique<TcpProbe>(target, text_of(values, "send"), text_of(values, "expect"),
                                      holds(values));
}

bool expects_answer(const FieldMap& values) {
    return get<std::string>(values, "expect") != nullptr;
}

std::string caveat(const FieldMap& values) {
    if (expects_answer(values)) return "";
    return "a TCP connect alone proves little: the kernel completes it for a frozen process";
}

std::string target(const FieldMap& values) {
    return "tcp://" + get<Endpoint>(values, "endpoint")->to_string();
}

}  // namespace

ProbeType tcp_probe() {
    return {.name = "tcp",
            .help = "Connects to a TCP port, and optionally sends and expects text.",
            .fields = fields,
            .has_events = holds,
            .sees_hangs = expects_answer,
            .make = make,
            .caveat = caveat,
            .target = target};
}

}  // namespace swerve::health
