#include <doctest/doctest.h>
#include <signal.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <filesystem>

#include "health/probes/certificate.hpp"
#include "tests/probes/support.hpp"
#include "tests/probes/web.hpp"

using namespace swerve;
using namespace swerve::health;
using namespace swerve::health::testing;
using namespace std::chrono_literals;
namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

constexpr std::size_t limit = 64UZ * 1024;

const Certificates& certificates() {
    static const Certificates made;
    return made;
}

const Nginx& nginx() {
    static const Nginx running(certificates());
    return running;
}

FieldMap with_url(std::string url) { return {{"url", text(std::move(url))}}; }
FieldMap with_body(std::string url, std::string body) {
    FieldMap out = with_url(std::move(url));
    out["expect"] = {FieldMap{{"body", text(std::move(body))}}};
    return out;
}
FieldMap trusting(std::string url, std::string ca_file) {
    FieldMap out = with_url(std::move(url));
    out["tls"] = {FieldMap{{"ca_file", text(std::move(ca_file))}}};
    return out;
}
FieldMap insecurely(std::string url) {
    FieldMap out = with_url(std::move(url));
    out["tls"] = {FieldMap{{"insecure", {true}}}};
    return out;
}
std::string url_of(const Server& server, std::string_view scheme = "http") {
    return std::string{scheme} + "://" + server.endpoint().to_string() + "/";
}

/// What the probe makes of an answer, sent whole and octet by octet, which must not matter.
Outcome judged(const std::string& answer, const std::string& body = "") {
    Loop loop;
    Server whole(loop, says(answer));
    Server dripping(loop, drips(answer));
    const auto values = [&](const Server& server) {
        return body.empty() ? with_url(url_of(server)) : with_body(url_of(server), body);
    };
    const Outcome at_once = loop.attempt("http", values(whole));
    CHECK(loop.attempt("http", values(dripping)).result == at_once.result);
    return at_once;
}

asio::awaitable<void> say_for_ever(tcp::socket socket, std::string head, std::string chunk) {
    constexpr auto as_result = asio::as_tuple(asio::use_awaitable);
    auto [error, count] = co_await asio::async_write(socket, asio::buffer(head), as_result);
    while (!error) {
        std::tie(error, count) = co_await asio::async_write(socket, asio::buffer(chunk), as_result);
    }
}

Server::Serve without_end(std::string head, std::string chunk) {
    return [=](tcp::socket socket) { return say_for_ever(std::move(socket), head, chunk); };
}

}  // namespace

TEST_CASE("http: nginx passes, over IPv4 and IPv6") {
    Loop loop;
    for (const std::string& url : {nginx().url("/healthz"), nginx().url_v6("/healthz")}) {
        const Outcome outcome = loop.attempt("http", with_url(url));
        CHECK(outcome.result == ProbeResult::pass);
        CHECK(outcome.reason == "HTTP 200");
    }
}

TEST_CASE("http: the status decides") {
    Loop loop;
    Outcome outcome = loop.attempt("http", with_url(nginx().url("/broken")));
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == "HTTP 503 instead of 200");

    FieldMap values = with_url(nginx().url("/broken"));
    values["expect"] = {FieldMap{{"status", {std::vector<std::int64_t>{204, 503}}}}};
    CHECK(loop.attempt("http", values).reason == "HTTP 503");
    values["expect"] = {FieldMap{{"status", {std::vector<std::int64_t>{204, 502}}}}};
    CHECK(loop.attempt("http", values).reason == "HTTP 503 instead of 204 or 502");
}

TEST_CASE("http: redirects are named, not followed") {
    Loop loop;
    FieldMap values = with_url(nginx().url("/moved"));
    const Outcome outcome = loop.attempt("http", values);
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == "HTTP 302 instead of 200, redirects to '" + nginx().url("/healthz") +
                                "' are not followed");
    values["expect"] = {FieldMap{{"status", {std::vector<std::int64_t>{302}}}}};
    CHECK(loop.attempt("http", values).result == ProbeResult::pass);
}

TEST_CASE("http: the body is looked into, uncompressed") {
    Loop loop;
    Outcome outcome = loop.attempt("http", with_body(nginx().url("/healthz"), "is ok"));
    CHECK(outcome.result == ProbeResult::pass);
    CHECK(outcome.reason == "HTTP 200, body contains 'is ok'");
    outcome = loop.attempt("http", with_body(nginx().url("/healthz"), "is not"));
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == "HTTP 200, but the body does not contain 'is not'");
}

