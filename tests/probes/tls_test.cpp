#include <doctest/doctest.h>
#include <signal.h>

#include <cstdlib>
#include <filesystem>
#include <optional>

#include "health/probes/certificate.hpp"
#include "health/probes/tls_client.hpp"
#include "tests/probes/pki.hpp"

using namespace swerve;
using namespace swerve::health;
using namespace swerve::health::testing;
using namespace std::chrono_literals;

namespace {

constexpr std::chrono::seconds day = 24h;
const std::string site_names = "DNS:portal.example,IP:127.0.0.1";

const Pki& pki() {
    static const Pki made;
    return made;
}

/// A server with a certificate for portal.example, made as `order` says.
std::unique_ptr<RealServer> serving(CertificateOrder order, std::vector<std::string> more = {}) {
    order.file = "site";
    if (order.common_name.empty()) order.common_name = "portal.example";
    if (order.names.empty()) order.names = site_names;
    pki().issue(order);
    std::vector<std::string> arguments{"-cert", pki().file("site.pem"), "-key",
                                       pki().file("site.key")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return s_server(std::move(arguments));
}

CertificateOrder signed_by_ca() {
    CertificateOrder order;
    order.signer = "ca";
    return order;
}

FieldMap asking(const Endpoint& endpoint, std::int64_t days_left = 0) {
    return {{"endpoint", {endpoint}},
            {"server_name", text("portal.example")},
            {"days_left", {days_left}},
            {"tls", {FieldMap{{"ca_file", text(pki().file("ca.pem"))}}}}};
}
FieldMap insecurely(const Endpoint& endpoint) {
    FieldMap out = asking(endpoint);
    out["tls"] = {FieldMap{{"insecure", {true}}}};
    return out;
}

/// Whatever speaks against a certificate by the clock counts only where the clock does.
ProbeResult by_the_clock() {
    return is_wall_clock_set() ? ProbeResult::fail : ProbeResult::unknown;
}

}  // namespace

TEST_CASE("tls: a certificate with days left, on a curve and RSA, TLS 1.2 and 1.3") {
    Loop loop;
    for (const bool is_rsa : {false, true}) {
        for (const std::string version : {"-tls1_2", "-tls1_3"}) {
            CAPTURE(is_rsa);
            CAPTURE(version);
            CertificateOrder order = signed_by_ca();
            order.is_rsa = is_rsa;
            order.ends = 40 * day + 1h;
            const auto server = serving(order, {version});
            const Outcome outcome = loop.attempt("tls", asking(server->endpoint(), 40));
            CHECK(outcome.result == ProbeResult::pass);
            CHECK(outcome.reason.starts_with(
                "certificate 'portal.example' by 'Authority of tests' ends in 40 days ("));
        }
    }
}

TEST_CASE("tls: days left, on both sides of the threshold") {
    Loop loop;
    CertificateOrder order = signed_by_ca();
    order.ends = 14 * day + 1h;
    const auto server = serving(order);
    CHECK(loop.attempt("tls", asking(server->endpoint(), 14)).result == ProbeResult::pass);
    const Outcome outcome = loop.attempt("tls", asking(server->endpoint(), 15));
    CHECK(outcome.result == by_the_clock());
    CHECK(outcome.reason.contains(" ends in 14 days ("));
    CHECK(outcome.reason.contains(", less than 15 days"));
}

TEST_CASE("tls: the certificate of a chain that ends first is the one that counts") {
    Loop loop;
    CertificateOrder between = signed_by_ca();
    between.file = "between";
    between.common_name = "Authority between";
    between.ends = 5 * day + 1h;
    between.is_authority = true;
    pki().issue(between);
    CertificateOrder order;
    order.signer = "between";
    auto server = serving(order, {"-cert_chain", pki().file("between.pem")});
    Outcome outcome = loop.attempt("tls", asking(server->endpoint()));
    CHECK(outcome.result == ProbeResult::pass);
    CHECK(outcome.reason.starts_with(
        "certificate 'Authority between' by 'Authority of tests' ends in 5 days"));
    CHECK(loop.attempt("tls", asking(server->endpoint(), 6)).result == by_the_clock());
    server = serving(order);
    outcome = loop.attempt("tls", asking(server->endpoint()));
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason.contains("unable to get local issuer certificate"));
}

TEST_CASE("tls: names that are not on the certificate") {
    Loop loop;
    const auto server = serving(signed_by_ca());
    FieldMap values = asking(server->endpoint());
    values["server_name"] = text("other.example");
    const Outcome outcome = loop.attempt("tls", values);
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == "certificate of " + server->endpoint().to_string() +
                                " refused: hostname mismatch, it is not for 'other.example'");
    values.erase("server_name");
    CHECK(loop.attempt("tls", values).result == ProbeResult::pass);
    values["server_name"] = text("127.0.0.2");
    CHECK(loop.attempt("tls", values).reason.contains("IP address mismatch"));
}

