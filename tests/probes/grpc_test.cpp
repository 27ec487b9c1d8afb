#include <doctest/doctest.h>
#include <fmt/format.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/socket_base.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <memory>

#include "health/probes/grpc_health.hpp"
#include "tests/probes/freeze.hpp"
#include "tests/probes/support.hpp"
#include "tests/probes/web.hpp"
#include "tests/support/skipped.hpp"

using namespace swerve;
using namespace swerve::health;
using namespace swerve::health::testing;
using namespace std::chrono_literals;
using namespace std::string_literals;
namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

const Certificates& certificates() {
    static const Certificates made;
    return made;
}

FieldMap at(const Endpoint& endpoint, const std::string& service = "") {
    FieldMap out{{"endpoint", {endpoint}}};
    if (!service.empty()) out["service"] = text(service);
    return out;
}

FieldMap trusting(FieldMap values, std::string_view authority) {
    values["tls"] = {
        FieldMap{{"enabled", {true}}, {"ca_file", text(certificates().file(authority))}}};
    return values;
}

/// A real etcd of one member, which has the health service of gRPC.
class Etcd {
public:
    explicit Etcd(bool is_tls) {
        const std::string url = fmt::format("{}://127.0.0.1:{}", is_tls ? "https" : "http", port_);
        const std::string peer = fmt::format("http://127.0.0.1:{}", free_port());
        std::vector<std::string> command{"/usr/bin/etcd",
                                         "--data-dir",
                                         dir_.file("data"),
                                         "--listen-client-urls",
                                         url,
                                         "--advertise-client-urls",
                                         url,
                                         "--listen-peer-urls",
                                         peer,
                                         "--initial-advertise-peer-urls",
                                         peer,
                                         "--initial-cluster",
                                         "default=" + peer};
        if (is_tls) {
            command.insert(command.end(), {"--cert-file", certificates().file("good.pem"),
                                           "--key-file", certificates().file("good.key")});
        }
        process_ = std::make_unique<Child>(command);
    }

    static bool is_there() {
        const bool there = ::access("/usr/bin/etcd", X_OK) == 0;
        if (!there) swerve::testing::skipped("needs etcd (package etcd-server)");
        return there;
    }

    [[nodiscard]] Endpoint endpoint() const { return {Address::v4(0x7f000001), port_}; }
    [[nodiscard]] const Child& process() const { return *process_; }

private:
    TempDir dir_;
    std::uint16_t port_ = free_port();
    std::unique_ptr<Child> process_;
};

/// Attempts until it passes, for etcd needs a second to elect itself; the last outcome.
Outcome comes_to_pass(Loop& loop, const FieldMap& values) {
    const auto probe = make_probe("grpc", values);
    Outcome outcome;
    for (int tries = 0; tries < 3 && outcome.result != ProbeResult::pass; ++tries) {
        loop.run_until([&] {
            outcome = loop.attempt(*probe);
            return outcome.result == ProbeResult::pass;
        });
    }
    return outcome;
}

// What a stand-in says, in frames of RFC 9113 §4.1.
enum Type : std::uint8_t {
    data = 0,
    headers = 1,
    rst_stream = 3,
    settings = 4,
    push_promise = 5,
    ping = 6,
    goaway = 7,
    continuation = 9
};
constexpr std::uint8_t end_stream = 1;
constexpr std::uint8_t end_headers = 4;

std::string frame(Type type, std::uint8_t flags, std::uint8_t stream, std::string_view payload) {
    std::string out;
    for (const unsigned shift : {16U, 8U, 0U}) out += static_cast<char>(payload.size() >> shift);
    out += {static_cast<char>(type), static_cast<char>(flags), 0, 0, 0, static_cast<char>(stream)};
    return out + std::string{payload};
}

/// RFC 7541 §6.2.2: a literal that nobody has to remember; both at most 126 octets.
std::string field(const std::string& name, const std::string& value) {
    return "\0"s + static_cast<char>(name.size()) + name + static_cast<char>(value.size()) + value;
}

