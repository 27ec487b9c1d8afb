#include "tests/probes/private_bus.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <utility>
#include "tests/support/skipped.hpp"

namespace swerve::health::testing {

Piped::Piped(std::vector<std::string> command) {
    std::array<int, 2> in{};
    std::array<int, 2> out{};
    REQUIRE(::pipe2(in.data(), O_CLOEXEC) == 0);
    REQUIRE(::pipe2(out.data(), O_CLOEXEC) == 0);
    std::vector<char*> argv;
    for (std::string& word : command) argv.push_back(word.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    // dbus-daemon complains of limits that it cannot raise.
    ::posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    const int error = ::posix_spawnp(&pid_, argv[0], &actions, nullptr, argv.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(in[0]);
    ::close(out[1]);
    input_ = in[1];
    output_ = out[0];
    REQUIRE_MESSAGE(error == 0, command[0] << ": " << std::strerror(error));
}

Piped::~Piped() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    ::close(input_);
    ::close(output_);
}

std::string Piped::line() const {
    std::string out;
    for (char each = 0; ::read(output_, &each, 1) == 1 && each != '\n';) out += each;
    return out;
}

void Piped::say(const std::string& text) const {
    REQUIRE(::write(input_, text.data(), text.size()) == static_cast<::ssize_t>(text.size()));
}

PrivateBus::PrivateBus() {
    const std::string address = "unix:path=" + dir_.file("bus");
    ::setenv("DBUS_SYSTEM_BUS_ADDRESS", address.c_str(), 1);
    dir_.write("bus.conf", "<busconfig><listen>" + address +
                               "</listen><auth>EXTERNAL</auth><policy context='default'>"
                               "<allow send_destination='*' eavesdrop='true'/>"
                               "<allow eavesdrop='true'/><allow own='*'/></policy></busconfig>");
}

PrivateBus::~PrivateBus() { ::unsetenv("DBUS_SYSTEM_BUS_ADDRESS"); }

bool PrivateBus::is_possible() {
    const bool is_there = run_program({"sh", "-c", "command -v dbus-daemon"}) == 0;
    if (!is_there) swerve::testing::skipped("needs dbus-daemon");
    return is_there;
}

void PrivateBus::start() {
    daemon_ = std::make_unique<Piped>(
        std::vector<std::string>{"dbus-daemon", "--config-file=" + dir_.file("bus.conf"),
                                 "--nofork", "--nopidfile", "--nosyslog", "--print-address=1"});
    REQUIRE(daemon_->line().starts_with("unix:"));
}

void PrivateBus::start_systemd() {
    systemd_ = std::make_unique<Piped>(std::vector<std::string>{SYSTEMD_STAND_IN});
    REQUIRE(systemd_->line() == "ready");
}

void PrivateBus::tell_systemd(const std::string& line) const {
    systemd_->say(line + "\n");
    REQUIRE(systemd_->line() == "ok");
}

}  // namespace swerve::health::testing
