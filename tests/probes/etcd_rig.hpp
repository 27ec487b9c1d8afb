#pragma once
// A real etcd cluster of three members on loopback, and a single member that speaks TLS.

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "tests/probes/support.hpp"
#include "tests/probes/web.hpp"

namespace swerve::health::testing {

/// Three members that keep nothing safe from a crash, with an election in a fifth of a second.
class EtcdCluster {
public:
    static constexpr std::size_t size = 3;

    EtcdCluster();

    /// False, with a message, where etcd is missing.
    [[nodiscard]] static bool is_possible();

    [[nodiscard]] std::string url(std::size_t member) const;
    [[nodiscard]] const Child& process(std::size_t member) const { return *members_.at(member); }

private:
    TempDir dir_;
    std::array<std::uint16_t, size> client_ports_{};
    std::array<std::unique_ptr<Child>, size> members_;
};

/// One member that asks for certificates of clients.
class EtcdOverTls {
public:
    explicit EtcdOverTls(const Certificates& certificates);

    [[nodiscard]] std::string url() const;

private:
    TempDir dir_;
    std::uint16_t port_ = free_port();
    std::unique_ptr<Child> member_;
};

}  // namespace swerve::health::testing
