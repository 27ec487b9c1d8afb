#pragma once
// Certificates of every kind, made on the spot, and servers that show them.

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/probes/support.hpp"

namespace swerve::health::testing {

struct CertificateOrder {
    std::string file;         ///< FILE.pem and FILE.key, of mode 0600, are written
    std::string common_name;  ///< of the subject
    std::string names =
        {};  ///< the alternative names, as OpenSSL writes them: "DNS:a,IP:192.0.2.1"
    std::string signer = {};  ///< whose key signs it; empty: its own
    std::chrono::seconds begins = std::chrono::hours{-24};
    std::chrono::seconds ends = std::chrono::hours{24 * 90};
    bool is_authority = false;
    bool is_rsa = false;  ///< otherwise on the curve P-256
};

/// Certificates in a directory of their own.
class Pki {
public:
    /// With an authority, "ca".
    Pki();

    void issue(const CertificateOrder& order) const;
    /// What the files hold, one after the other, as FILE.
    void join(std::string_view file, const std::vector<std::string>& parts) const;
    [[nodiscard]] std::string file(std::string_view name) const { return dir_.file(name); }

private:
    TempDir dir_;
};

/// A server in the foreground on a free port of loopback; ready once it accepts.
class RealServer {
public:
    RealServer(std::vector<std::string> command, std::uint16_t port);

    [[nodiscard]] Endpoint endpoint() const;
    [[nodiscard]] std::string url(std::string_view scheme, std::string_view path) const;
    [[nodiscard]] const Child& process() const { return process_; }

private:
    std::uint16_t port_;
    Child process_;
};

/// `openssl s_server`, which answers every request with a page about the connection.
[[nodiscard]] std::unique_ptr<RealServer> s_server(std::vector<std::string> arguments);

/// HAProxy: plain HTTP on one port, and TLS with a certificate that asks for one of the client on
/// another.
class Haproxy {
public:
    /// Null where there is no such program.
    [[nodiscard]] static std::unique_ptr<Haproxy> start(const Pki& pki);

    [[nodiscard]] std::string url(std::string_view path) const { return server_.url("http", path); }
    [[nodiscard]] std::string tls_url(std::string_view path) const;
    [[nodiscard]] Endpoint tls_endpoint() const;

private:
    Haproxy(const Pki& pki, std::uint16_t port, std::uint16_t tls_port);

    TempDir dir_;
    std::uint16_t tls_port_;
    RealServer server_;
};

}  // namespace swerve::health::testing
