#include <doctest/doctest.h>
#include <sys/stat.h>

#include <optional>

#include "health/probes/http_client.hpp"
#include "health/probes/secret.hpp"
#include "tests/probes/pki.hpp"
#include "tests/support/skipped.hpp"

using namespace swerve;
using namespace swerve::health;
using namespace swerve::health::testing;
using namespace std::chrono_literals;

namespace {

const Pki& pki() {
    static const Pki made = [] { return Pki(); }();
    return made;
}

const Haproxy* haproxy() {
    static const std::unique_ptr<Haproxy> running = [] {
        pki().issue({.file = "site",
                     .common_name = "portal.example",
                     .names = "DNS:portal.example,IP:127.0.0.1",
                     .signer = "ca"});
        pki().issue({.file = "client", .common_name = "probe of fra1", .signer = "ca"});
        pki().issue({.file = "stranger", .common_name = "stranger"});
        pki().join("haproxy.pem", {"site.pem", "site.key"});
        return Haproxy::start(pki());
    }();
    if (!running) swerve::testing::skipped("needs haproxy");
    return running.get();
}

FieldMap with_url(std::string url) { return {{"url", text(std::move(url))}}; }
FieldMap as_client(std::string url, const std::string& certificate) {
    FieldMap tls{{"ca_file", text(pki().file("ca.pem"))}};
    if (!certificate.empty()) {
        tls["certificate_file"] = text(pki().file(certificate + ".pem"));
        tls["key_file"] = text(pki().file(certificate + ".key"));
    }
    FieldMap out = with_url(std::move(url));
    out["tls"] = {std::move(tls)};
    return out;
}

std::string secret(const TempDir& dir, std::string_view text, ::mode_t mode = 0600) {
    const std::string path = dir.write("secret", text);
    ::chmod(path.c_str(), mode);
    return path;
}

}  // namespace

TEST_CASE("secret: one line of printable characters, for its owner and group alone") {
    const TempDir dir;
    const auto read = [&](std::string_view text, ::mode_t mode = 0600) {
        const auto value = read_secret(secret(dir, text, mode));
        return value ? *value : value.error().substr(dir.file("secret").size());
    };
    CHECK(read("s3cret\n") == "s3cret");
    CHECK(read("s3cret") == "s3cret");
    CHECK(read("two words \r\n", 0440) == "two words ");
    CHECK(read("gr\xc3\xbc\xc3\x9f"
               "e\n",
               0640) ==
          "gr\xc3\xbc\xc3\x9f"
          "e");
    CHECK(read(std::string(4096, 'x') + "\n").size() == 4096);
    CHECK(read(std::string(4097, 'x')) == ": is longer than 4096 octets");
    CHECK(read(std::string(9999, 'x')) == ": is longer than 4096 octets");
    CHECK(read("") == ": is empty");
    CHECK(read("\n") == ": is empty");
    CHECK(read("one\ntwo\n") == ": has more than one line");
    CHECK(read("one\n\n") == ": has more than one line");
    CHECK(read("a\x01"
               "b") == ": holds characters that cannot be printed");
    CHECK(read(std::string_view("a\0b", 3)) == ": holds characters that cannot be printed");
    CHECK(read("a\xff") == ": holds characters that cannot be printed");
    const std::string open = ": everybody has access to it, make its mode 0640 or less";
    CHECK(read("s3cret\n", 0644) == open);
    CHECK(read("s3cret\n", 0601) == open);
    CHECK(read_secret(dir.file("none")).error() ==
          dir.file("none") + ": No such file or directory");
    CHECK(read_secret("/dev/zero").error() == "/dev/zero: not a regular file");
}

TEST_CASE("http: a user and a password for HAProxy, read at every attempt") {
    if (haproxy() == nullptr) return;
    Loop loop;
    const TempDir dir;
    FieldMap values = with_url(haproxy()->url("/private"));
    CHECK(loop.attempt("http", values).reason ==
          "HTTP 401 instead of 200, the server wants other credentials");
    CHECK(loop.attempt("http", values).result == ProbeResult::fail);
    values["username"] = text("swerve");
    values["password_file"] = text(secret(dir, "s3cret\n"));
    const auto probe = make_probe("http", values);
    CHECK(loop.attempt(*probe).reason == "HTTP 200");
    secret(dir, "guess\n");
    const Outcome outcome = loop.attempt(*probe);
    CHECK(outcome.result == ProbeResult::unknown);
    CHECK(outcome.reason == "HTTP 401 instead of 200, the server wants other credentials");
    secret(dir, "s3cret\n", 0644);
    CHECK(loop.attempt(*probe).result == ProbeResult::unknown);
    CHECK(loop.attempt(*probe).reason.starts_with("password_file " + dir.file("secret")));
    secret(dir, "s3cret\n");
    CHECK(loop.attempt(*probe).result == ProbeResult::pass);
}

