#pragma once
// Processes that run, listen and end, and the probe that watches them.

#include <doctest/doctest.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "swerve/base/clock.hpp"
#include "tests/probes/private_bus.hpp"
#include "tests/probes/support.hpp"

namespace swerve::health::testing {

/// A name that no other process has, nor a run of this test beside this one.
inline std::string own_name() { return "sw" + std::to_string(::getpid()) + "-app"; }

/// A process that does nothing but listen.
class Listener {
public:
    Listener(const std::string& address, const std::string& port)
        : child_({"python3", "-c",
                  "import socket, sys\n"
                  "family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET\n"
                  "s = socket.create_server((sys.argv[1], int(sys.argv[2])), family=family)\n"
                  "print('ready', flush=True); input(); s.close(); print('closed', flush=True)\n"
                  "input()",
                  address, port}) {
        REQUIRE(child_.line() == "ready");
    }
    [[nodiscard]] std::string pid() const { return std::to_string(child_.pid()); }
    void kill() const { ::kill(child_.pid(), SIGKILL); }
    void stop_listening() const {
        child_.say("\n");
        REQUIRE(child_.line() == "closed");
    }

private:
    Piped child_;
};

/// A pid file and the probe of it, or another probe, to be watched.
struct Watched {
    Loop loop;
    TempDir dir;
    std::string path = dir.file("app.pid");
    std::unique_ptr<Probe> probe;
    ProbeContext context;
    std::vector<Outcome> reports;
    boost::asio::cancellation_signal stop;
    bool ended = false;

    Watched() : probe(make_probe("process", {{"pid_file", text(path)}})) {}
    Watched(std::string source, const std::string& value)
        : probe(make_probe("process", {{std::move(source), text(value)}})) {}

    /// A program with the name of own_name().
    std::vector<std::string> sleeper_command() const {
        const std::string program = dir.file(own_name());
        std::error_code is_there;
        std::filesystem::create_symlink("/bin/sleep", program, is_there);
        return {program, "1000"};
    }
    Child named_sleeper() const { return Child(sleeper_command()); }
    void name(std::string_view content) const { dir.write("app.pid", content); }
    void name(const Child& child) const { name(std::to_string(child.pid()) + "\n"); }
    Outcome attempt() { return loop.attempt(*probe); }
    /// As the runner does: attempts come beside it, the first of them first.
    void watch() {
        attempt();
        spawn_watch();
    }
    void spawn_watch() {
        boost::asio::co_spawn(
            loop.io,
            probe->watch(context, [this](Outcome found) { reports.push_back(std::move(found)); }),
            boost::asio::bind_cancellation_slot(stop.slot(),
                                                [this](const std::exception_ptr& error) {
                                                    CHECK_FALSE(error);
                                                    ended = true;
                                                }));
    }
    /// Runs until there are `count` reports.
    bool reported(std::size_t count) {
        return loop.run_until([&] { return reports.size() >= count; });
    }
    [[nodiscard]] std::size_t failures() const {
        return static_cast<std::size_t>(
            std::ranges::count(reports, ProbeResult::fail, &Outcome::result));
    }
    /// Runs until `count` reports are failures.
    bool failed(std::size_t count) {
        return loop.run_until([&] { return failures() >= count; });
    }
    /// Runs for `time`, in which nothing else may be reported.
    void run_for(Duration time) {
        loop.io.restart();
        loop.io.run_for(time);
    }
    std::string unclear(std::string_view content) {
        name(content);
        const Outcome outcome = attempt();
        CHECK(outcome.result == ProbeResult::unknown);
        REQUIRE(outcome.reason.starts_with(path + ": "));
        return outcome.reason.substr(path.size() + 2);
    }
};

inline Child sleeper() { return Child({"sleep", "1000"}); }
inline std::string pid_of(const Child& child) { return std::to_string(child.pid()); }

/// A process with a number that was used before; nothing without the right to choose.
inline std::optional<pid_t> process_numbered(pid_t number) {
    pid_t chosen = number;
    clone_args args{};
    args.exit_signal = SIGCHLD;
    args.set_tid = reinterpret_cast<std::uintptr_t>(&chosen);
    args.set_tid_size = 1;
    const long made = ::syscall(SYS_clone3, &args, sizeof args);
    if (made == 0) {
        for (;;) ::pause();
    }
    if (made < 0) return std::nullopt;
    return static_cast<pid_t>(made);
}

inline void end(pid_t process) {
    ::kill(process, SIGKILL);
    ::waitpid(process, nullptr, 0);
}

}  // namespace swerve::health::testing