const std::string hello = frame(settings, 0, 0, "");
const std::string status_200 = "\x88";
const std::string grpc_header = status_200 + field("content-type", "application/grpc");

std::string message(std::string_view protobuf) {
    return "\0\0\0\0"s + static_cast<char>(protobuf.size()) + std::string{protobuf};
}

/// A whole answer, as gRPC has it: header, message, trailer.
std::string answer(std::string_view protobuf, const std::string& status = "0") {
    return hello + frame(headers, end_headers, 1, grpc_header) +
           frame(data, 0, 1, message(protobuf)) +
           frame(headers, end_headers | end_stream, 1, field("grpc-status", status));
}
/// One with a trailer alone, as gRPC has it for errors.
std::string trailers_only(const std::string& fields) {
    return hello + frame(headers, end_headers | end_stream, 1, grpc_header + fields);
}

/// What the probe makes of a stand-in that says this, whole and octet by octet, which must not
/// matter.
Outcome judged(const std::string& octets) {
    Loop loop;
    Server whole(loop, says(octets));
    const Outcome outcome = loop.attempt("grpc", at(whole.endpoint(), "portal"));
    if (octets.size() < 1000) {
        Server dripping(loop, drips(octets));
        CHECK(loop.attempt("grpc", at(dripping.endpoint(), "portal")).result == outcome.result);
    }
    return outcome;
}

asio::awaitable<void> say_for_ever(tcp::socket socket, std::string head, std::string again) {
    constexpr auto as_result = asio::as_tuple(asio::use_awaitable);
    auto [error, count] = co_await asio::async_write(socket, asio::buffer(head), as_result);
    while (!error) {
        std::tie(error, count) = co_await asio::async_write(socket, asio::buffer(again), as_result);
    }
}

/// … that says `head`, and then `again` without end. It must not take until the deadline.
Outcome judged_endless(const std::string& head, const std::string& again) {
    Loop loop;
    Server server(loop,
                  [&](tcp::socket socket) { return say_for_ever(std::move(socket), head, again); });
    return loop.attempt("grpc", at(server.endpoint()), 30s);
}

}  // namespace

TEST_CASE("grpc: the health of etcd, in plain and over TLS") {
    if (!Etcd::is_there()) return;
    Loop loop;
    const Etcd plain(false);
    const Etcd secure(true);
    Outcome outcome = comes_to_pass(loop, at(plain.endpoint()));
    CHECK(outcome.result == ProbeResult::pass);
    CHECK(outcome.reason == "server is SERVING");
    outcome = loop.attempt("grpc", at(plain.endpoint(), "nope"));
    CHECK(outcome.result == ProbeResult::unknown);
    CHECK(outcome.reason ==
          plain.endpoint().to_string() + " knows no service 'nope': 'unknown service'");

    outcome = comes_to_pass(loop, trusting(at(secure.endpoint()), "ca.pem"));
    CHECK(outcome.result == ProbeResult::pass);
    CHECK(outcome.reason == "server is SERVING");
    FieldMap named = trusting(at(secure.endpoint()), "ca.pem");
    named["host"] = text("portal.example");
    CHECK(loop.attempt("grpc", named).result == ProbeResult::pass);
    named["host"] = text("other.example");
    CHECK(loop.attempt("grpc", named).reason.find("certificate") != std::string::npos);
    CHECK(loop.attempt("grpc", trusting(at(secure.endpoint()), "other.pem")).result !=
          ProbeResult::pass);
    CHECK(loop.attempt("grpc", at(secure.endpoint())).result != ProbeResult::pass);

    freeze(plain.process());
    outcome = loop.attempt("grpc", at(plain.endpoint()), 80ms);
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason ==
          "no answer within 80ms, waiting for grpc.health.v1 of " + plain.endpoint().to_string());
    plain.process().kill();
    outcome = comes_to_pass(loop, trusting(at(secure.endpoint()), "ca.pem"));
    CHECK(outcome.result == ProbeResult::pass);
}