TEST_CASE("http: a bearer token for HAProxy") {
    if (haproxy() == nullptr) return;
    Loop loop;
    const TempDir dir;
    FieldMap values = with_url(haproxy()->url("/bearer"));
    values["token_file"] = text(secret(dir, "t0ken\n"));
    // Let through to where nobody serves: a dead backend is the site's fault.
    CHECK(loop.attempt("http", values).reason == "HTTP 503 instead of 200");
    secret(dir, "another\n");
    CHECK(loop.attempt("http", values).result == ProbeResult::unknown);
}

TEST_CASE("http: a secret is in no reason, step or target") {
    if (haproxy() == nullptr) return;
    Loop loop;
    const TempDir dir;
    std::string said;
    const ProbeContext context{.owned = {},
                               .step = [&said](const std::string& step) { said += step + "\n"; }};
    for (const std::string secret_text : {"s3cret", "hunter2-is-no-password"}) {
        FieldMap values = with_url(haproxy()->url("/private"));
        values["username"] = text("swerve");
        values["password_file"] = text(secret(dir, secret_text + "\n"));
        said += loop.attempt("http", values, 5s, context).reason;
        said += find_probe_type("http")->target(values);
        CHECK_FALSE(said.contains(secret_text));
        // Of "swerve:s3cret" in base64.
        CHECK_FALSE(said.contains("c3dlcnZl"));
    }
    CHECK(said.contains("sent the request"));
}

TEST_CASE("http: what a server repeats of a secret is in no reason") {
    Loop loop;
    const TempDir dir;
    const auto reason = [&](std::string_view probe, const std::string& token,
                            const std::string& answer, FieldMap values) {
        Server echoing(loop, says("HTTP/1.1 " + answer));
        values["url"] = text("http://" + echoing.endpoint().to_string() + "/");
        values["token_file"] = text(secret(dir, token + "\n"));
        return loop.attempt(probe, values).reason;
    };
    const FieldMap state{{"pointer", text("/state")}, {"equals", text("up")}};
    const FieldMap metric{{"name", text("up")}, {"at_least", {1.0}}};
    const std::string ok = "200 OK\r\n\r\n";
    CHECK(reason("http_json", "s3cret", ok + R"({"state":"no s3cret!"})", state) ==
          "HTTP 200, /state is 'no ******!' instead of 'up'");
    // As the parser reads it, not as it was sent.
    CHECK(reason("http_json", "s3cret", ok + R"({"state":"s3c\u0072et"})", state) ==
          "HTTP 200, /state is '******' instead of 'up'");
    CHECK(reason("http_json", "s3cret", ok + "no s3cret", state).ends_with("in 'no ******'"));
    // Reasons quote 80 octets.
    CHECK(reason("http_json", "s3cret", ok + "{\"state\":\"" + std::string(76, '.') + "s3cret\"}",
                 state) ==
          "HTTP 200, /state is '" + std::string(76, '.') + "****…' instead of 'up'");
    CHECK(reason("metric", "s3cret", ok + "up{who=\"s3cret\"} 0\n", metric) ==
          "up{who=\"******\"} is 0, less than 1");
    CHECK(reason("metric", "s3\"\\ret", ok + R"(up{who="s3\"\\ret"} 0)" + "\n", metric) ==
          "up{who=\"*********\"} is 0, less than 1");
    CHECK(reason("http", "s3cret", "302 Go\r\nLocation: /?t=s3cret\r\n\r\n", {}) ==
          "HTTP 302 instead of 200, redirects to '/?t=******' are not followed");
    // A secret that is made of stars is blotted, too, and but once.
    CHECK(reason("http_json", "*", ok + R"({"state":"a*b"})", state) ==
          "HTTP 200, /state is 'a*b' instead of 'up'");
}

TEST_CASE("http: a secret does not change what is judged") {
    Loop loop;
    const TempDir dir;
    FieldMap values{{"username", text("swerve")}, {"password_file", text(secret(dir, "ok\n"))}};
    Server server(loop, says("HTTP/1.1 200 OK\r\n\r\n{\"status\":\"ok\"}"));
    values["url"] = text("http://" + server.endpoint().to_string());
    CHECK(loop.attempt("rabbitmq", values).result == ProbeResult::pass);
    values["pointer"] = text("/status");
    values["equals"] = text("ok");
    const Outcome outcome = loop.attempt("http_json", values);
    CHECK(outcome.result == ProbeResult::pass);
    CHECK(outcome.reason == "HTTP 200, /status is '**'");
}

TEST_CASE("http_json, metric: a refusal is unknown only for whom was given credentials") {
    Loop loop;
    const TempDir dir;
    for (const std::string probe : {"http_json", "metric"}) {
        for (const std::string status : {"401", "403"}) {
            Server refusing(loop, says("HTTP/1.1 " + status + " No\r\nContent-Length: 0\r\n\r\n"));
            FieldMap values = with_url("http://" + refusing.endpoint().to_string());
            values[probe == "metric" ? "name" : "pointer"] = text(probe == "metric" ? "up" : "/up");
            values["at_least"] = {1.0};
            CHECK(loop.attempt(probe, values).result == ProbeResult::fail);
            values["token_file"] = text(secret(dir, "t0ken\n"));
            CHECK(loop.attempt(probe, values).result == ProbeResult::unknown);
        }
    }
}

