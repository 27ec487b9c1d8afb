#include "tools/swervectl/client.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <deque>
#include <utility>

#include "swerve/base/escape.hpp"
#include "tools/swervectl/answer.hpp"
#include "tools/swervectl/faults.hpp"

namespace swerve::ctl {

namespace asio = boost::asio;
namespace http = boost::beast::http;
namespace json = boost::json;
using boost::system::error_code;
using Socket = asio::local::stream_protocol::socket;

namespace {

// A configuration with millions of prefixes is printed whole.
constexpr std::uint64_t body_limit = 1ULL << 30U;

Failure unreachable(const std::string& path, const error_code& why) {
    if (why == asio::error::access_denied) {
        return {Exit::unreachable, "permission_denied", "permission denied on " + path,
                "run as root or as a member of the socket's group"};
    }
    const bool nobody = why == boost::system::errc::no_such_file_or_directory ||
                        why == asio::error::connection_refused;
    return {Exit::unreachable, "unreachable",
            nobody ? "no daemon listens on " + path
                   : "cannot connect to " + path + " (" + why.message() + ")",
            "start it with `swerved FILE`, or name its socket with --socket or SWERVE_SOCKET"};
}

Outcome<Socket> connected(asio::io_context& context, const std::string& path) {
    if (path.empty() || path.size() > 107) {
        return fail(usage("'" + path + "' is no socket path (1 to 107 octets)"));
    }
    Socket socket{context};
    error_code why;
    (void)socket.connect(asio::local::stream_protocol::endpoint{path}, why);
    if (why) return fail(unreachable(path, why));
    return socket;
}

Failure broken(const error_code& why) {
    return {
        Exit::failed, "connection_lost",
        "the daemon closed the connection before its answer was complete (" + why.message() + ")",
        "its log says why"};
}

Failure not_understood(std::string_view body) {
    return {Exit::failed, "bad_answer",
            "the answer is no JSON object: '" + escape(body.substr(0, 80)) + "'",
            "is this the control socket of a swerved?"};
}

/// Runs one asynchronous operation to its end or to the deadline. The operation must not outlive
/// the call, so a late one is cancelled and reaped.
template <class Start>
Outcome<void> bounded(asio::io_context& context, Socket& socket, Start start,
                      std::chrono::seconds patience = Client::answer_within) {
    std::optional<error_code> result;
    start([&result](const error_code& why, std::size_t) { result = why; });
    context.restart();
    context.run_for(patience);
    if (!result) {
        error_code ignored;
        (void)socket.close(ignored);
        context.restart();
        context.run();
        return fail(Failure{Exit::failed, "no_answer",
                            fmt::format("the daemon gave no answer within {} s", patience.count()),
                            "it may be overloaded or stuck; its log says more"});
    }
    if (*result) return fail(broken(*result));
    return {};
}

Exit exit_of(std::string_view code) {
    struct Row {
        std::string_view code;
        Exit exit;
    };
    // docs/api.md has the same table.
    static constexpr std::array<Row, 10> rows{
        {{"bad_request", Exit::usage},
         {"not_found", Exit::usage},
         {"no_such_object", Exit::no_such_object},
         {"method_not_allowed", Exit::usage},
         {"refused", Exit::refused},
         {"invalid_configuration", Exit::invalid_configuration},
         {"not_applied", Exit::failed},
         {"too_large", Exit::usage},
         {"busy", Exit::failed},
         {"main_silent", Exit::failed}}};
    for (const Row& row : rows) {
        if (row.code == code) return row.exit;
    }
    return Exit::failed;
}

/// The command of this client that asks what a path of the API answers; empty: none does.
std::string command_for(std::string_view path) {
    static constexpr std::array<std::string_view, 9> shown{"neighbors", "bfd",    "services",
                                                           "checks",    "routes", "adj-out",
                                                           "failovers", "events", "config"};
    if (path == "status") return "`swervectl status`";
    const bool known = std::ranges::find(shown, path) != shown.end();
    return known ? fmt::format("`swervectl show {}`", path) : std::string{};
}

/// The daemon's hints speak of its API; here a command does the same.
std::string in_commands(std::string hint) {
    static constexpr std::string_view call = "GET /v1/";
    for (auto at = hint.find(call); at != std::string::npos; at = hint.find(call, at + 1)) {
        const auto start = at + call.size();
        const auto end = std::min(hint.find_first_of(" ;,", start), hint.size());
        const std::string command = command_for(std::string_view{hint}.substr(start, end - start));
        if (!command.empty()) hint.replace(at, end - at, command);
    }
    return hint;
}

Outcome<Reply> understood(unsigned status, std::string text) {
    error_code why;
    const json::value value = json::parse(text, why);
    if (why || !value.is_object()) return fail(not_understood(text));
    if (status < 400) return Reply{std::move(text), value.get_object()};
    const json::value* error = value.get_object().if_contains("error");
    if (error == nullptr || !error->is_object()) return fail(not_understood(text));
    const json::object& what = error->get_object();
    const std::string code = raw_at(what, "code");
    Failure out{exit_of(code), code, raw_at(what, "message"), in_commands(raw_at(what, "hint"))};
    out.faults = faults_from(what);
    return fail(std::move(out));
}

http::request<http::string_body> request_of(http::verb verb, const std::string& target) {
    http::request<http::string_body> request{verb, target, 11};
    request.set(http::field::host, "swerve");
    request.set(http::field::connection, "close");
    return request;
}

Outcome<Reply> exchange(const std::string& path, http::request<http::string_body> request,
                        std::chrono::seconds patience = Client::answer_within) {
    asio::io_context context;
    auto socket = connected(context, path);
    if (!socket) return fail(std::move(socket).error());
    request.prepare_payload();
    // A daemon that refuses early (busy, too large) answers without reading everything, so the
    // answer counts even when writing failed.
    const auto written = bounded(
        context, *socket, [&](auto done) { http::async_write(*socket, request, std::move(done)); });
    if (!written && written.error().code == "no_answer") return fail(written.error());
    boost::beast::flat_buffer buffer;
    http::response_parser<http::string_body> parser;
    parser.body_limit(body_limit);
    const auto read = bounded(
        context, *socket,
        [&](auto done) { http::async_read(*socket, buffer, parser, std::move(done)); }, patience);
    if (!read) return fail(read.error());
    return understood(parser.get().result_int(), std::move(parser.get().body()));
}

}  // namespace

struct EventStream::Parts {
    /// First, so that it goes last: a read that is pending at the end is destroyed with it, unrun.
    asio::io_context context;
    Socket socket{context};
    boost::beast::flat_buffer buffer;
    http::response_parser<http::string_body> parser;
    std::string partial;
    std::deque<std::string> lines;
    std::optional<error_code> ended;

