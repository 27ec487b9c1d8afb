#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <memory>
#include <optional>
#include <string>
#include <utility>

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
};

std::string text_of(const FieldMap& values, std::string_view name) {
    const auto* text = get<std::string>(values, name);
    return text == nullptr ? std::string{} : *text;
}

class TcpProbe final : public Probe {
public:
    TcpProbe(Endpoint target, std::string send, std::string expect)
        : target_(target), send_(std::move(send)), expect_(std::move(expect)) {}

    asio::awaitable<Outcome> run(const ProbeContext& context, TimePoint /*deadline*/) override {
        auto socket = co_await connect(context, target_);
        if (!socket) co_return std::move(socket.error());
        if (!send_.empty()) {
            auto [error, count] =
                co_await asio::async_write(*socket, asio::buffer(send_), as_result);
            if (error) co_return from_error(error, "sending to " + target_.to_string(), target_);
        }
        // No conditional expression here: g++ 12 frees the result of a co_await inside one too
        // early.
        Outcome outcome = passed("connected to " + target_.to_string());
        if (!expect_.empty()) outcome = co_await find_expected(*socket);
        close_quietly(*socket);
        co_return outcome;
    }

private:
    asio::awaitable<Outcome> find_expected(tcp::socket& socket) {
        std::string answer;
        for (;;) {
            const std::size_t seen = answer.size();
            answer.resize(std::min(answer_limit, seen + 4096));
            auto [error, count] = co_await socket.async_read_some(
                asio::buffer(answer.data() + seen, answer.size() - seen), as_result);
            answer.resize(seen + count);
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
};

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
    return std::make_unique<TcpProbe>(target, text_of(values, "send"), text_of(values, "expect"));
}

std::string caveat(const FieldMap& values) {
    if (get<std::string>(values, "expect") != nullptr) return "";
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
            .has_events = sees_no_events,
            .make = make,
            .caveat = caveat,
            .target = target};
}

}  // namespace swerve::health
