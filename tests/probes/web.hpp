#pragma once
// A real nginx on loopback, and certificates made for it.

#include <memory>
#include <string>
#include <string_view>

#include "tests/probes/support.hpp"

namespace swerve::health::testing {

/// An authority that this program takes for the system's (ca.pem) and another one (other.pem); and
/// two certificates of the first for portal.example and 127.0.0.1: good.pem and expired.pem.
class Certificates {
public:
    Certificates();
    [[nodiscard]] std::string file(std::string_view name) const { return dir_.file(name); }

private:
    void issue(std::string_view name, std::string_view days) const;

    TempDir dir_;
};

/// One process in the foreground that serves plain HTTP on IPv4 and IPv6, and HTTPS twice.
class Nginx {
public:
    explicit Nginx(const Certificates& certificates);

    [[nodiscard]] std::string url(std::string_view path) const;
    [[nodiscard]] std::string url_v6(std::string_view path) const;
    [[nodiscard]] std::string tls_url(std::string_view path) const;
    [[nodiscard]] std::string expired_url(std::string_view path) const;
    [[nodiscard]] std::string old_tls_url(std::string_view path) const;
    [[nodiscard]] const Child& process() const { return *process_; }

private:
    TempDir dir_;
    std::uint16_t port_ = free_port();
    std::uint16_t tls_port_ = free_port();
    std::uint16_t expired_port_ = free_port();
    std::uint16_t old_tls_port_ = free_port();
    std::unique_ptr<Child> process_;
};

}  // namespace swerve::health::testing