TEST_CASE("http: what the request says") {
    Loop loop;
    const std::string authority = nginx().url("").substr(7);
    FieldMap values = with_body(nginx().url("/request?a=1&b=%20"),
                                "127.0.0.1|" + authority + "|swerve|identity|a=1&b=%20||");
    CHECK(loop.attempt("http", values).reason.starts_with("HTTP 200, body contains"));
    values["host"] = text("portal.example:81");
    values["expect"] = {FieldMap{{"body", text("portal.example|portal.example:81|swerve|")}}};
    CHECK(loop.attempt("http", values).reason.starts_with("HTTP 200, body contains"));
}

TEST_CASE("http: a large answer is only looked into as far as 64 KiB") {
    Loop loop;
    CHECK(loop.attempt("http", with_url(nginx().url("/megabyte"))).result == ProbeResult::pass);
    const Outcome outcome = loop.attempt("http", with_body(nginx().url("/megabyte"), "end"));
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == "HTTP 200, but the first 64 KiB of the body do not contain 'end'");

    const std::string head = "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n";
    Server just(loop, says_and_stays(head + std::string(limit - 3, '.') + "end"));
    CHECK(loop.attempt("http", with_body(url_of(just), "end")).result == ProbeResult::pass);
    Server beyond(loop, says_and_stays(head + std::string(limit - 2, '.') + "end"));
    CHECK(loop.attempt("http", with_body(url_of(beyond), "end")).result == ProbeResult::fail);
}

TEST_CASE("http: bodies by length, by chunks and by close") {
    const std::string ok = "HTTP/1.1 200 OK\r\n";
    CHECK(judged(ok + "Content-Length: 4\r\n\r\nfine", "fine").result == ProbeResult::pass);
    CHECK(judged(ok + "Transfer-Encoding: chunked\r\n\r\n2\r\nfi\r\n2\r\nne\r\n0\r\n\r\n", "fine")
              .result == ProbeResult::pass);
    CHECK(judged(ok + "\r\nall is fine", "fine").result == ProbeResult::pass);
    CHECK(judged("HTTP/1.0 200 OK\n\nfine", "fine").result == ProbeResult::fail);

    Outcome outcome = judged(ok + "Content-Length: 5\r\n\r\nfin", "fine");
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason.find("closed after 3 bytes of the body, without 'fine'") !=
          std::string::npos);
    outcome = judged(ok + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", "fine");
    CHECK(outcome.reason == "not HTTP: bad chunk in the body");
    CHECK(judged(ok + "Content-Length: 0\r\n\r\n", "fine").result == ProbeResult::fail);
}

TEST_CASE("http: interim answers are passed over, up to a point") {
    const std::string interim = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n";
    const std::string ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    CHECK(judged(interim + "HTTP/1.1 100 Continue\r\n\r\n" + ok).result == ProbeResult::pass);
    Loop loop;
    Server endless(loop, without_end("", interim));
    CHECK(loop.attempt("http", with_url(url_of(endless))).reason == "HTTP 103 instead of 200");
}

TEST_CASE("http: lies") {
    Outcome outcome = judged("SSH-2.0-OpenSSH_9.2\r\n");
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == "not HTTP: bad version in 'SSH-2.0-OpenSSH_9.2\\x0d\\x0a'");
    CHECK(judged("").reason.ends_with(" closed without an answer"));
    CHECK(
        judged("HTTP/1.1 200 OK\r\nConte").reason.ends_with(" closed in the middle of the header"));
    CHECK(
        judged("HTTP/1.1 2x0 OK\r\n\r\n").reason.starts_with("not HTTP: bad status in 'HTTP/1.1"));
    CHECK(judged("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n")
              .reason.starts_with("not HTTP: bad Content-Length"));
    CHECK(judged(std::string("\x16\x03\x01\x00", 4)).result == ProbeResult::fail);
}

TEST_CASE("http: the header ends at 16 KiB") {
    Loop loop;
    const std::string head = "HTTP/1.1 200 OK\r\nX: ";
    const std::size_t limit_of_header = 16UZ * 1024;
    const std::string fits =
        head + std::string(limit_of_header - head.size() - 4, 'x') + "\r\n\r\n";
    REQUIRE(fits.size() == limit_of_header);
    CHECK(judged(fits).result == ProbeResult::pass);
    const std::string too_long = head + std::string(limit_of_header, 'x') + "\r\n\r\n";
    Server server(loop, says(too_long));
    CHECK(loop.attempt("http", with_url(url_of(server))).reason ==
          "the header from " + server.endpoint().to_string() + " is longer than 16 KiB");
    Server endless(loop, without_end(head, std::string(1000, 'x')));
    CHECK(loop.attempt("http", with_url(url_of(endless))).result == ProbeResult::fail);
}

