#include "tests/probes/rabbitmq_rig.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>
#include "tests/support/skipped.hpp"

namespace swerve::health::testing {
namespace {

using namespace fmt::literals;

// Debian's commands in sbin change the user; these do not.
constexpr std::string_view bin = "/usr/lib/rabbitmq/bin/";

constexpr std::string_view definitions = R"({{
"users": [{{"name": "swerve", "password": "{password}", "tags": "monitoring"}},
          {{"name": "stranger", "password": "{password}", "tags": "monitoring"}},
          {{"name": "nobody", "password": "{password}", "tags": ""}},
          {{"name": "link", "password": "link", "tags": ""}}],
"vhosts": [{{"name": "/"}}, {{"name": "site-a"}}, {{"name": "quiet"}}],
"permissions": [
 {{"user": "swerve", "vhost": "/", "configure": "^$", "write": "^$", "read": "^$"}},
 {{"user": "swerve", "vhost": "quiet", "configure": "^$", "write": "^$", "read": "^$"}},
 {{"user": "link", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}},
 {{"user": "link", "vhost": "site-a", "configure": ".*", "write": ".*", "read": ".*"}}],
"parameters": [
 {{"vhost": "/", "component": "federation-upstream", "name": "site-a",
  "value": {{"uri": "amqp://link:link@127.0.0.1:{amqp}/site-a", "reconnect-delay": 1}}}},
 {{"vhost": "/", "component": "federation-upstream", "name": "site-b",
  "value": {{"uri": "amqp://link:link@127.0.0.1:1/", "reconnect-delay": 1}}}}],
"policies": [{{"vhost": "/", "name": "federated", "pattern": "^orders$", "apply-to": "exchanges",
  "priority": 0, "definition": {{"federation-upstream-set": "all"}}}}],
"exchanges": [{{"name": "orders", "vhost": "/", "type": "topic", "durable": true,
  "auto_delete": false, "internal": false, "arguments": {{}}}}],
"queues": [], "bindings": [], "topic_permissions": [], "global_parameters": []
}})";

constexpr std::string_view config = R"(
listeners.tcp.1 = 127.0.0.1:{amqp}
management.tcp.ip = 127.0.0.1
management.tcp.port = {api}
load_definitions = {dir}/definitions.json
)";

}  // namespace

bool Rabbitmq::is_possible() {
    const bool is_there = ::access((std::string{bin} + "rabbitmq-server").c_str(), X_OK) == 0;
    if (!is_there) swerve::testing::skipped("needs rabbitmq-server");
    return is_there;
}

Rabbitmq::Rabbitmq() {
    write_files();
    const std::string port = std::to_string(epmd_port_);
    epmd_ = std::make_unique<Child>(
        std::vector<std::string>{"epmd", "-port", port, "-address", "127.0.0.1"});
    node_ = std::make_unique<Piped>(in_environment({std::string{bin} + "rabbitmq-server"}));
    // "  Starting broker... completed with 5 plugins.", after a banner of some twenty lines.
    bool is_ready = false;
    for (int i = 0; i < 100 && !is_ready; ++i) {
        is_ready = node_->line().find("completed with") != std::string::npos;
    }
    REQUIRE_MESSAGE(is_ready, "RabbitMQ did not start");
}

void Rabbitmq::write_files() const {
    dir_.write("definitions.json",
               fmt::format(definitions, "password"_a = password_, "amqp"_a = amqp_port_));
    dir_.write("rabbitmq.conf", fmt::format(config, "amqp"_a = amqp_port_, "api"_a = api_port_,
                                            "dir"_a = dir_.file(".")));
    dir_.write("plugins",
               "[rabbitmq_management,rabbitmq_federation,rabbitmq_federation_management].\n");
    dir_.write(".erlang.cookie", "COOKIEOFTHETEST");
    ::chmod(dir_.file(".erlang.cookie").c_str(), S_IRUSR);
    dir_.write("password", password_ + "\n");
    ::chmod(dir_.file("password").c_str(), S_IRUSR);
}

std::vector<std::string> Rabbitmq::in_environment(const std::vector<std::string>& command) const {
    std::vector<std::string> out{
        "env", "HOME=" + dir_.file("."),
        // Has the script become the node, instead of its parent.
        "RUNNING_UNDER_SYSTEMD=1",
        "RABBITMQ_NODENAME=swerve-" + std::to_string(::getpid()) + "@localhost",
        "RABBITMQ_MNESIA_BASE=" + dir_.file("database"), "RABBITMQ_LOG_BASE=" + dir_.file("log"),
        "RABBITMQ_PID_FILE=" + dir_.file("pid"),
        "RABBITMQ_CONFIG_FILE=" + dir_.file("rabbitmq.conf"),
        "RABBITMQ_CONF_ENV_FILE=" + dir_.file("none"),
        "RABBITMQ_ENABLED_PLUGINS_FILE=" + dir_.file("plugins"),
        "RABBITMQ_DIST_PORT=" + std::to_string(dist_port_),
        "ERL_EPMD_PORT=" + std::to_string(epmd_port_), "ERL_EPMD_ADDRESS=127.0.0.1",
        // One scheduler that does not spin, for small machines.
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=+S 1:1 +sbwt none"};
    out.insert(out.end(), command.begin(), command.end());
    return out;
}

std::string Rabbitmq::url() const { return "http://127.0.0.1:" + std::to_string(api_port_); }

void Rabbitmq::control(const std::vector<std::string>& words) const {
    std::vector<std::string> command{std::string{bin} + "rabbitmqctl", "-q"};
    command.insert(command.end(), words.begin(), words.end());
    REQUIRE(run_program(in_environment(command)) == 0);
}

void Rabbitmq::signal(int number) const { ::kill(node_->pid(), number); }

}  // namespace swerve::health::testing
