#include "tests/probes/web.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cstdlib>

namespace swerve::health::testing {
namespace {

constexpr std::string_view config = R"(
daemon off;
master_process off;
pid {dir}/nginx.pid;
error_log {dir}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    gzip on;
    gzip_types *;
    gzip_min_length 1;
    server {{
        listen 127.0.0.1:{port};
        listen [::1]:{port};
        listen 127.0.0.1:{tls} ssl;
        ssl_certificate {good}.pem;
        ssl_certificate_key {good}.key;
        root {dir};
        location = /healthz {{ return 200 "all is ok\n"; }}
        location = /broken {{ return 503; }}
        location = /moved {{ return 302 http://127.0.0.1:{port}/healthz; }}
        location = /request {{
            return 200 "$host|$http_host|$http_user_agent|$http_accept_encoding|$args|$ssl_server_name|";
        }}
    }}
    server {{
        listen 127.0.0.1:{expired} ssl;
        ssl_certificate {old}.pem;
        ssl_certificate_key {old}.key;
        location / {{ return 200 "ok\n"; }}
    }}
    server {{
        listen 127.0.0.1:{old_tls} ssl;
        ssl_protocols TLSv1 TLSv1.1;
        ssl_ciphers DEFAULT@SECLEVEL=0;
        ssl_certificate {good}.pem;
        ssl_certificate_key {good}.key;
        location / {{ return 200 "ok\n"; }}
    }}
}}
)";

std::string loopback_url(std::string_view scheme, std::string_view host, std::uint16_t port,
                         std::string_view path) {
    return fmt::format("{}://{}:{}{}", scheme, host, port, path);
}

}  // namespace

Certificates::Certificates() {
    for (const std::string name : {"ca", "other"}) {
        REQUIRE(run_program({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                             "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                             "/CN=Authority " + name, "-keyout", file(name + ".key"), "-out",
                             file(name + ".pem")}) == 0);
    }
    // OpenSSL takes this for the system's certificates.
    ::setenv("SSL_CERT_FILE", file("ca.pem").c_str(), 1);
    dir_.write("names", "subjectAltName=DNS:portal.example,IP:127.0.0.1\n");
    issue("good", "1");
    issue("expired", "-1");
}

void Certificates::issue(std::string_view name, std::string_view days) const {
    const std::string base{name};
    REQUIRE(run_program({"openssl", "req", "-new", "-newkey", "ec", "-pkeyopt",
                         "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=portal.example",
                         "-keyout", file(base + ".key"), "-out", file(base + ".csr")}) == 0);
    REQUIRE(
        run_program({"openssl", "x509", "-req", "-in", file(base + ".csr"), "-CA", file("ca.pem"),
                     "-CAkey", file("ca.key"), "-CAcreateserial", "-days", std::string{days},
                     "-extfile", file("names"), "-out", file(base + ".pem")}) == 0);
}

Nginx::Nginx(const Certificates& certificates) {
    using namespace fmt::literals;
    dir_.write(
        "nginx.conf",
        fmt::format(config, "dir"_a = dir_.file("."), "port"_a = port_, "tls"_a = tls_port_,
                    "expired"_a = expired_port_, "old_tls"_a = old_tls_port_,
                    "good"_a = certificates.file("good"), "old"_a = certificates.file("expired")));
    dir_.write("megabyte", std::string(1 << 20, '.') + "end");
    process_ = std::make_unique<Child>(
        std::vector<std::string>{"/usr/sbin/nginx", "-p", dir_.file("."), "-e",
                                 dir_.file("error.log"), "-c", dir_.file("nginx.conf")});
    // Ready when it accepts on the port it binds last; refusals on loopback come at once.
    Loop loop;
    const auto probe =
        make_probe("tcp", {{"endpoint", {Endpoint{Address::v4(0x7f000001), old_tls_port_}}}});
    bool ready = false;
    REQUIRE(loop.run_until([&] {
        ready = ready || loop.attempt(*probe).result == ProbeResult::pass;
        return ready;
    }));
}

std::string Nginx::url(std::string_view path) const {
    return loopback_url("http", "127.0.0.1", port_, path);
}
std::string Nginx::url_v6(std::string_view path) const {
    return loopback_url("http", "[::1]", port_, path);
}
std::string Nginx::tls_url(std::string_view path) const {
    return loopback_url("https", "127.0.0.1", tls_port_, path);
}
std::string Nginx::expired_url(std::string_view path) const {
    return loopback_url("https", "127.0.0.1", expired_port_, path);
}
std::string Nginx::old_tls_url(std::string_view path) const {
    return loopback_url("https", "127.0.0.1", old_tls_port_, path);
}

}  // namespace swerve::health::testing