TEST_CASE("http: a server that hangs is a fail at the deadline") {
    Loop loop;
    Server silent(loop, says_and_stays(""));
    Outcome outcome = loop.attempt("http", with_url(url_of(silent)), 80ms);
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason ==
          "no answer within 80ms, waiting for the header from " + silent.endpoint().to_string());
    CHECK(outcome.finished - outcome.started < 1s);

    Server halfway(loop, says_and_stays("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfin"));
    outcome = loop.attempt("http", with_body(url_of(halfway), "fine"), 80ms);
    CHECK(outcome.reason == "no answer within 80ms, with 3 bytes of the body from " +
                                halfway.endpoint().to_string() + ", without 'fine'");
    outcome = loop.attempt("http", insecurely(url_of(silent, "https")), 80ms);
    CHECK(outcome.reason ==
          "no answer within 80ms, in the TLS handshake with " + silent.endpoint().to_string());

    nginx().process().signal(SIGSTOP);
    outcome = loop.attempt("http", with_url(nginx().url("/healthz")), 80ms);
    nginx().process().signal(SIGCONT);
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(loop.attempt("http", with_url(nginx().url("/healthz"))).result == ProbeResult::pass);
}

TEST_CASE("https: chain and name are verified") {
    Loop loop;
    const std::string ca = certificates().file("ca.pem");
    CHECK(loop.attempt("http", with_url(nginx().tls_url("/healthz"))).reason == "HTTP 200");
    // The URL's own address, then the name in `host`.
    CHECK(loop.attempt("http", trusting(nginx().tls_url("/healthz"), ca)).reason == "HTTP 200");
    FieldMap values = trusting(nginx().tls_url("/request"), ca);
    values["host"] = text("portal.example:8443");
    values["expect"] = {FieldMap{{"body", text("|portal.example|")}}};
    const Outcome outcome = loop.attempt("http", values);
    CHECK(outcome.reason == "HTTP 200, body contains '|portal.example|'");
}

TEST_CASE("https: certificates that prove nothing") {
    Loop loop;
    const std::string ca = certificates().file("ca.pem");
    const std::string at = nginx().tls_url("").substr(8);
    FieldMap values = trusting(nginx().tls_url("/healthz"), ca);
    values["host"] = text("other.example");
    Outcome outcome = loop.attempt("http", values);
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason ==
          "certificate of " + at + " refused: hostname mismatch, it is not for 'other.example'");

    values["host"] = text("127.0.0.2");
    CHECK(loop.attempt("http", values).reason ==
          "certificate of " + at + " refused: IP address mismatch, it is not for '127.0.0.2'");

    const std::string other = certificates().file("other.pem");
    outcome = loop.attempt("http", trusting(nginx().tls_url("/healthz"), other));
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason ==
          "certificate of " + at + " refused: unable to get local issuer certificate");

    outcome = loop.attempt("http", trusting(nginx().expired_url("/"), ca));
    // What the clock says against a certificate counts only where the clock does.
    CHECK(outcome.result == (is_wall_clock_set() ? ProbeResult::fail : ProbeResult::unknown));
    CHECK(outcome.reason.contains("refused: certificate has expired"));

    CHECK(loop.attempt("http", insecurely(nginx().expired_url("/"))).result == ProbeResult::pass);
}

TEST_CASE("https: TLS 1.1, plain HTTP and garbage are no TLS") {
    Loop loop;
    Outcome outcome = loop.attempt("http", insecurely(nginx().old_tls_url("/")));
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason.find("TLS handshake with ") == 0);

    outcome = loop.attempt("http", insecurely("https" + nginx().url("/healthz").substr(4)));
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason.find("wrong version number") != std::string::npos);

    Server closing(loop, says(""));
    CHECK(loop.attempt("http", insecurely(url_of(closing, "https"))).reason ==
          closing.endpoint().to_string() + " closed during the TLS handshake");
}

