#include "tests/probes/pki.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace swerve::health::testing {
namespace {

template <auto release>
struct Releases {
    void operator()(auto* object) const { release(object); }
};
using Key = std::unique_ptr<EVP_PKEY, Releases<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Releases<X509_free>>;
using File = std::unique_ptr<std::FILE, Releases<std::fclose>>;

Key make_key(bool is_rsa) { return Key{is_rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256")}; }

File open_file(const std::string& path, const char* mode) {
    File file{std::fopen(path.c_str(), mode)};
    REQUIRE(file);
    return file;
}

void extend(X509* certificate, X509* signer, int kind, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, signer, certificate, nullptr, nullptr, 0);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
    REQUIRE(extension != nullptr);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

std::string text_of(const std::string& path) {
    std::ostringstream out;
    out << std::ifstream(path).rdbuf();
    return out.str();
}

constexpr std::string_view haproxy_config = R"(
global
    maxconn 64
    tune.ssl.default-dh-param 2048
defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s
frontend plain
    bind 127.0.0.1:{port}
    http-request use-service prometheus-exporter if {{ path /metrics }}
    http-request return status 200 content-type application/json string '{{"state":"up","lag":2.5}}' if {{ path /state }}
    http-request deny deny_status 429 if {{ path /limited }}
    http-request auth realm site if {{ path /private }} !{{ http_auth(users) }}
    http-request return status 200 content-type text/plain string "private\n" if {{ path /private }}
    http-request return status 401 if {{ path /bearer }} !{{ req.hdr(authorization) -m str "Bearer t0ken" }}
    default_backend sites
frontend secure
    bind 127.0.0.1:{tls} ssl crt {site} ca-file {ca} verify required
    http-request return status 200 content-type text/plain lf-string "hello %[ssl_c_s_dn(cn)]\n"
userlist users
    user swerve insecure-password s3cret
backend sites
    server dead 127.0.0.1:{dead} check inter 100ms fall 1
    http-request return status 200 content-type text/plain string "all is ok\n" if {{ path /healthz }}
)";

}  // namespace

Pki::Pki() { issue({.file = "ca", .common_name = "Authority of tests", .is_authority = true}); }

void Pki::issue(const CertificateOrder& order) const {
    static std::atomic<long> serial = 1;
    const Key key = make_key(order.is_rsa);
    const Certificate certificate{X509_new()};
    X509* const made = certificate.get();
    X509_set_version(made, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(made), serial++);
    X509_gmtime_adj(X509_getm_notBefore(made), order.begins.count());
    X509_gmtime_adj(X509_getm_notAfter(made), order.ends.count());
    X509_set_pubkey(made, key.get());
    const auto* name = reinterpret_cast<const unsigned char*>(order.common_name.c_str());
    X509_NAME_add_entry_by_txt(X509_get_subject_name(made), "CN", MBSTRING_UTF8, name, -1, -1, 0);
    Certificate parent;
    Key signing;
    if (!order.signer.empty()) {
        const File parent_file = open_file(file(order.signer + ".pem"), "r");
        parent.reset(PEM_read_X509(parent_file.get(), nullptr, nullptr, nullptr));
        const File key_file = open_file(file(order.signer + ".key"), "r");
        signing.reset(PEM_read_PrivateKey(key_file.get(), nullptr, nullptr, nullptr));
        REQUIRE((parent && signing));
    }
    X509* const signer = parent ? parent.get() : made;
    X509_set_issuer_name(made, X509_get_subject_name(signer));
    extend(made, signer, NID_basic_constraints,
           order.is_authority ? "critical,CA:TRUE" : "CA:FALSE");
    if (!order.names.empty()) extend(made, signer, NID_subject_alt_name, order.names);
    REQUIRE(X509_sign(made, signing ? signing.get() : key.get(), EVP_sha256()) > 0);
    PEM_write_X509(open_file(file(order.file + ".pem"), "w").get(), made);
    PEM_write_PrivateKey(open_file(file(order.file + ".key"), "w").get(), key.get(), nullptr,
                         nullptr, 0, nullptr, nullptr);
    ::chmod(file(order.file + ".key").c_str(), S_IRUSR | S_IWUSR);
}

void Pki::join(std::string_view file_name, const std::vector<std::string>& parts) const {
    std::string all;
    for (const std::string& part : parts) all += text_of(file(part));
    dir_.write(file_name, all);
}

RealServer::RealServer(std::vector<std::string> command, std::uint16_t port)
    : port_(port), process_(std::move(command)) {
    Loop loop;
    const auto probe = make_probe("tcp", {{"endpoint", {endpoint()}}});
    // Refusals on loopback come at once, so this asks as fast as the server may answer.
    REQUIRE(loop.run_until([&] { return loop.attempt(*probe).result == ProbeResult::pass; }));
}

Endpoint RealServer::endpoint() const { return {Address::v4(0x7f000001), port_}; }

std::string RealServer::url(std::string_view scheme, std::string_view path) const {
    return fmt::format("{}://{}{}", scheme, endpoint().to_string(), path);
}

std::unique_ptr<RealServer> s_server(std::vector<std::string> arguments) {
    const std::uint16_t port = free_port();
    std::vector<std::string> command{"openssl", "s_server", "-accept",
                                     fmt::format("127.0.0.1:{}", port), "-www"};
    command.insert(command.end(), arguments.begin(), arguments.end());
    return std::make_unique<RealServer>(std::move(command), port);
}

std::unique_ptr<Haproxy> Haproxy::start(const Pki& pki) {
    if (!std::filesystem::exists("/usr/sbin/haproxy")) return nullptr;
    return std::unique_ptr<Haproxy>(new Haproxy(pki, free_port(), free_port()));
}

Haproxy::Haproxy(const Pki& pki, std::uint16_t port, std::uint16_t tls_port)
    : tls_port_(tls_port),
      server_({"/usr/sbin/haproxy", "-db", "-f",
               [&] {
                   using namespace fmt::literals;
                   return dir_.write(
                       "haproxy.cfg",
                       fmt::format(haproxy_config, "port"_a = port, "tls"_a = tls_port,
                                   "dead"_a = free_port(), "site"_a = pki.file("haproxy.pem"),
                                   "ca"_a = pki.file("ca.pem")));
               }()},
              port) {}

std::string Haproxy::tls_url(std::string_view path) const {
    return fmt::format("https://{}{}", tls_endpoint().to_string(), path);
}

Endpoint Haproxy::tls_endpoint() const { return {Address::v4(0x7f000001), tls_port_}; }

}  // namespace swerve::health::testing