    void take_lines() {
        partial += std::exchange(parser.get().body(), {});
        for (auto end = partial.find('\n'); end != std::string::npos; end = partial.find('\n')) {
            if (end > 0) lines.push_back(partial.substr(0, end));
            partial.erase(0, end + 1);
        }
    }

    void read_on() {
        http::async_read_some(socket, buffer, parser, [this](const error_code& why, std::size_t) {
            take_lines();
            if (why || parser.is_done()) {
                ended = why;
            } else {
                read_on();
            }
        });
    }
};

EventStream::EventStream(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
EventStream::EventStream(EventStream&&) noexcept = default;

EventStream& EventStream::operator=(EventStream&& other) noexcept {
    std::swap(parts_, other.parts_);
    return *this;
}
EventStream::~EventStream() = default;

Outcome<std::optional<std::string>> EventStream::next(
    std::optional<std::chrono::milliseconds> patience) {
    using Clock = std::chrono::steady_clock;
    const auto until = Clock::now() + patience.value_or(std::chrono::hours{24 * 365});
    while (parts_->lines.empty() && !parts_->ended && Clock::now() < until) {
        parts_->context.restart();
        parts_->context.run_one_until(until);
    }
    if (!parts_->lines.empty()) {
        std::string line = std::move(parts_->lines.front());
        parts_->lines.pop_front();
        return line;
    }
    if (!parts_->ended) return std::optional<std::string>{};
    return fail(Failure{Exit::failed, "stream_ended",
                        "the daemon ended the event stream: it stopped, or this client was too "
                        "slow to read",
                        ""});
}

Outcome<Reply> Client::get(const std::string& target) const {
    return exchange(socket_, request_of(http::verb::get, target));
}

Outcome<Reply> Client::post(const std::string& target, const json::object& body,
                            std::chrono::seconds patience) const {
    auto request = request_of(http::verb::post, target);
    request.set(http::field::content_type, "application/json");
    request.body() = json::serialize(body);
    return exchange(socket_, std::move(request), patience);
}

Outcome<EventStream> Client::follow(std::optional<std::uint64_t> since) const {
    auto parts = std::make_unique<EventStream::Parts>();
    auto socket = connected(parts->context, socket_);
    if (!socket) return fail(std::move(socket).error());
    parts->socket = std::move(*socket);
    parts->parser.body_limit(boost::none);
    const auto request = request_of(
        http::verb::get, "/v1/events?follow=1" + (since ? "&since=" + std::to_string(*since) : ""));
    const auto written = bounded(parts->context, parts->socket, [&](auto done) {
        http::async_write(parts->socket, request, std::move(done));
    });
    if (!written && written.error().code == "no_answer") return fail(written.error());
    const auto head = bounded(parts->context, parts->socket, [&](auto done) {
        http::async_read_header(parts->socket, parts->buffer, parts->parser, std::move(done));
    });
    if (!head) return fail(head.error());
    if (parts->parser.get().result_int() >= 400) {
        const auto rest = bounded(parts->context, parts->socket, [&](auto done) {
            http::async_read(parts->socket, parts->buffer, parts->parser, std::move(done));
        });
        if (!rest) return fail(rest.error());
        auto answer = understood(parts->parser.get().result_int(), parts->parser.get().body());
        return fail(answer ? not_understood(answer->text) : answer.error());
    }
    parts->read_on();
    return EventStream{std::move(parts)};
}

std::string percent_encoded(std::string_view text) {
    static constexpr std::string_view hex = "0123456789ABCDEF";
    static constexpr std::string_view unreserved =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    std::string out;
    for (const char c : text) {
        if (unreserved.find(c) != std::string_view::npos) {
            out += c;
        } else {
            const auto octet = static_cast<unsigned char>(c);
            out += {'%', hex[octet >> 4U], hex[octet & 0xfU]};
        }
    }
    return out;
}

}  // namespace swerve::ctl
