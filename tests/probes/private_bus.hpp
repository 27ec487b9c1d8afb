#pragma once
// A system bus of the test's own, and the stand-in for systemd on it (tests/support/
// systemd_stand_in.cpp). Nothing here is the machine's systemd.

#include <memory>
#include <string>
#include <vector>

#include "tests/probes/support.hpp"

namespace swerve::health::testing {

/// A program that is spoken to line by line, killed at the end of its scope.
class Piped {
public:
    explicit Piped(std::vector<std::string> command);
    ~Piped();
    Piped(const Piped&) = delete;
    Piped& operator=(const Piped&) = delete;

    /// Waits for a line; empty at the end of the output.
    [[nodiscard]] std::string line() const;
    void say(const std::string& text) const;
    [[nodiscard]] int pid() const { return pid_; }

private:
    int pid_ = 0;
    int input_ = -1;
    int output_ = -1;
};

/// While it lives, DBUS_SYSTEM_BUS_ADDRESS names it.
class PrivateBus {
public:
    PrivateBus();
    ~PrivateBus();

    /// False, with a message, where dbus-daemon is missing.
    [[nodiscard]] static bool is_possible();
    void start();
    void stop() { daemon_.reset(); }
    void start_systemd();
    void stop_systemd() { systemd_.reset(); }
    /// Has been done on return.
    void tell_systemd(const std::string& line) const;

private:
    TempDir dir_;
    std::unique_ptr<Piped> daemon_;
    std::unique_ptr<Piped> systemd_;
};

}  // namespace swerve::health::testing