TEST_CASE("grpc: a server of HTTP over TLS without HTTP/2") {
    Loop loop;
    const Nginx nginx(certificates());
    const std::string url = nginx.tls_url("");
    const Endpoint endpoint = *Endpoint::parse(url.substr(std::string{"https://"}.size()));
    Outcome outcome = loop.attempt("grpc", trusting(at(endpoint), "ca.pem"));
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason.find("no application protocol") != std::string::npos);
    const std::string plain = nginx.url("").substr(std::string{"http://"}.size());
    CHECK(loop.attempt("grpc", at(*Endpoint::parse(plain)))
              .reason.ends_with(" does not speak gRPC: HTTP/1 instead of HTTP/2"));
    // One that does not know of ALPN at all.
    const Endpoint ancient{Address::v4(0x7f000001), free_port()};
    const Child server({"openssl", "s_server", "-www", "-accept", ancient.to_string(), "-cert",
                        certificates().file("good.pem"), "-key", certificates().file("good.key")});
    const auto probe = make_probe("grpc", trusting(at(ancient), "ca.pem"));
    CHECK(loop.run_until([&] {
        outcome = loop.attempt(*probe);
        return outcome.result == ProbeResult::unknown;
    }));
    CHECK(outcome.reason.ends_with(" does not agree on HTTP/2 in its TLS handshake (ALPN)"));
}

TEST_CASE("grpc: each status that a stand-in may have") {
    CHECK(judged(answer("\x08\x01")).reason == "'portal' is SERVING");
    CHECK(judged(answer("\x08\x02")).reason == "'portal' is NOT_SERVING");
    CHECK(judged(answer("\x08\x02")).result == ProbeResult::fail);
    CHECK(judged(answer("")).reason == "'portal' is UNKNOWN to its server");
    CHECK(judged(answer("\x08\x00"s)).result == ProbeResult::fail);
    CHECK(judged(answer("\x08\x03")).result == ProbeResult::unknown);
    CHECK(judged(answer("\x08\x04")).reason ==
          "'portal' has a status that this version does not know: 4");
    CHECK(judged(answer("\x08\x02\x12\x01x\x08\x01")).result == ProbeResult::pass);
    CHECK(judged(answer("\x08")).result == ProbeResult::unknown);
    CHECK(judged(answer("\x08\x01", "14")).result == ProbeResult::fail);
    CHECK(judged(answer("\x08\x01", "zero")).result == ProbeResult::fail);
}

TEST_CASE("grpc: answers without a message") {
    const auto with_status = [](const std::string& status) {
        return judged(trailers_only(field("grpc-status", status) + field("grpc-message", "a\x1b")));
    };
    CHECK(with_status("5").result == ProbeResult::unknown);
    CHECK(with_status("12").result == ProbeResult::unknown);
    CHECK(with_status("7").result == ProbeResult::unknown);
    CHECK(with_status("16").result == ProbeResult::unknown);
    CHECK(with_status("14").result == ProbeResult::fail);
    CHECK(with_status("8").result == ProbeResult::fail);
    CHECK(judged(trailers_only(field("grpc-status", "12")))
              .reason.ends_with(" has no grpc.health.v1"));
    CHECK(judged(trailers_only(field("grpc-status", "0")))
              .reason.ends_with(" answers with no message"));
    CHECK(judged(trailers_only("")).reason.ends_with(" ended its answer without a grpc-status"));
}

TEST_CASE("grpc: what stands before the server answers in its place") {
    const auto http = [](const std::string& status) {
        return judged(hello +
                      frame(headers, end_headers | end_stream, 1, field(":status", status)));
    };
    CHECK(http("503").result == ProbeResult::fail);
    CHECK(http("503").reason.ends_with(" answers HTTP 503 instead of gRPC"));
    CHECK(http("502").result == ProbeResult::fail);
    CHECK(http("403").result == ProbeResult::unknown);
    CHECK(http("404").result == ProbeResult::unknown);
    const Outcome page = judged(
        hello + frame(headers, end_headers, 1, status_200 + field("content-type", "text/html")) +
        frame(data, end_stream, 1, "<html>"));
    CHECK(page.result == ProbeResult::unknown);
    CHECK(page.reason.ends_with(" answers with 'text/html' instead of application/grpc"));
    // Interim answers may come first (RFC 9110 §15.2).
    CHECK(judged(hello + frame(headers, end_headers, 1, field(":status", "103")) +
                 answer("\x08\x01").substr(hello.size()))
              .result == ProbeResult::pass);
}