TEST_CASE("https: a ca_file that cannot be used is unknown, and is tried again") {
    Loop loop;
    const TempDir dir;
    const std::string ca = dir.file("ca.pem");
    const auto probe = make_probe("http", trusting(nginx().tls_url("/healthz"), ca));
    Outcome outcome = loop.attempt(*probe);
    CHECK(outcome.result == ProbeResult::unknown);
    CHECK(outcome.reason == "ca_file " + ca + ": No such file or directory");
    dir.write("ca.pem", "nonsense");
    outcome = loop.attempt(*probe);
    CHECK(outcome.result == ProbeResult::unknown);
    CHECK(outcome.reason.starts_with("ca_file " + ca + " is no list of PEM certificates"));
    std::filesystem::copy_file(certificates().file("ca.pem"), ca,
                               std::filesystem::copy_options::overwrite_existing);
    CHECK(loop.attempt(*probe).result == ProbeResult::pass);
    CHECK(loop.attempt(*probe).result == ProbeResult::pass);
}

TEST_CASE("http: a target in owned that is no address of this host") {
    Loop loop;
    const Outcome outcome = loop.attempt("http", with_url("http://203.0.113.1/healthz"), 5s,
                                         {.owned = {*Prefix::parse("203.0.113.0/24")}});
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == "203.0.113.1: address not on this host");
}

TEST_CASE("http: URLs that make no probe") {
    const auto fault = [](std::string url) { return fault_of("http", with_url(std::move(url))); };
    CHECK(fault("http://portal.example/healthz") ==
          "url: 'portal.example' is a host name: host names are not in this version");
    CHECK(fault("http://010.0.0.1/") ==
          "url: '010.0.0.1' is a host name: host names are not in this version");
    CHECK(fault("198.51.100.1/healthz") == "url: '198.51.100.1/healthz' is not a URL");
    CHECK(fault("") == "url: '' is not a URL");
    CHECK(fault("http://198.51.100.1/a b") == "url: 'http://198.51.100.1/a b' is not a URL");
    CHECK(fault("ftp://198.51.100.1/") ==
          "url: 'ftp://198.51.100.1/' is neither http:// nor https://");
    CHECK(fault("http:///healthz") == "url: '' is not an IP address");
    CHECK(fault("http://0.0.0.0/") == "url: '0.0.0.0' is no address of a server");
    CHECK(fault("http://[fe80::1]/") == "url: 'fe80::1' is link-local and would need an interface");
    CHECK(fault("http://198.51.100.1:0/") == "url: '0' is not a port");
    CHECK(fault("http://198.51.100.1:65536/") == "url: '65536' is not a port");
    CHECK(fault("http://198.51.100.1:65535/") == "none");
    CHECK(fault("http://me:secret@198.51.100.1/") ==
          "url: a user name or password has no place in a URL");
    CHECK(fault("http://198.51.100.1/#top") == "url: a fragment is never sent to a server");
    CHECK(fault("http://198.51.100.1") == "none");
    CHECK(fault("https://[2001:db8::1]:8443/healthz?deep=1") == "none");
}

TEST_CASE("http: other values that make no probe") {
    FieldMap values = with_url("https://198.51.100.1/");
    for (const std::string bad :
         {"", "a b", "a\r\nX: y", "::1", "me@portal.example", "portal.example/x", "a:b:c",
          "portal.example.", ".portal.example", "portal..example"}) {
        values["host"] = text(bad);
        CHECK(fault_of("http", values).starts_with("host: "));
    }
    for (const std::string good : {"portal.example", "portal.example:8080", "[::1]", "[::1]:80"}) {
        values["host"] = text(good);
        CHECK(fault_of("http", values) == "none");
    }
    CHECK(fault_of("http", with_body("http://198.51.100.1/", "")) == "expect.body: is empty");
    values["expect"] = {FieldMap{{"status", {std::vector<std::int64_t>{}}}}};
    CHECK(fault_of("http", values) == "expect.status: is empty");
    values.erase("expect");
    values["tls"] = {FieldMap{{"insecure", {true}}, {"ca_file", text("/ca.pem")}}};
    CHECK(fault_of("http", values) == "tls: `ca_file` and `insecure` contradict each other");
    CHECK(fault_of("http", insecurely("http://198.51.100.1/")) ==
          "tls: means nothing for an http:// URL");
    // Defaults that the loader fills in say nothing.
    values = with_url("http://198.51.100.1/");
    values["tls"] = {FieldMap{{"insecure", {false}}}};
    CHECK(fault_of("http", values) == "none");
}

TEST_CASE("http: what explain and the tables say") {
    const ProbeType& type = *find_probe_type("http");
    CHECK(type.target(with_url("https://198.51.100.1/")) == "https://198.51.100.1/");
    CHECK(type.caveat(with_url("https://198.51.100.1/")).empty());
    CHECK(type.caveat(insecurely("https://198.51.100.1/"))
              .starts_with("the certificate is not verified"));
}
