#pragma once
// A real Ceph monitor with two managers on loopback, and no disks.

#include <memory>
#include <string>
#include <vector>

#include "tests/probes/support.hpp"

namespace swerve::health::testing {

/// A cluster of one monitor, whose health is HEALTH_OK: the warnings that it would have for its
/// smallness are off. The managers' exporters keep no page, so what they say is of now.
class Ceph {
public:
    Ceph();

    /// False, with a message, where Ceph is missing.
    [[nodiscard]] static bool is_possible();

    /// Of the manager that is active once the constructor is through, and of the other one.
    [[nodiscard]] std::string url() const;
    [[nodiscard]] std::string standby_url() const;
    [[nodiscard]] const Child& manager() const { return *manager_; }
    /// Runs `ceph` with these words, which must succeed.
    void control(const std::vector<std::string>& words) const;

private:
    [[nodiscard]] std::unique_ptr<Child> start(const std::string& program, const std::string& name,
                                               const std::vector<std::string>& more = {}) const;
    void write_files() const;

    TempDir dir_;
    std::uint16_t monitor_port_ = free_port();
    std::uint16_t port_ = free_port();
    std::uint16_t standby_port_ = free_port();
    std::unique_ptr<Child> monitor_;
    std::unique_ptr<Child> manager_;
    std::unique_ptr<Child> standby_;
};

}  // namespace swerve::health::testing