TEST_CASE("grpc: stand-ins that end early") {
    CHECK(judged("").reason.ends_with(" closed without an answer"));
    CHECK(judged(hello).result == ProbeResult::fail);
    CHECK(judged(hello + frame(headers, end_headers, 1, grpc_header))
              .reason.ends_with(" closed without an answer, header received"));
    const std::string no_error(4, '\0');
    CHECK(judged(hello + frame(goaway, 0, 0, no_error + no_error))
              .reason.ends_with(" is shutting down (GOAWAY without an answer)"));
    const Outcome refused = judged(hello + frame(rst_stream, 0, 1, "\0\0\0\x07"s));
    CHECK(refused.result == ProbeResult::fail);
    CHECK(refused.reason.ends_with(" broke the call off with HTTP/2 error 7"));

    Loop loop;
    Server resetting(loop, [](tcp::socket socket) -> asio::awaitable<void> {
        socket.set_option(asio::socket_base::linger(true, 0));
        socket.close();
        co_return;
    });
    CHECK(loop.attempt("grpc", at(resetting.endpoint())).result == ProbeResult::fail);
    for (const std::string& begun :
         {""s, hello, hello + frame(headers, end_headers, 1, grpc_header)}) {
        Server hanging(loop, says_and_stays(begun));
        const Outcome outcome = loop.attempt("grpc", at(hanging.endpoint()), 80ms);
        CHECK(outcome.result == ProbeResult::fail);
        CHECK(outcome.reason.starts_with("no answer within 80ms, waiting for grpc.health.v1 of "));
    }
}

