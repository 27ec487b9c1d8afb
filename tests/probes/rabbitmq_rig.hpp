#pragma once
// A real RabbitMQ on loopback, with a federation upstream that works and one that does not.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/probes/private_bus.hpp"
#include "tests/probes/support.hpp"

namespace swerve::health::testing {

/// One node in the foreground, with its own epmd, cookie, database and ports. It starts for
/// seconds, so one serves all cases.
///
/// Users: "swerve" with the tag monitoring and permissions on "/", "stranger" with the tag and
/// without permissions, "nobody" without a tag; password_file() holds the password of each.
/// Exchange "orders" of "/" is federated from "site-a", which is the node's own virtual host of
/// that name, and from "site-b", where nothing listens.
class Rabbitmq {
public:
    Rabbitmq();

    /// False, with a message, where the server is missing.
    [[nodiscard]] static bool is_possible();

    [[nodiscard]] std::string url() const;
    [[nodiscard]] std::uint16_t amqp_port() const { return amqp_port_; }
    [[nodiscard]] std::string password_file() const { return dir_.file("password"); }
    [[nodiscard]] const std::string& password() const { return password_; }
    /// Runs rabbitmqctl, which must succeed.
    void control(const std::vector<std::string>& words) const;
    void signal(int number) const;

private:
    [[nodiscard]] std::vector<std::string> in_environment(
        const std::vector<std::string>& command) const;
    void write_files() const;

    TempDir dir_;
    std::string password_ = "correct-horse-battery";
    std::uint16_t epmd_port_ = free_port();
    std::uint16_t dist_port_ = free_port();
    std::uint16_t amqp_port_ = free_port();
    std::uint16_t api_port_ = free_port();
    std::unique_ptr<Child> epmd_;
    std::unique_ptr<Piped> node_;
};

}  // namespace swerve::health::testing
