#include "tests/probes/redis_rig.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>
#include "tests/support/skipped.hpp"

namespace swerve::health::testing {
namespace {

constexpr const char* program = "/usr/bin/redis-server";

}  // namespace

bool has_redis() {
    const bool is_there = ::access(program, X_OK) == 0;
    if (!is_there) swerve::testing::skipped("needs redis-server");
    return is_there;
}

Redis::Redis(std::string_view settings) : Redis(Mode::server, settings) {}

Redis::Redis(Mode mode, std::string_view settings) { start(mode, settings); }

void Redis::start(Mode mode, std::string_view settings) {
    const std::string config = dir_.write(
        "redis.conf", fmt::format("bind 127.0.0.1\nport {}\ndir {}\n{}{}\n", port_, dir_.file("."),
                                  mode == Mode::server ? "save \"\"\n" : "", settings));
    std::vector<std::string> command{program, config};
    if (mode == Mode::sentinel) command.emplace_back("--sentinel");
    process_ = std::make_unique<Child>(command);
    Loop loop;
    const auto probe = make_probe("tcp", {{"endpoint", {endpoint()}}});
    bool ready = false;
    REQUIRE(loop.run_until([&] {
        ready = ready || loop.attempt(*probe).result == ProbeResult::pass;
        return ready;
    }));
}

std::string Redis::as_master() const { return fmt::format("replicaof 127.0.0.1 {}\n", port_); }

void Redis::command(std::vector<std::string> words) const {
    words.insert(words.begin(), {"redis-cli", "-e", "-p", std::to_string(port_)});
    REQUIRE(run_program(std::move(words)) == 0);
}

void Redis::restart(std::string_view settings) {
    command({"SAVE"});
    process_->signal(SIGTERM);
    process_->wait();
    start(Mode::server, settings);
}

}  // namespace swerve::health::testing