TEST_CASE("grpc: hostile stand-ins") {
    const auto is_unknown = [](const Outcome& outcome, std::string_view why) {
        INFO(outcome.reason);
        CHECK(outcome.result == ProbeResult::unknown);
        CHECK(outcome.reason.find(why) != std::string::npos);
        CHECK(outcome.finished - outcome.started < 10s);
    };
    is_unknown(judged("HTTP/1.1 400 Bad Request\r\n\r\n"), "HTTP/1 instead of HTTP/2");
    is_unknown(judged(std::string(100, '\xff')), "does not speak gRPC");
    is_unknown(judged(hello + frame(settings, 1, 0, "") +
                      frame(push_promise, end_headers, 1, "\0\0\0\x02"s + grpc_header)),
               "does not speak gRPC");
    is_unknown(judged(hello + frame(headers, end_headers, 1, "\xff\xff\xff\xff\xff\xff")),
               "does not speak gRPC");
    // A length above what is allowed without being asked.
    is_unknown(judged(hello + "\xff\xff\xff\x00\x00\x00\x00\x00\x01"s), "does not speak gRPC");
    is_unknown(judged(hello + frame(headers, end_headers, 1, grpc_header) +
                      frame(data, 0, 1, "\x01\0\0\0\x02\x08\x01"s) +
                      frame(headers, end_headers | end_stream, 1, field("grpc-status", "0"))),
               "a compressed message, though it was told not to");
    is_unknown(judged(hello + frame(headers, end_headers, 1, grpc_header) +
                      frame(data, 0, 1, std::string(5000, 'x'))),
               "an answer longer than 4 KiB");
    // A kilobyte that is remembered once and repeated for an octet each time (RFC 7541 §6.1).
    const std::string bomb = "\x40\x01x\x7f\x81\x07"s + std::string(1024, 'y');
    is_unknown(judged(hello + frame(headers, end_headers, 1,
                                    status_200 + bomb + std::string(10'000, '\xbe'))),
               "a header longer than 16 KiB");
    is_unknown(judged_endless(hello + frame(headers, 0, 1, grpc_header),
                              frame(continuation, 0, 1, field("x", "y"))),
               "CONTINUATION");
    is_unknown(judged_endless(hello, frame(settings, 0, 0, "")), "does not speak gRPC");
    is_unknown(judged_endless(hello, frame(ping, 0, 0, "12345678")), "does not speak gRPC");
    is_unknown(judged_endless(hello, frame(ping, 1, 0, "12345678")), "more than 64 KiB");
    is_unknown(
        judged_endless(hello + frame(headers, end_headers, 1, grpc_header), frame(data, 0, 1, "")),
        "more than 64 KiB");
}

TEST_CASE("grpc: a header as long as it may be, and an octet longer") {
    // What each field counts for (RFC 9113 §6.5.2): 146 for those of an answer, 159 for each of
    // these, and 66 for the two that fill up to 16 KiB.
    std::string most = grpc_header;
    for (int i = 0; i < 101; ++i) most += field("x", std::string(126, 'y'));
    most += field("x", std::string(100, 'y'));
    const auto with = [&](std::size_t last) {
        return judged(hello +
                      frame(headers, end_headers, 1, most + field("x", std::string(last, 'y'))) +
                      frame(data, 0, 1, message("\x08\x01")) +
                      frame(headers, end_headers | end_stream, 1, field("grpc-status", "0")));
    };
    CHECK(with(13).result == ProbeResult::pass);
    CHECK(with(14).result == ProbeResult::unknown);
}

TEST_CASE("grpc: the messages of the health service") {
    CHECK(health_request("") == "\0\0\0\0\0"s);
    CHECK(health_request("nope") == "\0\0\0\0\x06\x0a\x04nope"s);
    const std::string longest(255, 's');
    CHECK(health_request(longest) == "\0\0\0\x01\x02\x0a\xff\x01"s + longest);
    CHECK(serving_status(message("\x08\x01")) == ServingStatus::serving);
    CHECK(serving_status(message("\x08\x81\x80\x80\x80\x80\x80\x80\x80\x80\x00"s)) ==
          ServingStatus::serving);
    CHECK_FALSE(serving_status(message("\x08\x81\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"s)));
    CHECK(serving_status(message("\x11"
                                 "12345678\x1d"
                                 "1234\x22\x02xy\x08\x02")) == ServingStatus::not_serving);
    CHECK_FALSE(
        serving_status(message("\x11"
                               "1234567")));
    CHECK_FALSE(serving_status(message("\x22\x05xy")));
    CHECK_FALSE(serving_status(message("\x0b\x0c")));
    CHECK_FALSE(serving_status(message("\x00\x00"s)));
    CHECK_FALSE(serving_status(""));
    CHECK_FALSE(serving_status("\0\0\0\0\x01"s));
    CHECK_FALSE(serving_status("\0\0\0\0\0x"s));
    CHECK(serving_status("\x01\0\0\0\0"s).error() ==
          "a compressed message, though it was told not to");
}

TEST_CASE("grpc: values that make no probe") {
    const Endpoint endpoint = *Endpoint::parse("[2001:db8::1]:50051");
    CHECK(fault_of("grpc", at(endpoint)) == "none");
    CHECK(fault_of("grpc", at(*Endpoint::parse("0.0.0.0:1"))) ==
          "endpoint: '0.0.0.0' is no address of a server");
    CHECK(fault_of("grpc", at(endpoint, "a\nb")) == "service: 'a\\x0ab' is no name of a service");
    CHECK(fault_of("grpc", at(endpoint, std::string(255, 's'))) == "none");
    CHECK(fault_of("grpc", at(endpoint, std::string(256, 's'))).starts_with("service: "));
    FieldMap values = at(endpoint);
    values["host"] = text("a b");
    CHECK(fault_of("grpc", values) == "host: 'a b' is not a name of a server");
    const ProbeType& type = *find_probe_type("grpc");
    CHECK(type.target(at(endpoint)) == "grpc://[2001:db8::1]:50051");
    CHECK(type.target(at(endpoint, "portal")) == "grpc://[2001:db8::1]:50051/portal");
}