TEST_CASE("tls: the common name of a subject is no name of a server") {
    Loop loop;
    pki().issue({.file = "nameless", .common_name = "portal.example", .signer = "ca"});
    const auto server =
        s_server({"-cert", pki().file("nameless.pem"), "-key", pki().file("nameless.key")});
    const Outcome outcome = loop.attempt("tls", asking(server->endpoint()));
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason.contains("hostname mismatch"));
}

TEST_CASE("tls: an alert over a certificate that nobody asked for is the server's trouble") {
    Loop loop;
    // A fatal alert, bad_certificate, in the place of a server's hello.
    Server alarmed(loop, says(std::string("\x15\x03\x03\x00\x02\x02\x2a", 7)));
    const Outcome outcome = loop.attempt("tls", asking(alarmed.endpoint()));
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason.starts_with("TLS handshake with "));
}

TEST_CASE("tls: files that break leave alone what another attempt has prepared") {
    Loop loop;
    const TempDir dir;
    std::filesystem::copy_file(pki().file("ca.pem"), dir.file("ca.pem"));
    TlsClient client({.server_name = "portal.example",
                      .ca_file = dir.file("ca.pem"),
                      .certificate_file = {},
                      .key_file = {}});
    CHECK_FALSE(client.prepare());
    dir.write("ca.pem", "nonsense");
    CHECK(client.prepare().has_value());
    CHECK(client.prepare().has_value());
    boost::asio::ip::tcp::socket socket(loop.io);
    CHECK(client.stream(socket).native_handle() != nullptr);
    std::filesystem::copy_file(pki().file("ca.pem"), dir.file("ca.pem"),
                               std::filesystem::copy_options::overwrite_existing);
    CHECK_FALSE(client.prepare());
}

TEST_CASE("tls: a system without authorities") {
    const TempDir dir;
    const auto kept = [](const char* name) {
        const char* const value = std::getenv(name);
        return value == nullptr ? std::optional<std::string>{} : std::string{value};
    };
    const auto set = [](const char* name, const std::optional<std::string>& value) {
        value ? ::setenv(name, value->c_str(), 1) : ::unsetenv(name);
    };
    const auto file = kept("SSL_CERT_FILE");
    const auto dirs = kept("SSL_CERT_DIR");
    set("SSL_CERT_FILE", dir.file("none"));
    set("SSL_CERT_DIR", dir.file(".") + ":" + dir.file("none"));
    TlsClient client(
        {.server_name = "portal.example", .ca_file = {}, .certificate_file = {}, .key_file = {}});
    CHECK(client.prepare() ==
          "no authorities on this system: install ca-certificates or set tls.ca_file");
    dir.write("a.0", "");
    CHECK_FALSE(client.prepare());
    set("SSL_CERT_FILE", file);
    set("SSL_CERT_DIR", dirs);
}

TEST_CASE("tls: expired and not yet valid") {
    Loop loop;
    CertificateOrder order = signed_by_ca();
    order.begins = -10 * day;
    order.ends = -2 * day - 1h;
    auto server = serving(order);
    const std::string of = " of " + server->endpoint().to_string();
    Outcome outcome = loop.attempt("tls", asking(server->endpoint()));
    CHECK(outcome.result == by_the_clock());
    CHECK(outcome.reason.starts_with("certificate 'portal.example' by 'Authority of tests'" + of +
                                     " ended 2 days ago ("));
    // Without verification the dates still count.
    CHECK(loop.attempt("tls", insecurely(server->endpoint())).result == by_the_clock());

    order.begins = 3 * day + 1h;
    order.ends = 10 * day;
    server = serving(order);
    outcome = loop.attempt("tls", asking(server->endpoint()));
    CHECK(outcome.result == by_the_clock());
    CHECK(outcome.reason.contains(" is not valid before "));
    CHECK(outcome.reason.contains(", in 3 days"));
    CHECK(loop.attempt("tls", insecurely(server->endpoint())).result == by_the_clock());
}

TEST_CASE("tls: signed by itself or by a stranger") {
    Loop loop;
    auto server = serving({});
    Outcome outcome = loop.attempt("tls", asking(server->endpoint()));
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason ==
          "certificate of " + server->endpoint().to_string() + " refused: self-signed certificate");
    outcome = loop.attempt("tls", insecurely(server->endpoint()));
    CHECK(outcome.result == ProbeResult::pass);
    CHECK(outcome.reason.starts_with("certificate 'portal.example' by 'portal.example' ends in"));
}