TEST_CASE("http: HAProxy answers, denies and stands before a dead backend") {
    if (haproxy() == nullptr) return;
    Loop loop;
    CHECK(loop.attempt("http", with_url(haproxy()->url("/healthz"))).reason == "HTTP 200");
    CHECK(loop.attempt("http", with_url(haproxy()->url("/limited"))).reason ==
          "HTTP 429 instead of 200");
    Outcome outcome = loop.attempt("http", with_url(haproxy()->url("/")));
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == "HTTP 503 instead of 200");
}

TEST_CASE("https: a certificate of ours for HAProxy") {
    if (haproxy() == nullptr) return;
    Loop loop;
    FieldMap values = as_client(haproxy()->tls_url("/"), "client");
    values["expect"] = {FieldMap{{"body", text("hello probe of fra1")}}};
    CHECK(loop.attempt("http", values).reason == "HTTP 200, body contains 'hello probe of fra1'");
    // TLS 1.3: the handshake is over for us before the server has seen that there is none.
    Outcome outcome = loop.attempt("http", as_client(haproxy()->tls_url("/"), ""));
    CHECK(outcome.result == ProbeResult::unknown);
    CHECK(outcome.reason.contains("asks for a certificate of ours"));
    outcome = loop.attempt("http", as_client(haproxy()->tls_url("/"), "stranger"));
    CHECK(outcome.result == ProbeResult::unknown);
    CHECK(outcome.reason.contains("refuses our certificate"));
}

TEST_CASE("https: a certificate of ours that cannot be used, and one that is replaced") {
    if (haproxy() == nullptr) return;
    Loop loop;
    const TempDir dir;
    const auto copy = [&](std::string_view from, std::string_view to) {
        std::filesystem::copy_file(pki().file(from), dir.file(to),
                                   std::filesystem::copy_options::overwrite_existing);
    };
    FieldMap values = as_client(haproxy()->tls_url("/"), "");
    auto& tls = std::get<FieldMap>(values["tls"].value);
    tls["certificate_file"] = text(dir.file("me.pem"));
    tls["key_file"] = text(dir.file("me.key"));
    const auto probe = make_probe("http", values);
    const auto reason = [&] {
        const Outcome outcome = loop.attempt(*probe);
        CHECK(outcome.result == ProbeResult::unknown);
        return outcome.reason;
    };
    CHECK(reason() == "certificate_file " + dir.file("me.pem") + ": No such file or directory");
    dir.write("me.pem", "nonsense");
    CHECK(reason().starts_with("certificate_file " + dir.file("me.pem") + " is no list of PEM"));
    copy("client.pem", "me.pem");
    CHECK(reason() == "key_file " + dir.file("me.key") + ": No such file or directory");
    copy("stranger.key", "me.key");
    CHECK(reason().starts_with("key_file " + dir.file("me.key") + " is no PEM key"));
    copy("client.key", "me.key");
    ::chmod(dir.file("me.key").c_str(), 0644);
    CHECK(reason().contains("everybody has access to it"));
    ::chmod(dir.file("me.key").c_str(), 0600);
    CHECK(loop.attempt(*probe).reason == "HTTP 200");
    // Read again without being told.
    copy("stranger.pem", "me.pem");
    copy("stranger.key", "me.key");
    CHECK(reason().contains("refuses our certificate"));
}

TEST_CASE("http: credentials that make no probe") {
    const auto fault = [](FieldMap values) {
        values["url"] = text("https://198.51.100.1/");
        return fault_of("http", values);
    };
    CHECK(fault({{"username", text("a")}}).starts_with("password_file: is missing"));
    CHECK(fault({{"password_file", text("/p")}}).starts_with("username: is missing"));
    CHECK(fault({{"username", text("")}, {"password_file", text("/p")}}) == "username: is empty");
    CHECK(fault({{"username", text("a:b")}, {"password_file", text("/p")}})
              .starts_with("username: 'a:b' holds a colon"));
    CHECK(fault({{"username", text("a\r\nX: y")}, {"password_file", text("/p")}})
              .starts_with("username: "));
    CHECK(fault({{"username", text("a")}, {"password_file", text("/p")}}) == "none");
    CHECK(fault({{"username", text("a")},
                 {"password_file", text("/p")},
                 {"token_file", text("/t")}}) == "token_file: contradicts `username`");
    CHECK(fault({{"tls", {FieldMap{{"key_file", text("/k")}}}}})
              .starts_with("tls.certificate_file: is missing"));
    CHECK(fault({{"tls", {FieldMap{{"certificate_file", text("/c")}}}}})
              .starts_with("tls.key_file: is missing"));
}