TEST_CASE("tls: a server that wants a certificate of ours") {
    Loop loop;
    pki().issue({.file = "client", .common_name = "probe", .signer = "ca"});
    for (const std::string version : {"-tls1_2", "-tls1_3"}) {
        CAPTURE(version);
        const auto server = serving(
            signed_by_ca(),
            {version, "-Verify", "1", "-verify_return_error", "-CAfile", pki().file("ca.pem")});
        FieldMap values = asking(server->endpoint());
        const Outcome outcome = loop.attempt("tls", values);
        // With TLS 1.3 the certificate is proven before the server looks at ours.
        if (version == "-tls1_2") {
            CHECK(outcome.result == ProbeResult::unknown);
            CHECK(outcome.reason.contains("asks for a certificate of ours"));
        } else {
            CHECK(outcome.result == ProbeResult::pass);
        }
        auto& tls = std::get<FieldMap>(values["tls"].value);
        tls["certificate_file"] = text(pki().file("client.pem"));
        tls["key_file"] = text(pki().file("client.key"));
        CHECK(loop.attempt("tls", values).result == ProbeResult::pass);
    }
}

TEST_CASE("tls: what is no TLS, and what hangs") {
    Loop loop;
    Server closing(loop, says(""));
    Outcome outcome = loop.attempt("tls", asking(closing.endpoint()));
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == closing.endpoint().to_string() + " closed during the TLS handshake");
    Server plain(loop, says("HTTP/1.1 400 Bad Request\r\n\r\n"));
    outcome = loop.attempt("tls", asking(plain.endpoint()));
    CHECK(outcome.reason.contains("wrong version number"));
    Server silent(loop, says_and_stays(""));
    outcome = loop.attempt("tls", asking(silent.endpoint()), 80ms);
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason ==
          "no answer within 80ms, in the TLS handshake with " + silent.endpoint().to_string());
    // Half of a record: it is waited for no longer than the deadline.
    Server half(loop, says_and_stays(std::string("\x16\x03\x03\x40\x00\x02\x00\x3f", 8)));
    CHECK(loop.attempt("tls", asking(half.endpoint()), 80ms).result == ProbeResult::fail);

    const auto server = serving(signed_by_ca());
    server->process().signal(SIGSTOP);
    outcome = loop.attempt("tls", asking(server->endpoint()), 80ms);
    CHECK(outcome.result == ProbeResult::fail);
    server->process().signal(SIGCONT);
    CHECK(loop.attempt("tls", asking(server->endpoint())).result == ProbeResult::pass);
}

TEST_CASE("tls: what a clock that nobody keeps in step says proves nothing") {
    CertificateFacts facts{.name = "a\x1b",
                           .issuer = "b",
                           .begins = "then",
                           .ends = "some day",
                           .until_begin_s = -1,
                           .until_end_s = 2 * 86'400};
    CHECK(judge_days(facts, 2, true).result == ProbeResult::pass);
    CHECK(judge_days(facts, 3, true).result == ProbeResult::fail);
    CHECK(judge_days(facts, 2, false).result == ProbeResult::pass);
    Outcome outcome = judge_days(facts, 3, false);
    CHECK(outcome.result == ProbeResult::unknown);
    CHECK(outcome.reason ==
          "certificate 'a\\x1b' by 'b' ends in 2 days (some day), less than 3 days, but the wall "
          "clock of this host is not synchronised, so this proves nothing");
    facts.until_end_s = 1;
    CHECK(judge_days(facts, 0, true).result == ProbeResult::pass);
    facts.until_end_s = 0;
    outcome = judge_days(facts, 0, true);
    CHECK(outcome.result == ProbeResult::fail);
    CHECK(outcome.reason == "certificate 'a\\x1b' by 'b' ended 0 minutes ago (some day)");
    CHECK(judge_days(facts, 0, false).result == ProbeResult::unknown);
    facts.until_begin_s = 3600;
    CHECK(judge_dates(facts, "192.0.2.1:443", true).reason ==
          "certificate 'a\\x1b' by 'b' of 192.0.2.1:443 is not valid before then, in 1 hour");
}

TEST_CASE("tls: values that make no probe, and what explain says") {
    FieldMap values = asking(*Endpoint::parse("198.51.100.1:443"));
    CHECK(fault_of("tls", values) == "none");
    values["server_name"] = text("a b");
    CHECK(fault_of("tls", values) == "server_name: 'a b' is no name of a server");
    values["server_name"] = text("");
    CHECK(fault_of("tls", values) == "server_name: '' is no name of a server");
    values["server_name"] = text("::1");
    CHECK(fault_of("tls", values) == "none");
    values["endpoint"] = {*Endpoint::parse("[fe80::1]:443")};
    CHECK(fault_of("tls", values).starts_with("endpoint: "));
    const ProbeType& type = *find_probe_type("tls");
    CHECK(type.asks_scope);
    const FieldMap good = asking(*Endpoint::parse("198.51.100.1:443"));
    CHECK(type.target(good) == "tls://198.51.100.1:443 portal.example");
    CHECK(type.caveat(insecurely(*Endpoint::parse("198.51.100.1:443")))
              .starts_with("only the dates"));
}
